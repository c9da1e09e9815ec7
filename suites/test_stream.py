"""Streams: were changes stored as they happened, up to the last moment?"""

import pytest


@pytest.mark.check("STR-001", severity="critical", when="streams", proves=("continuous",))
def test_stream_reaches_up_to_the_last_moment(component, objectives, in_words, observe):
    """Changes were stored as they happened, up to the last moment.

    The stream was last seen to hold all that the source had written no longer before the
    disaster than the recovery point objective (RPO) allows, and what it holds continues the
    newest backup.
    """
    stream, lost_at = component.stream, component.lost_at
    logs = stream.segments() if stream else ()
    caught_up_at = stream.caught_up_at if stream else None
    age = in_words(lost_at - caught_up_at) if caught_up_at else ""
    problems = component.stream_problems()
    observe(
        examined=len(logs),
        expected=f"complete at most {in_words(objectives.rpo)} before the disaster",
        seen="; ".join(problems)
        or (f"{len(logs)} logs, complete {age} before it" if age else "nothing was streamed"),
        remedy="keep 'restoreproof stream POLICY' running as a service, and watch it",
    )
    assert not problems
    assert caught_up_at
    assert lost_at - caught_up_at <= objectives.rpo
