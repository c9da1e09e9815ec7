"""Every level of signature proves what it says, at no lower level, against every attack."""

import asyncio
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.timestamps.requests_client import RequestsHTTPTimeStamper
from signing_services import DAY, Authority, serving
from small_reports import evidence_at, small_report

from restoreproof import report
from restoreproof.errors import IdentityUnusable, SigningFailed
from restoreproof.evidence import Evidence
from restoreproof.identities import Identity, load_identity
from restoreproof.revocation import load_lists, require_trusted
from restoreproof.signature_level import Level
from restoreproof.signing import TIMESTAMP_FIELD, Means, TimestampAuthority, sign
from restoreproof.verification import Authenticity, NotAuthentic, verify

NOW = datetime.now(UTC).replace(microsecond=0)
HIGHER = (Level.T, Level.LTA)


@dataclass(frozen=True)
class Signer:
    """Somebody who signs, for whom an authority vouches."""

    authority: Authority
    identity: Identity
    folder: Path

    def means(self, level: Level) -> Means:
        """What a policy with this level has."""
        stamps = TimestampAuthority(f"{self.authority.url}/tsa", (self.authority.certificate,))
        return Means(level, stamps if level.needs_timestamps else None)

    def signed(self, level: Level, evidence: Evidence | None = None) -> bytes:
        """A small report at a level."""
        found = evidence or evidence_at(level, NOW)
        return sign(small_report(found), self.identity, now=NOW, means=self.means(level))

    def verified(self, pdf: bytes, now: datetime | None = None, **more: Any) -> Authenticity:
        """What a reader who trusts the authority finds, now if no other time is given."""
        trust = (self.authority.certificate,)
        return verify(
            pdf, trust, now=now or datetime.now(UTC), **({"timestamp_trust": trust} | more)
        )

    def revoked(self, at: datetime) -> Path:
        """A list in which the authority revoked the signer."""
        self.authority.revoked = {self.identity.certificate.serial_number: at}
        path = self.folder / "list.crl"
        path.write_bytes(self.authority.crl())
        return path


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    """A signer of an authority whose services are there."""
    with serving(Authority(NOW)) as authority:
        yield new_signer(authority, tmp_path)


def new_signer(authority: Authority, folder: Path, **issued: Any) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    path = authority.write_pem(folder / "signer", key, authority.issue(key, **issued))
    return Signer(authority, load_identity(path, b"", now=NOW), folder)


def refused(signer: Signer, pdf: bytes, now: datetime | None = None, **more: Any) -> str:
    """Why a file is not authentic."""
    with pytest.raises(NotAuthentic) as caught:
        signer.verified(pdf, now, **more)
    return str(caught.value)


def test_levels_prove_what_they_say(signer: Signer) -> None:
    """Time is the signer's word, or an authority's, and outlives the signer's certificate."""
    later = NOW + 1000 * DAY
    for level in Level:
        pdf = signer.signed(level)
        found = signer.verified(pdf).signature
        assert found.level is level
        assert (found.stamped_at is None) is (level is Level.B)
        assert found.stamped_at is None or found.stamped_at > NOW
        assert bool(found.revocation) is (level is Level.LTA)
        if level is Level.B:
            assert "expired" in refused(signer, pdf, later)
        else:
            assert signer.verified(pdf, later).signature.claimed_at == NOW


def test_archived_report_is_judged_by_what_it_carries(signer: Signer) -> None:
    """B-LTA holds with the authority's services gone, until its time stamp's certificate ends."""
    pdf = signer.signed(Level.LTA)
    signer.authority.broken |= {"timestamps", "revocation"}

    assert signer.verified(pdf, NOW + 2000 * DAY).signature.revocation
    refused(signer, pdf, NOW + 3100 * DAY)


def test_tagged_report_is_archived(signer: Signer) -> None:
    """The report itself, and not only a blank page, is signed and verified at B-LTA."""
    evidence = evidence_at(Level.LTA, NOW)
    rendered = report.render(evidence)
    assert "PAdES B-LTA" in report.page(evidence)

    pdf = sign(rendered, signer.identity, now=NOW, means=signer.means(Level.LTA))

    assert pdf.startswith(rendered)
    assert signer.verified(pdf).signature.level is Level.LTA


def test_level_must_be_the_one_that_the_report_says(signer: Signer) -> None:
    """A signature of another level than the report prints is refused, whichever is higher."""
    for says in Level:
        for level in (Level.B, Level.T):
            if says is not level:
                pdf = signer.signed(level, evidence_at(says, NOW))
                assert f"the report says level {says}" in refused(signer, pdf)


