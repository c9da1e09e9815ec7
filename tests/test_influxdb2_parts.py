"""What an InfluxDB 2.x server sends, cut anywhere: CSV of points, multipart metadata, archives."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from restoreproof import damage_influxdb
from restoreproof.damage import NotApplicable
from restoreproof.engines.influxdb2_backup import Shard, _parts, _read_archive, shards_of
from restoreproof.engines.influxdb2_client import Influx2Refused
from restoreproof.engines.influxdb2_configuration import passed_over
from restoreproof.engines.influxdb2_content import Bucket, Windows, _dotted, flux_text
from restoreproof.engines.influxdb2_lines import exported, imported
from restoreproof.engines.influxdb2_points import nanoseconds, tally
from restoreproof.engines.influxdb2_restored import as_sqlite
from restoreproof.engines.influxdb2_source import InfluxDB2Source
from restoreproof.outcomes import BackupFailed, RestoreFailed

BUCKET = Bucket("b1", "metrics", "home", "o1", timedelta(days=7))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHARD = Shard(3, BUCKET, EPOCH, EPOCH, None)
NUMBERS = """\
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#group,false,false,true,true,false,false,true,true,true
,result,table,_start,_stop,_time,_value,_field,_measurement,host
,_result,0,A,B,2020-01-01T00:00:00Z,1.5,used,cpu,a
,_result,0,A,B,2020-01-01T00:00:00.000000001Z,2.5,used,cpu,a
,_result,1,A,B,2020-01-01T00:00:00Z,2.5,used,cpu,b

"""
TEXTS = '''\
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,string,string
#group,false,false,true,true,false,false,true,true
,result,table,_start,_stop,_time,_value,_field,_measurement
,_result,2,A,B,2020-01-01T00:00:00Z,"one
,_result,2,A,B,two, ""quoted""",said,log
,_result,2,A,B,2020-01-01T00:00:01Z,plain,said,log

