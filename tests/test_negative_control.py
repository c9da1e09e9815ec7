"""The negative control over a real repository: what it notices, and when it proves nothing."""

import ast
import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from audits import one_component, restored

from restoreproof import resources
from restoreproof.asking import Ask
from restoreproof.checks import Answer
from restoreproof.component_audit import ComponentAudit
from restoreproof.damage_catalogue import damages_for
from restoreproof.engines.git_command import run_git
from restoreproof.errors import SandboxTrouble
from restoreproof.evidence_negative_control import NegativeControlRecord, Outcome
from restoreproof.negative_control import NegativeControl
from restoreproof.plugin_questions import ask as ask_a_check
from restoreproof.plugin_questions import ask_of
from restoreproof.sandbox import PREFIX
from restoreproof.suite_index import Declaration, read_suites
from restoreproof.verdicts import Verdict

SUITES = resources.folder("suites")
DECLARATIONS = read_suites(SUITES).declarations
ENOUGH, SEED = timedelta(minutes=5), 11
AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@t.example")
POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
components:
  wiki:
    engine: git
    source: {repository: wiki.git, paths: {playbook: site.yml}}
    coverage: [playbook]
"""


def _commit(repository: Path, number: int) -> None:
    (repository / "site.yml").write_text(f"version: {number}\n")
    (repository / f"{number}.yml").write_text("text\n")
    run_git(["add", "."], repository)
    run_git([*AUTHOR, "commit", "--quiet", "-m", f"version {number}"], repository)
    run_git(["tag", f"v{number}"], repository)


@pytest.fixture
def audited(tmp_path: Path) -> ComponentAudit:
    """A repository with two different backups, each of which was restored."""
    repository = tmp_path / "wiki.git"
    run_git(["init", "--quiet", "--initial-branch=main", str(repository)])
    found, vault = one_component(tmp_path, POLICY)
    for number in (1, 2):
        _commit(repository, number)
        found.run_job(vault, "Harbour", full=True)
    return restored(found, vault)


def run_control(
    audited: ComponentAudit,
    budget: timedelta = ENOUGH,
    ask: Ask = ask_a_check,
    seed: int = SEED,
) -> NegativeControlRecord:
    return NegativeControl(audited, DECLARATIONS, ask, budget, seed).run()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some damages of each layer stand for all, to save time."""
    kept = {"out-of-date", "byte-flipped", "lengthened", "reference-lost", "version-lost"}
    monkeypatch.setattr(
        "restoreproof.negative_control.damages_for",
        lambda *of: tuple(one for one in damages_for(*of) if one.name in kept),
    )


def _everything(folder: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
    }


def test_every_damage_is_noticed_and_the_vault_untouched(
    audited: ComponentAudit, tmp_path: Path
) -> None:
    """With time enough all is tried; no byte of the vault changes, and nothing is left behind."""
    before = _everything(tmp_path)

    found = run_control(audited)

    assert found.unproven == ""
    assert found.with_outcome(Outcome.MISSED, Outcome.ERROR, Outcome.NOT_TRIED) == ()
    assert {one.outcome for one in found.controls} == {Outcome.CLEAN}
    assert len(found.tried) >= 20
    by = {one.damage: one.detected_by for one in found.tried}
    assert by["byte-flipped"] == ("RST-001", "VLT-001")
    assert by["content-stale"] == ("RST-002",)
    assert by["folder-deleted"] == ("VLT-001", "VLT-002")
    assert by["out-of-date"] == ("RPO-002",)
    assert all(one.done and one.reason for one in found.tried)
    assert found.with_outcome(Outcome.NOT_APPLICABLE) == ()
    assert _everything(tmp_path) == before
    assert list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")) == []
    assert audited.attempts_of(audited.backups[-1]) == tuple(audited.attempts[:1])


