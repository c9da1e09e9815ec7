"""Takes a backup of InfluxDB 2.x over its HTTP API: metadata in one answer, then every shard.

Nothing is held in memory but one chunk, and every shard's archive is read to its end while it is
stored: a server that fails in the midst of one ends it without an error.
"""

import hashlib
import json
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from restoreproof.engines.contract import ArtifactSink, BackupContext
from restoreproof.engines.influxdb2_client import Influx2Client, Influx2Refused
from restoreproof.engines.influxdb2_content import Bucket, nanoseconds
from restoreproof.engines.influxdb2_lines import exported
from restoreproof.outcomes import BackupFailed

METADATA = "/api/v2/backup/metadata"
NEVER = "2262-01-01T00:00:00Z"
KEY_VALUES, SQL, BUCKETS = "metadata.bolt", "metadata.sqlite", "buckets.json"
ARTIFACTS = {"kv": KEY_VALUES, "sql": SQL, "buckets": BUCKETS}
END_OF_TAR = bytes(1024)
CHUNK_BYTES = 256 * 1024
PATIENCE_SECONDS, PAUSE_SECONDS = 30.0, 1.0
"""A server lays a shard to rest if it finds it empty just before its first points are written,
and then gives no backup of it until it looks again, every ten seconds."""
NOT_FOUND = 404
TOMBSTONE = ".tombstone"


@dataclass(frozen=True)
class Shard:
    """One shard of a bucket: the window of time whose points it holds."""

    id: int
    bucket: Bucket
    begin: datetime
    end: datetime
    expires: datetime | None

    @property
    def artifact(self) -> str:
        """What its archive is called in a backup."""
        return f"shard-{self.id}.tar"

    @property
    def exported(self) -> str:
        """What its export is called in a backup."""
        return f"shard-{self.id}.lines"


def flush(client: Influx2Client, context: BackupContext, chosen: Mapping[str, Bucket]) -> None:
    """Have every shard write its cache into its files, as a backup of it does anyway.

    Texts that are empty come back out of order from a cache, so what is to be compared is read
    from files alone. Nothing is transferred: no file is newer than what is asked for.
    """
    manifests = b""
    with client.download(METADATA) as response:
        for name, chunks in _parts(response):
            for chunk in chunks:
                manifests += chunk if name == "buckets" else b""
    for shard in shards_of(json.loads(manifests), chosen):
        try:
            flush_shard(client, shard.id)
        except Influx2Refused as error:
            _require_expired(context, shard, error)


def flush_shard(client: Influx2Client, shard: int) -> None:
    """Have one shard write its cache into its files. Raise Influx2Refused."""
    with _download(client, shard, NEVER) as answer:
        answer.read()


def back_up_metadata(client: Influx2Client, context: BackupContext) -> list[Mapping[str, Any]]:
    """Store the key-value store, the SQL store and the manifests of buckets; give these back.

    Raise BackupFailed if the answer breaks off.
    """
    manifests, seen = b"", set()
    with client.download(METADATA) as response:
        for name, chunks in _parts(response):
            seen.add(name)
            with context.artifact(ARTIFACTS[name]) as sink:
                for chunk in chunks:
                    sink.write(chunk)
                    if name == "buckets":
                        manifests += chunk
    if missing := ARTIFACTS.keys() - seen:
        raise BackupFailed(f"the server's metadata came without {', '.join(sorted(missing))}")
    found: list[Mapping[str, Any]] = json.loads(manifests)
    return found


