"""A report is authentic as it was signed, and in no other state; other tools agree."""

import io
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import samples
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from signed_reports import NOW, PASSPHRASE, Signed, signed

__all__ = ["signed"]

from restoreproof import report, wording
from restoreproof.errors import UserError
from restoreproof.signature_level import Level
from restoreproof.signing import (
    FIELD,
    LIFETIME,
    Identity,
    create_identity,
    load_identity,
    sign,
)
from restoreproof.verdicts import Verdict
from restoreproof.verification import NotAuthentic, load_trust, verify


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """An identity for which nobody we trust vouches."""
    files = create_identity(tmp_path_factory.mktemp("stranger"), PASSPHRASE, now=NOW)
    return load_identity(files.signer, PASSPHRASE, now=NOW)


def refused(signed: Signed, pdf: bytes, *, now: datetime = NOW) -> str:
    """The one-line reason for which a file is not authentic."""
    with pytest.raises(NotAuthentic) as caught:
        verify(pdf, signed.trust, now=now)
    reason = str(caught.value)
    assert reason
    assert "\n" not in reason
    return reason


def test_signed_report_is_authentic(signed: Signed) -> None:
    """What was signed is authentic, and says by whom, when, at which level, over what."""
    found = verify(signed.pdf, signed.trust, now=NOW + timedelta(days=400))

    assert found.evidence == signed.evidence
    assert found.signature.fingerprint == signed.identity.fingerprint
    assert found.signed_at == NOW
    assert found.signature.level is Level.B
    assert len(found.file_sha256) == 64


def test_signing_adds_and_changes_nothing_else(signed: Signed) -> None:
    """The unsigned report is the beginning of the signed one, its metadata untouched."""
    assert signed.pdf.startswith(signed.unsigned)
    with (
        pikepdf.open(io.BytesIO(signed.unsigned)) as before,
        pikepdf.open(io.BytesIO(signed.pdf)) as after,
    ):
        assert dict(before.docinfo.items()) == dict(after.docinfo.items())


