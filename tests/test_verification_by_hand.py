"""A report proves itself with tools that share no code with us, as its reader is told to."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from signed_reports import PASSPHRASE, Signed, signed

from restoreproof import report
from restoreproof.signing import create_identity, load_identity, sign

__all__ = ["signed"]


def test_pdfsig_trusts_the_report(signed: Signed, tmp_path: Path) -> None:
    """Poppler and NSS, which share no code with us, find the signature valid and whole.

    They look at the clock, so the identity is made now.
    """
    now = datetime.now(UTC)
    files = create_identity(tmp_path, PASSPHRASE, now=now)
    identity = load_identity(files.signer, PASSPHRASE, now=now)
    (tmp_path / "report.pdf").write_bytes(sign(signed.unsigned, identity, now=now))

    answer = shell(
        tmp_path,
        "mkdir trust",
        "certutil -N -d sql:trust --empty-password",
        "certutil -A -d sql:trust -n authority -t C,C,C -i ca.pem",
        "pdfsig -nssdir sql:trust report.pdf",
    )

    assert "Signature Validation: Signature is Valid" in answer
    assert "Certificate Validation: Certificate is Trusted" in answer
    assert "Total document signed" in answer
    assert "ETSI.CAdES.detached" in answer


def test_attached_evidence_proves_itself_without_us(signed: Signed, tmp_path: Path) -> None:
    """pdfdetach, jq and sha256sum recompute the seal that the report prints."""
    (tmp_path / "report.pdf").write_bytes(signed.pdf)

    answer = shell(
        tmp_path,
        "pdfdetach -savefile evidence.json -o evidence.json report.pdf",
        "jq -cjS 'del(.seal)' evidence.json | sha256sum",
    )

    assert signed.evidence.seal is not None
    assert answer.split()[-2] == signed.evidence.seal.digest
    assert (tmp_path / "evidence.json").read_bytes() == signed.evidence.canonical()


def test_report_prints_the_commands_that_were_tested(signed: Signed) -> None:
    """What these tests run is what the report tells its reader to type."""
    page = report.page(signed.evidence)

    for command in (
        "certutil -A -d sql:trust -n authority -t C,C,C -i ca.pem",
        "pdfsig -nssdir sql:trust report.pdf",
        "pdfdetach -savefile evidence.json -o evidence.json report.pdf",
        "jq -cjS 'del(.seal)' evidence.json | sha256sum",
    ):
        assert command in page


def shell(folder: Path, *commands: str) -> str:
    """What the last of some shell commands prints; a tool that is missing fails the test."""
    output = ""
    for command in commands:
        answer = subprocess.run(
            ["sh", "-c", command],
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert answer.returncode == 0, f"{command}: {answer.stderr}"
        output = answer.stdout
    return output
