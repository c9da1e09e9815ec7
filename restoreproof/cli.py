"""The command line: arguments and exit codes; the work is done elsewhere."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from restoreproof import __version__
from restoreproof.errors import RestoreProofError, UserError
from restoreproof.progress import Progress

INTERRUPTED = 130
PASSPHRASE = "RESTOREPROOF_PASSPHRASE"  # noqa: S105  # the name of a variable

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Runs backup jobs, restores every backup, proves what came back, signs the report.",
)  # fmt: skip
policy_app = typer.Typer(no_args_is_help=True, help="Work with policies.")
app.add_typer(policy_app, name="policy")
ledger_app = typer.Typer(no_args_is_help=True, help="Work with the ledger of all runs.")
app.add_typer(ledger_app, name="ledger")

PolicyArgument = Annotated[Path, typer.Argument(help="The policy file.", metavar="POLICY")]
OutOption = Annotated[Path, typer.Option("--out", help="Where reports land.", metavar="DIR")]
ARCHIVE = Path("reports/archive")
ArchiveOption = Annotated[
    Path, typer.Option("--archive", help="Where reports landed.", metavar="DIR")
]


def main() -> None:
    """Run the command line; Ctrl-C and a polite kill both clean up first."""
    signal.signal(signal.SIGTERM, _terminate)
    app()


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _reported() -> Iterator[None]:
    """Errors raised on purpose as their lines, without a traceback, with their exit code."""
    try:
        yield
    except RestoreProofError as error:
        for line in error.lines():
            typer.echo(line, err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was left behind", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _module(name: str) -> Any:
    # Imported when it is needed: `verify` needs neither Docker nor a database library.
    return import_module(f"restoreproof.{name}")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"restoreproof {__version__}")
        raise typer.Exit


@app.command()
def demo(out: OutOption = ARCHIVE) -> None:
    """Play the main job on the sample estate Agama, from nothing to a signed report."""
    with _reported():
        _module("demo.command").play(out, Progress())


@app.command()
def audit(
    policy: PolicyArgument,
    component: Annotated[
        list[str] | None, typer.Option("--component", help="Only this one; repeatable.")
    ] = None,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Audit what the vault holds.")
    ] = False,
    out: OutOption = ARCHIVE,
    pytest_arguments: Annotated[
        list[str] | None, typer.Argument(help="After '--': passed to pytest.")
    ] = None,
) -> None:
    """Back up, restore, prove, and report. Exit 0 compliant, 1 not, 2 mistake, 3 cannot tell."""
    with _reported():
        plugin = _module("plugin")
        options = _module("audit").AuditOptions(
            policy=policy,
            archive=out,
            components=tuple(component or ()),
            backups=not no_backup,
            command=" ".join(["restoreproof", *sys.argv[1:]]),
        )
        code = plugin.run_audit(options, Progress(), pytest_arguments or ())
    raise typer.Exit(code)


@app.command()
def backup(
    policy: PolicyArgument,
    component: Annotated[str | None, typer.Argument(help="Only this component.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Make full backups.")] = False,
) -> None:
    """Run backup jobs only: an increment where the schedule wants one and it has a base."""
    with _reported():
        chosen = (component,) if component else ()
        stored = _module("estate").run_jobs(policy, chosen, Progress(), full=full)
    raise typer.Exit(0 if stored else 1)


@app.command()
def stream(
    policy: PolicyArgument,
    component: Annotated[str | None, typer.Argument(help="Only this component.")] = None,
) -> None:
    """Store changes as they happen ('continuous: true'), until stopped; run it as a service."""
    with _reported():
        chosen = (component,) if component else ()
        try:
            _module("estate").stream(policy, chosen, Progress())
        except KeyboardInterrupt:
            typer.echo("stopped: what was streamed is stored")


@policy_app.command("check")
def policy_check(policy: PolicyArgument) -> None:
    """Hold a policy's promises against each other. Exit 0 sound, 1 contradictions, 2 not valid."""
    with _reported():
        found = _module("policy_check").check(policy, _module("clock").system_clock())
        for line in found.lines():
            typer.echo(line)
    raise typer.Exit(1 if found.contradictions else 0)


