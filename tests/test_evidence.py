"""Evidence: canonical, sealed, and refused after any change."""

import copy
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from restoreproof import evidence
from restoreproof.errors import UserError
from restoreproof.evidence import Evidence, Measure, json_schema, parse
from restoreproof.verdicts import Severity, Verdict, worst

SCHEMA = Path(evidence.__file__).parent / "schemas" / "evidence.schema.json"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SAMPLES = {"agama": samples.agama(), "compliant": samples.compliant()}
SMALL = json.loads(SAMPLES["compliant"].canonical())


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value that holds no other, with the keys and positions leading to it."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*path, key))
    else:
        yield path, node


def branches(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every object and array, with the keys and positions leading to it."""
    if isinstance(node, dict | list):
        yield path, node
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from branches(value, (*path, key))


def at(node: Any, path: tuple[Any, ...]) -> Any:
    """What lies at the end of a path."""
    for key in path:
        node = node[key]
    return node


def refusal(content: bytes) -> str:
    """The line that refuses what is not whole and unaltered evidence."""
    with pytest.raises(UserError) as caught:
        parse(content, where="evidence.json")
    (line,) = caught.value.lines()
    assert "\n" not in line
    assert line.startswith("evidence.json: ")
    assert caught.value.exit_code == 2
    return line


@pytest.mark.parametrize("name", SAMPLES)
def test_evidence_comes_back(name: str) -> None:
    """What was written is what is read, to the last member, and is written the same again."""
    sample = SAMPLES[name]

    read = parse(sample.canonical(), where="evidence.json")

    assert read == sample
    assert read.canonical() == sample.canonical()


@pytest.mark.parametrize("name", SAMPLES)
def test_bytes_are_canonical(name: str) -> None:
    """Members are sorted, without spaces, in UTF-8: the bytes are a function of the content."""
    content = SAMPLES[name].canonical()
    document = json.loads(content)

    assert content.decode() == json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    for _, node in branches(document):
        if isinstance(node, dict):
            assert all(one < two for one, two in pairwise(node))


@pytest.mark.parametrize("name", SAMPLES)
def test_seal_can_be_computed_by_others(name: str) -> None:
    """``jq -cjS 'del(.seal)' | sha256sum`` gives the digest, in five lines of anything."""
    document = json.loads(SAMPLES[name].canonical())
    seal = document.pop("seal")
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert seal["digest"] == hashlib.sha256(plain.encode()).hexdigest()
    assert seal["algorithm"] == "sha256"


def test_every_edited_value_is_refused() -> None:
    """Any one value of the file, changed to another of its type, breaks the seal."""
    count = 0
    for path, value in leaves(SMALL):
        edited = copy.deepcopy(SMALL)
        other = {bool: lambda v: not v, str: lambda v: v + "1", type(None): lambda _: "1"}.get(
            type(value), lambda v: v + 1
        )
        at(edited, path[:-1])[path[-1]] = other(value)
        refusal(json.dumps(edited).encode())
        count += 1

    assert count > 300


def test_every_dropped_and_added_member_is_refused() -> None:
    """No member or item can go, or come, without a refusal."""
    for path, node in branches(SMALL):
        more = copy.deepcopy(SMALL)
        if isinstance(node, dict):
            at(more, path)["note"] = "all is well"
        else:
            at(more, path).append(copy.deepcopy(node[-1]) if node else "more")
        refusal(json.dumps(more).encode())
        for key in node if isinstance(node, dict) else range(len(node)):
            less = copy.deepcopy(SMALL)
            del at(less, path)[key]
            refusal(json.dumps(less).encode())


def test_reordered_lists_are_refused() -> None:
    """The order of findings and phases is part of what was sealed."""
    for path, node in branches(SMALL):
        if isinstance(node, list) and len(node) > 1 and node[0] != node[-1]:
            edited = copy.deepcopy(SMALL)
            at(edited, path).reverse()
            assert "seal does not match" in refusal(json.dumps(edited).encode())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(SAMPLES["compliant"].canonical()) - 1), st.integers(0, 7))
def test_every_flipped_bit_is_refused(position: int, bit: int) -> None:
    """Wherever a bit of the file flips, it is no evidence any more."""
    content = bytearray(SAMPLES["compliant"].canonical())
    content[position] ^= 1 << bit

    refusal(bytes(content))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"{}", b"%PDF-1.7", b"\xff\xfe", b"[" * 100_000, b"9" * 5_000,
        SAMPLES["compliant"].canonical()[:-1],
        json.dumps(SMALL | {"run": SMALL["run"] | {"seed": 10**20}}).encode(),
        json.dumps(SMALL | {"run": SMALL["run"] | {"command": "\ud800"}}).encode(),
        json.dumps(SMALL | {"verdict_reason": float("nan")}).encode(),
        json.dumps(SMALL | {"format": "restoreproof-evidence/2"}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_evidence_is_refused(content: bytes) -> None:
    """Anything else is one line, also what would make a JSON library stumble."""
    assert "not evidence of a run" in refusal(content)


def test_unsealed_evidence_is_refused() -> None:
    """Without a seal nothing is known."""
    for seal in ({}, {"seal": None}):
        document = {key: value for key, value in SMALL.items() if key != "seal"}
        assert "not sealed" in refusal(json.dumps(document | seal).encode())


def test_evidence_cannot_be_changed() -> None:
    """Records stay as they are, and know no other members."""
    with pytest.raises(ValidationError, match="frozen"):
        SAMPLES["agama"].verdict = Verdict.PASSED  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        Evidence.model_validate(SMALL | {"note": "x"})


def test_evidence_is_written_once(tmp_path: Path) -> None:
    """Evidence is never replaced."""
    SAMPLES["agama"].write(tmp_path / "evidence.json")

    with pytest.raises(FileExistsError):
        SAMPLES["compliant"].write(tmp_path / "evidence.json")

    assert (tmp_path / "evidence.json").read_bytes() == SAMPLES["agama"].canonical()


@pytest.mark.parametrize("name", SAMPLES)
def test_durations_and_instants_carry_their_unit(name: str) -> None:
    """Every duration is a number of seconds and says so, every instant is UTC and ends in Z."""
    instants = 0
    for path, value in leaves(json.loads(SAMPLES[name].canonical())):
        member = next(key for key in reversed(path) if isinstance(key, str))
        if isinstance(value, float):
            assert member.endswith("_seconds"), path
        if member.endswith("_seconds"):
            assert value is None or isinstance(value, int | float), path
        if member.endswith("_at") or member == "recovery_point":
            assert INSTANT.fullmatch(value), path
            instants += 1
    assert instants > 10


def test_duration_is_in_seconds() -> None:
    """An hour and a half is 5400.5 seconds here, and no text that has to be parsed."""
    measure = Measure(value=timedelta(hours=1, minutes=30, milliseconds=500), basis="x")

    assert measure.model_dump(mode="json", by_alias=True)["value_seconds"] == 5400.5


def test_verdicts_are_ordered() -> None:
    """Passed is best, then unproven, then error; failed is worst, and nothing is unproven."""
    order = [Verdict.PASSED, Verdict.UNPROVEN, Verdict.ERROR, Verdict.FAILED]

    for index, verdict in enumerate(order):
        assert verdict.rank == index
        assert worst(order[: index + 1]) is verdict
        assert worst(reversed(order[: index + 1])) is verdict
    assert worst([]) is Verdict.UNPROVEN


def test_exit_codes_tell_verdicts_apart() -> None:
    """0 is compliant, 1 is not, 3 could not tell; 2 is for mistakes alone."""
    assert {verdict: verdict.exit_code for verdict in Verdict} == {
        Verdict.PASSED: 0, Verdict.FAILED: 1, Verdict.UNPROVEN: 3, Verdict.ERROR: 3,
    }  # fmt: skip


def test_findings_are_the_worst_first() -> None:
    """What failed comes before what met an error, the most severe first; the rest is elsewhere."""
    sample = SAMPLES["agama"]
    ranks = [(-one.verdict.rank, list(Severity).index(one.severity)) for one in sample.findings]

    assert ranks == sorted(ranks)
    assert {one.verdict for one in sample.findings} == {Verdict.FAILED, Verdict.ERROR}
    assert {one.verdict for one in sample.unproven} == {Verdict.UNPROVEN}
    passed = sum(one.verdict is Verdict.PASSED for one in sample.checks)
    assert passed + len(sample.findings) + len(sample.unproven) == len(sample.checks)


def test_published_schema_is_current() -> None:
    """The schema in the package is the one that the models give."""
    current = json.dumps(json_schema(), indent=1, sort_keys=True) + "\n"
    command = (
        "python -c 'import json; from restoreproof.evidence import json_schema;"
        f" print(json.dumps(json_schema(), indent=1, sort_keys=True))' > {SCHEMA}"
    )
    assert SCHEMA.read_text() == current, f"write it anew: {command}"


@pytest.mark.parametrize("name", SAMPLES)
def test_published_schema_takes_evidence(name: str) -> None:
    """Evidence validates against the schema, and an edited kind of value does not."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    validator.check_schema(validator.schema)
    document = json.loads(SAMPLES[name].canonical())

    validator.validate(document)

    for edit in ({"verdict": "fine"}, {"note": 1}, {"checks": None}, {"format": "x"}):
        assert not validator.is_valid(document | edit)
    assert not validator.is_valid({k: v for k, v in document.items() if k != "checks"})
