"""Who imports whom: the arrows between modules point one way, as ARCHITECTURE.md says."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import restoreproof
from restoreproof import resources

PACKAGE = Path(restoreproof.__file__).parent
EVIDENCE = {path.stem for path in PACKAGE.glob("evidence*.py")}
"""Evidence and its parts, one module each for a kind of record."""
SIGNATURE = {"errors", "identities", "keygen", "revocation", "signature_level", "storage"}
DATA = {"evidence", "errors", "signature_level", "storage", "resources", "verdicts"}
PICTURES = {f"pictures.{path.stem}" for path in (PACKAGE / "pictures").glob("*.py")} | {"pictures"}
AUDIT = {"vault", "catalog", "audit", "plugin", "cli", "estate", "jobs", "restore",
         "component_audit", "records", "checks", "recovery_points", "restore_command"}  # fmt: skip

SHARED = ("contract", "server", "stored", "file")
"""What stands at the beginning of an engine module that is there for all of them."""


def imports(path: Path, *, deferred: bool = True) -> Iterator[str]:
    """Every module that a file imports; with ``deferred`` also inside functions."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if deferred else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def ours(path: Path, *, deferred: bool = True) -> set[str]:
    """Which of our modules a file imports: ``vault``, ``engines.mysql``."""
    found = set()
    for name in imports(path, deferred=deferred):
        parts = name.split(".")
        if parts[0] != "restoreproof":
            continue
        for length in (2, 3):
            module = PACKAGE.joinpath(*parts[1:length])
            if len(parts) >= length and (module.with_suffix(".py").exists() or module.is_dir()):
                found.add(".".join(parts[1:length]))
    return found


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
}
SUITES = sorted(resources.folder("suites").glob("*.py"))


def test_this_test_sees_imports() -> None:
    """The graph is not empty: known arrows are in it."""
    assert {"vault", "engines.contract"} <= ours(MODULES["jobs"])
    assert "engines" in ours(MODULES["policy"])
    assert {"report", "evidence"} <= ours(MODULES["offline"])
    assert "report" not in ours(MODULES["offline"], deferred=False)


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("errors", set()),
        ("outcomes", set()),
        ("storage", set()),
        ("redaction", set()),
        ("verdicts", set()),
        ("wording", {"evidence", "verdicts"}),
        ("identities", {"errors"}),
        ("key_services", {"errors", "identities"}),
        ("signing", SIGNATURE),
        ("signature_check", {*DATA, *SIGNATURE, "past_time", "signing", "wording"}),
        ("verification", {*DATA, *SIGNATURE, "past_time", "signature_check", "signing", "wording"}),
        ("countersignatures", {*DATA, *SIGNATURE, "proofs", "wording"}),
        ("week_picture", {"evidence", "wording"}),
        ("report_parts", {"evidence"}),
        ("controls", {"errors", "evidence", "resources", "verdicts"}),
        ("templates", {*DATA, "week_picture", "wording", *PICTURES}),
        (
            "report",
            {*DATA, "controls", "oscal", "wording", "report_parts", "templates", *PICTURES},
        ),
        ("ledger", {"errors", "evidence", "storage", "verdicts"}),
        ("oscal", {"controls", "errors", "evidence", "resources", "verdicts", "wording"}),
        ("oscal_references", set()),
        ("attestation", {"evidence", "ledger", "verdicts"}),
        ("ledger_tokens", {"evidence", "ledger", "verdicts", "wording"}),
        (
            "ledger_audit",
            {"clock", "errors", "evidence", "ledger", "ledger_tokens", "verification", "wording"},
        ),
        ("breakdown", set()),
        ("fingerprint", {"breakdown"}),
        ("manifest", {"fingerprint"}),
        ("catalog", {"errors", "manifest", "storage"}),
        (
            "vault",
            {
                "catalog",
                "artifact_damage",
                "errors",
                "incoming",
                "locks",
                "manifest",
                "outcomes",
                "processes",
                "storage",
                "stream_store",
            },
        ),
        ("incoming", {"errors", "manifest", "storage"}),
        ("foreign_store", {"manifest"}),
        ("artifact_damage", {"foreign_store", "manifest"}),
        ("locks", {"errors"}),
        ("stream_store", {"errors", "storage"}),
        ("schedule", {"policy"}),
        ("worst_case", {"policy", "schedule"}),
    ],
)
def test_module_knows_only_what_is_below_it(module: str, allowed: set[str]) -> None:
    """Data and report know nothing of jobs, servers or pytest; the vault nothing of engines."""
    assert ours(MODULES[module]) <= (allowed | EVIDENCE if "evidence" in allowed else allowed)