def test_one_bit_changed_anywhere_is_refused(signed: Signed) -> None:
    """A flipped bit is found, in the header, the content, the attachment or the trailer."""
    hole = signed.pdf.index(b"/Contents <30") + len(b"/Contents <")
    places = [*range(5, hole, len(signed.pdf) // 23), hole + 40, len(signed.pdf) - 12]

    for place in places:
        damaged = bytearray(signed.pdf)
        damaged[place] ^= 1
        refused(signed, bytes(damaged))


def test_change_that_disturbs_no_reader_is_named(signed: Signed) -> None:
    """A change where nothing is parsed is told as what it is."""
    damaged = bytearray(signed.pdf)
    damaged[signed.pdf.index(b"%", 1) + 2] ^= 1

    assert "not what was signed" in refused(signed, bytes(damaged))


@pytest.mark.parametrize("tail", [b"\n", b"x", b"%comment\n", b"\x00" * 8])
def test_anything_appended_is_refused(signed: Signed, tail: bytes) -> None:
    """One byte after the end is one too many, even where viewers see no difference."""
    assert "entire file" in refused(signed, signed.pdf + tail)


@pytest.mark.parametrize("cut", [1, 6, 100, 5_000])
def test_truncated_file_is_refused(signed: Signed, cut: int) -> None:
    """A file that lacks its end is not authentic."""
    refused(signed, signed.pdf[:-cut])


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", b"hello", b"\xff" * 4096])
def test_what_is_no_pdf_is_refused(signed: Signed, content: bytes) -> None:
    """Any file at all gets an answer, and it is no."""
    refused(signed, content)


def test_unsigned_report_is_refused(signed: Signed) -> None:
    """A report without a signature is a draft."""
    assert refused(signed, signed.unsigned) == "the file is not signed"


def test_signer_of_another_authority_is_refused(signed: Signed, stranger: Identity) -> None:
    """A perfect signature by somebody for whom no trusted authority vouches counts nothing."""
    assert "vouches" in refused(signed, sign(signed.unsigned, stranger, now=NOW))


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_authority_of_the_same_name_is_another_one(signed: Signed, kind: str) -> None:
    """A root with the right name and another key vouches for nothing, whatever its key's type."""
    (root,) = signed.trust
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "ec"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    namesake = (
        x509.CertificateBuilder()
        .subject_name(root.subject)
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )

    with pytest.raises(NotAuthentic):
        verify(signed.pdf, (namesake,), now=NOW)


def test_nobody_is_trusted_by_default(signed: Signed) -> None:
    """Without a trusted authority there is no authentic report."""
    with pytest.raises(NotAuthentic, match="no authority is trusted"):
        verify(signed.pdf, (), now=NOW)


def test_signature_stripped_and_made_again_is_refused(signed: Signed, stranger: Identity) -> None:
    """Rewriting the file without its signature and signing the rewrite is found out."""
    with pikepdf.open(io.BytesIO(signed.pdf)) as pdf:
        del pdf.Root["/AcroForm"], pdf.Root["/Perms"]
        for page in pdf.pages:
            kept = [a for a in page.get("/Annots", []) if a.get("/FT") != "/Sig"]
            page["/Annots"] = pdf.make_indirect(pikepdf.Array(kept))
        stripped = io.BytesIO()
        pdf.save(stripped)

    assert "not signed" in refused(signed, stripped.getvalue())
    assert "vouches" in refused(signed, sign(stripped.getvalue(), stranger, now=NOW))


def test_evidence_swapped_and_signed_by_a_stranger_is_refused(
    signed: Signed, stranger: Identity
) -> None:
    """A better result under a stranger's signature does not pass."""
    better = samples.seal(signed.evidence, verdict=Verdict.PASSED, verdict_reason="all is well")

    assert "vouches" in refused(signed, sign(report.render(better), stranger, now=NOW))


def test_update_that_only_changes_the_title_is_refused(signed: Signed) -> None:
    """An incremental update is refused, though viewers call the signature valid."""
    writer: Any = IncrementalPdfFileWriter(io.BytesIO(signed.pdf))
    information = writer.trailer["/Info"]
    information["/Title"] = generic.TextStringObject("Everything is in order")
    writer.mark_update(writer.trailer.raw_get("/Info"))
    forged = io.BytesIO()
    writer.write(forged)

    assert "entire file" in refused(signed, forged.getvalue())


def test_second_signature_is_refused(signed: Signed) -> None:
    """A report carries exactly one signature, even where both signers are trusted."""
    metadata = signers.PdfSignatureMetadata(field_name="Another", subfilter=SigSeedSubFilter.PADES)
    once = _signed_by_pyhanko(signed, metadata)

    assert "exactly one" in refused(signed, once)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"certify": False, "docmdp_permissions": MDPPerm.NO_CHANGES}, "certify"),
        ({"certify": True, "docmdp_permissions": MDPPerm.FILL_FORMS}, "certify"),
        ({"subfilter": SigSeedSubFilter.ADOBE_PKCS7_DETACHED}, "PAdES"),
    ],
)
def test_weaker_signature_is_refused(
    signed: Signed, changes: dict[str, object], reason: str
) -> None:
    """The right key is not enough: the signature must forbid every change."""
    settings = {
        "field_name": FIELD,
        "subfilter": SigSeedSubFilter.PADES,
        "certify": True,
        "docmdp_permissions": MDPPerm.NO_CHANGES,
    }
    metadata = signers.PdfSignatureMetadata(**(settings | changes))  # type: ignore[arg-type]

    assert reason in refused(signed, _signed_by_pyhanko(signed, metadata))


def _signed_by_pyhanko(signed: Signed, metadata: signers.PdfSignatureMetadata) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(signed.unsigned))
    output: io.BytesIO = signers.PdfSigner(metadata, signed.identity.signer).sign_pdf(writer)
    return output.getvalue()


