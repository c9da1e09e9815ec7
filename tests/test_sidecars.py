"""What stands beside the report is bound to it: any file that is swapped is told."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import run_folders
import samples
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from restoreproof import attestation, sidecars
from restoreproof.attestation import NotAttested
from restoreproof.evidence import Evidence, LedgerPosition
from restoreproof.ledger import digest_of
from restoreproof.signing import Identity
from restoreproof.verdicts import Verdict

HEAD = "5" * 64
BOUND = ("evidence.json", "junit.xml", "oscal-assessment-results.json", "report.html",
         "report.pdf", "run.log")  # fmt: skip


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """The identity of the report's signer."""
    return run_folders.identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="module")
def finished(identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evidence]:
    """A run that was the eighth of its ledger."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    place = LedgerPosition(sequence=8, previous=HEAD)
    evidence = samples.seal(samples.agama(), ledger=place)
    run_folders.write_run(folder, identity, evidence, b"%PDF-1.7 eighth")
    return folder, evidence


@pytest.fixture
def run(finished: tuple[Path, Evidence], tmp_path: Path) -> Path:
    """A copy of that run's folder, to be damaged."""
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def listed_anew(folder: Path) -> None:
    """Checksums as a forger writes them, who has no key."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    replace(
        folder / "SHA256SUMS",
        sidecars.checksums({name: digest_of(folder / name) for name in names}),
    )


def statement(folder: Path) -> Any:
    envelope = json.loads((folder / "attestation.dsse.json").read_bytes())
    return json.loads(base64.b64decode(envelope["payload"]))


def test_files_of_a_run_agree(finished: tuple[Path, Evidence], identity: Identity) -> None:
    """Nothing is wrong with what a run wrote."""
    folder, evidence = finished

    assert list(sidecars.problems(folder, identity.certificate, evidence)) == []


def test_sha256sum_reads_the_checksums(run: Path) -> None:
    """All files are listed but the list itself, in the format of coreutils."""
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    good = subprocess.run(command, cwd=run, capture_output=True, text=True, check=False)
    assert good.returncode == 0
    names = [line.partition(":")[0] for line in good.stdout.splitlines()]
    assert names == ["attestation.dsse.json", *BOUND]

    replace(run / "junit.xml", b"<testsuites></testsuites>")
    bad = subprocess.run(command, cwd=run, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "junit.xml: FAILED" in bad.stdout


def test_statement_is_in_toto(finished: tuple[Path, Evidence]) -> None:
    """It names every file, the ledger's entry before, the policy, and each check's answer."""
    folder, evidence = finished
    content = statement(folder)
    digests = {one["name"]: one["digest"]["sha256"] for one in content["subject"]}

    assert digests.pop("ledger.jsonl entry 7") == HEAD
    assert digests == {name: digest_of(folder / name) for name in BOUND}
    predicate = content["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["configuration"][0]["digest"]["sha256"] == evidence.policy.sha256
    counts = {key: len(predicate[f"{key}Tests"]) for key in ("passed", "warned", "failed")}
    assert counts == {"passed": 21, "warned": 3, "failed": 5}
    assert len(evidence.checks) == sum(counts.values())


@pytest.mark.parametrize(
    ("verdict", "result"),
    [(Verdict.PASSED, "PASSED"), (Verdict.UNPROVEN, "WARNED"), (Verdict.ERROR, "WARNED")],
)
def test_what_could_not_be_told_is_no_pass(verdict: Verdict, result: str) -> None:
    """in-toto has no word for it, and a warning is not taken for a pass."""
    payload = attestation.statement(samples.seal(samples.agama(), verdict=verdict), {})

    assert json.loads(payload)["predicate"]["result"] == result


def test_securesystemslib_verifies_the_envelope(run: Path, identity: Identity) -> None:
    """The library behind in-toto and TUF takes the envelope, and no other key for it."""
    envelope = Envelope.from_dict(json.loads((run / "attestation.dsse.json").read_bytes()))
    public = identity.certificate.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = SSlibKey(identity.fingerprint, "ecdsa", "ecdsa-sha2-nistp256", {"public": pem})

    assert list(envelope.verify([key], 1)) == [identity.fingerprint]
    envelope.payload += b" "
    with pytest.raises(Exception, match="signature"):
        envelope.verify([key], 1)


@pytest.mark.parametrize("name", BOUND)
def test_a_swapped_file_is_told(
    run: Path, finished: tuple[Path, Evidence], identity: Identity, name: str
) -> None:
    """Also where the forger writes the checksums anew: he cannot sign the attestation."""
    replace(run / name, b"forged")
    certificate, evidence = identity.certificate, finished[1]

    assert f"{name}: it is not the file that was attested" in list(
        sidecars.problems(run, certificate, evidence)
    )
    listed_anew(run)
    assert f"{name}: SHA256SUMS and the attestation disagree" in list(
        sidecars.problems(run, certificate, evidence)
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: (run / "junit.xml").unlink(), "junit.xml: it is gone"),
        (lambda run: (run / "SHA256SUMS").unlink(), "what binds the files cannot be read"),
        (lambda run: (run / "attestation.dsse.json").unlink(), "cannot be read"),
        (
            lambda run: replace(run / "SHA256SUMS", f"{'0' * 64}  ../../etc/passwd\n".encode()),
            "SHA256SUMS names no file of this folder",
        ),
        (lambda run: replace(run / "SHA256SUMS", b"\xff\xfe"), "cannot be read"),
        (
            lambda run: replace(run / "attestation.dsse.json", b"[" * 100_000),
            "not a DSSE envelope",
        ),
        (lambda run: replace(run / "attestation.dsse.json", b"{}"), "not a DSSE envelope"),
    ],
)  # fmt: skip
def test_what_binds_is_needed(
    run: Path,
    finished: tuple[Path, Evidence],
    identity: Identity,
    damage: Callable[[Path], None],
    words: str,
) -> None:
    """A file that is gone, or binds nothing, is a problem and never a pass."""
    damage(run)

    assert any(words in one for one in sidecars.problems(run, identity.certificate, finished[1]))


def test_sidecars_of_another_run_are_told(
    run: Path, finished: tuple[Path, Evidence], identity: Identity, tmp_path: Path
) -> None:
    """Whole in themselves and rightly signed, beside a report of another run."""
    place = LedgerPosition(sequence=8, previous="6" * 64)
    other = samples.seal(finished[1], ledger=place)
    run_folders.write_run(tmp_path / "other", identity, other, b"%PDF-1.7 other")
    found = list(sidecars.problems(tmp_path / "other", identity.certificate, finished[1]))

    assert any("it is not the evidence that the report carries" in one for one in found)
    assert any("another entry of the ledger" in one for one in found)


def test_another_signers_attestation_is_refused(
    run: Path, finished: tuple[Path, Evidence], identity: Identity, tmp_path: Path
) -> None:
    """A forger with a key of his own can attest anything, and is not the report's signer."""
    forger = run_folders.identity(tmp_path)
    for name in ("attestation.dsse.json", "SHA256SUMS"):
        (run / name).unlink()
    sidecars.bind(finished[1], run, sorted(path.name for path in run.iterdir()), forger)

    found = list(sidecars.problems(run, identity.certificate, finished[1]))
    assert found == [
        "attestation.dsse.json: it was not signed by the report's signer, or changed after"
    ]


