"""Faults in dumps are what their names say, and refuse content in which they cannot be done."""

import pytest

from restoreproof import damage_content as faults
from restoreproof.damage import Change

DUMP = b"""\
CREATE TABLE `stars` (
  `id` int NOT NULL AUTO_INCREMENT,
  `name` varchar(9) DEFAULT NULL
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4;
INSERT INTO `stars` VALUES (1,'Ve;ga'),(2,'(a),(b)'),(3,NULL);
CREATE TABLE `moons` (
  `id` int NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `moons` VALUES (8,'Io'),(9,'it\\'s');
-- Dump completed on 2026-11-23
"""


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (faults.drop_row("stars"), b",(3,NULL);", b";"),
        (faults.double_row("stars"), b"(3,NULL);", b"(3,NULL),(3,NULL);"),
        (faults.double_row("moons", 2), b"(9,'it\\'s')", b",".join([b"(9,'it\\'s')"] * 3)),
        (faults.null_to_empty("stars"), b"(3,NULL)", b"(3,'')"),
        (faults.replace_in_rows("stars", b"'(a),(b)'", b"''"), b"(2,'(a),(b)')", b"(2,'')"),
        (
            faults.replace_in_definition("stars", b" AUTO_INCREMENT=7", b""),
            b"InnoDB AUTO_INCREMENT=7",
            b"InnoDB",
        ),
        (faults.replace_text(b"'Io'", b"'IO'"), b"'Io'", b"'IO'"),
        (faults.drop_lines(b"Dump completed"), b"-- Dump completed on 2026-11-23\n", b""),
        (faults.add_statements("DO 1;"), b"-- Dump", b"DO 1;\n-- Dump"),
    ],
)
def test_a_fault_changes_what_it_says(change: Change, old: bytes, new: bytes) -> None:
    """What was to be changed is, once, and everything else is as it was."""
    assert DUMP.count(old) == 1
    assert change(DUMP) == DUMP.replace(old, new)


def test_swapped_rows_are_each_others() -> None:
    """The last row of each table is the other's, whatever stands in them."""
    swapped = faults.swap_rows("stars", "moons")(DUMP)

    assert b"(2,'(a),(b)'),(9,'it\\'s');" in swapped
    assert b"(8,'Io'),(3,NULL);" in swapped
    assert len(swapped) == len(DUMP)


@pytest.mark.parametrize(
    "change",
    [
        faults.drop_row("suns"),
        faults.double_row("suns"),
        faults.null_to_empty("moons"),
        faults.swap_rows("stars", "suns"),
        faults.replace_in_definition("moons", b"AUTO_INCREMENT", b""),
        faults.replace_in_definition("suns", b"InnoDB", b"MyISAM"),
        faults.replace_text(b"absent", b""),
        faults.drop_lines(b"absent"),
    ],
)
def test_a_fault_that_cannot_be_done_is_a_mistake(change: Change) -> None:
    """A fault of which nothing is there would show a check passing for no reason."""
    with pytest.raises(AssertionError):
        change(DUMP)