def _rewritten(pdf: bytes, change: Callable[[pikepdf.Pdf], None]) -> bytes:
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        change(opened)
        output = io.BytesIO()
        opened.save(output)
    return output.getvalue()


def _attach(content: bytes) -> Callable[[pikepdf.Pdf], None]:
    def change(pdf: pikepdf.Pdf) -> None:
        names = pdf.Root.Names.EmbeddedFiles.Names
        names[1].EF.F = pdf.make_stream(content)

    return change


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda content: content.replace(b'"failed"', b'"passed"'), "seal does not match"),
        (lambda content: content.replace(b'"digest":"', b'"digest":"0', 1), "seal does not match"),
        (lambda content: b" " + content, "not canonical"),
        (lambda _: b"{}", "not evidence"),
        (lambda _: b"null", "not evidence"),
        (lambda _: samples.compliant().canonical(), "another run"),
    ],
)
def test_evidence_that_does_not_fit_is_refused(
    signed: Signed, edit: Callable[[bytes], bytes], reason: str
) -> None:
    """Even the trusted signer cannot pass off evidence that is unsound or of another run."""
    changed = _rewritten(signed.unsigned, _attach(edit(signed.evidence.canonical())))

    assert reason in refused(signed, sign(changed, signed.identity, now=NOW))


def test_missing_and_second_evidence_is_refused(signed: Signed) -> None:
    """There is exactly one evidence.json, or no trust."""

    def remove(pdf: pikepdf.Pdf) -> None:
        del pdf.Root.Names["/EmbeddedFiles"]

    def double(pdf: pikepdf.Pdf) -> None:
        names = pdf.Root.Names.EmbeddedFiles.Names
        names.extend([pikepdf.String("z.json"), names[1]])

    for change, count in ((remove, "0 attachments"), (double, "2 attachments")):
        changed = _rewritten(signed.unsigned, change)
        assert count in refused(signed, sign(changed, signed.identity, now=NOW))


def test_metadata_of_another_run_is_refused(signed: Signed) -> None:
    """The run, verdict and seal that the document names are those of its evidence."""

    def rename(pdf: pikepdf.Pdf) -> None:
        better = wording.keywords(signed.evidence).replace("not-compliant", "compliant")
        pdf.docinfo["/Keywords"] = better

    changed = _rewritten(signed.unsigned, rename)
    assert "another run" in refused(signed, sign(changed, signed.identity, now=NOW))


def test_expired_and_future_signers_are_refused(signed: Signed) -> None:
    """The signer's certificate must be valid when the report is verified."""
    after, before = NOW + LIFETIME + timedelta(days=1), NOW - timedelta(days=1)

    assert "expired" in refused(signed, signed.pdf, now=after)
    assert "not valid before" in refused(signed, signed.pdf, now=before)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"", "no PEM certificate"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged"),
        (b"-----BEGIN CERTIFICATE-----\n%%%\n", "damaged"),
    ],
)
def test_trust_that_cannot_be_loaded_is_one_line(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """A file of trusted certificates that is missing, empty or no PEM names itself and a mend."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UserError, match=problem) as caught:
        load_trust(path)

    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    assert "ca.pem" in line


def test_verification_says_nothing_on_its_own(
    signed: Signed, stranger: Identity, capfd: pytest.CaptureFixture[str]
) -> None:
    """The libraries' warnings and tracebacks stay away from the user's terminal."""
    refused(signed, sign(signed.unsigned, stranger, now=NOW))
    refused(signed, signed.pdf[:-100])

    assert capfd.readouterr() == ("", "")


def test_verification_needs_no_databases_or_docker() -> None:
    """An auditor's machine needs neither Docker nor database libraries nor pytest."""
    code = (
        "import sys, restoreproof.verification;"
        "bad = {'docker', 'testcontainers', 'pymysql', 'influxdb', 'pytest', 'weasyprint'};"
        "print(sorted(bad & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(report.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.strip() == "[]"
