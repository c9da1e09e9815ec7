"""A signed report for the tests of verification."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import samples
from cryptography import x509

from restoreproof import report
from restoreproof.evidence import Evidence
from restoreproof.signing import Identity, create_identity, load_identity, sign
from restoreproof.verification import load_trust

NOW = datetime(2026, 7, 3, 10, 0, tzinfo=UTC)
PASSPHRASE = b"correct horse"


@dataclass(frozen=True)
class Signed:
    """A signed report, the identity that signed it, and the folder of its files."""

    folder: Path
    identity: Identity
    evidence: Evidence
    unsigned: bytes
    pdf: bytes

    @property
    def trust(self) -> tuple[x509.Certificate, ...]:
        """The authority that vouches for the signer."""
        return load_trust(self.folder / "ca.pem")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """A report over Agama, signed by an identity made for it."""
    folder = tmp_path_factory.mktemp("signed")
    files = create_identity(folder, PASSPHRASE, now=NOW)
    identity = load_identity(files.signer, PASSPHRASE, now=NOW)
    evidence = samples.agama()
    unsigned = report.render(evidence)
    return Signed(folder, identity, evidence, unsigned, sign(unsigned, identity, now=NOW))
