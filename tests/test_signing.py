"""A signing identity is made, kept and refused as it should be, and signs at the given time."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from restoreproof.errors import IdentityUnusable, OutputUnwritable
from restoreproof.signing import LIFETIME, create_identity, load_identity, sign

NOW = datetime(2026, 7, 3, 10, 0, tzinfo=UTC)
PASSPHRASE = b"correct horse"


def test_new_identity_is_usable(tmp_path: Path) -> None:
    """An identity that was just made can be loaded, and its authority vouches for it."""
    files = create_identity(tmp_path / "identity", PASSPHRASE, now=NOW)

    identity = load_identity(files.signer, PASSPHRASE, now=NOW)

    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    identity.certificate.verify_directly_issued_by(authority)
    assert len(identity.fingerprint) == 64


def test_keys_may_only_do_their_work(tmp_path: Path) -> None:
    """The authority may sign certificates only, the signer documents only."""
    files = create_identity(tmp_path, PASSPHRASE, now=NOW)
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    signer = load_identity(files.signer, PASSPHRASE, now=NOW).certificate

    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = signer.extensions.get_extension_for_class(x509.KeyUsage).value
    purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    assert usage.digital_signature
    assert usage.content_commitment
    assert not usage.key_cert_sign
    assert [purpose.dotted_string for purpose in purposes] == [
        "1.3.6.1.5.5.7.3.36",
        "1.3.6.1.5.5.7.3.4",
    ]


def test_only_the_owner_may_read_the_key(tmp_path: Path) -> None:
    """The PKCS#12 file is for its owner only; the authority's private key is nowhere."""
    files = create_identity(tmp_path, PASSPHRASE, now=NOW)

    assert stat.S_IMODE(files.signer.stat().st_mode) == 0o600
    assert b"PRIVATE KEY" not in files.ca.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "signer.p12"]


@pytest.mark.parametrize("name", ["ca.pem", "signer.p12"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    """A folder that holds either file of an identity is left as it is."""
    (tmp_path / name).write_text("precious")

    with pytest.raises(IdentityUnusable, match="there already"):
        create_identity(tmp_path, PASSPHRASE, now=NOW)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_empty_passphrase_is_refused(tmp_path: Path) -> None:
    """A key is never stored without a passphrase."""
    with pytest.raises(IdentityUnusable, match="passphrase is empty"):
        create_identity(tmp_path, b"", now=NOW)

    assert not list(tmp_path.iterdir())


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    """A folder that cannot be made is the user's mistake, in one line."""
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(OutputUnwritable) as caught:
        create_identity(tmp_path / "file" / "identity", PASSPHRASE, now=NOW)

    assert one_line(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("passphrase", [b"wrong", b""])
def test_wrong_passphrase_is_one_line(tmp_path: Path, passphrase: bytes) -> None:
    """A wrong passphrase names the file and a mend, and never the passphrase itself."""
    files = create_identity(tmp_path, PASSPHRASE, now=NOW)

    with pytest.raises(IdentityUnusable, match="wrong passphrase") as caught:
        load_identity(files.signer, passphrase, now=NOW)

    assert one_line(caught.value)
    assert str(files.signer) in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_missing_and_damaged_files_are_one_line(tmp_path: Path) -> None:
    """A file that is not there, or is no PKCS#12 file, is named."""
    damaged = tmp_path / "damaged.p12"
    damaged.write_bytes(b"\x30\x82 not a key store")

    for path, problem in ((tmp_path / "none.p12", "cannot be read"), (damaged, "PKCS#12")):
        with pytest.raises(IdentityUnusable, match=problem) as caught:
            load_identity(path, PASSPHRASE, now=NOW)
        assert one_line(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        (NOW + LIFETIME + timedelta(seconds=1), "expired on 2031-07-02"),
        (NOW - timedelta(days=1), "not valid before 2026-07-03"),
    ],
)
def test_identity_out_of_its_time_is_refused(tmp_path: Path, now: datetime, problem: str) -> None:
    """An expired or not yet valid identity can neither be loaded nor sign."""
    files = create_identity(tmp_path, PASSPHRASE, now=NOW)
    identity = load_identity(files.signer, PASSPHRASE, now=NOW)

    with pytest.raises(IdentityUnusable, match=problem) as caught:
        load_identity(files.signer, PASSPHRASE, now=now)
    with pytest.raises(IdentityUnusable, match=problem):
        sign(b"never looked at", identity, now=now)

    assert one_line(caught.value)


def one_line(error: Exception) -> bool:
    """Whether an error prints as one line that says how to mend it."""
    return "\n" not in str(error) and " -- " in str(error)
