"""InfluxQL over HTTP, on a port or a Unix socket, with answers streamed in chunks."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

QUERY_SECONDS = 300
CONNECT_SECONDS = 10
CHUNK_POINTS = 10_000


class InfluxRefused(Exception):
    """The server answered with an error; holds its words."""

    def __init__(self, words: str, status: int = 200) -> None:
        self.status = status
        super().__init__(words)


@dataclass(frozen=True)
class Literal:
    """A number as the server wrote it, so that no digit is lost on the way to a digest."""

    text: str


@dataclass(frozen=True)
class Series:
    """A part of one series: name, tags, columns and rows of values, and of which statement."""

    name: str
    tags: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    statement: int = 0


class InfluxClient:
    """Queries to one InfluxDB 1.x server. Raise httpx.HTTPError if it cannot be reached."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    @classmethod
    def over_socket(cls, socket: Path) -> Self:
        """A client of a server that listens on a Unix socket."""
        transport = httpx.HTTPTransport(uds=str(socket))
        return cls(_http("http://sandbox", None, transport))

    @classmethod
    def over_network(cls, url: str, user: str = "", password: str = "") -> Self:
        """A client of a server at a URL, with credentials where it asks for them."""
        return cls(_http(url, (user, password) if user else None, None))

    def version(self) -> str:
        """The version that the server names when it is pinged; empty if it names none."""
        return str(self._http.get("/ping").headers.get("X-Influxdb-Version", ""))

    def query(self, statement: str, database: str = "") -> list[Series]:
        """All series that a statement gives. Raise InfluxRefused with the server's words."""
        return list(self.stream(statement, database))

    def stream(self, statement: str, database: str = "") -> Iterator[Series]:
        """The parts of the series that a statement gives, in constant memory.

        Numbers come as ``Literal``; times are integers of nanoseconds, as literals too.
        """
        for line in self.lines(statement, database):
            yield from _series(line)

    def each(self, statements: Sequence[str], database: str = "") -> list[list[Series]]:
        """The series of each of many statements, asked at once. Raise InfluxRefused."""
        found: list[list[Series]] = [[] for _ in statements]
        for series in self.stream("; ".join(statements), database) if statements else ():
            found[series.statement].append(series)
        return found

    def lines(self, statement: str, database: str = "") -> Iterator[bytes]:
        """The parts of an answer as the server wrote them, each a line of JSON.

        A part holds up to ``CHUNK_POINTS`` points of one series.
        """
        parameters: dict[str, str | int] = {
            "db": database,
            "epoch": "ns",
            "chunked": "true",
            "chunk_size": CHUNK_POINTS,
            "q": statement,
        }
        # As a form, so that a long statement fits and none shows in an access log.
        with self._http.stream("POST", "/query", data=parameters) as response:
            if response.status_code >= httpx.codes.BAD_REQUEST:
                words = response.read().decode("utf-8", "replace")
                raise InfluxRefused(_error(words), response.status_code)
            pieces: list[bytes] = []
            for chunk in response.iter_raw():
                first, *others = chunk.split(b"\n")
                pieces.append(first)
                for following in others:
                    if line := b"".join(pieces):
                        yield line
                    pieces = [following]
            if line := b"".join(pieces):
                yield line

    def write(self, database: str, lines: str, policy: str = "") -> None:
        """Write points as line protocol with nanosecond times, into the default retention policy
        if none is named. Raise InfluxRefused.
        """
        place = {"db": database, "precision": "ns"} | ({"rp": policy} if policy else {})
        answer = self._http.post("/write", params=place, content=lines.encode())
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise InfluxRefused(_error(answer.text), answer.status_code)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def name(*parts: str) -> str:
    """A qualified InfluxQL identifier in double quotes."""
    escaped = (part.replace("\\", "\\\\").replace('"', '\\"') for part in parts)
    return ".".join(f'"{part}"' for part in escaped)


def _http(
    url: str, credentials: tuple[str, str] | None, transport: httpx.BaseTransport | None
) -> httpx.Client:
    timeout = httpx.Timeout(QUERY_SECONDS, connect=CONNECT_SECONDS)
    # A proxy of the environment must not see the estate's data.
    return httpx.Client(
        base_url=url,
        auth=credentials,
        transport=transport,
        timeout=timeout,
        trust_env=False,
        # Compressing and unpacking would cost more than the way between the two.
        headers={"Accept-Encoding": "identity"},
    )


def _series(line: bytes) -> Iterator[Series]:
    answer = json.loads(line, parse_int=Literal, parse_float=Literal)
    for result in (*answer.get("results", ()), answer):
        if "error" in result:
            raise InfluxRefused(result["error"])
        for series in result.get("series", ()):
            yield Series(
                name=series.get("name", ""),
                tags=tuple(sorted(series.get("tags", {}).items())),
                columns=tuple(series["columns"]),
                values=tuple(map(tuple, series.get("values", ()))),
                statement=int(result["statement_id"].text) if "statement_id" in result else 0,
            )


def _error(words: str) -> str:
    try:
        return str(json.loads(words)["error"])
    except (ValueError, KeyError, TypeError):
        return words.strip()
