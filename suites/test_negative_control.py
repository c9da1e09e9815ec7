"""The checks themselves: would they notice if a backup were damaged?"""

import pytest


@pytest.mark.check(
    "NEG-001", severity="high", when="controls_negatively", proves=("negative-control",)
)
def test_damage_is_noticed(component, negative_control, observe):
    """Damage that is done to copies of the component's backups is noticed.

    Copies are damaged in named ways, in the vault's books, in stored bytes and in the content
    under right hashes, and the checks of this audit are asked of each, and of undamaged copies
    in which they may find nothing. A damage that none of them notices leaves unproven what they
    say of the backups themselves: this check passes or gives no answer.
    """
    detected = [one for one in negative_control.damages if one.outcome == "detected"]
    left_out = [one for one in negative_control.damages if one.outcome == "not tried"]
    controls = [one for one in negative_control.controls if one.outcome == "clean"]
    sample = f"; {len(left_out)} not tried" if left_out else ""
    observe(
        examined=len(negative_control.tried),
        expected="every damage noticed, and nothing found in undamaged copies",
        seen=f"{len(detected)} of {len(negative_control.tried)} damages noticed, nothing found in"
        f" {len(controls)} of {len(negative_control.controls)} undamaged copies{sample};"
        f" seed {negative_control.seed}",
        remedy="see the section on the negative control for what went unnoticed; where time was"
        " short, give negative_control.budget more",
    )
    if negative_control.unproven:
        pytest.skip(negative_control.unproven)
    assert len(detected) == len(negative_control.tried)
