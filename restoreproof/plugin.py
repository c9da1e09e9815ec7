"""The pytest side of an audit: options, hooks and fixtures, and nothing else.

Inert unless ``--policy`` is given. The command line prepares a run and hands it over; plain
``pytest suites --policy POLICY`` prepares the same run here.
"""

import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from restoreproof import interrupts, resources, wording
from restoreproof.audit import AuditOptions, AuditRun, unwritable
from restoreproof.checks import Answer, Observation, Question
from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract_exercise import Criterion
from restoreproof.errors import RestoreProofError, UserError
from restoreproof.evidence_negative_control import NegativeControlRecord
from restoreproof.exercised import Exercised
from restoreproof.plugin_questions import ask, judge
from restoreproof.policy import Objectives
from restoreproof.progress import Progress
from restoreproof.restore import RestoreAttempt, Target
from restoreproof.suite_index import Declaration
from restoreproof.summary import summarise
from restoreproof.verdicts import Verdict

RUN = pytest.StashKey[AuditRun]()
OBSERVATION = pytest.StashKey[Observation]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("restoreproof", "audit of backups")
    group.addoption("--policy", type=Path, help="the policy to audit")
    group.addoption("--component", action="append", default=[], help="only this component")
    group.addoption("--no-backup", action="store_true", help="audit what the vault holds")
    group.addoption("--out", type=Path, default=Path("reports/archive"), help="where reports land")
    group.addoption("--sampling-seed", type=int, help="repeat a run's random choices")


class Handover:
    """A run that the command line prepared and began."""

    def __init__(self, run: AuditRun) -> None:
        self.run = run
        self.error: RestoreProofError | None = None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "check(id, severity): one check of an audit")
    handover = _handover(config)
    if handover is not None:
        config.stash[RUN] = handover.run
        # The run tells of itself; pytest's own lines would say everything twice.
        config.pluginmanager.set_blocked("terminalreporter")
    elif config.getoption("--policy"):
        config.stash[RUN] = _prepare(config)
    if RUN in config.stash:
        config.option.xmlpath = str(config.stash[RUN].folder / "junit.xml")
        # A broken suite is an answer of its own; it must not silence the others.
        config.option.continue_on_collection_errors = True


def _handover(config: pytest.Config) -> Handover | None:
    plugins = config.pluginmanager.get_plugins()
    return next((plugin for plugin in plugins if isinstance(plugin, Handover)), None)


def _prepare(config: pytest.Config) -> AuditRun:
    options = AuditOptions(
        policy=config.getoption("--policy"),
        archive=config.getoption("--out"),
        components=tuple(config.getoption("--component")),
        backups=not config.getoption("--no-backup"),
        command=" ".join(["pytest", *sys.argv[1:]]),
        seed=config.getoption("--sampling-seed"),
    )
    try:
        run = AuditRun(options, Progress())
        with run.discarding():
            run.prepare()
    except RestoreProofError as error:
        raise pytest.UsageError("\n".join(error.lines())) from None
    return run


def pytest_sessionstart(session: pytest.Session) -> None:
    run = session.config.stash.get(RUN, None)
    if run is None or _handover(session.config):
        return
    try:
        with run.discarding():
            run.begin()
    except RestoreProofError as error:
        pytest.exit("\n".join(error.lines()), returncode=error.exit_code)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    run = metafunc.config.stash.get(RUN, None)
    declaration = _declaration(run, metafunc.definition)
    if run is None or declaration is None:
        return
    audited = [one for one in run.components if declaration.applies(one)]
    if "target" in metafunc.fixturenames:
        targets = [target for one in audited for target in one.targets if declaration.asks(target)]
        names = [target.backup.id for target in targets]
        metafunc.parametrize("target", targets, ids=names, scope="session")
    else:
        metafunc.parametrize("component", audited, ids=[one.name for one in audited])


def pytest_itemcollected(item: pytest.Item) -> None:
    declaration = _declaration(item.config.stash.get(RUN, None), item)
    if declaration is not None:
        # So that -k takes a check by its id too.
        item.extra_keyword_matches.add(declaration.id)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run = config.stash.get(RUN, None)
    suites = resources.folder("suites")
    if run is None and any(item.path.parent == suites for item in items):
        raise pytest.UsageError("the suites audit an estate: give --policy POLICY")
    if run is not None:
        # A check that applies to nothing here is no question, so it is no skipped answer either.
        asked = [(_question(_declaration(run, item), item), item) for item in items]
        order = run.order_of_questions()
        known = [(order[question], item) for question, item in asked if question in order]
        items[:] = [item for _, item in sorted(known, key=lambda one: one[0])]


@pytest.fixture(scope="session")
def attempt(request: pytest.FixtureRequest, target: Target) -> Iterator[RestoreAttempt]:
    """One restore of one recovery point, whether it worked or not."""
    run = request.config.stash[RUN]
    run.progress(f"restoring {target.backup.id}")
    with run.walk.attempt(run.component(target.component), target) as done:
        outcome = "restored" if done.succeeded else f"restore failed in '{done.failed_in}'"
        seconds = done.duration.total_seconds()
        run.progress(f"{target.backup.id}: {outcome} after {seconds:.1f} s")
        yield done


@pytest.fixture
def instant(request: pytest.FixtureRequest, component: ComponentAudit) -> Iterator[RestoreAttempt]:
    """One restore of an instant inside a chain, whether it worked or not."""
    progress = request.config.stash[RUN].progress
    with component.attempt_instant() as done:
        outcome = "restored" if done.succeeded else f"restore failed in '{done.failed_in}'"
        progress(f"{done.target.backup.id} up to {done.target.until}: {outcome}")
        yield done


