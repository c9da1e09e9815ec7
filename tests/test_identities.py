"""A key signs wherever it is kept, and one that does not fit is told before a run begins."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from signing_services import Authority, Key
from small_reports import evidence_at, small_report

from restoreproof.errors import IdentityUnusable
from restoreproof.identities import Identity, load_identity
from restoreproof.key_services import service_identity, token_identity
from restoreproof.signature_level import Level
from restoreproof.signing import sign
from restoreproof.verification import verify

NOW = datetime.now(UTC).replace(microsecond=0)
KEYS: dict[str, Key] = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
}
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
HOOK = '''
import subprocess, sys

def sign(key, digest):
    """A key service in a process of its own, which alone reads the key."""
    return subprocess.run([sys.executable, __file__, key], input=digest, check=True,
                          capture_output=True).stdout

def text(key, digest):
    return "signed"

if __name__ == "__main__":
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    key = serialization.load_pem_private_key(open(sys.argv[1], "rb").read(), None)
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read(), algorithm))
'''


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(NOW)


def proven(authority: Authority, identity: Identity) -> None:
    """A report that this identity signs is authentic."""
    identity.require_usable(NOW)
    pdf = sign(small_report(evidence_at(Level.B, NOW)), identity, now=NOW)
    found = verify(pdf, (authority.certificate,), now=NOW)
    assert found.signature.fingerprint == identity.fingerprint


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("passphrase", [b"", b"correct horse"])
def test_pem_signs(authority: Authority, tmp_path: Path, kind: str, passphrase: bytes) -> None:
    """A key in PEM signs, with a passphrase or without, its certificates beside it or in it."""
    key = KEYS[kind]
    path = authority.write_pem(tmp_path, key, authority.issue(key), passphrase)

    proven(authority, load_identity(path, passphrase, now=NOW))
    proven(authority, load_identity(path, passphrase, now=NOW, certificates=tmp_path / "chain.pem"))


def test_pem_that_cannot_sign_is_one_line(authority: Authority, tmp_path: Path) -> None:
    """A wrong passphrase, a missing key, another's certificate: each is named with its mend."""
    key = KEYS["P-256"]
    path = authority.write_pem(tmp_path, key, authority.issue(key), b"correct horse")
    other = authority.write_pem(tmp_path / "other", KEYS["RSA"], authority.issue(KEYS["RSA"]))
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")

    for certificates, given, where, problem in (
        (None, b"wrong", path, "wrong passphrase"),
        (None, b"", tmp_path / "chain.pem", "no private key"),
        (other.with_name("chain.pem"), b"correct horse", path, "not that of"),
        (damaged, b"correct horse", path, "damaged"),
        (tmp_path / "none.pem", b"correct horse", path, "cannot be read"),
    ):
        with pytest.raises(IdentityUnusable, match=problem) as caught:
            load_identity(where, given, now=NOW, certificates=certificates)
        assert "\n" not in str(caught.value) and " -- " in str(caught.value)


def test_other_kinds_of_keys_are_refused(authority: Authority, tmp_path: Path) -> None:
    """Nothing but RSA and ECDSA signs digests."""
    key = ed25519.Ed25519PrivateKey.generate()
    path = authority.write_pem(tmp_path, key, authority.issue(key))  # type: ignore[arg-type]

    with pytest.raises(IdentityUnusable, match="neither RSA nor ECDSA"):
        load_identity(path, b"", now=NOW)


def test_key_service_signs_in_another_process(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function of the organisation's own signs; one that does not is told before a run."""
    key = KEYS["P-256"]
    path = authority.write_pem(tmp_path, key, authority.issue(key))
    (tmp_path / "key_hook.py").write_text(HOOK)
    monkeypatch.syspath_prepend(tmp_path)
    chain = tmp_path / "chain.pem"

    proven(authority, service_identity(chain, sign="key_hook:sign", key=str(path)))

    for function, problem in (("sign", "did not sign"), ("text", "not bytes")):
        identity = service_identity(chain, sign=f"key_hook:{function}", key="/nowhere")
        with pytest.raises(IdentityUnusable, match=problem):
            identity.require_usable(NOW)
    for name in ("key_hook:nothing", "no_such_module:sign"):
        with pytest.raises(IdentityUnusable, match="cannot be imported"):
            service_identity(chain, sign=name, key="k")


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SoftHSM token named Audit with the keys RSA and P-256, and where its files are."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    if not MODULE.exists() or not shutil.which("softhsm2-util"):
        pytest.skip("softhsm2 is not installed")
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    # The library reads it when it is loaded, which happens once in a process.
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    util("--init-token", "--free", "--label", "Audit", "--so-pin", "1234", "--pin", "5678")
    return tmp_path


def util(*words: str) -> None:
    subprocess.run(["softhsm2-util", *words], check=True, capture_output=True, env={**os.environ})


def test_token_signs(authority: Authority, token: Path) -> None:
    """A key that never leaves its token signs; a wrong pin, label or module is one line."""
    asked = {"module": str(MODULE), "token": "Audit", "pin": "5678"}
    for number, kind in enumerate(("RSA", "P-256"), start=1):
        folder = token / kind
        path = authority.write_pem(folder, KEYS[kind], authority.issue(KEYS[kind]))
        util("--import", str(path), "--token", "Audit", "--label", kind, "--id", f"0{number}",
             "--pin", "5678")  # fmt: skip
        proven(authority, token_identity(folder / "chain.pem", key=kind, **asked))

    chain = token / "RSA" / "chain.pem"
    for wrong, problem in (
        ({"pin": "0000"}, "PinIncorrect"),
        ({"token": "None"}, "NoSuchToken"),
        ({"key": "None"}, "NoSuchKey"),
        ({"key": "P-256"}, "did not sign|not that of"),
        ({"module": "/nowhere.so"}, "did not sign|cannot be used"),
    ):
        identity = token_identity(chain, **({"key": "RSA"} | asked | wrong))
        with pytest.raises(IdentityUnusable, match=problem) as caught:
            identity.require_usable(NOW)
        assert "\n" not in str(caught.value) and "5678" not in str(caught.value)
