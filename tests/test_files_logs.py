"""Restored logs: readable to their ends, without a hole, up to the backup."""

import bz2
import gzip
import lzma
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard

from restoreproof.engines.files_logs import LogCheck, check_logs
from restoreproof.engines.files_source import Logs
from restoreproof.engines.files_tree import FolderTree

BACKUP = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress,
          "zst": zstandard.ZstdCompressor().compress}  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a test writes its logs."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def lines(form: str, minutes: range) -> str:
    """A line a minute, counted from the backup."""
    times = [BACKUP + timedelta(minutes=minute) for minute in minutes]
    return "".join(f"{at.strftime(form)} something happened\n" for at in times)


def check(folder: Path, **more: object) -> LogCheck:
    """Check all logs of a folder."""
    paths = [f"{folder}/app.log*"]
    logs = Logs.model_validate({"paths": paths, "largest_gap": "10m", **more})
    return check_logs(FolderTree().walk(str(folder), lambda _: False), logs, BACKUP)


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%dT%H:%M:%S.123456Z 0 [Note]",
        "%Y-%m-%d %H:%M:%S,123 INFO",
        "ts=%Y-%m-%dT%H:%M:%S+00:00 lvl=info",
        "%b %e %H:%M:%S host cron[1]:",
        '127.0.0.1 - - [%d/%b/%Y:%H:%M:%S +0000] "GET /"',
    ],
)
def test_usual_times_are_known(folder: Path, form: str) -> None:
    """Over the turn of a year, with lines in between that go on with the line before."""
    text = lines(form, range(-60, 0)).replace("happened\n", "happened\n  at somewhere 2.0\n")
    (folder / "app.log").write_text(text)

    assert check(folder) == LogCheck(60, 1, (), ())


def test_a_form_of_its_own_in_a_zone_of_its_own(folder: Path) -> None:
    """A policy can say how a time is found and read, and of which zone it is."""
    (folder / "app.log").write_text(lines("x|%d.%m.%Y %H-%M-%S|", range(-20, 0)))
    own = {"pattern": r"^x\|([^|]+)\|", "format": "%d.%m.%Y %H-%M-%S"}

    assert check(folder, **own).complaints == ()
    assert check(folder).unknown == (f"{folder}/app.log*",)
    (complaint,) = check(folder, **own, time_zone="Asia/Tokyo").complaints
    assert "9:01:00 before the backup" in complaint


@pytest.mark.parametrize("suffix", PACKED)
def test_rotated_and_compressed_logs_are_read_as_one(folder: Path, suffix: str) -> None:
    """Whatever packed them; and one that breaks off, or is not there, is a finding."""
    form = "%Y-%m-%dT%H:%M:%SZ"
    packed = PACKED[suffix](lines(form, range(-60, -30)).encode())
    (folder / f"app.log.2.{suffix}").write_bytes(packed)
    (folder / "app.log.1").write_text(lines(form, range(-30, -10)))
    (folder / "app.log").write_text(lines(form, range(-10, 0)))
    assert check(folder) == LogCheck(60, 3, (), ())

    (folder / f"app.log.2.{suffix}").write_bytes(packed[: len(packed) - 7])
    assert "cannot be read to its end" in check(folder).complaints[0]
    (folder / f"app.log.2.{suffix}").write_bytes(packed)
    (folder / "app.log.1").unlink()
    (complaint,) = check(folder).complaints
    assert f"app.log.2.{suffix} ends at 2025-12-31 23:59:00 UTC" in complaint
    assert "app.log begins at 2026-01-01 00:20:00 UTC" in complaint


def test_a_hole_a_stop_and_an_absence_are_findings(folder: Path) -> None:
    """A hole inside a file, a log that ends long before the backup, and one that is not there."""
    form = "%Y-%m-%d %H:%M:%S"
    assert "no such file came back" in check(folder).complaints[0]
    (folder / "app.log").write_text(lines(form, range(-60, -40)) + lines(form, range(-20, 0)))
    (hole,) = check(folder).complaints
    assert "nothing between 2025-12-31 23:49:00 UTC and 2026-01-01 00:10:00 UTC" in hole
    (folder / "app.log").write_text(lines(form, range(-60, -20)))
    (stop,) = check(folder).complaints
    assert "0:21:00 before the backup" in stop


def test_lines_out_of_order_are_no_hole(folder: Path) -> None:
    """Several threads write a log, and clocks are set back."""
    form = "%Y-%m-%d %H:%M:%S"
    (folder / "app.log").write_text(lines(form, range(-30, 0)) + lines(form, range(-20, 0)))

    assert check(folder).complaints == ()
