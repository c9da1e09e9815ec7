"""Retention: is there what was promised to be kept, does it restore, and is the rest gone?"""

import pytest


@pytest.mark.check("RET-001", severity="high", when="retention", proves=("retention", "versions"))
def test_backups_are_kept_as_long_as_promised(component, in_words, observe):
    """Every backup that the policy keeps is there, and the oldest of them can be restored.

    From the catalog: what was stored, less what was pruned in time. A backup that was deleted by
    hand or pruned too early is missing.
    """
    if not component.history.stored:
        pytest.skip("there never was a backup")
    problems = component.standing.wrongly_removed()
    restores = component.attempts_of(component.backups[0]) if component.backups else ()
    if restores and not restores[0].succeeded:
        problems += (f"the oldest, {component.backups[0].id}, cannot be restored",)
    observe(
        examined=len(component.history.stored),
        expected=f"backups kept {component.retention.describe()}",
        seen="; ".join(problems) or f"{len(component.backups)} backups, the oldest restored",
        remedy="find out who removed what the policy keeps, and take a full backup at once",
    )
    assert not problems
    if not restores:
        pytest.skip("the oldest backup was not restored in this run")


@pytest.mark.check("RET-002", severity="medium", when="lets_go", proves=("retention", "versions"))
def test_backups_are_not_kept_too_long(component, observe):
    """What the policy does not keep any more is gone.

    A day is given to remove it. What a kept backup stands on stays, and so does the newest good
    full one.
    """
    if not component.history.stored:
        pytest.skip("there never was a backup")
    late = component.standing.kept_too_long()
    observe(
        examined=len(component.history.stored),
        expected=f"only what is kept {component.retention.describe()}",
        seen=f"still there: {', '.join(late)}" if late else f"{len(component.backups)} backups",
        remedy="run `restoreproof prune POLICY --apply` once a day",
    )
    assert not late
