"""``verify`` line by line: what else has to be right than the signature, and how it fails."""

import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pikepdf
import pytest
import run_folders
import samples
from commands import PASSPHRASE, mistakes, run
from cryptography.hazmat.primitives.asymmetric import ec
from signing_services import Authority, serving
from small_reports import evidence_at, small_report

from restoreproof import countersignatures, rendering_check, report, wording
from restoreproof.beside_report import check_files, check_ledger
from restoreproof.evidence import Evidence, LedgerPosition
from restoreproof.ledger import Ledger, position_after
from restoreproof.proofs import Outcome
from restoreproof.signature_level import Level
from restoreproof.signing import Identity, create_identity, load_identity, sign
from restoreproof.verification import Authenticity, verify
from restoreproof.verify_command import expectations, expected

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    files = create_identity(tmp_path_factory.mktemp("id"), PASSPHRASE.encode(), now=NOW)
    return load_identity(files.signer, PASSPHRASE.encode(), now=NOW)


def evidence_of(number: int, place: LedgerPosition, *, released: bool = False) -> Evidence:
    """A compliant run a month apart from the next; of a released version or a checkout."""
    found = samples.compliant()
    at = NOW - timedelta(days=31 * (2 - number))
    ran = found.run.model_copy(
        update={"id": f"{at:%Y%m%dT%H%M%SZ}-run{number}", "started_at": at, "finished_at": at}
    )
    made = found.environment.model_copy(update={"source_commit": None})
    changes = {"environment": made} if released else {}
    return samples.seal(found, run=ran, ledger=place, **changes)


