"""The commands of AUDITORS.md do what the page says: on a sound archive, and on damaged ones."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import run_folders
import samples
import time_stamps
from signed_reports import PASSPHRASE
from signing_services import Authority, pem, serving
from small_reports import evidence_at
from test_ledger import lines, remade, write
from test_sidecars import listed_anew, replace
from test_signature_levels import NOW, new_signer

from restoreproof import countersignatures, report, sidecars, time_stamping
from restoreproof.evidence import Evidence
from restoreproof.ledger import Anchor, Ledger, position_after
from restoreproof.signature_level import Level
from restoreproof.signing import (
    Identity,
    TimestampAuthority,
    create_identity,
    load_identity,
    sign,
)
from restoreproof.verification import load_trust

PAGE = Path(__file__).parents[1] / "AUDITORS.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SIGNED, SIGNER, EVIDENCE, BESIDE, CHAIN, KEPT, STAMPED, REVIEWED, ARCHIVED = range(9)


@dataclass(frozen=True)
class Archive:
    """An archive of two runs, of which the newest is verified."""

    folder: Path
    anchor: Anchor

    @property
    def run(self) -> Path:
        return self.folder / "newest"

    def obeys(self, block: int) -> subprocess.CompletedProcess[str]:
        """Whether a block of the page ends well, those that it builds upon first."""
        needed = [SIGNER] if block in (BESIDE, REVIEWED) else []
        return obeyed(self.run, *needed, block, ANCHOR=str(self.anchor))


def obeyed(folder: Path, *blocks: int, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run blocks of the page in a folder, as the page says."""
    return subprocess.run(
        ["sh", "-eu", "-c", "".join(BLOCKS[number] for number in blocks)],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def dated(evidence: Evidence, name: str, finished: datetime, ledger: Ledger) -> Evidence:
    ran = {"id": name, "started_at": finished - timedelta(seconds=40), "finished_at": finished}
    run = evidence.run.model_copy(update=ran)
    return samples.seal(evidence, run=run, ledger=position_after(ledger.entries()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive as audits leave it: with the PDF signed now, since pdfsig asks the clock."""
    folder = tmp_path_factory.mktemp("archive")
    now = datetime.now(UTC)
    files = create_identity(folder / "identity", PASSPHRASE, now=now)
    identity = load_identity(files.signer, PASSPHRASE, now=now)
    ledger = Ledger(folder)
    with time_stamps.serving(folder / "tsa") as authority:
        stamps = TimestampAuthority(authority.url, load_trust(authority.trust))
        for name, day in (("earlier", 30), ("newest", 0)):
            evidence = dated(samples.agama(), name, now - timedelta(days=day), ledger)
            pdf = sign(report.render(evidence), identity, now=now) if day == 0 else b"%PDF"
            run_folders.write_run(folder / name, identity, evidence, pdf)
            entry = ledger.enter(evidence, folder / name)
            time_stamping.stamp(entry, folder, stamps)
        shutil.copy(files.ca, folder / "newest")
        reviewer = create_identity(folder / "reviewer", PASSPHRASE, now=now)
        shutil.copy(reviewer.ca, folder / "newest" / "reviewers.pem")
        countersign(folder / "newest", load_identity(reviewer.signer, PASSPHRASE, now=now))
        shutil.copy(authority.trust, folder / "newest" / "tsa.pem")
    return Archive(folder, ledger.entries()[0].anchor)


def countersign(folder: Path, reviewer: Identity) -> None:
    """Have somebody sign the report that lies in a folder, as ``restoreproof countersign`` does."""
    report = folder / "report.pdf"
    countersignatures.countersign(report, report.read_bytes(), reviewer, now=datetime.now(UTC))


@pytest.fixture
def archive(made: Archive, tmp_path: Path) -> Archive:
    """A copy of it, to be damaged."""
    return Archive(Path(shutil.copytree(made.folder, tmp_path / "archive")), made.anchor)


def test_everything_on_the_page_is_so_of_a_sound_archive(archive: Archive) -> None:
    """Every block ends well, one after the other, and tells what it found."""
    told = []
    for block in BLOCKS[:ARCHIVED]:
        answer = archive.obeys(BLOCKS.index(block))
        assert answer.returncode == 0, f"{block}\n{answer.stdout}{answer.stderr}"
        told.append(answer.stdout)

    assert len(BLOCKS) == ARCHIVED + 1
    assert "RestoreProof trial signer" in told[SIGNER]
    assert "report.pdf: OK" in told[BESIDE]
    assert str(Ledger(archive.folder).entries()[-1].anchor) in told[CHAIN]
    assert f"{datetime.now(UTC).year} GMT" in told[STAMPED]
    assert "signingTime" in told[REVIEWED]


def ledger_of(archive: Archive, change: Callable[[list[str]], list[str]]) -> None:
    path = archive.folder / "ledger.jsonl"
    content = "".join(f"{line}\n" for line in change(path.read_text().splitlines()))
    replace(path, content.encode())


def strange_authority(archive: Archive) -> None:
    """The certificate of an authority that vouches for somebody else."""
    folder = archive.folder / "strange"
    strange = create_identity(folder, PASSPHRASE, now=datetime.now(UTC))
    replace(archive.run / "ca.pem", strange.ca.read_bytes())


def bound_anew(archive: Archive, by: Identity) -> None:
    """The files as a forger binds them, who swapped one."""
    for name in ("attestation.dsse.json", "SHA256SUMS"):
        (archive.run / name).unlink()
    names = [*run_folders.OTHERS, "evidence.json", "report.pdf", "oscal-assessment-results.json"]
    sidecars.bind(samples.agama(), archive.run, names, by)


def swap_and_sign_as_somebody_else(archive: Archive) -> None:
    replace(archive.run / "junit.xml", b"<testsuites></testsuites>")
    bound_anew(archive, run_folders.identity(archive.folder / "forger"))


def swap_and_list_anew(archive: Archive) -> None:
    replace(archive.run / "junit.xml", b"<testsuites></testsuites>")
    for name in ("ca.pem", "tsa.pem"):
        (archive.run / name).rename(archive.folder / name)
    listed_anew(archive.run)
    for name in ("ca.pem", "tsa.pem"):
        (archive.folder / name).rename(archive.run / name)


def other_evidence(archive: Archive) -> None:
    """Sealed rightly, and of another run."""
    replace(archive.run / "evidence.json", samples.compliant().canonical())


def append(archive: Archive) -> None:
    path = archive.run / "report.pdf"
    replace(path, path.read_bytes() + b"\n")


def flip(archive: Archive) -> None:
    content = bytearray((archive.run / "report.pdf").read_bytes())
    content[len(content) // 2] ^= 1
    replace(archive.run / "report.pdf", bytes(content))


def old_report(archive: Archive) -> None:
    """That of the run before, which the ledger names too."""
    replace(archive.run / "report.pdf", (archive.folder / "earlier" / "report.pdf").read_bytes())


def edit(archive: Archive) -> None:
    """A verdict that somebody would like better, in one entry."""
    ledger_of(archive, lambda old: [old[0].replace('"failed"', '"passed"', 1), *old[1:]])


def made_anew(archive: Archive) -> None:
    """A ledger that is whole in itself, and another one."""

    def better(number: int, raw: dict[str, object]) -> None:
        raw["verdict"] = "passed"

    write(archive.folder, remade(lines(archive.folder), better))


def foreign_token(archive: Archive) -> None:
    with time_stamps.serving(archive.folder / "stranger") as stranger:
        authority = TimestampAuthority(stranger.url, load_trust(stranger.trust))
        (archive.folder / "ledger.2.tsr").unlink()
        entry = Ledger(archive.folder).entries()[-1]
        time_stamping.stamp(entry, archive.folder, authority)


def no_review(archive: Archive) -> None:
    for path in archive.run.glob("countersignature-*.p7s"):
        path.unlink()


def review_of_another_report(archive: Archive) -> None:
    no_review(archive)
    report = archive.run / "report.pdf"
    sound = report.read_bytes()
    replace(report, sound + b"\n")
    countersign(archive.run, reviewer_of(archive))
    replace(report, sound)


def review_by_the_signer(archive: Archive) -> None:
    no_review(archive)
    identity = archive.folder / "identity"
    countersign(
        archive.run, load_identity(identity / "signer.p12", PASSPHRASE, now=datetime.now(UTC))
    )
    shutil.copy(identity / "ca.pem", archive.run / "reviewers.pem")


def reviewer_of(archive: Archive) -> Identity:
    path = archive.folder / "reviewer" / "signer.p12"
    return load_identity(path, PASSPHRASE, now=datetime.now(UTC))


def review_by_a_stranger(archive: Archive) -> None:
    shutil.copy(archive.run / "ca.pem", archive.run / "reviewers.pem")


@pytest.mark.parametrize(
    ("block", "damage"),
    [
        (SIGNED, append),
        (SIGNED, flip),
        (SIGNED, strange_authority),
        (SIGNER, strange_authority),
        (EVIDENCE, other_evidence),
        (BESIDE, swap_and_list_anew),
        (BESIDE, swap_and_sign_as_somebody_else),
        (CHAIN, edit),
        (CHAIN, lambda archive: ledger_of(archive, lambda old: old[1:])),
        (CHAIN, lambda archive: ledger_of(archive, lambda old: old[::-1])),
        (CHAIN, old_report),
        (KEPT, lambda archive: ledger_of(archive, lambda old: [])),
        (KEPT, made_anew),
        (STAMPED, made_anew),
        (STAMPED, foreign_token),
        (REVIEWED, no_review),
        (REVIEWED, review_of_another_report),
        (REVIEWED, review_by_the_signer),
        (REVIEWED, review_by_a_stranger),
    ],
)
def test_damage_is_found(archive: Archive, block: int, damage: Callable[[Archive], None]) -> None:
    """Each block can fail: on what was forged, cut off, or signed by somebody else."""
    damage(archive)

    assert archive.obeys(block).returncode != 0


def test_two_signatures_in_one_file_are_read_with_openssl(tmp_path: Path) -> None:
    """B-LTA: the time stamp is over the whole file, the signature over the report before it."""
    with serving(Authority(NOW)) as authority:
        signer = new_signer(authority, tmp_path)
        evidence = evidence_at(Level.LTA, NOW)
        pdf = signer.signed(Level.LTA, evidence)
    for name in ("ca.pem", "tsa.pem"):
        shutil.copy(tmp_path / "signer" / "ca.pem", tmp_path / name)
    report = tmp_path / "report.pdf"
    report.write_bytes(pdf)

    good = obeyed(tmp_path, ARCHIVED)
    assert good.returncode == 0, good.stdout + good.stderr
    assert f"{datetime.now(UTC).year} GMT" in good.stdout
    assert "evidence.json" in subprocess.run(
        ["pdfdetach", "-list", "report.0.pdf"], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip

    first = pdf.index(b"%%EOF", pdf.index(b"/ByteRange"))
    for damaged in (
        pdf + b"\n",
        pdf[: first + 6],
        pdf[:99] + bytes([pdf[99] ^ 1]) + pdf[100:],
        pdf[: first + 40] + bytes([pdf[first + 40] ^ 1]) + pdf[first + 41 :],
    ):
        report.write_bytes(damaged)
        assert obeyed(tmp_path, ARCHIVED).returncode != 0
    report.write_bytes(pdf)
    (tmp_path / "tsa.pem").write_bytes(pem(Authority(NOW).certificate))
    assert obeyed(tmp_path, ARCHIVED).returncode != 0
