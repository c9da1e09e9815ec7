"""Policies with mistakes: each one is told with its line, what is wrong and how to mend it."""

import re
from pathlib import Path

import pytest
from policies import MISTAKES, VALID

from restoreproof import engines
from restoreproof.errors import PolicyInvalid
from restoreproof.policy_file import read_policy

WHOLE_FILES = {
    "empty": (b"", 1, "no mapping"),
    "a list": (b"- estate\n", 1, "no mapping"),
    "a word": (b"estate\n", 1, "no mapping"),
    "not UTF-8": (VALID.encode().replace(b"db.example", b"d\xe9.example"), 9, "not UTF-8"),
    "UTF-16": (VALID.encode("utf-16"), 1, "not UTF-8"),
    "components of nothing": (b"estate: x\ncomponents:\n", 2, "components: not a section"),
    "components as a list": (b"estate: x\ncomponents:\n- y\n", 2, "components: not a section"),
}


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """Where a test writes its policy."""
    return tmp_path / "policy.yaml"


def refusal(path: Path) -> PolicyInvalid:
    """The refusal of a policy, which has one line a mistake."""
    with pytest.raises(PolicyInvalid) as caught:
        read_policy(path)
    assert caught.value.exit_code == 2
    assert all("\n" not in line for line in caught.value.lines())
    return caught.value


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_told_with_its_line(policy_file: Path, mistake: str) -> None:
    """Each mistake is one line: file and line, what is wrong, and how to mend it."""
    old, new, line, what, mend = MISTAKES[mistake]
    assert VALID.count(old) == 1
    policy_file.write_text(VALID.replace(old, new))

    (told,) = refusal(policy_file).lines()

    where, _, rest = told.partition(": ")
    assert where == f"{policy_file}:{line}"
    told_what, dashes, told_mend = rest.partition(" -- ")
    assert what in told_what
    assert dashes
    assert mend in told_mend
    assert told_mend
    assert "hunter2" not in told


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_file_that_is_no_policy_is_told(policy_file: Path, name: str) -> None:
    """A file that is no policy at all is told with the line where that shows."""
    content, line, what = WHOLE_FILES[name]
    policy_file.write_bytes(content)

    told = refusal(policy_file).lines()

    assert any(one.startswith(f"{policy_file}:{line}: ") and what in one for one in told)


def test_missing_file_is_told(tmp_path: Path) -> None:
    """A policy that is not there, or is a folder, is named."""
    for path in (tmp_path / "none.yaml", tmp_path):
        (told,) = refusal(path).lines()
        assert told.startswith(f"{path}: cannot be read: ")


def test_all_mistakes_are_told_at_once_in_order(policy_file: Path) -> None:
    """Several mistakes give several lines, sorted by line number and not as text."""
    text = VALID
    for mistake in ("unknown coverage", "duration in words", "unknown engine", "unknown time zone",
                    "retention of no day", "component with capitals"):  # fmt: skip
        text = text.replace(*MISTAKES[mistake][:2])
    policy_file.write_text(text)

    lines = refusal(policy_file).lines()

    numbers = [int(re.match(r".*?:(\d+): ", line)[1]) for line in lines]  # type: ignore[index]
    assert numbers == sorted(numbers)
    assert len(numbers) == 6
    assert {2, 13, 17, 18, 19, 20} == set(numbers)


@pytest.mark.parametrize("engine", engines.names())
def test_source_of_every_engine_refuses_unknown_keys(policy_file: Path, engine: str) -> None:
    """No engine's source section takes a key that it does not know."""
    policy_file.write_text(
        "estate: x\n"
        "objectives: {rpo: 1h, rto: 1h, restore_test_every: 1d}\n"
        "vault: {location: v}\n"
        "components:\n"
        "  one:\n"
        f"    engine: {engine}\n"
        "    image: x\n"
        "    coverage: [data]\n"
        "    source:\n"
        "      no-such-key: 1\n"
    )

    told = refusal(policy_file).lines()

    assert any(
        line.startswith(f"{policy_file}:10: components.one.source.no-such-key: unknown key")
        for line in told
    )