@pytest.fixture(scope="module")
def archive(identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs in a ledger; the reports are small, since nobody reads them."""
    folder = tmp_path_factory.mktemp("archive")
    ledger = Ledger(folder)
    for number in (1, 2):
        evidence = evidence_of(number, position_after(ledger.entries()))
        pdf = sign(small_report(evidence), identity, now=NOW)
        run_folders.write_run(folder / evidence.run.id, identity, evidence, pdf)
        ledger.enter(evidence, folder / evidence.run.id)
    return folder


@pytest.fixture
def copy(archive: Path, tmp_path: Path) -> Path:
    """The newest report in a copy of the archive, to be damaged."""
    place = Path(shutil.copytree(archive, tmp_path / "archive"))
    return max(place.glob("*/report.pdf"))


def authentic(path: Path, identity: Identity) -> Authenticity:
    return verify(path.read_bytes(), identity.trust, now=NOW + timedelta(minutes=1))


def outcomes(path: Path, identity: Identity) -> dict[str, Outcome]:
    """What each thing beside the report came to."""
    found = authentic(path, identity)
    proofs = [*check_files(path, found), *check_ledger(path, None, found)]
    return {one.about: one.outcome for one in proofs}


def put(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_archive_proves_its_newest_report(copy: Path, identity: Identity) -> None:
    """Sidecars, place in the ledger, and the report before."""
    assert outcomes(copy, identity) == {
        "sidecars": Outcome.PROVED,
        "ledger": Outcome.PROVED,
        "report before": Outcome.PROVED,
    }


def test_report_alone_proves_itself_alone(copy: Path, identity: Identity, tmp_path: Path) -> None:
    """What is not there is not proved, and no failure."""
    (tmp_path / "alone").mkdir()
    alone = Path(shutil.copy(copy, tmp_path / "alone" / "report.pdf"))

    assert set(outcomes(alone, identity).values()) == {Outcome.OPEN}


def _ledger_cut(path: Path) -> None:
    ledger = path.parents[1] / "ledger.jsonl"
    put(ledger, ledger.read_bytes().splitlines(True)[0])


def _ledger_edited(path: Path) -> None:
    ledger = path.parents[1] / "ledger.jsonl"
    put(ledger, ledger.read_bytes().replace(b'"passed"', b'"failed"'))


def _one_before_swapped(path: Path) -> None:
    put(min(path.parents[1].glob("*/report.pdf")), path.read_bytes())


@pytest.mark.parametrize(
    ("damage", "about"),
    [
        (lambda path: put(path.with_name("junit.xml"), b"<testsuites>"), "sidecars"),
        (lambda path: path.with_name("run.log").unlink(), "sidecars"),
        (lambda path: put(path.with_name("evidence.json"), b"{}"), "sidecars"),
        (lambda path: put(path.with_name("report.html"), b"all is well"), "ledger"),
        (_ledger_cut, "ledger"),
        (_ledger_edited, "ledger"),
        (_one_before_swapped, "report before"),
    ],
)
def test_what_lies_beside_is_held_against_it(
    copy: Path, identity: Identity, damage: Callable[[Path], None], about: str
) -> None:
    """A sidecar, the ledger or the report before that are others than they were."""
    damage(copy)

    assert outcomes(copy, identity)[about] is Outcome.FAILED


def test_report_made_anew_is_not_the_one_of_the_run(copy: Path, identity: Identity) -> None:
    """The same evidence signed once more is authentic, and another file than the ledger has."""
    evidence = authentic(copy, identity).evidence
    put(copy, sign(small_report(evidence), identity, now=NOW))

    assert outcomes(copy, identity)["ledger"] is Outcome.FAILED


def test_pins(copy: Path, archive: Path, identity: Identity) -> None:
    """An old report, one of another estate, an unknown signer, a low level: each is told."""
    old, new = (authentic(path, identity) for path in sorted(archive.glob("*/report.pdf")))
    later = NOW + timedelta(minutes=1)
    right = expected([identity.fingerprint], new.evidence.policy.estate, "7d", "B-B")
    assert {one.outcome for one in expectations(new, right, later)} == {Outcome.PROVED}
    assert {one.outcome for one in expectations(new, expected([], None, None, None), later)} == {
        Outcome.OPEN
    }
    for words, found in (
        (([], None, "7d", None), old),
        (([], "Another", None, None), new),
        ((["ab" * 32], None, None, None), new),
        (([], None, None, "B-T"), new),
    ):
        proofs = expectations(found, expected(*words), later)
        assert Outcome.FAILED in {one.outcome for one in proofs}, words
    future = expectations(new, right, NOW - timedelta(days=1))
    assert Outcome.FAILED in {one.outcome for one in future}


def test_document_says_what_its_evidence_says() -> None:
    """The bytes of the same rendering; and a document of other figures is none of this evidence."""
    found = evidence_of(2, LedgerPosition(sequence=1, previous="0" * 64), released=True)
    pdf = report.render(found)
    assert rendering_check.check_rendering(pdf + b"signature", found).outcome is Outcome.PROVED
    rewritten = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        opened.save(rewritten)
    other_bytes = rendering_check.check_rendering(rewritten.getvalue(), found)
    assert other_bytes.outcome is Outcome.PROVED and "duration" in other_bytes.told

    objectives = found.policy.objectives.model_copy(update={"rpo": timedelta(minutes=77)})
    policy = found.policy.model_copy(update={"objectives": objectives})
    other = rendering_check.check_rendering(pdf, samples.seal(found, policy=policy))
    assert other.outcome is Outcome.FAILED
    assert "17 min" in other.told or "1 h" in other.told


def test_reviewer_countersigns(copy: Path, identity: Identity, tmp_path: Path) -> None:
    """A second signature over every byte, that openssl reads too; any change and it is over."""
    given = {"RESTOREPROOF_PASSPHRASE": PASSPHRASE}
    reviewer = create_identity(tmp_path / "reviewer", PASSPHRASE.encode(), now=NOW)
    own = Path(identity.source)
    trust = str(own.with_name("ca.pem"))
    words = ("countersign", str(copy), "--trust", trust, "--identity")

    (line,) = mistakes(tmp_path, [*words, str(own)], **given)
    assert "signed the report itself" in line
    assert run(tmp_path, *words, str(reviewer.signer), **given).code == 0
    (again,) = mistakes(tmp_path, [*words, str(reviewer.signer)], **given)
    assert "countersignature already" in again

    verifying = ("verify", str(copy), "--trust", trust)
    good = run(tmp_path, *verifying, "--trust-reviewers", str(reviewer.ca))
    assert good.code == 0, good.printed
    assert good.printed.startswith("AUTHENTIC")
    assert "proved      countersignature" in good.printed
    assert run(tmp_path, *verifying).code == 1

    found = load_identity(reviewer.signer, PASSPHRASE.encode(), now=NOW)
    for pdf, signer, authority in (
        (copy.read_bytes() + b"\n", identity.fingerprint, found.trust),
        (copy.read_bytes(), found.fingerprint, found.trust),
        (copy.read_bytes(), identity.fingerprint, identity.trust),
    ):
        (proof,) = countersignatures.check_countersignatures(copy, pdf, signer, authority, NOW)
        assert proof.outcome is Outcome.FAILED


def test_verify_refuses_words_that_mean_nothing(tmp_path: Path, identity: Identity) -> None:
    """A fingerprint, an age or a level that is none, and a list that is no list."""
    words = ["verify", "x.pdf", "--trust", str(Path(identity.source).with_name("ca.pem"))]
    (tmp_path / "x.pdf").write_bytes(b"")
    (tmp_path / "x.crl").write_bytes(b"no list")
    for more, problem in (
        (["--signer", "abc"], "not a fingerprint"),
        (["--not-older-than", "soon"], "not a duration"),
        (["--level", "B-X"], "no level B-X"),
        (["--crl", "x.crl"], "not a revocation list"),
    ):
        (line,) = mistakes(tmp_path, [*words, *more])
        assert problem in line


def test_remade_report_keeps_the_level_of_its_evidence(tmp_path: Path, identity: Identity) -> None:
    """Evidence that says B-T is not signed at B-B, whatever identity is given."""
    found = samples.compliant()
    stamped = found.policy.model_copy(update={"signature_level": Level.T})
    (tmp_path / "evidence.json").write_bytes(samples.seal(found, policy=stamped).canonical())

    (line,) = mistakes(
        tmp_path,
        ["report", "evidence.json", "--identity", identity.source],
        RESTOREPROOF_PASSPHRASE=PASSPHRASE,
    )

    assert "signed at level B-T" in line and "--policy" in line
    assert wording.level(found) == "PAdES B-B"


def test_policy_signs_at_the_level_of_the_evidence_or_not_at_all(tmp_path: Path) -> None:
    """``report --policy`` makes up for an audit whose time-stamping authority did not answer."""
    (tmp_path / "evidence.json").write_bytes(evidence_at(Level.T, NOW).canonical())
    words = ("report", "evidence.json", "--policy", "policy.yaml")
    with serving(Authority(NOW)) as authority:
        key = ec.generate_private_key(ec.SECP256R1())
        authority.write_pem(tmp_path / "identity", key, authority.issue(key))
        (tmp_path / "policy.yaml").write_text(
            "estate: Harbour\n"
            "objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}\n"
            "vault: {location: vault}\n"
            "signing:\n"
            "  identity: identity/signer.pem\n"
            f"  timestamp: {{url: '{authority.url}/tsa', trust: identity/ca.pem}}\n"
            "components:\n"
            "  notes: {engine: git, source: {repository: notes}, coverage: [data]}\n"
        )
        authority.broken.add("timestamps")
        (line,) = mistakes(tmp_path, words, code=3)
        assert "level B-T is not lowered" in line
        authority.broken.clear()
        made = run(tmp_path, *words)
    assert made.code == 0, made.printed

    verifying = ("verify", "report.pdf", "--trust", "identity/ca.pem")
    assert "--trust-timestamps" in run(tmp_path, *verifying).printed
    good = run(tmp_path, *verifying, "--trust-timestamps", "identity/ca.pem", "--level", "B-T")
    assert good.code == 0, good.printed
    assert "proved      figures" in good.printed