def shards_of(manifests: list[Mapping[str, Any]], chosen: Mapping[str, Bucket]) -> Iterator[Shard]:
    """All shards of the chosen buckets that the manifests name and that are not deleted."""
    for bucket in (one for one in manifests if one["bucketID"] in chosen):
        for policy in bucket["retentionPolicies"]:
            for group in policy["shardGroups"]:
                if group.get("deletedAt"):
                    continue
                end = datetime.fromisoformat(group["endTime"])
                kept = timedelta(microseconds=policy["duration"] // 1000)
                for shard in group["shards"]:
                    yield Shard(
                        shard["id"],
                        chosen[bucket["bucketID"]],
                        datetime.fromisoformat(group["startTime"]),
                        end,
                        end + kept if kept else None,
                    )


def back_up_shard(client: Influx2Client, context: BackupContext, shard: Shard) -> str | None:
    """Store a shard's archive and give back a digest of its files.

    Where something was deleted of it, and the files still hold it, an export is stored too.
    None if retention took the shard away meanwhile. Raise BackupFailed if it is gone otherwise,
    or came as half an archive.
    """
    try:
        with (
            _download(client, shard.id) as response,
            context.artifact(shard.artifact) as sink,
        ):
            digest, complete = _read_archive(response, sink, shard)
    except Influx2Refused as error:
        _require_expired(context, shard, error)
        return None
    if not complete:
        with context.artifact(shard.exported) as sink:
            window = nanoseconds(shard.begin), nanoseconds(shard.end)
            for chunk in exported(client, shard.bucket, *window):
                sink.write(chunk)
    return digest


def digest_of_shard(client: Influx2Client, context: BackupContext, shard: Shard) -> str | None:
    """The digest that ``back_up_shard`` would give back, with nothing stored."""
    try:
        with _download(client, shard.id) as response:
            return _read_archive(response, _Nowhere(), shard)[0]
    except Influx2Refused as error:
        _require_expired(context, shard, error)
        return None


@contextmanager
def _download(client: Influx2Client, shard: int, since: str = "") -> Iterator[httpx.Response]:
    """A shard's archive as it comes, of files newer than an instant. Raise Influx2Refused."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with ExitStack() as stack:
        while True:
            answer = client.download(f"/api/v2/backup/shards/{shard}", since=since)
            try:
                response = stack.enter_context(answer)
                break
            except Influx2Refused as error:
                if error.status < httpx.codes.INTERNAL_SERVER_ERROR or time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)
        yield response


def _require_expired(context: BackupContext, shard: Shard, error: Influx2Refused) -> None:
    """Raise BackupFailed unless retention took the shard away meanwhile."""
    expired = shard.expires is not None and shard.expires <= context.of.clock()
    if error.status != NOT_FOUND or not expired:
        raise BackupFailed(f"shard {shard.id} of {shard.bucket.label}: {error}") from None


class _Nowhere:
    def write(self, chunk: bytes) -> None:
        pass


class _Through:
    """Reads an answer as a file, and stores what is read."""

    def __init__(self, response: httpx.Response, sink: ArtifactSink) -> None:
        self._chunks = response.iter_bytes(CHUNK_BYTES)
        self._sink = sink
        self._pending = b""
        self.tail = b""

    def read(self, size: int) -> bytes:
        while len(self._pending) < size and (chunk := next(self._chunks, b"")):
            self._sink.write(chunk)
            self.tail = (self.tail + chunk)[-len(END_OF_TAR) :]
            self._pending += chunk
        taken, self._pending = self._pending[:size], self._pending[size:]
        return taken


def _read_archive(response: httpx.Response, sink: ArtifactSink, shard: Shard) -> tuple[str, bool]:
    """Store an archive while its files are hashed: a digest over their names and contents.

    Beside it whether the points in it are all there is to know, with nothing deleted of them.
    """
    through, files, complete = _Through(response, sink), [], True
    try:
        with tarfile.open(fileobj=through, mode="r|") as archive:  # type: ignore[call-overload]  # it reads, and nothing more is asked
            for member in archive:
                content = hashlib.sha256()
                if (file := archive.extractfile(member)) is not None:
                    while chunk := file.read(CHUNK_BYTES):
                        content.update(chunk)
                name = member.name.rpartition("/")[2]
                complete = complete and not name.endswith(TOMBSTONE)
                files.append(f"{name} {member.size} {content.hexdigest()}")
        while through.read(CHUNK_BYTES):
            pass
    except (tarfile.TarError, OSError) as error:
        raise BackupFailed(f"shard {shard.id} came as half an archive: {error}") from None
    if through.tail != END_OF_TAR:
        raise BackupFailed(f"shard {shard.id} came as an archive without an end")
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest(), complete


def _parts(response: httpx.Response) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The parts of a multipart answer, each to be read before the next is asked for."""
    named = re.search(r'boundary="?([^";]+)"?', response.headers.get("Content-Type", ""))
    if named is None:
        raise BackupFailed("the server's metadata is no multipart answer")
    reader = _Multipart(response.iter_bytes(CHUNK_BYTES), f"\r\n--{named[1]}".encode())
    while (name := reader.next_name()) is not None:
        yield name, reader.content()


class _Multipart:
    """A multipart body, read in constant memory. Raise BackupFailed if it breaks off."""

    def __init__(self, chunks: Iterator[bytes], delimiter: bytes) -> None:
        self._chunks = chunks
        self._delimiter = delimiter
        # The first delimiter has no line before it.
        self._pending = b"\r\n"
        for _ in self.content():
            pass

    def next_name(self) -> str | None:
        """The name of the part that begins here; None at the end of all."""
        while b"\r\n\r\n" not in self._pending:
            if self._pending.startswith(b"--"):
                return None
            self._more()
        head, _, self._pending = self._pending.partition(b"\r\n\r\n")
        named = re.search(rb'name="([^"]+)"', head)
        name = named[1].decode() if named else ""
        if name not in ARTIFACTS:
            raise BackupFailed(f"the server's metadata holds {name or 'a part without a name'}")
        return name

    def content(self) -> Iterator[bytes]:
        """What is left of the part that is being read."""
        while (at := self._pending.find(self._delimiter)) < 0:
            # The delimiter may begin in this chunk and end in the next.
            keep = len(self._delimiter) - 1
            if len(self._pending) > keep:
                yield self._pending[:-keep]
                self._pending = self._pending[-keep:]
            self._more()
        content, self._pending = self._pending[:at], self._pending[at + len(self._delimiter) :]
        if content:
            yield content

    def _more(self) -> None:
        chunk = next(self._chunks, b"")
        if not chunk:
            raise BackupFailed("the server's metadata breaks off")
        self._pending += chunk