@pytest.mark.parametrize("level", HIGHER)
def test_level_is_never_lowered(signer: Signer, level: Level) -> None:
    """Without the authority there is no signature at all, and one line that says so."""
    for what, problem in ((None, "none is named"), ("timestamps", "is not lowered")):
        signer.authority.broken = {what} if what else set()
        means = signer.means(level) if what else Means(level)
        with pytest.raises(SigningFailed, match=problem) as caught:
            sign(small_report(evidence_at(level, NOW)), signer.identity, now=NOW, means=means)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("level", HIGHER)
def test_time_is_nobodys_without_trust(signer: Signer, level: Level) -> None:
    """Time stamps count if the reader trusts who made them, and are not of the future."""
    pdf = signer.signed(level)
    stranger = Authority(NOW)

    assert "--trust-timestamps" in refused(signer, pdf, timestamp_trust=())
    refused(signer, pdf, timestamp_trust=(stranger.certificate,))
    refused(signer, pdf, NOW - 2 * DAY)


def test_archive_without_revocation_service_is_refused(signer: Signer) -> None:
    """B-LTA says that nobody revoked the signer, so it has to be asked."""
    signer.authority.broken.add("revocation")

    with pytest.raises(SigningFailed, match="B-LTA"):
        signer.signed(Level.LTA)
    with pytest.raises(IdentityUnusable, match="not acceptable"):
        require_trusted(signer.identity, now=NOW, proven=True)
    assert require_trusted(signer.identity, now=NOW)


def test_authority_may_answer_without_a_delegate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B-LTA with an OCSP responder that is the CA itself; who only bears its name is refused."""
    with serving(Authority(NOW, delegates=False)) as authority:
        signer = new_signer(authority, tmp_path)
        pdf = signer.signed(Level.LTA)
        authority.revoked = {signer.identity.certificate.serial_number: NOW - DAY}
        with pytest.raises(SigningFailed, match="was revoked at"):
            signer.signed(Level.LTA)

        impostor = Authority(NOW, delegates=False, named=authority.name)
        monkeypatch.setattr(authority, "ocsp", impostor.ocsp)
        monkeypatch.setattr(authority, "crl", lambda: b"")
        with pytest.raises(SigningFailed, match="B-LTA"):
            signer.signed(Level.LTA)
        with monkeypatch.context() as careless:
            module = "pyhanko_certvalidator.revinfo.validate_ocsp"
            careless.setattr(f"{module}._verify_ocsp_signature", lambda *_, **__: True)
            forged = signer.signed(Level.LTA)

    found = signer.verified(pdf, NOW + 2000 * DAY).signature
    assert found.revocation
    assert authority.asked.count("/ocsp") > 1
    refused(signer, forged)


def test_revoked_signer_may_not_sign(signer: Signer) -> None:
    """Whether OCSP, a CRL at its address or one that lies here says so."""
    assert require_trusted(signer.identity, now=NOW) == ""
    path = signer.revoked(NOW - DAY)

    with pytest.raises(IdentityUnusable, match="was revoked at") as caught:
        require_trusted(signer.identity, now=NOW)
    assert "\n" not in str(caught.value)
    with pytest.raises(SigningFailed, match="was revoked at"):
        signer.signed(Level.LTA)
    signer.authority.broken.add("revocation")
    with pytest.raises(IdentityUnusable, match="was revoked at"):
        require_trusted(signer.identity, now=NOW, lists=load_lists([path]))


def test_reader_with_a_list_sees_who_was_revoked(signer: Signer) -> None:
    """Before the time stamp it counts, after it does not; and without one it always counts."""
    plain, stamped = signer.signed(Level.B), signer.signed(Level.T)
    for pdf in (plain, stamped):
        clean = load_lists([_written(signer.folder / "clean.crl", signer.authority.crl())])
        assert "not in the lists" in signer.verified(pdf, lists=clean).signature.revocation
        before = load_lists([signer.revoked(NOW - DAY)])
        assert "revoked" in refused(signer, pdf, lists=before)
        signer.authority.revoked = {}
    later = load_lists([signer.revoked(NOW + DAY)])
    assert "revoked" in refused(signer, plain, NOW + 2 * DAY, lists=later)
    assert signer.verified(stamped, NOW + 2 * DAY, lists=later)


def test_list_of_a_stranger_vouches_for_nobody(signer: Signer) -> None:
    """A revocation list that is not the authority's own proves nothing."""
    strange = load_lists([_written(signer.folder / "x.crl", Authority(NOW).crl())])

    assert "by the lists given" in refused(signer, signer.signed(Level.B), lists=strange)


