"""Reports on the command line: made again, verified, and signed by a new identity."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import samples
from commands import PASSPHRASE, files, mistake, mistakes, run, run_all

import restoreproof
from restoreproof import report
from restoreproof.signing import create_identity, load_identity, sign

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An identity, evidence, an unsigned and a signed report, made once."""
    folder = tmp_path_factory.mktemp("made")
    files = create_identity(folder / "identity", PASSPHRASE.encode(), now=NOW)
    identity = load_identity(files.signer, PASSPHRASE.encode(), now=NOW)
    evidence = samples.compliant()
    evidence.write(folder / "evidence.json")
    unsigned = report.render(evidence)
    (folder / "unsigned.pdf").write_bytes(unsigned)
    (folder / "signed.pdf").write_bytes(sign(unsigned, identity, now=NOW))
    return folder


def test_report_of_something_else_is_a_mistake(tmp_path: Path, made: Path) -> None:
    """Only whole and unaltered evidence becomes a report."""
    evidence = json.loads((made / "evidence.json").read_text())
    (tmp_path / "edited.json").write_text(json.dumps(evidence | {"verdict_reason": "fine"}))
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "deep.json").write_text("[" * 100_000)

    names = ("edited.json", "other.json", "deep.json", "none.json", ".")
    edited, *others, none, folder = mistakes(tmp_path, *(["report", name] for name in names))

    assert "seal does not match" in edited
    assert all("not evidence of a run" in line for line in others)
    assert "cannot be read" in none
    assert "cannot be read" in folder


def test_report_replaces_nothing(tmp_path: Path, made: Path) -> None:
    """A report is not written over a file, nor where there is no folder."""
    evidence = str(made / "evidence.json")
    (tmp_path / "report.pdf").write_bytes(b"somebody's")

    taken, nowhere = mistakes(
        tmp_path, ["report", evidence], ["report", evidence, "--to", "no/where.pdf"]
    )

    assert taken.startswith("report.pdf: there is a file already")
    assert nowhere.startswith("no/where.pdf: ")


def test_report_is_signed_only_by_an_identity_that_opens(tmp_path: Path, made: Path) -> None:
    """An identity without its passphrase, or with a wrong one, signs nothing."""
    words = ("report", str(made / "evidence.json"), "--identity", str(made / "identity/signer.p12"))

    assert "RESTOREPROOF_PASSPHRASE is not set" in mistake(tmp_path, *words)
    line = mistake(tmp_path, *words, RESTOREPROOF_PASSPHRASE="wrong")
    assert "wrong passphrase" in line


def test_verify_tells_authentic_from_not(tmp_path: Path, made: Path) -> None:
    """0 for a report as it was signed; 1 and one line for every other file."""
    trust = ("--trust", str(made / "identity/ca.pem"))
    signed = (made / "signed.pdf").read_bytes()
    create_identity(tmp_path / "stranger", b"x", now=NOW)

    good = run(tmp_path, "verify", str(made / "signed.pdf"), *trust)
    assert good.code == 0
    assert good.printed.startswith("AUTHENTIC")

    middle = len(signed) // 2
    forged = {
        "appended.pdf": signed + b"\n",
        "flipped.pdf": signed[:middle] + bytes([signed[middle] ^ 1]) + signed[middle + 1 :],
        "unsigned.pdf": (made / "unsigned.pdf").read_bytes(),
        "empty.pdf": b"",
    }
    for name, content in forged.items():
        (tmp_path / name).write_bytes(content)
    outcomes = run_all(tmp_path, *(["verify", name, *trust] for name in forged))
    for name, outcome in zip(forged, outcomes, strict=True):
        assert outcome.code == 1, name
        assert outcome.printed.startswith(f"NOT AUTHENTIC: {name}: ")
        assert len(outcome.printed.splitlines()) == 1

    strange = ("--trust", "stranger/ca.pem")
    assert run(tmp_path, "verify", str(made / "signed.pdf"), *strange).code == 1


def test_verify_without_its_files_is_a_mistake(tmp_path: Path, made: Path) -> None:
    """A missing report or authority is a mistake, not a verdict."""
    signed, trust = str(made / "signed.pdf"), str(made / "identity/ca.pem")
    (tmp_path / "other.pem").write_text("no certificate")

    report, authority, other = mistakes(
        tmp_path,
        ["verify", "none.pdf", "--trust", trust],
        ["verify", signed, "--trust", "none.pem"],
        ["verify", signed, "--trust", "other.pem"],
    )

    assert report.startswith("none.pdf: cannot be read")
    assert authority.startswith("none.pem: the trusted certificate cannot be read")
    assert "no PEM certificate" in other


def test_keygen_wants_a_passphrase_and_a_free_folder(tmp_path: Path) -> None:
    """No identity without a passphrase, none over another one, and none into a file."""
    given = {"RESTOREPROOF_PASSPHRASE": PASSPHRASE}
    (tmp_path / "file").write_text("in the way")
    assert "RESTOREPROOF_PASSPHRASE is not set" in mistake(tmp_path, "keygen", "new")

    assert run(tmp_path, "keygen", "new", **given).code == 0

    again, blocked = mistakes(tmp_path, ["keygen", "new"], ["keygen", "file/new"], **given)
    assert "an identity is there already" in again
    assert "cannot be written" in blocked
    assert (tmp_path / "new" / "signer.p12").stat().st_mode & 0o077 == 0


def test_help_and_version_need_nothing(tmp_path: Path) -> None:
    """Every command explains itself, and the version is the package's."""
    assert run(tmp_path, "--version").printed == f"restoreproof {restoreproof.__version__}\n"
    shown = run(tmp_path, "--help")
    assert shown.code == 0
    for command in ("audit", "backup", "clean", "demo", "images", "keygen", "policy", "report",
                    "verify"):  # fmt: skip
        assert command in shown.printed
    assert run(tmp_path, "audit", "--help").code == 0
    assert files(tmp_path) == {}


def test_wrong_arguments_are_a_mistake(tmp_path: Path) -> None:
    """Arguments that do not fit end with 2, as other mistakes do."""
    commands = (["audit"], ["verify", "x.pdf"], ["unknown"], ["audit", "x.yaml", "--unknown"])
    for outcome in run_all(tmp_path, *commands):
        assert outcome.code == 2
    assert files(tmp_path) == {}