'''
ANSWER = (NUMBERS + TEXTS).replace("\n", "\r\n").encode()
ERROR = (
    b"#datatype,string,string\r\n#group,true,true\r\n,error,reference\r\n,ran out of time,897\r\n"
)
METADATA = (
    b"--XX\r\nContent-Disposition: attachment; name=\"kv\"\r\n\r\nBOLT\r\n--X\r\n\r\n--XX\r\n"
    b"Content-Disposition: attachment; name=\"sql\"\r\n\r\n\r\n--XX\r\n"
    b"Content-Disposition: attachment; name=\"buckets\"\r\n\r\n[]\r\n--XX--\r\n"
)  # fmt: skip


class Sink:
    """Takes what is stored."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, chunk: bytes) -> None:
        self.content += chunk


class Server:
    """Answers every query with the same CSV, and keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    @contextmanager
    def flux(self, _organization: str, _query: str) -> Iterator[Iterator[bytes]]:
        yield iter([ANSWER])

    def write(self, _organization: str, _bucket: str, lines: list[bytes]) -> None:
        self.written += lines


def cut(content: bytes, size: int) -> list[bytes]:
    """The content in pieces."""
    return [content[at : at + size] for at in range(0, len(content), size)]


def answer(content: bytes, size: int = 7, **headers: str) -> httpx.Response:
    """An answer that comes in pieces."""
    return httpx.Response(200, headers=headers, content=iter(cut(content, size)))


def archive(*names: str) -> bytes:
    """An archive with such files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 100
            tar.addfile(member, io.BytesIO(name.encode().ljust(100)))
    # Go ends an archive with two empty blocks and nothing more.
    return made.getvalue().rstrip(b"\0").ljust(1024 * len(names), b"\0") + bytes(1024)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_points_are_the_same_however_they_come(size: int) -> None:
    """Texts with ends of lines in them count once, and where a chunk ends changes nothing."""
    found = tally(cut(ANSWER, size))

    assert {name: (seen.values, len(seen.series)) for name, seen in found.items()} == {
        "cpu": (3, 2),
        "log": (2, 1),
    }
    assert found["cpu"].fields == {"used": {"double"}}
    assert found["log"].fields == {"said": {"string"}}
    assert found["cpu"].tags == {"host"}
    assert {name: seen.digest for name, seen in found.items()} == {
        name: seen.digest for name, seen in tally([ANSWER]).items()
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"2.5,used,cpu,b", b"2.5000000000000004,used,cpu,b"),
        (b"00.000000001Z", b"00.000000002Z"),
        (b"cpu,b", b"cpu,c"),
        (b"double", b"long"),
        (b'""quoted""', b"quoted"),
        (b",_result,1,A,B,2020-01-01T00:00:00Z,2.5,used,cpu,b\r\n", b""),
    ],
)
def test_another_point_is_another_digest(old: bytes, new: bytes) -> None:
    """One ulp, one nanosecond, a tag, a type, a letter, a series that is gone."""
    assert old in ANSWER
    before, after = tally([ANSWER]), tally([ANSWER.replace(old, new)])

    assert [seen.digest for seen in before.values()] != [seen.digest for seen in after.values()]


def test_numbers_of_tables_and_ends_of_windows_do_not_count() -> None:
    """The same points, asked for otherwise, have the same digest."""
    other = ANSWER.replace(b"_result,0,A", b"_result,8,C").replace(b"_result,1,A", b"_result,9,C")

    assert tally([ANSWER])["cpu"].digest == tally([other])["cpu"].digest


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ANSWER + ERROR, "ran out of time"),
        (ANSWER[:-40], "breaks off"),
        (b'{"code": 1}\r\n' * 2, "no table"),
    ],
)
def test_an_answer_that_ends_in_an_error_is_none(content: bytes, words: str) -> None:
    """An error in the midst of a stream comes with status 200."""
    with pytest.raises(Influx2Refused, match=words):
        tally([content])


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_metadata_comes_in_parts(size: int) -> None:
    """Each part whole, one that is empty too, and what looks like a delimiter in it."""
    kind = {"Content-Type": "multipart/mixed; boundary=XX"}
    found = {name: b"".join(part) for name, part in _parts(answer(METADATA, size, **kind))}

    assert found == {"kv": b"BOLT\r\n--X\r\n", "sql": b"", "buckets": b"[]"}


@pytest.mark.parametrize("end", [10, 60, len(METADATA) - 6])
def test_metadata_that_breaks_off_is_refused(end: int) -> None:
    """Half an answer is no backup."""
    kind = {"Content-Type": "multipart/mixed; boundary=XX"}
    parts = _parts(answer(METADATA[:end], **kind))
    with pytest.raises(BackupFailed, match="breaks off"):
        [b"".join(part) for _, part in parts]


def test_an_archive_is_read_while_it_is_stored() -> None:
    """Stored to the last byte; its digest is over names and contents, in any order."""
    sink, content = Sink(), archive("a/1.tsm", "a/2.tsm")
    digest, complete = _read_archive(answer(content, 700), sink, SHARD)

    assert sink.content == content
    assert complete
    assert _read_archive(answer(archive("b/2.tsm", "b/1.tsm")), Sink(), SHARD)[0] != digest
    assert _read_archive(answer(content), Sink(), SHARD) == (digest, True)


def test_damage_to_a_shard_is_done_to_its_points() -> None:
    """Half an archive can hold all that there is: it breaks off within a file of points."""
    whole = archive("000000001-000000001.tsm", "fields.idx")
    with tarfile.open(fileobj=io.BytesIO(whole)) as files:
        points = files.getmember("000000001-000000001.tsm")
    broken = damage_influxdb.truncate(whole)
    assert points.offset_data <= len(broken) < points.offset_data + points.size
    assert whole.startswith(broken)
    for damage in (
        damage_influxdb.truncate,
        damage_influxdb.cut_points,
        damage_influxdb.drop_points,
    ):
        with pytest.raises(NotApplicable):
            damage(archive("fields.idx"))


def test_what_was_deleted_is_noticed() -> None:
    """A file that names what was deleted is one that no restore heeds."""
    content = archive("a/1.tombstone", "a/1.tsm")

    assert _read_archive(answer(content), Sink(), SHARD)[1] is False


@pytest.mark.parametrize("end", [300, 700, 1024, 2048])
def test_an_archive_that_breaks_off_is_refused(end: int) -> None:
    """Also where it breaks off between two files."""
    content = archive("a/1.tsm", "a/2.tsm")
    with pytest.raises(BackupFailed, match="archive"):
        _read_archive(answer(content[:end]), Sink(), SHARD)


def test_lines_come_back_in_whole_batches() -> None:
    """What is exported is written again as it was, whatever the chunks in which it is read."""
    server: Any = Server()
    lines = b"".join(exported(server, BUCKET, 0, 1))
    imported(server, "o1", "b1", cut(lines, 11))
    (written,) = server.written

    # Texts are asked for twice: those with a carriage return in them are spelt out.
    assert written.decode().splitlines()[0] == "cpu,host=a used=1.5 1577836800000000000"
    assert b'log said="one\n,_result,2,A,B,two, \\"quoted\\"" 1577836800000000000\n' in written
    assert written.count(b"log said=") == 4


def test_times_are_exact() -> None:
    """Nanoseconds before and after 1970."""
    assert nanoseconds("1970-01-01T00:00:00.000000001Z") == 1
    assert nanoseconds("1969-12-31T23:59:59.999999999Z") == -1
    assert nanoseconds("2262-04-11T23:47:16.854775806Z") == 2**63 - 2


def test_windows_leave_what_retention_may_delete_apart() -> None:
    """The closed window of a bucket begins where its values are kept for an hour more."""
    now = datetime(2026, 7, 2, 16, 0, tzinfo=UTC)
    windows = Windows.at(now, timedelta(minutes=5), [BUCKET])
    begin = now - timedelta(days=7) + timedelta(hours=1)

    assert windows.begins == {"b1": int(begin.timestamp()) * 10**9}
    assert Windows.of_text(windows.text()) == windows


def test_deleted_shards_are_left_out() -> None:
    """A shard group that the server marked as deleted holds nothing to back up."""
    group = {"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-01-08T00:00:00Z"}
    gone = group | {"deletedAt": "2020-02-01T00:00:00Z", "shards": [{"id": 1}]}
    policy = {"duration": 0, "shardGroups": [gone, group | {"shards": [{"id": 2}]}]}
    manifests: list[Any] = [
        {"bucketID": "b1", "retentionPolicies": [policy]},
        {"bucketID": "b2", "retentionPolicies": [policy]},
    ]

    assert [shard.id for shard in shards_of(manifests, {"b1": BUCKET})] == [2]


def test_names_with_dots_are_told_apart() -> None:
    """A field of one measurement is not that of another whose name goes on with a dot."""
    assert _dotted("home/a", "disk.io", "read") == r"home/a.disk\.io.read"
    assert _dotted("home/a", "disk", "io.read") == r"home/a.disk.io\.read"


def test_names_cannot_leave_a_query() -> None:
    """Quotation marks, backslashes and interpolation are spelt out."""
    assert flux_text('a"b\\c${d}') == '"a\\"b\\\\c\\${d}"'


def test_heartbeats_are_among_the_buckets() -> None:
    """A heartbeat that no backup holds would leave the loss unmeasured."""
    known = {"url": "x", "token": "file:x", "organization": "home", "buckets": ["telegraf"]}
    for bucket in ("telegraf", "beats"):
        heartbeat = {"bucket": bucket, "measurement": "m"}
        if bucket == "telegraf":
            assert InfluxDB2Source.model_validate({**known, "heartbeat": heartbeat}).heartbeat
        else:
            with pytest.raises(ValueError, match="would not be backed up"):
                InfluxDB2Source.model_validate({**known, "heartbeat": heartbeat})


def test_buckets_need_their_organization(tmp_path: Path) -> None:
    """A bucket's name alone says nothing where there are several organizations."""
    with pytest.raises(ValueError, match="'organization'"):
        InfluxDB2Source(url="http://x", token=f"file:{tmp_path}", buckets=("a",))


@pytest.mark.parametrize("content", [b"", b"SQLite", b"SQLite format 4\0" + bytes(100)])
def test_what_is_no_database_is_not_given_to_the_server(content: bytes) -> None:
    """The server would take even nothing at all for its SQL store."""
    with pytest.raises(RestoreFailed, match=r"metadata\.sqlite is no SQLite database"):
        list(as_sqlite(iter([content[:3], b"", content[3:]])))


def test_a_database_is_given_as_it_is() -> None:
    """In chunks of whatever length."""
    content = b"SQLite format 3\0" + bytes(100)
    chunks = iter([content[:3], b"", content[3:20], content[20:]])
    assert b"".join(as_sqlite(chunks)) == content


@pytest.mark.parametrize(
    ("path", "content", "made", "expected"),
    [
        ("/c/config.toml", 'queue = 10\nlog-level = "warn"', "queue: 10", ()),
        ("/c/config.toml", "Query-Concurrency = '10'", "query-concurrency: 10", ()),
        ("/c/config.toml", "size = '1g'", "size: 1000000000", ()),
        ("/c/config.toml", "size = '1x'", "size: 1024", ("size is no number, and taken for 1024",)),
        ("/c/config.json", '{"size": [1]}', "size: 0", ("size is no number, and taken for 0",)),
        ("/c/config.yml", "hardening-enabled: yes", "hardening-enabled: true", ()),
        ("/c/config.toml", "on = 1", "on: false", ("on is taken for false",)),
        ("/c/config.yaml", "every: 1h", "every: 1h0m0s", ()),
        ("/c/config.yaml", "every: soon", "every: 30m0s",
         ("every is no length of time, and taken for 30m0s",)),
        ("/c/config.yaml", "no-such-key: soon", "every: 30m0s", ()),
        ("/c/config.toml", "what only influxd reads", "every: 30m0s", ()),
        ("/c/config.yaml", "", "every: 30m0s", ()),
    ],
)  # fmt: skip
def test_what_influxd_takes_for_something_else_is_told(
    path: str, content: str, made: str, expected: tuple[str, ...]
) -> None:
    """Numbers, switches and lengths of time that it could not read; no value is told."""
    assert passed_over(path, content.encode(), made) == expected