def test_signer_out_of_his_time_is_refused(signer: Signer, tmp_path: Path) -> None:
    """Expired and not yet valid: neither signs, and neither is believed."""
    for begin, end in ((NOW - 9 * DAY, NOW - DAY), (NOW + DAY, NOW + 9 * DAY)):
        with pytest.raises(IdentityUnusable, match=r"expired|not valid before"):
            new_signer(signer.authority, tmp_path, begin=begin, end=end)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _flipped(place: Callable[[bytes], int]) -> Callable[[bytes], bytes]:
    def attack(pdf: bytes) -> bytes:
        damaged = bytearray(pdf)
        damaged[place(pdf)] ^= 1
        return bytes(damaged)

    return attack


def _updated(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def attack(pdf: bytes) -> bytes:
        writer: Any = IncrementalPdfFileWriter(io.BytesIO(pdf))
        change(writer)
        output = io.BytesIO()
        writer.write(output)
        return output.getvalue()

    return attack


def _title(writer: Any) -> None:
    writer.trailer["/Info"]["/Title"] = generic.TextStringObject("Everything is in order")
    writer.mark_update(writer.trailer.raw_get("/Info"))


def _overlay(writer: Any) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    stream = generic.StreamObject(stream_data=b"BT (all is well) Tj ET")
    page["/Contents"] = writer.add_object(stream)
    writer.update_container(page)


def _annotation(writer: Any) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    note = generic.DictionaryObject(
        {
            generic.pdf_name("/Type"): generic.pdf_name("/Annot"),
            generic.pdf_name("/Subtype"): generic.pdf_name("/Text"),
            generic.pdf_name("/Rect"): generic.ArrayObject(
                generic.NumberObject(n) for n in (0, 0, 9, 9)
            ),
            generic.pdf_name("/Contents"): generic.TextStringObject("compliant"),
        }
    )
    notes = generic.ArrayObject([*page.get("/Annots", ()), writer.add_object(note)])
    page["/Annots"] = notes
    writer.update_container(page)


def _attachment(writer: Any) -> None:
    names = writer.root["/Names"]["/EmbeddedFiles"]["/Names"]
    streams = names[1]["/EF"]
    streams["/F"] = writer.add_object(generic.StreamObject(stream_data=b"{}"))
    writer.update_container(streams)


def _rewritten(pdf: bytes) -> bytes:
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        del opened.Root["/AcroForm"], opened.Root["/Perms"]
        output = io.BytesIO()
        opened.save(output)
    return output.getvalue()


def _signature(pdf: bytes) -> int:
    return pdf.index(b"/Contents <30") + len(b"/Contents <")


ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "bit in the body": _flipped(lambda pdf: pdf.index(b"stream", 9) + 9),
    "bit in the signature": _flipped(lambda pdf: _signature(pdf) + 700),
    "bit behind the signature": _flipped(lambda pdf: pdf.index(b"00>", _signature(pdf)) - 8),
    "title": _updated(_title),
    "overlay": _updated(_overlay),
    "annotation": _updated(_annotation),
    "attachment": _updated(_attachment),
    "newline": lambda pdf: pdf + b"\n",
    "comment": lambda pdf: pdf + b"%all is well\n",
    "truncated": lambda pdf: pdf[:-30],
    "rewritten": _rewritten,
}


@pytest.mark.parametrize("level", list(Level))
def test_every_attack_is_refused(signer: Signer, level: Level) -> None:
    """Whatever is done to a signed report, at every level, it is not authentic any more."""
    pdf = signer.signed(level)
    assert signer.verified(pdf)

    for name, attack in ATTACKS.items():
        damaged = attack(pdf)
        assert damaged != pdf, name
        with pytest.raises(NotAuthentic):
            signer.verified(damaged)


def test_time_stamp_cannot_bring_a_change_along(signer: Signer) -> None:
    """A stamp of the right authority over a changed title, or in place of the first, is refused."""
    pdf = signer.signed(Level.LTA)
    unstamped = pdf[: pdf.index(b"%%EOF", pdf.index(b"/ByteRange")) + 6]
    assert "signed at B-T" in refused(signer, unstamped)
    writer: Any = IncrementalPdfFileWriter(io.BytesIO(unstamped))
    _title(writer)
    stamper = RequestsHTTPTimeStamper(f"{signer.authority.url}/tsa")

    forged = asyncio.run(
        PdfTimeStamper(stamper, field_name=TIMESTAMP_FIELD).async_timestamp_pdf(writer, "sha256")
    ).getvalue()

    assert "metadata were changed" in refused(signer, forged)


def test_report_signed_before_its_run_ended_is_refused(signer: Signer) -> None:
    """Evidence of today under a signature of yesterday was put there by somebody."""
    evidence = evidence_at(Level.B, NOW + timedelta(hours=1))

    assert "before its run ended" in refused(signer, signer.signed(Level.B, evidence))
