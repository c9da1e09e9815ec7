"""The command line: arguments and exit codes; the work is done elsewhere."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from restoreproof import __version__, cli_reports, interrupts
from restoreproof.cli_program import ARCHIVE, module, reported
from restoreproof.errors import UserError
from restoreproof.progress import Progress

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Runs backup jobs, restores every backup, proves what came back, signs the report.",
)  # fmt: skip
policy_app = typer.Typer(no_args_is_help=True, help="Work with policies.")
app.add_typer(policy_app, name="policy")
catalog_app = typer.Typer(no_args_is_help=True, help="Work with a vault's catalog.")
app.add_typer(catalog_app, name="catalog")

PolicyArgument = Annotated[Path, typer.Argument(help="The policy file.", metavar="POLICY")]
OutOption = Annotated[Path, typer.Option("--out", help="Where reports land.", metavar="DIR")]


class ScheduleFormat(StrEnum):
    """What ``schedule`` prints text for."""

    CRON = "cron"
    SYSTEMD = "systemd"
    CI = "ci"


class PlayedCriterion(StrEnum):
    """What ``exercise`` plays."""

    CORRUPTION = "corruption"
    DELETION = "deletion"
    FAILURE = "failure"


def main() -> None:
    """Run the command line; Ctrl-C and a polite kill both clean up first."""
    interrupts.watch()
    app()


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"restoreproof {__version__}")
        raise typer.Exit


@app.command()
def demo(
    out: OutOption = ARCHIVE,
    mended: Annotated[
        bool, typer.Option("--mended", help="With the policy that keeps its own RPO.")
    ] = False,
) -> None:
    """Play a week of the sample estate Agama, a failure and the audit, to a signed report."""
    with reported():
        module("demo.command").play(out, Progress(), mended=mended)


@app.command()
def audit(
    policy: PolicyArgument,
    component: Annotated[
        list[str] | None, typer.Option("--component", help="Only this one; repeatable.")
    ] = None,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Audit what the vault holds.")
    ] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Evidence alone; 'report' makes one of it later.")
    ] = False,
    out: OutOption = ARCHIVE,
    pytest_arguments: Annotated[
        list[str] | None, typer.Argument(help="After '--': passed to pytest.")
    ] = None,
) -> None:
    """Back up, restore, prove, and report. Exit 0 compliant, 1 not, 2 mistake, 3 cannot tell."""
    with reported():
        plugin = module("plugin")
        options = module("audit").AuditOptions(
            policy=policy,
            archive=out,
            components=tuple(component or ()),
            backups=not no_backup,
            report=not no_report,
            command=" ".join(["restoreproof", *sys.argv[1:]]),
        )
        code = plugin.run_audit(options, Progress(), pytest_arguments or ())
    raise typer.Exit(code)


@app.command()
def backup(
    policy: PolicyArgument,
    component: Annotated[str | None, typer.Argument(help="Only this component.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Make full backups.")] = False,
    due: Annotated[bool, typer.Option("--due", help="Only what is due now, once.")] = False,
) -> None:
    """Run backup jobs only: an increment where the schedule wants one and it has a base."""
    with reported():
        chosen = (component,) if component else ()
        if due and full:
            raise UserError("--due and --full contradict each other", mend="give one of them")
        if due:
            results = module("due_jobs").run_due(policy, chosen, Progress())
            failed = [result for result in results if result.backup is None]
            # On its own stream, so that cron can keep silent about all that went well.
            for result in failed:
                typer.echo(f"backup of {result.component} failed: {result.problem}", err=True)
            stored = not failed
        else:
            stored = module("estate").run_jobs(policy, chosen, Progress(), full=full)
    raise typer.Exit(0 if stored else 1)


@app.command()
def restore(
    policy: PolicyArgument,
    component: Annotated[str, typer.Argument(help="The component.", metavar="COMPONENT")],
    to: Annotated[
        str | None,
        typer.Option(help="The newest if not given.", metavar="BACKUP|INSTANT|GTID"),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running until 'restoreproof clean'.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write files and leave nothing running.", metavar="FOLDER")
    ] = None,
    database: Annotated[
        list[str] | None, typer.Option("--database", help="Write this one only; repeatable.")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help="Write this one only; repeatable.", metavar="DATABASE.TABLE"),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the recovery points.")] = False,
) -> None:
    """Restore a recovery point, never over the source: a server to work with, or files.

    Exit 0 restored and equal, 1 failed or different, 2 mistake, 3 cannot tell.
    """
    code = 0
    with reported():
        command = module("restore_command")
        if show:
            command.show_points(policy, component, typer.echo)
        else:
            parts = module("engines.contract").Parts(tuple(database or ()), tuple(table or ()))
            options = command.RestoreOptions(policy, component, to, keep, output, parts)
            code = command.restore(options, Progress())
    raise typer.Exit(code)


@app.command()
def exercise(
    policy: PolicyArgument,
    component: Annotated[str | None, typer.Argument(help="Only this component.")] = None,
    criterion: Annotated[
        PlayedCriterion | None, typer.Option(help="Only this criterion.", metavar="NAME")
    ] = None,
) -> None:
    """Play corruption, deletion and failure on copies of the newest backups; measure what is lost.

    Exit 0 all came back in time, 1 it did not, 2 mistake, 3 cannot tell.
    """
    with reported():
        command = module("exercise_command")
        wanted = criterion.value if criterion else None
        code = command.exercise(command.ExerciseOptions(policy, component, wanted), Progress())
    raise typer.Exit(code)


@app.command()
def stream(
    policy: PolicyArgument,
    component: Annotated[str | None, typer.Argument(help="Only this component.")] = None,
) -> None:
    """Store changes as they happen ('continuous: true'), until stopped; run it as a service."""
    with reported():
        chosen = (component,) if component else ()
        try:
            module("estate").stream(policy, chosen, Progress())
        except KeyboardInterrupt:
            typer.echo("stopped: what was streamed is stored")


@app.command()
def heartbeat(
    policy: PolicyArgument,
    component: Annotated[str | None, typer.Argument(help="Only this component.")] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all heartbeats but the newest.")
    ] = False,
    every: Annotated[
        str | None, typer.Option("--every", help="One each time, until stopped: 30s, 1m.")
    ] = None,
) -> None:
    """Write a heartbeat where the policy names a writer: by it the loss is measured."""
    with reported():
        document = module("policy_file").read_policy(policy)
        clock = module("clock").system_clock
        try:
            wait = module("durations").parse_duration(every) if every else None
        except ValueError as problem:
            raise UserError(f"--every {every}: {problem}", mend="write 30s or 1m") from None
        if wait is not None and not wait:
            raise UserError(f"--every {every}: no time at all", mend="write 30s or 1m")
        chosen = (component,) if component else ()
        module("heartbeats").heartbeat(document, chosen, clock, typer.echo, clear=clear, every=wait)


@app.command()
def schedule(
    policy: PolicyArgument,
    wanted: Annotated[
        ScheduleFormat, typer.Option("--format", help="For cron, systemd or a CI server.")
    ] = ScheduleFormat.CRON,
) -> None:
    """Print ready text that has a machine run what is due, and test restores in time."""
    with reported():
        document = module("policy_file").read_policy(policy)
        now = module("clock").system_clock()
        text = module("schedule_text").schedule_text(document, wanted.value, now)
        typer.echo(text, nl=False)


@app.command()
def prune(
    policy: PolicyArgument,
    component: Annotated[str | None, typer.Argument(help="Only this component.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove, and not only tell.")] = False,
) -> None:
    """Tell which backups the policy keeps no longer, and with --apply remove them."""
    with reported():
        document = module("policy_file").read_policy(policy)
        now = module("clock").system_clock()
        chosen = (component,) if component else ()
        module("prune").prune(document, chosen, now, typer.echo, apply=apply)


@catalog_app.command("repair")
def catalog_repair(policy: PolicyArgument) -> None:
    """Mend what a killed process left: a torn end is set aside, a whole backup is entered."""
    with reported():
        vault = module("estate").open_vault(module("policy_file").read_policy(policy))
        now = module("clock").system_clock()
        told: list[str] = []
        mended = module("catalog_repair").repair(vault, now, told.append)
        typer.echo("\n".join(told) or "nothing to repair")
    raise typer.Exit(0 if mended else 1)


@policy_app.command("check")
def policy_check(policy: PolicyArgument) -> None:
    """Hold a policy's promises against each other. Exit 0 sound, 1 contradictions, 2 not valid."""
    with reported():
        found = module("policy_check").check(policy, module("clock").system_clock())
        for line in found.lines():
            typer.echo(line)
    raise typer.Exit(1 if found.contradictions else 0)


@policy_app.command("explain")
def policy_explain(policy: PolicyArgument) -> None:
    """Say what a policy promises, its worst cases, the next ten runs, and show its week."""
    with reported():
        now = module("clock").system_clock()
        found = module("policy_check").check(policy, now)
        for line in module("policy_explain").explain(found, now):
            typer.echo(line)


@app.command()
def images(
    policy: Annotated[Path | None, typer.Argument(metavar="[POLICY]")] = None,
) -> None:
    """Find, pull or build the images that a policy needs, and say which."""
    with reported():
        fixtures = module("resources").folder("fixtures")
        document = module("policy_file").read_policy(policy or fixtures / "agama/policy.yaml")
        module("estate").find_images(document, (), Progress())


@app.command()
def clean() -> None:
    """Remove containers, volumes, networks and folders that a killed run left; only ours."""
    with reported():
        removed = module("cleanup").clean(typer.echo)
        typer.echo(f"{removed} leftovers removed" if removed else "nothing to remove")


app.add_typer(cli_reports.app)

if __name__ == "__main__":
    main()
