"""Restoration criteria: does what the policy restores backups for come back, and how soon?"""

import pytest


@pytest.mark.check("CRT-001", severity="high", when="plays_corruption", proves=("corruption",))
def test_corrupted_content_comes_back(exercised, objectives, in_words, observe):
    """Content that was corrupted comes back as it was just before.

    Played on a copy that was restored from the newest backup and that lives on: one bad statement
    changes rows, points or history; what is restored is compared with a fingerprint that was taken
    just before it. Loss and time are held against the objectives.
    """
    _is_met(exercised["corruption"], objectives, in_words, observe)


@pytest.mark.check("CRT-002", severity="high", when="plays_deletion", proves=("deletion",))
def test_deleted_part_comes_back_alone(exercised, objectives, in_words, observe):
    """A part that was deleted by accident comes back alone.

    Played on the same copy: a table, measurement or branch is deleted, the copy goes on being
    written to, and then that part is put back. All else has to be as it was, and nothing that was
    written meanwhile may be lost.
    """
    _is_met(exercised["deletion"], objectives, in_words, observe)


@pytest.mark.check("CRT-003", severity="high", when="plays_failure", proves=("failure",))
def test_all_comes_back_after_a_failure(exercised, objectives, in_words, observe):
    """When server and disk are gone, all comes back from the vault.

    Played on the same copy, which is removed with all that it stored. What was written after its
    last backup is lost, and nothing else.
    """
    _is_met(exercised["failure"], objectives, in_words, observe)


def _is_met(played, objectives, in_words, observe):
    missed = played.missed(objectives)
    observe(
        examined=played.examined,
        expected=f"all as before, at most {in_words(objectives.rpo)} lost, back within"
        f" {in_words(objectives.rto)}",
        seen=played.seen,
        remedy="see what differs in the evidence, and restore that way by hand:"
        " restoreproof exercise POLICY",
    )
    assert not missed, "; ".join(missed)
    if played.unproven:
        pytest.skip(played.unproven)