@pytest.fixture
def negative_control(
    request: pytest.FixtureRequest, component: ComponentAudit
) -> NegativeControlRecord:
    """What came of damaging copies of the component's backups."""
    run = request.config.stash[RUN]
    # Both wait for servers most of the time, and neither is measured against the other.
    run.exercises.begin(run.components, run.progress)
    return run.control_negatively(component, ask)


@pytest.fixture
def exercised(
    request: pytest.FixtureRequest, component: ComponentAudit
) -> Mapping[Criterion, Exercised]:
    """The restoration criteria, played once on a living copy of the component."""
    run = request.config.stash[RUN]
    run.exercises.begin(run.components, run.progress)
    return run.exercises.of(component)


@pytest.fixture
def restored(attempt: RestoreAttempt) -> Any:
    """The restored component, in its sandbox."""
    if attempt.restored is None:
        # RST-001 fails on it; every other question about it stays open and is unproven.
        pytest.skip("nothing was restored: see RST-001")
    return attempt.restored


@pytest.fixture
def audited(request: pytest.FixtureRequest, target: Target) -> ComponentAudit:
    """The component that the target belongs to."""
    return request.config.stash[RUN].component(target.component)


@pytest.fixture(scope="session")
def objectives(request: pytest.FixtureRequest) -> Objectives:
    """The policy's objectives."""
    return request.config.stash[RUN].policy.objectives


@pytest.fixture(scope="session")
def in_words() -> Callable[..., str]:
    """Says a length of time as people read it, held against a limit if one is given."""
    return wording.duration


@pytest.fixture
def observe(request: pytest.FixtureRequest) -> Observation:
    """Notes what a check looks at before it asserts: examined, expected, seen, remedy."""
    observation: Observation = request.node.stash.setdefault(OBSERVATION, Observation())
    return observation


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The run's seed, for every random choice."""
    return request.config.stash[RUN].seed


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logfinish() -> None:
    interrupts.obey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    run = item.config.stash.get(RUN, None)
    declaration = _declaration(run, item)
    question = _question(declaration, item)
    if run is None or declaration is None or question is None:
        return report
    if report.when == "call" or not report.passed:
        verdict, reason = _judge(report, call)
        observation = item.stash.get(OBSERVATION, Observation())
        answer = Answer(verdict, reason, timedelta(milliseconds=round(report.duration * 1000)))
        answer.observation = observation
        run.answer(question, answer)
        if _handover(item.config):
            about = question.backup or question.component
            verdict, _ = run.answers[question].judged()
            run.progress.answer(verdict, f"{question.check} {about}: {declaration.title}")
    return report


def _judge(report: pytest.TestReport, call: pytest.CallInfo[None]) -> tuple[Verdict, str]:
    error = call.excinfo.value if call.excinfo else None
    if report.passed and error is None:
        return Verdict.PASSED, ""
    return judge(error, asked=report.when == "call")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    run = collector.config.stash.get(RUN, None)
    if run is not None and report.failed:
        last_line = str(report.longrepr).strip().splitlines()[-1]
        run.broken_suites[collector.path.name] = f"the suite could not be collected: {last_line}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(
    session: pytest.Session, exitstatus: int | pytest.ExitCode
) -> Generator[None, object, object]:
    run = session.config.stash.get(RUN, None)
    if run is None:
        return (yield)
    try:
        # Sandboxes are taken down and junit.xml is written in here.
        result = yield
        interrupts.obey()
        if exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR):
            run.discard()
            run.progress("interrupted: nothing was written, and every sandbox is gone")
            return result
        if session.config.option.collectonly:
            run.discard()
            return result
        evidence, folder = run.finish()
    except OSError as error:
        _fail(session, run, unwritable(run.folder, error))
        return None
    except RestoreProofError as error:
        _fail(session, run, error)
        return result
    summarise(evidence, folder, run.trust_file, run.progress)
    session.exitstatus = evidence.verdict.exit_code
    return result


def _fail(session: pytest.Session, run: AuditRun, error: RestoreProofError) -> None:
    """End without a report: the command line raises the error, plain pytest prints it."""
    run.discard()
    session.exitstatus = error.exit_code
    handover = _handover(session.config)
    if handover:
        handover.error = error
        return
    for line in error.lines():
        run.progress(line)


def run_audit(options: AuditOptions, progress: Progress, arguments: Sequence[str]) -> int:
    """One audit from the command line: prepare, back up, and let the suites ask.

    Return the exit code. Raise RestoreProofError for what prevents a report.
    """
    run = AuditRun(options, progress)
    with run.discarding():
        run.prepare()
        run.begin()
        suites = str(resources.folder("suites"))
        quiet = ["-s", "-q", "--no-header", "--rootdir", suites, "-p", "no:cacheprovider"]
        command = [suites, "-p", __name__, "-c", os.devnull, *quiet, *arguments]
        handover = Handover(run)
        code = pytest.main(command, plugins=[handover])
    # Asked first: our exit codes and pytest's own share numbers.
    if handover.error:
        raise handover.error
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code == pytest.ExitCode.USAGE_ERROR:
        run.discard()
        raise UserError("pytest refused its arguments", mend="correct what follows '--'")
    return int(code)


def _declaration(run: AuditRun | None, node: Any) -> Declaration | None:
    if run is None or node.path.parent != resources.folder("suites"):
        return None
    return run.index.find(node.path.name, node.originalname)


def _question(declaration: Declaration | None, item: pytest.Item) -> Question | None:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    target, component = parameters.get("target"), parameters.get("component")
    if declaration is None:
        return None
    if isinstance(target, Target):
        return Question(declaration.id, target.component, target.backup.id)
    if isinstance(component, ComponentAudit):
        return Question(declaration.id, component.name)
    return None
