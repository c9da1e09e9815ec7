"""Which checks the suites declare, read from their source without running them.

So a check that was deselected, not collected or broken is known to be missing. A check is a
test function with ``@pytest.mark.check("ID", severity=..., ...)``; its docstring is the text
of the report.
"""

import ast
import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from restoreproof.component_audit import ComponentAudit
from restoreproof.errors import UserError
from restoreproof.restore import Target
from restoreproof.verdicts import Severity

OPTIONS = {"severity", "engine", "coverage", "when", "only", "proves"}
TARGET_FIXTURES = {"target", "attempt", "restored"}


class Scope(StrEnum):
    """What a check is asked about once each."""

    TARGET = "target"
    COMPONENT = "component"


@dataclass(frozen=True)
class Declaration:
    """One check as its suite declares it.

    ``engine`` (or several), ``coverage`` and ``when`` (what a component must have: a schedule,
    jobs) narrow where it applies, ``only="newest"`` to the newest recovery point,
    ``only="fingerprinted"`` to those at which the source was looked at, ``only="nothing_follows"``
    to those whose server may be written to. ``proves`` names the
    promises of the policy for which it gives evidence; ``content`` is every kind of coverage.
    """

    id: str
    severity: Severity
    engines: tuple[str, ...]
    coverage: str | None
    when: str | None
    only: str
    proves: tuple[str, ...]
    scope: Scope
    title: str
    description: str
    file: str
    function: str

    def applies(self, audited: ComponentAudit) -> bool:
        """Whether the check is asked of a component."""
        return (
            (not self.engines or audited.component.engine in self.engines)
            and (self.coverage is None or self.coverage in audited.component.coverage)
            and (self.when is None or bool(getattr(audited, self.when)))
        )

    def asks(self, target: Target) -> bool:
        """Whether the check is asked of a recovery point."""
        return not self.only or bool(getattr(target, self.only))


@dataclass(frozen=True)
class SuiteIndex:
    """All checks of the suites, and a digest of their source."""

    declarations: tuple[Declaration, ...]
    sha256: str

    def find(self, file: str, function: str) -> Declaration | None:
        """The declaration behind a test function."""
        for declaration in self.declarations:
            if (declaration.file, declaration.function) == (file, function):
                return declaration
        return None


def read_suites(folder: Path) -> SuiteIndex:
    """Index all suites of a folder. Raise UserError for one that cannot be understood."""
    declarations: list[Declaration] = []
    digest = hashlib.sha256()
    for path in sorted(folder.glob("test_*.py")):
        source = path.read_bytes()
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(source).digest())
        declarations.extend(_declarations(path, source))
    ids: dict[str, Declaration] = {}
    functions = set()
    for declaration in declarations:
        if declaration.id in ids:
            raise UserError(
                f"check id {declaration.id} stands twice",
                where=f"{declaration.file} and {ids[declaration.id].file}",
                mend="give every check an id of its own",
            )
        if (declaration.file, declaration.function) in functions:
            raise UserError(
                f"{declaration.function} stands twice, so the second hides the first",
                where=declaration.file,
                mend="give every check a function of its own",
            )
        ids[declaration.id] = declaration
        functions.add((declaration.file, declaration.function))
    return SuiteIndex(tuple(declarations), digest.hexdigest())


def _declarations(path: Path, source: bytes) -> Iterator[Declaration]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        where = f"{path}:{getattr(error, 'lineno', None) or 1}"
        what = f"not Python: {getattr(error, 'msg', error)}"
        raise UserError(what, where=where, mend="correct it") from None
    for node in tree.body:
        where = f"{path}:{node.lineno}"
        if _would_run_unseen(node):
            mend = "write every check as a plain function"
            raise UserError(
                "pytest would run this, and the report not know", where=where, mend=mend
            )
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test"):
            continue
        marks = [mark for mark in node.decorator_list if _is_check(mark)]
        if not marks:
            mend = 'add @pytest.mark.check("ID", severity="...")'
            raise UserError(f"{node.name} is no check", where=where, mend=mend)
        mark = marks[0]
        assert isinstance(mark, ast.Call)
        try:
            options = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
            (identifier,) = (ast.literal_eval(argument) for argument in mark.args)
            severity = Severity(options["severity"])
            if unknown := options.keys() - OPTIONS:
                raise ValueError(unknown)
        except (KeyError, ValueError):
            mend = 'write @pytest.mark.check("ID", severity="critical|high|medium|low")'
            what = f"the check mark of {node.name} is not understood"
            raise UserError(what, where=where, mend=mend) from None
        title, _, description = inspect.cleandoc(ast.get_docstring(node) or "").partition("\n")
        arguments = {argument.arg for argument in node.args.args}
        yield Declaration(
            id=identifier,
            severity=severity,
            engines=_several(options.get("engine", ())),
            coverage=options.get("coverage"),
            when=options.get("when"),
            only=options.get("only", ""),
            proves=tuple(options.get("proves", ())),
            scope=Scope.TARGET if arguments & TARGET_FIXTURES else Scope.COMPONENT,
            title=title or node.name,
            description=" ".join(description.split()),
            file=path.name,
            function=node.name,
        )


def _several(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _would_run_unseen(node: ast.stmt) -> bool:
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test")
    return isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test")


def _is_check(mark: ast.expr) -> bool:
    return (
        isinstance(mark, ast.Call)
        and isinstance(mark.func, ast.Attribute)
        and ast.unparse(mark.func) == "pytest.mark.check"
    )