@pytest.mark.parametrize("part", sorted(EVIDENCE))
def test_evidence_knows_only_its_parts(part: str) -> None:
    """What a run saw can be read without anything that made it."""
    assert ours(MODULES[part]) <= {"errors", "signature_level", "storage", "verdicts", *EVIDENCE}


def test_imports_have_no_circle() -> None:
    """Modules that are imported at the start can be put in an order."""
    graph = {
        name: {one for one in ours(path, deferred=False) if one in MODULES}
        for name, path in MODULES.items()
        if "__init__" not in name
    }
    # records.py names the run for its types alone.
    graph["records"].discard("audit")
    while graph:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert free, f"these import each other: {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in free}


def test_only_the_plugin_imports_pytest() -> None:
    """Everything else can be used, and tested, without a pytest session."""
    users = {
        name
        for name, path in MODULES.items()
        if any(one.split(".")[0] in ("pytest", "_pytest") for one in imports(path))
    }

    assert users == {"plugin", "plugin_questions"}


@pytest.mark.parametrize("name", sorted(PICTURES - {"pictures", "pictures.__init__"}))
def test_pictures_know_only_evidence(name: str) -> None:
    """A picture is a function of the evidence, so it can be drawn again from that alone."""
    assert ours(MODULES[name]) <= {*EVIDENCE, "verdicts", "wording", *PICTURES}


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.name)
def test_suites_import_nothing_of_ours(suite: Path) -> None:
    """A check asks for fixtures; it could stand in another project."""
    assert ours(suite) == set()
    assert {name.split(".")[0] for name in imports(suite)} <= {"pytest", *sys.stdlib_module_names}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("engines.")))
def test_engines_know_no_audit(name: str) -> None:
    """An engine is handed what it needs: it knows neither the vault nor who calls it."""
    assert not ours(MODULES[name]) & AUDIT


def test_engines_do_not_know_each_other() -> None:
    """An engine can be added and taken away without a look at the others."""
    for name, path in MODULES.items():
        if not name.startswith("engines.") or name in ("engines.__init__", "engines.contract"):
            continue
        family = name.removeprefix("engines.").partition("_")[0]
        for other in ours(path):
            if other.startswith("engines."):
                kin = other.removeprefix("engines.").partition("_")[0]
                assert kin in (family, *SHARED), f"{name} imports {other}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("verification", "docker testcontainers pymysql httpx git pytest weasyprint jinja2"),
        ("report", "docker testcontainers pymysql httpx git pytest"),
        ("policy_file", "pytest weasyprint pyhanko"),
        ("ledger_audit", "docker testcontainers pymysql httpx git pytest weasyprint jinja2"),
        ("history", "docker testcontainers pymysql httpx git pytest weasyprint"),
        ("cli", "docker testcontainers pymysql pytest weasyprint pyhanko pydantic"),
        ("errors", "pydantic docker"),
    ],
)
def test_module_loads_only_what_it_needs(module: str, absent: str) -> None:
    """An auditor who verifies a report needs no database library, no Docker and no pytest."""
    code = (
        f"import sys, restoreproof.{module};"
        f"print(sorted(set({absent.split()!r}) & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.strip() == "[]"