@policy_app.command("explain")
def policy_explain(policy: PolicyArgument) -> None:
    """Say what a policy promises, its worst cases, the next ten runs, and show its week."""
    with _reported():
        now = _module("clock").system_clock()
        found = _module("policy_check").check(policy, now)
        for line in _module("policy_explain").explain(found, now):
            typer.echo(line)


@app.command("report")
def make_report(
    evidence: Annotated[Path, typer.Argument(help="evidence.json of a run.")],
    to: Annotated[Path, typer.Option("--to", help="The PDF, or .html, to write.")] = Path(
        "report.pdf"
    ),
    identity: Annotated[
        Path | None, typer.Option(help=f"PKCS#12 to sign with; passphrase in {PASSPHRASE}.")
    ] = None,
) -> None:
    """Make the report again from evidence alone; unsigned unless an identity is given."""
    with _reported():
        passphrase = _passphrase() if identity else None
        signed = _module("offline").remake(evidence, to, identity, passphrase)
        typer.echo(f"{to}: {'signed' if signed else 'not signed: give --identity to sign it'}")


@app.command()
def verify(
    report: Annotated[Path, typer.Argument(help="The PDF to verify.", metavar="REPORT_PDF")],
    trust: Annotated[Path, typer.Option(help="Certificate to trust.", metavar="CA_PEM")],
) -> None:
    """Verify a report strictly. Exit 0 only if it is authentic."""
    with _reported():
        authentic = _module("offline").verify_file(report, trust, typer.echo)
    raise typer.Exit(0 if authentic else 1)


@ledger_app.command("verify")
def ledger_verify(
    archive: ArchiveOption = ARCHIVE,
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", help="An entry kept elsewhere; repeatable.", metavar="SEQ:HASH"),
    ] = None,
) -> None:
    """Prove that no run was edited, dropped, swapped or missed. Exit 0 only if so."""
    with _reported():
        sound = _module("ledger_audit").verify_ledger(archive, anchor or (), typer.echo)
    raise typer.Exit(0 if sound else 1)


@app.command()
def history(
    archive: ArchiveOption = ARCHIVE,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page instead.")] = None,
) -> None:
    """Show verdicts, RPO and RTO of all runs that the ledger names."""
    with _reported():
        _module("history").show(archive, html, Progress())


@app.command()
def keygen(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Make a certificate authority and a signing identity, for trying out."""
    with _reported():
        now = _module("clock").system_clock()
        files = _module("signing").create_identity(folder, _passphrase().encode(), now=now)
        typer.echo(f"signing identity  {files.signer} (passphrase: the value of {PASSPHRASE})")
        typer.echo(f"to be trusted     {files.ca}")


@app.command()
def images(
    policy: Annotated[Path | None, typer.Argument(metavar="[POLICY]")] = None,
) -> None:
    """Find, pull or build the images that a policy needs, and say which."""
    with _reported():
        fixtures = _module("resources").folder("fixtures")
        document = _module("policy_file").read_policy(policy or fixtures / "agama/policy.yaml")
        _module("estate").find_images(document, (), Progress())


@app.command()
def clean() -> None:
    """Remove containers, volumes, networks and folders that a killed run left; only ours."""
    with _reported():
        removed = _module("cleanup").clean(typer.echo)
        typer.echo(f"{removed} leftovers removed" if removed else "nothing to remove")


def _passphrase() -> str:
    passphrase = os.environ.get(PASSPHRASE)
    if not passphrase:
        mend = f"export {PASSPHRASE}=... with a passphrase of your choice"
        raise UserError(f"environment variable {PASSPHRASE} is not set", mend=mend)
    return passphrase


if __name__ == "__main__":
    main()
