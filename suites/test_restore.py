"""Restores: does every backup come back, is it the same, and in time?"""

import pytest


@pytest.mark.check("RST-001", severity="critical", proves=("content",))
def test_restore_completes(attempt, in_words, observe):
    """The backup can be restored into an empty server.

    The restored service has to answer a query as an application would ask it.
    """
    observe(
        examined=1,
        expected="a restored service that answers",
        seen=f"failed in '{attempt.failed_in}': {attempt.failure}"
        if attempt.failure
        else f"answered after {in_words(attempt.duration)}",
        remedy="restore an older backup, and take a new one at once",
    )
    assert attempt.succeeded


@pytest.mark.check("RST-002", severity="critical", only="fingerprinted", proves=("content",))
def test_restored_content_is_what_was_backed_up(attempt, restored, observe):
    """What came back is what was backed up.

    The restored content is fingerprinted anew and compared item by item with the fingerprint
    that was taken at the source in the backup's own instant.
    """
    comparison = attempt.comparison
    differences = [str(difference) for difference in comparison.differences]
    undecided = [f"{item.kind} {item.name}: {item.reason}" for item in comparison.undecided]
    observe(
        examined=comparison.examined,
        expected=f"{comparison.examined} items as they were",
        seen="; ".join(differences) or f"{comparison.examined - len(undecided)} items equal",
        remedy="do not rely on this backup; take a new one and find out what it left out",
    )
    assert not differences
    if undecided:
        pytest.skip(f"could not be decided: {'; '.join(undecided)}")


@pytest.mark.check("RST-003", severity="critical", proves=("content",))
def test_restored_copy_is_not_the_source(attempt, restored, observe):
    """What was compared is a copy of its own, not the source itself."""
    observe(
        examined=1,
        expected="an identity other than the source's",
        seen="another identity"
        if restored.identity != attempt.manifest.source_identity
        else "the source's own identity",
        remedy="restore into a server of its own",
    )
    assert restored.identity
    assert restored.identity != attempt.manifest.source_identity


@pytest.mark.check("RTO-001", severity="critical", proves=("rto",))
def test_restore_time_is_within_objective(attempt, objectives, in_words, observe):
    """The service is back within the recovery time objective (RTO).

    Measured from the decision to restore to an answered query; verification is not in it. A
    container here is not production: the figure shows the way, not the size.
    """
    if not attempt.succeeded:
        pytest.skip("nothing was restored: see RST-001")
    observe(
        examined=len(attempt.phases),
        expected=f"at most {in_words(objectives.rto)}",
        seen=in_words(attempt.duration, objectives.rto),
        remedy="find the longest step in the timeline and shorten it, or change the objective",
    )
    assert attempt.duration <= objectives.rto


@pytest.mark.check("RTO-002", severity="high", when="expected_size", proves=("rto",))
def test_restore_of_the_expected_size_is_within_objective(component, objectives, in_words, observe):
    """As much as production holds could be back within the recovery time objective (RTO).

    An estimate, from the restores of this run: steps that grow with the content are scaled to the
    size that the policy expects. No further than a hundred times what was restored.
    """
    estimated = component.rto_estimated
    if estimated.value is None:
        pytest.skip(estimated.basis)
    observe(
        examined=1,
        expected=f"at most {in_words(objectives.rto)}",
        seen=f"{in_words(estimated.value, objectives.rto)}: {estimated.basis}",
        remedy="restore in a faster way (for MySQL method: clone), or change the objective",
    )
    assert estimated.value <= objectives.rto


@pytest.mark.check(
    "RST-004", severity="critical", when="instant", proves=("incremental", "continuous")
)
def test_an_instant_inside_a_chain_can_be_restored(component, instant, in_words, observe):
    """An instant inside the newest chain can be restored, with what was committed until then.

    The instant is drawn between two commits of the source. The restored server has to stand
    exactly where the ledger of commits in the stored logs says, and its newest heartbeat may not
    be newer than that of the newest recovery point.
    """
    until = instant.target.until
    observe(
        examined=1,
        expected="a restored service that answers",
        seen=f"failed in '{instant.failed_in}': {instant.failure}",
        remedy="take a new full backup; instants inside this chain cannot be relied on",
    )
    assert instant.succeeded
    position, reached = component.position_at_instant(instant), instant.restored.position
    heartbeat = component.newest_heartbeat_in(instant)
    beat = f"; newest heartbeat {in_words(abs(until - heartbeat))} from it" if heartbeat else ""
    observe(
        examined=1,
        expected=f"at {until}: {position}",
        seen=f"{reached or 'no position'}{beat}",
        remedy="do not rely on this chain for a restore to an instant",
    )
    assert reached == position
    if heartbeat and component.restored_heartbeat:
        assert heartbeat <= component.restored_heartbeat
