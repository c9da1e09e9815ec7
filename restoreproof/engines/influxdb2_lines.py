"""Line protocol: a window of a bucket as lines, and such lines back into a bucket.

A shard of which something was deleted is exported like this, since the restore of InfluxDB takes
the files of points alone and leaves those that name what was deleted: it would come back.
"""

import secrets
from collections.abc import Iterable, Iterator
from itertools import islice

from restoreproof.engines.influxdb2_client import Influx2Client
from restoreproof.engines.influxdb2_content import CARRIAGE_RETURN, Bucket, carriage_returns
from restoreproof.engines.influxdb2_points import Table, nanoseconds, values

BATCH_VALUES = 5000
IN_KEYS = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
IN_NAMES = str.maketrans({",": r"\,", " ": r"\ "})
IN_TEXTS = str.maketrans({'"': r"\"", "\\": r"\\"})


def exported(client: Influx2Client, bucket: Bucket, start: int, stop: int) -> Iterator[bytes]:
    """All values from start to before stop as line protocol, one a line, in batches.

    A batch ends with a comment that no value can hold, for a text may hold the end of a line.
    Raise Influx2Refused with the server's words.
    """
    mark = f"# restoreproof {secrets.token_hex(16)}\n".encode()
    yield mark
    lines = _lines(client, bucket, bucket.points(start, stop))
    while batch := list(islice(lines, BATCH_VALUES)):
        yield b"".join([*batch, mark])


def _lines(client: Influx2Client, bucket: Bucket, points: str) -> Iterator[bytes]:
    texts = set()
    with client.flux(bucket.organization_id, points) as answer:
        for table, time, value in values(answer):
            if table.type == "string":
                texts.add((table.measurement, table.field))
            yield _line(table, time, value)
    # Written after what they stand for, they take its place.
    for measurement, field in sorted(texts):
        query = f'import "strings" {points} {carriage_returns(measurement, field)}'
        with client.flux(bucket.organization_id, query) as answer:
            yield from (_line(*value) for value in values(answer))


def imported(
    client: Influx2Client, organization: str, bucket: str, chunks: Iterable[bytes]
) -> None:
    """Write exported lines into a bucket. Raise Influx2Refused with the server's words."""
    pending, mark = b"", b""
    for chunk in chunks:
        pending += chunk
        if not mark:
            first, end, rest = pending.partition(b"\n")
            mark, pending = (first + end, rest) if end else (b"", pending)
        while mark and mark in pending:
            batch, _, pending = pending.partition(mark)
            client.write(organization, bucket, [batch])


def _line(table: Table, time: str, value: str) -> bytes:
    tags = "".join(
        f",{name.translate(IN_KEYS)}={text.translate(IN_KEYS)}" for name, text in table.tags
    )
    match table.type:
        case "long":
            value += "i"
        case "unsignedLong":
            value += "u"
        case "string":
            # InfluxDB's CSV writes every end of a line as two letters.
            value = value.replace("\r\n", "\n").replace(CARRIAGE_RETURN, "\r")
            value = f'"{value.translate(IN_TEXTS)}"'
    measurement, field = table.measurement.translate(IN_NAMES), table.field.translate(IN_KEYS)
    return f"{measurement}{tags} {field}={value} {nanoseconds(time)}\n".encode()