@pytest.mark.usefixtures("few")
def test_a_seed_repeats_what_was_drawn(audited: ComponentAudit) -> None:
    """The same seed does the same to the same places in the same order; another does not."""
    first, again, other = (
        [(one.damage, one.done) for one in run_control(audited, seed=seed).tried]
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def _blinded(file: str, function: str) -> Ask:
    """Asks the suites as they are, but for one check whose assertions were taken out."""
    tree = ast.parse((SUITES / file).read_text())
    (check,) = (
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function
    )
    check.body = [node for node in check.body if not isinstance(node, ast.Assert)]
    names: dict[str, Any] = {}
    exec(compile(ast.unparse(tree), file, "exec"), names)  # noqa: S102  # our own suite

    def ask(declaration: Declaration, given: Mapping[str, Any]) -> Answer | None:
        return ask_of(names.get, declaration, given)

    def one_of_them(declaration: Declaration, given: Mapping[str, Any]) -> Answer | None:
        blind = (declaration.file, declaration.function) == (file, function)
        return (ask if blind else ask_a_check)(declaration, given)

    return one_of_them


@pytest.mark.usefixtures("few")
def test_a_check_that_cannot_fail_is_found_out(audited: ComponentAudit) -> None:
    """Without its assertions RST-002 notices nothing, and so do others: that proves nothing."""
    ask = _blinded("test_restore.py", "test_restored_content_is_what_was_backed_up")

    found = run_control(audited, ask=ask)

    missed = {one.damage for one in found.with_outcome(Outcome.MISSED)}
    assert "version-lost" in missed
    assert not missed & {"byte-flipped", "out-of-date"}
    assert found.unproven.startswith(f"{len(missed)} of {len(found.tried)} damages went unnoticed:")
    assert "newest version lost (newest version of the default branch" in found.unproven


@pytest.mark.usefixtures("few")
def test_hashes_that_are_not_looked_at_are_found_out(
    audited: ComponentAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no hash is ever compared, damage that a restore does not meet goes unnoticed."""
    monkeypatch.setattr("restoreproof.vault.artifact_damage", lambda *_: None)

    found = run_control(audited)

    assert "lengthened" not in {one.damage for one in found.with_outcome(Outcome.MISSED)}
    assert {one.detected_by for one in found.tried if one.damage == "lengthened"} == {("RST-001",)}


def test_backups_that_did_not_come_back_prove_nothing(audited: ComponentAudit) -> None:
    """Nothing that fails undamaged is damaged: without any other there is no proof."""
    found = run_control(replace(audited, attempts=[]))

    assert found.trials == ()
    assert found.unproven == "no backup came back, so none could be damaged"


def test_an_undamaged_copy_that_fails_proves_nothing(audited: ComponentAudit) -> None:
    """A backup that was damaged after its audit: its copy is not clean, and counts for nothing."""
    stored = audited.backups[-1].folder / "repository.bundle.zst"
    content = stored.read_bytes()
    stored.unlink()
    stored.write_bytes(content[:-1] + b"?")

    found = run_control(audited)

    assert [one.outcome for one in found.controls] == [Outcome.NOT_CLEAN]
    assert "SHA-256 differs" in found.unproven
    assert {one.outcome for one in found.damages} == {Outcome.NOT_TRIED}


def test_what_the_budget_does_not_hold_is_told(
    audited: ComponentAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without time for one restore nothing is proven, and what was not tried is named."""
    attempts = [replace(one, duration=timedelta(minutes=10)) for one in audited.attempts]
    monkeypatch.setattr(audited, "attempts", attempts)

    found = run_control(audited, timedelta(minutes=9))

    assert found.tried == ()
    assert {one.outcome for one in found.trials} == {Outcome.NOT_TRIED}
    assert "no damage to the content was tried" in found.unproven


def _run_against(clock: Iterable[int], audited: ComponentAudit) -> NegativeControlRecord:
    """Run with a budget of 20 s, on a clock that says what it is given."""
    budget, monotonic = timedelta(seconds=20), iter(clock).__next__
    return NegativeControl(
        audited, DECLARATIONS, ask_a_check, budget, SEED, monotonic=monotonic
    ).run()


@pytest.mark.usefixtures("few")
def test_a_sample_within_the_budget_proves(audited: ComponentAudit) -> None:
    """Where some damages to the content fit, the rest is not tried, and the proof stands."""
    found = _run_against(range(100_000), audited)

    assert {one.layer for one in found.tried} == {"vault", "bytes", "content"}
    assert len(found.with_outcome(Outcome.NOT_TRIED)) == 1
    assert found.unproven == ""


@pytest.mark.usefixtures("few")
def test_a_machine_that_is_slow_for_a_moment_gives_an_answer(audited: ComponentAudit) -> None:
    """Where the undamaged copy used up the budget, one damage to the content is tried still."""
    found = _run_against(range(0, 10_000_000, 6), audited)

    assert [one.layer for one in found.tried] == ["content"]
    assert found.unproven == ""


@pytest.mark.usefixtures("few")
def test_trouble_with_a_sandbox_is_no_miss(audited: ComponentAudit) -> None:
    """A check that breaks says nothing: the damage is neither noticed nor missed."""

    restored = 0

    def breaking(declaration: Declaration, given: Mapping[str, Any]) -> Answer | None:
        nonlocal restored
        restored += declaration.id == "RST-002"
        if declaration.id == "RST-002" and restored > 1:
            raise SandboxTrouble("the engine went away")
        return ask_a_check(declaration, given)

    found = run_control(audited, ask=breaking)
    broken = found.with_outcome(Outcome.ERROR)
    assert "version-lost" in {one.damage for one in broken}
    assert found.with_outcome(Outcome.MISSED) == ()
    assert "a check broke" in found.unproven


def test_checks_are_judged_as_pytest_judges_them() -> None:
    """A pass, a failed assertion, a skip and a crash are told apart; a hollow pass is none."""
    answers = {
        "passing": Verdict.PASSED, "failing": Verdict.FAILED, "skipping": Verdict.UNPROVEN,
        "crashing": Verdict.ERROR, "hollow": Verdict.UNPROVEN,
    }  # fmt: skip
    told = {"examined": 1, "expected": "", "seen": ""}
    names = {
        "passing": lambda observe: observe(**told),
        "failing": lambda observe: pytest.fail("no"),
        "skipping": lambda observe: pytest.skip("why"),
        "crashing": lambda observe: observe.nothing,
        "hollow": lambda observe: None,
    }
    for name, verdict in answers.items():
        declaration = replace(DECLARATIONS[0], function=name)
        answer = ask_of(names.get, declaration, {})
        assert answer is not None
        assert answer.judged()[0] is verdict, name
    wanting = replace(DECLARATIONS[0], function="wanting")
    assert ask_of({"wanting": lambda restored: None}.get, wanting, {}) is None
