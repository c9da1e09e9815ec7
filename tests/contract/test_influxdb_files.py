"""Points as files hold them, against what the server says of the same ones."""

import gzip
import io
import random
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from influxdb_bench import Bench, Server, ago, bench, image
from mysql_bench import seed, tell

from restoreproof.clock import system_clock
from restoreproof.engines import influxdb, influxdb_fingerprint, influxdb_restored
from restoreproof.engines.influxdb_export import FOLDER, plan_full, run_exports
from restoreproof.engines.influxdb_files import Files, Found, files_of, held_in
from restoreproof.engines.influxdb_fingerprint import CLOSED, Content, Measurement, read
from restoreproof.engines.influxdb_layout import Layout, Window, layout_of
from restoreproof.engines.influxdb_points import Points
from restoreproof.execution import Execution
from restoreproof.restore import restoring, select

DATABASE, LATE, DELETED = "kinds", "late", "deleted"
DATABASES = (DATABASE, LATE, DELETED)
EACH = 2300
"""More than two blocks of a field."""
# Only in a shard of many years are two times so far from each other that they are kept whole.
SETUP = (
    "CREATE DATABASE kinds WITH DURATION INF REPLICATION 1 SHARD DURATION 7000w NAME ages",
    "CREATE DATABASE late",
    "CREATE DATABASE deleted",
)
HEADS = ("m,t=a", r"m,t=a\ b\,c\=d", r"odd\ na\,me,t=x", "пи,к=ы", "bare")
TIMES: dict[str, Callable[[random.Random, int], int]] = {
    "even": lambda _, n: 1_500_000_000_000_000_000 + n * 10**10,
    "near": lambda drawn, n: 1_500_000_000_000_000_000 + n * 10**9 + drawn.randrange(10**8),
    "far": lambda drawn, _: drawn.randrange(-(4 * 10**18), 17 * 10**17),
}
FLOATS: tuple[Callable[[random.Random, int], float], ...] = (
    lambda drawn, _: drawn.uniform(-1, 1) * 10.0 ** drawn.randrange(-300, 300),
    lambda _, n: float(n // 700),
    lambda drawn, _: drawn.choice((-0.0, 0.0, 5e-324, 1.7976931348623157e308, 0.1, 1e21, -1.0)),
)
INTEGERS: tuple[Callable[[random.Random, int], int], ...] = (
    lambda drawn, _: drawn.randrange(-(2**63), 2**63),
    lambda drawn, _: drawn.randrange(-1000, 1000),
    lambda _, n: 7 - 3 * n,
)
TEXTS = ("", "a", 'b "c", \\\\ d', "路径 ы 🧨", "two\nlines", "x" * 2000)


class Archive:
    """An archive as a stream, which ended well or not."""

    def __init__(self, content: bytes, exit_code: int = 0) -> None:
        self.content, self.exit_code = content, exit_code

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self.content), 100_000):
            yield self.content[at : at + 100_000]

    def result(self) -> Execution:
        """How the command ended that made it."""
        return Execution(self.exit_code, "", "")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A source with every type, encoding and odd name, points that came late, and fewer points."""
    tell(f"FAULT_SEED={seed()}")
    drawn = random.Random(seed())
    with bench(tmp_path_factory.mktemp("files")) as found:
        found.server.run(*SETUP)
        for number, head in enumerate(HEADS):
            for name, at in TIMES.items():
                lines = [_line(drawn, f"{head},k={name}", number + n, at(drawn, n))
                         for n in range(EACH)]  # fmt: skip
                found.server.write(DATABASE, *lines)
        old = ago(days=30)
        for turn in range(3):
            found.server.write(
                LATE,
                *(f"v,n={n % 3} f={turn + n * 0.1!r} {old + n * (turn + 1) * 10**9}"
                  for n in range(1500)),
                *(f'v,n={turn} s="{turn}" {old - n * 10**9}' for n in range(10)),
            )  # fmt: skip
            found.server.write(DELETED, *(f"v,n={n} f={n} {old + n}" for n in range(10)))
            # A backup has a server put into a file of its own what it held in memory.
            _backup(found)
        found.server.run("DELETE FROM v WHERE n = '3'", database=DELETED)
        yield found


@pytest.fixture(scope="module")
def layout(made: Bench) -> Layout:
    """How the source is divided, all that was written being closed."""
    now = system_clock()
    return layout_of(made.server.client, DATABASES, now, now)


@pytest.fixture(scope="module")
def told(made: Bench, layout: Layout) -> Content:
    """What the server says."""
    return read(made.server.client, DATABASES, layout)


@pytest.fixture(scope="module")
def archive(made: Bench, layout: Layout) -> bytes:
    """A backup of the source."""
    return _backup(made)


@pytest.fixture(scope="module")
def whole(made: Bench, archive: bytes) -> Mapping[str, Files]:
    """The files that the server has after that."""
    return files_of(made.server.client)


@pytest.fixture(scope="module")
def found(
    archive: bytes,
    layout: Layout,
    whole: Mapping[str, Files],
    tmp_path_factory: pytest.TempPathFactory,
) -> Found:
    """What the files of the backup hold."""
    return _held(archive, layout, tmp_path_factory.mktemp("held"), whole)


@pytest.mark.parametrize("database", [DATABASE, LATE])
def test_files_hold_what_the_server_says(database: str, found: Found, told: Content) -> None:
    """Count, series, tags, values and digest of every window, to the last bit of a float."""
    seen = {of: held for of, held in found.items() if of[0] == database}
    said = {
        (one.database, one.policy, one.name, window): points
        for one, windows in told.points.items() if one.database == database
        for window, points in windows.items()
    }  # fmt: skip

    assert said
    assert seen.keys() == said.keys()
    for of, held in seen.items():
        assert held.points == said[of], of
        assert held.values == _values(told, of), of


def test_deleted_points_are_not_taken_from_files(found: Found, told: Content) -> None:
    """A shard in which points are marked as deleted is left to the server; one without is not."""
    for of, held in found.items():
        if of[0] == DELETED:
            assert held.points == told.points[Measurement(*of[:3])][of[3]]
    assert sum(points.series for of, windows in told.points.items() if of.database == DELETED
               for points in windows.values()) == 9  # fmt: skip


@pytest.mark.parametrize("harm", ["flipped", "cut", "empty"])
def test_a_damaged_file_tells_nothing(
    harm: str,
    archive: bytes,
    layout: Layout,
    whole: Mapping[str, Files],
    found: Found,
    tmp_path: Path,
) -> None:
    """What a damaged file holds is left to the server, and the other shards are not."""

    def change(content: bytes) -> bytes:
        middle = len(content) // 2
        if harm == "flipped":
            return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        return content[:middle] if harm == "cut" else b""

    seen = _held(_changed(archive, DATABASE, change), layout, tmp_path, whole)

    left = found.keys() - seen.keys()
    assert {of[0] for of in left} == {DATABASE}
    assert len({window for *_, window in left}) == 1
    assert seen == {of: held for of, held in found.items() if of not in left}


def test_an_archive_that_is_not_whole_tells_nothing(
    archive: bytes, layout: Layout, whole: Mapping[str, Files], tmp_path: Path
) -> None:
    """Neither one that breaks off nor one whose command failed."""
    assert _held(archive[: len(archive) // 2], layout, tmp_path, whole) == {}
    failed = Archive(archive, 1)
    assert held_in(failed, layout, tmp_path, whole) == {}  # type: ignore[arg-type]  # it streams


def test_a_shard_of_which_a_file_is_missing_is_left_to_the_server(
    made: Bench, layout: Layout, tmp_path: Path
) -> None:
    """Also where as many values are in what is there; nor are points told that lie in memory."""
    name = "other"
    made.server.run(f"CREATE DATABASE {name}")
    old = ago(days=30)
    layout = layout.model_copy(update={"cuts": {**layout.cuts, name: {"autogen": (old + 10**9,)}}})

    def told(archive: bytes) -> Found:
        return _held(archive, layout, tmp_path, files_of(made.server.client))

    made.server.write(name, f"v f=1 {old}")
    before = _backup(made, name)
    assert len(told(before)) == 1
    made.server.write(name, f"v f=2 {old}")
    assert told(before) == {}
    after = _backup(made, name)
    assert told(before) == {}
    assert len(told(after)) == 1


def test_old_points_are_only_counted_by_the_server(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a backup and in its restore, points of old shards are asked for nowhere but in files."""
    # A server that puts its files together just then has them asked for; not three times in a row.
    turns = (_asked(made, monkeypatch) for _ in range(3))
    # But for a small one, by which server and files are held against each other.
    assert any(len(windows) == 1 for windows in turns)


