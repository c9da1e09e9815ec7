"""The commands about reports: made again, verified, countersigned; ledger, history and keys."""

import os
from pathlib import Path
from typing import Annotated

import typer

from restoreproof.cli_program import ARCHIVE, module, reported
from restoreproof.errors import UserError
from restoreproof.progress import Progress

PASSPHRASE = "RESTOREPROOF_PASSPHRASE"  # noqa: S105  # the name of a variable
ArchiveOption = Annotated[
    Path, typer.Option("--archive", help="Where reports landed.", metavar="DIR")
]
app = typer.Typer()
ledger_app = typer.Typer(no_args_is_help=True, help="Work with the ledger of all runs.")
app.add_typer(ledger_app, name="ledger")


@app.command("report")
def make_report(
    evidence: Annotated[Path, typer.Argument(help="evidence.json of a run.")],
    to: Annotated[
        Path, typer.Option("--to", help="The .pdf or .html to write, or the run's folder, for all.")
    ] = Path("report.pdf"),
    identity: Annotated[
        Path | None, typer.Option(help=f"PKCS#12 or PEM to sign with; passphrase in {PASSPHRASE}.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Sign as the 'signing' of this policy says.")
    ] = None,
) -> None:
    """Make the report again from evidence alone; unsigned unless told who signs it."""
    with reported():
        passphrase = _passphrase() if identity else None
        signed = module("offline").remake(evidence, to, identity, passphrase, policy)
        hint = "not signed: give --policy or --identity to sign it"
        typer.echo(f"{to}: {'signed' if signed else hint}")


@app.command()
def verify(
    report: Annotated[Path, typer.Argument(help="The PDF to verify.", metavar="REPORT_PDF")],
    trust: Annotated[
        list[Path], typer.Option(help="Authority to trust; repeatable.", metavar="CA_PEM")
    ],
    trust_timestamps: Annotated[
        list[Path] | None, typer.Option(help="Authority to trust for time.", metavar="CA_PEM")
    ] = None,
    trust_reviewers: Annotated[
        list[Path] | None,
        typer.Option(help="Authority to trust for countersignatures.", metavar="CA_PEM"),
    ] = None,
    crl: Annotated[
        list[Path] | None, typer.Option("--crl", help="Revocation list; repeatable.")
    ] = None,
    signer: Annotated[
        list[str] | None,
        typer.Option(help="SHA-256 of a certificate that may sign; repeatable.", metavar="HEX"),
    ] = None,
    expect_estate: Annotated[str | None, typer.Option(help="Whose report it must be.")] = None,
    not_older_than: Annotated[
        str | None, typer.Option(help="How old it may be: 31d, 36h.", metavar="DURATION")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="The least level: B-B, B-T, B-LTA.", metavar="LEVEL")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="Where ledger.jsonl lies.", metavar="DIR")
    ] = None,
) -> None:
    """Verify a report strictly, offline. Exit 0 only if it is authentic and as expected."""
    with reported():
        command = module("verify_command")
        given = command.Given(
            tuple(trust),
            tuple(trust_timestamps or ()),
            tuple(trust_reviewers or ()),
            tuple(crl or ()),
            archive,
        )
        expected = command.expected(signer or (), expect_estate, not_older_than, level)
        authentic = command.verify_file(report, given, expected, typer.echo)
    raise typer.Exit(0 if authentic else 1)


@app.command()
def countersign(
    report: Annotated[Path, typer.Argument(help="The PDF reviewed.", metavar="REPORT_PDF")],
    identity: Annotated[
        Path, typer.Option(help=f"The reviewer's PKCS#12 or PEM; passphrase in {PASSPHRASE}.")
    ],
    trust: Annotated[Path, typer.Option(help="Whom to trust for it.", metavar="CA_PEM")],
    trust_timestamps: Annotated[
        Path | None, typer.Option(help="Whom to trust for time.", metavar="CA_PEM")
    ] = None,
) -> None:
    """Put a reviewer's signature beside a report, which is verified first."""
    with reported():
        done = module("offline").countersign_file(
            report, identity, _passphrase(), trust, trust_timestamps, typer.echo
        )
    raise typer.Exit(0 if done else 1)


@ledger_app.command("verify")
def ledger_verify(
    archive: ArchiveOption = ARCHIVE,
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", help="An entry kept elsewhere; repeatable.", metavar="SEQ:HASH"),
    ] = None,
    trust_timestamps: Annotated[
        Path | None,
        typer.Option(help="Who is trusted for time stamps over the ledger.", metavar="PEM"),
    ] = None,
) -> None:
    """Prove that no run was edited, dropped, swapped or missed. Exit 0 only if so."""
    with reported():
        verify_ledger = module("ledger_audit").verify_ledger
        sound = verify_ledger(archive, anchor or (), typer.echo, trust_timestamps)
    raise typer.Exit(0 if sound else 1)


@app.command()
def history(
    archive: ArchiveOption = ARCHIVE,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page instead.")] = None,
) -> None:
    """Show verdicts, RPO and RTO of all runs that the ledger names."""
    with reported():
        module("history").show(archive, html, Progress())


@app.command()
def keygen(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Make a certificate authority and a signing identity, for trying out."""
    with reported():
        now = module("clock").system_clock()
        files = module("signing").create_identity(folder, _passphrase().encode(), now=now)
        typer.echo(f"signing identity  {files.signer} (passphrase: the value of {PASSPHRASE})")
        typer.echo(f"to be trusted     {files.ca}")


def _passphrase() -> str:
    passphrase = os.environ.get(PASSPHRASE)
    if not passphrase:
        mend = f"export {PASSPHRASE}=... with a passphrase of your choice"
        raise UserError(f"environment variable {PASSPHRASE} is not set", mend=mend)
    return passphrase
