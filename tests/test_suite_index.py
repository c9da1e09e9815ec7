"""The index of the suites: every check is known before it runs, or the run does not start."""

import dataclasses
from pathlib import Path

import pytest

from restoreproof import engines, resources
from restoreproof.component_audit import ComponentAudit
from restoreproof.errors import UserError
from restoreproof.policy import COVERAGE_KINDS
from restoreproof.suite_index import Declaration, Scope, read_suites
from restoreproof.verdicts import Severity

SUITES = resources.folder("suites")
REAL = read_suites(SUITES)
CHECK = """\
import pytest


@pytest.mark.check("ABC-001", severity="high", proves=("content",))
def test_claim(restored):
    \"\"\"It is so.

    Because it is,
    and was.
    \"\"\"
"""


def refusal(folder: Path) -> UserError:
    """The refusal of suites that cannot be understood."""
    with pytest.raises(UserError) as caught:
        read_suites(folder)
    assert caught.value.exit_code == 2
    assert caught.value.mend
    return caught.value


def test_check_is_read(tmp_path: Path) -> None:
    """Mark, title, description and scope come from the source, which is not run."""
    (tmp_path / "test_one.py").write_text("raise SystemExit('run!')\n" + CHECK)

    (found,) = read_suites(tmp_path).declarations

    assert found == Declaration(
        id="ABC-001", severity=Severity.HIGH, engines=(), coverage=None, when=None,
        only="", proves=("content",), scope=Scope.TARGET, title="It is so.",
        description="Because it is, and was.", file="test_one.py", function="test_claim",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "scope"),
    [("restored, observe", "target"), ("attempt", "target"), ("target", "target"),
     ("component, observe", "component"), ("", "component")],
)  # fmt: skip
def test_scope_follows_from_the_fixtures(tmp_path: Path, arguments: str, scope: str) -> None:
    """What a check asks for says what it is asked about."""
    (tmp_path / "test_one.py").write_text(CHECK.replace("restored", arguments))

    (found,) = read_suites(tmp_path).declarations

    assert found.scope == scope


def test_real_checks_are_found_by_their_functions() -> None:
    """Every declaration is found again, and none for another function."""
    assert len(REAL.declarations) >= 14
    for declaration in REAL.declarations:
        assert REAL.find(declaration.file, declaration.function) is declaration
        assert REAL.find("test_none.py", declaration.function) is None


def test_real_ids_are_unique_and_of_one_form() -> None:
    """An id is three letters and three digits, and names one check for good."""
    identifiers = [declaration.id for declaration in REAL.declarations]

    assert len(set(identifiers)) == len(identifiers)
    for identifier in identifiers:
        letters, _, digits = identifier.partition("-")
        assert letters.isupper() and len(letters) == 3
        assert digits.isdecimal() and len(digits) == 3


@pytest.mark.parametrize("declaration", REAL.declarations, ids=lambda one: one.id)
def test_real_check_is_ready_for_the_report(declaration: Declaration) -> None:
    """Each check says what it claims, what it gives evidence for, and where it applies."""
    assert declaration.title.endswith((".", ")"))
    assert declaration.title != declaration.function
    assert len(declaration.title) <= 90
    assert declaration.proves
    assert set(declaration.engines) <= set(engines.names())
    assert declaration.coverage in (None, *COVERAGE_KINDS)
    known = {field.name for field in dataclasses.fields(ComponentAudit)} | set(dir(ComponentAudit))
    assert declaration.when is None or declaration.when in known


def test_digest_follows_every_change(tmp_path: Path) -> None:
    """The digest in the evidence tells any edited, added or renamed suite apart."""
    digests = set()
    for name, text in (("test_one.py", CHECK), ("test_one.py", CHECK + "# edited\n"),
                       ("test_two.py", CHECK.replace("001", "002"))):  # fmt: skip
        (tmp_path / name).write_text(text)
        digests.add(read_suites(tmp_path).sha256)
    (tmp_path / "test_two.py").rename(tmp_path / "test_three.py")
    digests.add(read_suites(tmp_path).sha256)

    assert len(digests) == 4


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ('@pytest.mark.check("ABC-001", severity="high", proves=("content",))\n', "", 4,
         "test_claim is no check"),
        ("@pytest.mark.check(", "@pytest.mark.other(", 5, "test_claim is no check"),
        ('severity="high", ', "", 5, "mark of test_claim is not understood"),
        ('severity="high"', 'severity="huge"', 5, "mark of test_claim is not understood"),
        ('severity="high"', "severity=HIGH", 5, "mark of test_claim is not understood"),
        ('"ABC-001", ', "", 5, "mark of test_claim is not understood"),
        ('"ABC-001"', "IDENTIFIER", 5, "mark of test_claim is not understood"),
        ("proves=", "prove=", 5, "mark of test_claim is not understood"),
        ("def test_claim", "def test_claim(:", 5, "not Python"),
        ("import pytest", "import pytest\0", 1, "not Python"),
        ("def test_claim", "async def test_claim", 5, "pytest would run this"),
        ("import pytest\n", "class TestAll:\n    pass\n", 1, "pytest would run this"),
    ],
)  # fmt: skip
def test_suite_that_is_not_understood_is_refused(
    tmp_path: Path, old: str, new: str, line: int, what: str
) -> None:
    """A check that could not be missed if it vanished stops the run, with file and line."""
    path = tmp_path / "test_one.py"
    path.write_text(CHECK.replace(old, new))

    problem = refusal(tmp_path)

    assert problem.where == f"{path}:{line}"
    assert what in problem.what


def test_two_checks_of_one_id_are_refused(tmp_path: Path) -> None:
    """An id in two suites is refused, and both are named."""
    (tmp_path / "test_one.py").write_text(CHECK)
    (tmp_path / "test_two.py").write_text(CHECK)

    problem = refusal(tmp_path)

    assert "ABC-001 stands twice" in problem.what
    assert problem.where == "test_two.py and test_one.py"


def test_function_that_hides_another_is_refused(tmp_path: Path) -> None:
    """Of two functions of one name Python keeps the last, and the first check would vanish."""
    (tmp_path / "test_one.py").write_text(CHECK + CHECK.replace("001", "002"))

    assert "test_claim stands twice" in refusal(tmp_path).what


def test_only_suites_are_read(tmp_path: Path) -> None:
    """Helpers beside the suites are left alone."""
    (tmp_path / "helpers.py").write_text("def test_nothing(): (")

    assert read_suites(tmp_path).declarations == ()
