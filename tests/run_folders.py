"""The folder of a finished run, made as an audit makes it, for tests of what stands beside."""

from pathlib import Path

from signed_reports import NOW, PASSPHRASE

from restoreproof import sidecars
from restoreproof.evidence import Evidence
from restoreproof.signing import Identity, create_identity, load_identity

OTHERS = {"junit.xml": b"<testsuites/>", "report.html": b"<html>", "run.log": b"run\n"}


def identity(folder: Path) -> Identity:
    """An identity made for a test."""
    return load_identity(create_identity(folder, PASSPHRASE, now=NOW).signer, PASSPHRASE, now=NOW)


def write_run(folder: Path, signer: Identity, evidence: Evidence, pdf: bytes) -> None:
    """Fill a folder with evidence, the report, and all that stands beside."""
    folder.mkdir(parents=True)
    evidence.write(folder / "evidence.json")
    sidecars.write_oscal(evidence, folder)
    (folder / "report.pdf").write_bytes(pdf)
    for name, content in OTHERS.items():
        (folder / name).write_bytes(content)
    sidecars.bind(evidence, folder, sorted(path.name for path in folder.iterdir()), signer)
