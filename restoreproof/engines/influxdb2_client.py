"""The HTTP API of InfluxDB 2.x: backup and restore, Flux, and what an organisation owns.

All of it goes through httpx. ``influxdb-client`` takes an answer of the backup API into memory
and files it under a name that the server chose, and its models drop every field that they do not
know, so that one which a restore lost could not be seen.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import httpx

ANSWER_SECONDS = 600
CONNECT_SECONDS = 10
UNAUTHORISED = (401, 403)


class Influx2Refused(Exception):
    """The server answered with an error; holds its words."""

    def __init__(self, words: str, status: int = 200) -> None:
        self.status = status
        super().__init__(words)


class Influx2Client:
    """Calls to one InfluxDB 2.x server. Raise httpx.HTTPError if it cannot be reached."""

    def __init__(self, url: str, token: str = "") -> None:
        # A proxy of the environment must not see the estate's data, and compressing what
        # crosses no network only costs time.
        self._http = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )
        self.use(token)

    def use(self, token: str) -> Self:
        """Present this token from now on."""
        self._http.headers.pop("Authorization", None)
        if token:
            self._http.headers["Authorization"] = f"Token {token}"
        return self

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def version(self) -> str:
        """The version that the server names when it is pinged, such as 2.7.12; empty if none."""
        named = str(self._http.get("/ping").headers.get("X-Influxdb-Version", ""))
        return named.removeprefix("v")

    def get(self, path: str, **parameters: str | int) -> Any:
        """The JSON at a path. Raise Influx2Refused with the server's words."""
        return _answer(self._http.get(path, params=parameters)).json()

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """Post JSON and give back the answer's, if any. Raise Influx2Refused."""
        answer = _answer(self._http.post(path, json=content))
        return answer.json() if answer.content else None

    def change(self, path: str, content: Mapping[str, Any]) -> None:
        """Change what is at a path. Raise Influx2Refused with the server's words."""
        _answer(self._http.patch(path, json=content))

    def delete(self, path: str) -> None:
        """Delete what is at a path. Raise Influx2Refused with the server's words."""
        _answer(self._http.delete(path))

    def listed(self, path: str, key: str, **parameters: str | int) -> list[dict[str, Any]]:
        """All members of a collection, page by page. Raise Influx2Refused."""
        page = self.get(path, **parameters)
        found = list(page.get(key) or ())
        while following := (page.get("links") or {}).get("next"):
            page = _answer(self._http.get(following)).json()
            found += page.get(key) or ()
        return found

    def feed(self, path: str, content: Iterable[bytes]) -> httpx.Response:
        """Post a stream of bytes in constant memory. Raise Influx2Refused."""
        kind = {"Content-Type": "application/octet-stream"}
        return _answer(self._http.post(path, content=iter(content), headers=kind))

    @contextmanager
    def download(self, path: str, **parameters: str) -> Iterator[httpx.Response]:
        """An answer that is read as it comes. Raise Influx2Refused with the server's words."""
        with self._http.stream("GET", path, params=parameters) as response:
            yield _checked(response)

    @contextmanager
    def flux(
        self, organization: str, query: str, *, key: str = "orgID"
    ) -> Iterator[Iterator[bytes]]:
        """The annotated CSV of a Flux query, as it comes. Raise Influx2Refused.

        With ``key="org"`` the organization is given by its name.
        """
        dialect = {"header": True, "annotations": ["datatype", "group"]}
        asked = {"query": query, "type": "flux", "dialect": dialect}
        parameters, accept = {key: organization}, {"Accept": "application/csv"}
        with self._http.stream(
            "POST", "/api/v2/query", params=parameters, json=asked, headers=accept
        ) as response:
            yield _checked(response).iter_bytes()

    def write(
        self, organization: str, bucket: str, lines: Iterable[bytes], *, key: str = "orgID"
    ) -> None:
        """Write points as line protocol with nanosecond times. Raise Influx2Refused.

        With ``key="org"`` the organization is given by its name.
        """
        parameters = {key: organization, "bucket": bucket, "precision": "ns"}
        _answer(self._http.post("/api/v2/write", params=parameters, content=iter(lines)))


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        response.read()
    return _answer(response)


def _answer(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        raise Influx2Refused(_words(response), response.status_code)
    return response


def _words(response: httpx.Response) -> str:
    try:
        said = json.loads(response.text)
        return str(said.get("message") or said["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.text.strip() or f"HTTP status {response.status_code}"