def _asked(made: Bench, monkeypatch: pytest.MonkeyPatch) -> list[Window]:
    """The closed windows whose points a backup and its restore asked servers for."""
    asked: list[Window] = []
    points = influxdb_fingerprint._points

    def _points(client: Any, of: Measurement, columns: Any, windows: list[Window]) -> Any:
        asked.extend(window for window in windows if window.end is not None)
        return points(client, of, columns, windows)

    with monkeypatch.context() as patched:
        patched.setattr(influxdb_fingerprint, "_points", _points)
        of = made.server.source(databases=(LATE,))
        backup = made.store(source=of)
        (target,) = select("influxdb", (backup,), "newest")
        context = made.context()
        with restoring(target, made.engine, of, image(), context.sandboxes, system_clock) as found:
            assert found.comparison.equal, (found.failure, found.comparison)
    assert len(backup.manifest().fingerprint.items) > 1
    return asked


@pytest.mark.parametrize("where", [influxdb, influxdb_restored])
def test_the_server_has_the_last_word(
    where: ModuleType, made: Bench, told: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are taken for others than they are change no digest, and raise no alarm."""

    def lying(*of: Any) -> Found:
        other = Points(1, 1, frozenset(), "0" * 64)
        return {place: replace(held, points=other) for place, held in held_in(*of).items()}

    monkeypatch.setattr(where, "held_in", lying)
    of = made.server.source(databases=(LATE,))
    backup = made.store(source=of)
    (target,) = select("influxdb", (backup,), "newest")
    context = made.context()
    with restoring(target, made.engine, of, image(), context.sandboxes, system_clock) as attempt:
        assert attempt.comparison.equal, (attempt.failure, attempt.comparison)

    said = [points for one, windows in told.points.items() if one.database == LATE
            for points in windows.values()]  # fmt: skip
    stored = [item for item in backup.manifest().fingerprint.items if item.kind == CLOSED]
    assert {item.digest for item in stored} == {points.digest for points in said}


def _line(drawn: random.Random, head: str, number: int, at: int) -> str:
    """A point with some fields of all types."""
    text = drawn.choice(TEXTS).replace('"', '\\"')
    fields = [
        f"f={FLOATS[number % 3](drawn, number)!r}",
        f"i={INTEGERS[number % 3](drawn, number)}i",
        f"b={drawn.choice('tf')}",
        f's="{text}"',
        f"run={FLOATS[1](drawn, number)!r}",
        f"step={INTEGERS[2](drawn, number)}i",
    ]
    chosen = drawn.sample(fields, drawn.randrange(1, len(fields)))
    return f"{head} {','.join(chosen)} {at}"


def _backup(made: Bench, *databases: str) -> bytes:
    """The archive that a full backup stores."""
    server: Server = made.server
    with made.sandboxes.tools(image()) as tools:
        run_exports(tools, server.backup, plan_full(databases or DATABASES))
        return b"".join(tools.stream(["tar", "-C", FOLDER, "-cf", "-", "."]))


def _held(archive: bytes, layout: Layout, folder: Path, whole: Mapping[str, Files]) -> Found:
    return held_in(Archive(archive), layout, folder, whole)  # type: ignore[arg-type]  # it streams, and ends


def _values(told: Content, of: tuple[str, str, str, Window]) -> dict[tuple[str, str], int]:
    return dict(told.values[Measurement(*of[:3])][of[3]])


def _changed(archive: bytes, database: str, change: Callable[[bytes], bytes]) -> bytes:
    """An archive in which the first file of points of a database is another."""
    changed = io.BytesIO()
    left = 1
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        tarfile.open(fileobj=changed, mode="w") as new,
    ):
        for member in old:
            content = old.extractfile(member)
            data = content.read() if content else b""
            if member.name.endswith(".tar.gz"):
                inside = io.BytesIO()
                with (
                    tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as inner,
                    tarfile.open(fileobj=inside, mode="w") as out,
                ):
                    for one in inner:
                        stored = inner.extractfile(one)
                        piece = stored.read() if stored else b""
                        if (
                            left
                            and one.name.endswith(".tsm")
                            and one.name.startswith(f"{database}/")
                        ):
                            piece, left = change(piece), 0
                        one.size = len(piece)
                        out.addfile(one, io.BytesIO(piece))
                data = gzip.compress(inside.getvalue())
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    assert not left
    return changed.getvalue()
