"""Reports conform to PDF/A-3u, says veraPDF, before they are signed and after."""

import io
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
import samples

from restoreproof import report
from restoreproof.signing import create_identity, load_identity, sign

HERE = Path(__file__).parent / "verapdf"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath"
PATIENCE_SECONDS = 300
NOW = datetime(2026, 7, 3, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def classpath(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where veraPDF's library lies; skip where it cannot be had."""
    if not shutil.which("mvn") or not shutil.which("javac"):
        pytest.skip("veraPDF needs Maven and a Java development kit")
    found = tmp_path_factory.mktemp("verapdf") / "classpath"
    command = ["mvn", "-q", "-B", "-f", HERE / "pom.xml", PLUGIN, f"-Dmdep.outputFile={found}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"Maven did not fetch veraPDF within {PATIENCE_SECONDS} s")
    if done.returncode:
        pytest.skip(f"Maven could not fetch veraPDF: {done.stdout[-300:]}")
    return found.read_text()


def validate(classpath: str, folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """File name to what veraPDF says of it: ``conforms`` or the rules that it breaks."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    done = subprocess.run(
        ["java", "-cp", classpath, HERE / "Validate.java", *files],
        cwd=folder, capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    said: dict[str, str] = {}
    for line in done.stdout.splitlines():
        if line.startswith(" "):
            said[name] += line
        else:
            name, _, said[name] = line.partition(" ")
    return said


def test_reports_conform(classpath: str, tmp_path: Path) -> None:
    """Signed or not, on either paper; and a file that does not conform is told to be none."""
    evidence = samples.agama()
    letter = evidence.policy.model_copy(update={"paper": "letter", "frameworks": ("soc-2",)})
    pdf = report.render(evidence)
    files = create_identity(tmp_path / "identity", b"passphrase", now=NOW)
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        del opened.Root.OutputIntents
        opened.save(tmp_path / "broken")
    said = validate(
        classpath,
        tmp_path,
        {
            "report.pdf": pdf,
            "signed.pdf": sign(pdf, load_identity(files.signer, b"passphrase", now=NOW), now=NOW),
            "letter.pdf": report.render(samples.seal(evidence, policy=letter)),
            "nothing.pdf": report.render(samples.compliant()),
            "broken.pdf": (tmp_path / "broken").read_bytes(),
        },
    )

    broken = said.pop("broken.pdf")
    assert set(said.values()) == {"conforms"}, said
    assert len(said) == 4
    assert broken.startswith("does not conform")
    assert "6.2.4.3" in broken