def test_only_what_was_encoded_for_dsse_counts(identity: Identity) -> None:
    """A signature over the bare statement, or an envelope of another type, is none."""
    payload = attestation.statement(samples.agama(), {})
    bare = json.loads(attestation.enveloped(payload, identity.sign_bytes, "key"))
    bare["signatures"][0]["sig"] = base64.b64encode(identity.sign_bytes(payload)).decode()
    other = {**bare, "payloadType": "text/plain"}
    unlike = attestation.enveloped(b'{"_type": "x", "predicateType": "y"}', identity.sign_bytes, "")

    for envelope in (json.dumps(bare).encode(), json.dumps(other).encode(), unlike):
        with pytest.raises(NotAttested):
            attestation.attested(envelope, identity.certificate)


def test_certificate_decides_and_not_the_key_that_is_named(
    run: Path, identity: Identity, tmp_path: Path
) -> None:
    """The name of a key in the envelope is a hint that is not signed."""
    other: x509.Certificate = run_folders.identity(tmp_path).certificate
    envelope = json.loads((run / "attestation.dsse.json").read_bytes())
    envelope["signatures"][0]["keyid"] = "anything"

    assert attestation.attested(json.dumps(envelope).encode(), identity.certificate)
    with pytest.raises(NotAttested, match="not signed by the report's signer"):
        attestation.attested(json.dumps(envelope).encode(), other)
