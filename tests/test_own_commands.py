"""The organisation's own commands: what a policy may say of them, and how lines are filled."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from restoreproof import foreign_store, resources
from restoreproof.breakdown import Breakdown, Part
from restoreproof.command_runs import _programs
from restoreproof.errors import PolicyInvalid
from restoreproof.fingerprint import Comparison, Fingerprint, Item, compare
from restoreproof.found_points import instant
from restoreproof.own_commands import Commands, filled
from restoreproof.policy_file import read_policy

AT = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)
EXAMPLES = sorted((resources.folder("fixtures") / "examples").glob("*.yaml"))
POLICY = """\
estate: Harbour
objectives: {{rpo: 1h, rto: 4h, restore_test_every: 31d}}
vault: {{location: vault}}
components:
  it:
    engine: git
    source: {{repository: x}}
    coverage: [data]
    commands:
      {commands}
"""
MISTAKES = {
    "restore: 'x {target}'": ("nobody makes backups and nothing finds any", "give full, or list"),
    "full: 'x {target}'\n      restore: x": ("full cannot know {target}", "it may name"),
    "restore: x\n      incremental: y\n      list: z": ("increments with no full", "give full too"),
    "full: x\n      restore: mysql -h db.example app": ("restore names a host", "leave the host"),
    "full: x\n      restore: y\n      environment: {PASSPHRASE: plain}": (
        "PASSPHRASE looks like a secret", "write ${NAME}"),
    "full: x\n      restore: y\n      points: {pattern: '('}": (
        "not a regular expression", "correct it"),
    "full: x\n      restore: y\n      points: {pattern: x}": ("it names no time", "write it with"),
    "full: x\n      restore: y\n      limits: {time: 5}": ("not a duration", "write a number"),
    "restore: x\n      backups: '*'\n      store: sftp://y/z": (
        "backups are files of a folder", "give list"),
    "full: x\n      restore: y\n      after: z": ("unknown key", ""),
    "full: x": ("restore: is missing", ""),
}  # fmt: skip


@pytest.mark.parametrize("commands", MISTAKES)
def test_mistakes_are_told_in_a_line(tmp_path: Path, commands: str) -> None:
    """Where, what is wrong, and how to mend it."""
    path = tmp_path / "policy.yaml"
    store = "" if " store:" in commands else "\n      store: backups"
    path.write_text(POLICY.format(commands=commands + store))
    what, mend = MISTAKES[commands]

    with pytest.raises(PolicyInvalid) as caught:
        read_policy(path)

    (line,) = caught.value.lines()
    assert line.startswith(f"{path}:")
    assert what in line
    assert mend in line.partition(" -- ")[2]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_policies(path: Path) -> None:
    """What is shown can be used."""
    (component,) = read_policy(path).policy.components.values()

    assert component.commands is not None
    assert component.commands.restore


def test_variables_are_filled_and_other_braces_left() -> None:
    """Shell variables, awk and Borg have braces of their own; a strange name is quoted."""
    line = "a {store}/{name} ${store} {{print}} {archive} {time:%Y%m%d} {time}"
    known = {"store": "/b", "name": "x; rm -rf /"}

    assert filled(line, known, AT) == [
        "/bin/sh",
        "-c",
        "a /b/'x; rm -rf /' ${store} {{print}} {archive} 20261123 2026-11-23T03:10:00+00:00",
    ]
    assert filled(("a", "{name}"), known, AT) == ["a", "x; rm -rf /"]
    with pytest.raises(KeyError):
        filled("{socket}", known, AT)


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("mysqldump app | gzip > {store}/$(date +%F).gz", ["mysqldump", "gzip"]),
        ("A=1 x && (y; ! z) || `w` 2>/dev/null", ["x", "y", "z"]),
        ("test -d x || ${TOOL} y", ["test"]),
        (("one", "two"), ["one"]),
    ],
)
def test_programs_of_a_line_are_known_before(line: str, programs: list[str]) -> None:
    """So that one that is not there is told before anything is done."""
    assert _programs(line) == programs


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [
        ("2026-11-23T03:10:00+01:00", None, datetime(2026, 11, 23, 2, 10, tzinfo=UTC)),
        ("20261123T031000Z", None, AT),
        ("Mon Nov 23 03:10:00 2026", None, AT),
        ("Mon Nov  9 03:10:00 2026", None, datetime(2026, 11, 9, 3, 10, tzinfo=UTC)),
        ("23.11.2026", "%d.%m.%Y", datetime(2026, 11, 23, tzinfo=UTC)),
        ("yesterday", None, None),
    ],
)
def test_instants_of_lists(text: str, form: str | None, found: datetime | None) -> None:
    """ISO 8601, ctime's and what the policy gives; without a zone it is this machine's."""
    if found is not None and "+" not in text and not text.endswith("Z"):
        found = found.replace(tzinfo=None).astimezone(UTC)

    assert instant(text, form) == found


def test_a_store_with_names_of_any_bytes(tmp_path: Path) -> None:
    """What is new and what is gone is told by content; links are not followed."""
    odd = os.fsencode(tmp_path) + b"/a \xff%\n"
    Path(os.fsdecode(odd)).write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "kept").write_bytes(b"2")
    (tmp_path / "lock.1").write_bytes(b"3")
    before = foreign_store.inventory(tmp_path, {}, ("lock.*",))
    assert set(before) == {"a %FF%25%0A", "kept"}
    assert foreign_store.path_of(str(tmp_path), "a %FF%25%0A").read_bytes() == b"1"
    (tmp_path / "kept").write_bytes(b"22")
    (tmp_path / "new").write_bytes(b"4")

    after = foreign_store.inventory(tmp_path, before, ())

    done = foreign_store.changes(before, after)
    assert [file.name for file in done.new] == ["kept", "lock.1", "new"]
    assert done.gone == {"kept"}


def item(parts: tuple[Part, ...], by: str, order: str = "`id`") -> Item:
    """A table of which some parts stood still."""
    broken = Breakdown.model_validate({"order": order, "by": by, "parts": parts})
    return Item(
        kind="table", name="t", count=2, comparison=Comparison.PARTS, breakdown=broken, digest=""
    )


@pytest.mark.parametrize(
    ("order", "expected", "seen", "lost"),
    [
        ("`id`", [("1", 1, "aa")], [("1", 1, "aa"), ("2", 1, "bb")], False),
        ("`id`", [("1", 1, "aa")], [("1", 1, "ab")], True),
        ("`id`", [("1", 1, "aa")], [("2", 1, "aa")], True),
        ("`id`", [("5", 9, "aa"), ("", 4, "")], [("5", 9, "aa"), ("", 7, "cc")], False),
        ("", [("aa", 2, "")], [("aa", 2, "")], False),
        ("", [("aa", 2, "")], [("aa", 1, "")], True),
    ],
)
def test_only_what_stood_still_has_to_come_back(
    order: str, expected: list[Part], seen: list[Part], lost: bool
) -> None:
    """Rows and ranges that moved are free; one that stood still is lost if it is another."""
    before = item(tuple(Part(*one) for one in expected), "rows", order)
    after = item(tuple(Part(*one) for one in seen), "rows", order)

    found = compare(Fingerprint.of("m", AT, [before]), Fingerprint.of("m", AT, [after]))

    assert bool(found.differences) is lost
    assert not found.undecided


def test_a_copy_in_other_parts_is_undecided() -> None:
    """What cannot be compared in the same parts is no pass and no alarm."""
    before, after = item((Part("1", 1, "aa"),), "rows"), item((Part("1", 1, "aa"),), "ranges")

    found = compare(Fingerprint.of("m", AT, [before]), Fingerprint.of("m", AT, [after]))

    assert not found.differences
    assert found.undecided


def test_unknown_keys_are_refused() -> None:
    """Nobody's typing mistake is passed over."""
    with pytest.raises(ValidationError):
        Commands.model_validate({"restore": "x", "full": "y", "store": "z", "shell": "bash"})
