"""What stands beside the PDF: assessment results, a signed attestation, and checksums of it all.

Made in this order, so that none needs a hash of one that comes after: evidence, OSCAL, the PDF that
attaches the evidence, its signature, then the attestation over all of them, and the checksums over
the attestation too.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography import x509

from restoreproof import attestation, oscal
from restoreproof.errors import UserError, one_line
from restoreproof.evidence import Evidence, Seal, parse
from restoreproof.ledger import digest_of
from restoreproof.oscal_references import dangling
from restoreproof.signing import Identity
from restoreproof.storage import write_once
from restoreproof.wording import ATTACHMENT

CHECKSUMS = "SHA256SUMS"
REPORT = "report.pdf"


def write_oscal(evidence: Evidence, folder: Path) -> None:
    """Store the assessment results of a run. Raise OSError."""
    write_once(folder / oscal.NAME, oscal.assessment_results(evidence))


def bind(evidence: Evidence, folder: Path, names: Iterable[str], identity: Identity) -> None:
    """Attest the files of these names with the report's own key, and list their checksums.

    Raise OSError, and what the key raises that does not sign.
    """
    files = {name: digest_of(folder / name) for name in names}
    payload = attestation.statement(evidence, files)
    envelope = attestation.enveloped(payload, identity.sign_bytes, identity.fingerprint)
    write_once(folder / attestation.NAME, envelope)
    files[attestation.NAME] = digest_of(folder / attestation.NAME)
    write_once(folder / CHECKSUMS, checksums(files))


def checksums(files: dict[str, str]) -> bytes:
    """SHA-256 by name, as ``sha256sum --check`` reads it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items())).encode()


def problems(folder: Path, signer: x509.Certificate, evidence: Evidence) -> Iterator[str]:
    """What is wrong with the files beside a report of this signer and with this evidence attached.

    Verify the report first: nothing here looks at its signature.
    """
    try:
        listed = dict(_listed((folder / CHECKSUMS).read_text("utf-8")))
        signed = attestation.attested((folder / attestation.NAME).read_bytes(), signer)
    except (OSError, ValueError) as error:
        yield f"what binds the files cannot be read: {one_line(str(error))}"
        return
    except attestation.NotAttested as reason:
        yield f"{attestation.NAME}: {reason}"
        return
    if _seal(folder / ATTACHMENT) != evidence.seal:
        yield f"{ATTACHMENT}: it is not the evidence that the report carries"
    heads = {name: digest for name, digest in signed.items() if attestation.is_ledger_entry(name)}
    if list(heads.values()) != attestation.head_before(evidence):
        yield "the attestation names another entry of the ledger than the evidence"
    files = {name: digest for name, digest in signed.items() if name not in heads}
    yield from (
        f"{name}: the attestation does not name it" for name in {REPORT, ATTACHMENT} - files.keys()
    )
    files[attestation.NAME] = digest_of(folder / attestation.NAME)
    for name in sorted(listed.keys() | files.keys()):
        path = folder / name
        if listed.get(name) != files.get(name):
            yield f"{name}: {CHECKSUMS} and the attestation disagree"
        elif not path.is_file():
            yield f"{name}: it is gone"
        elif digest_of(path) != files[name]:
            yield f"{name}: it is not the file that was attested"
    yield from (f"{oscal.NAME}: {what}" for what in _dangling(folder / oscal.NAME))


def _listed(text: str) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of each line. Raise ValueError."""
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        if Path(name).name != name:
            raise ValueError(f"{CHECKSUMS} names no file of this folder: {line}")
        yield name, digest


def _seal(path: Path) -> Seal | None:
    # The seal and not the bytes: it holds them, and later versions write members of their own.
    try:
        return parse(path.read_bytes(), where=str(path)).seal
    except (OSError, UserError):
        return None


def _dangling(path: Path) -> tuple[str, ...]:
    try:
        return dangling(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return ("it cannot be read",)
