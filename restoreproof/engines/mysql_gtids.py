"""Sets of GTIDs: the transactions that a server executed, or that its logs hold."""

import re
from bisect import insort
from collections.abc import Iterable, Iterator

INTERVAL = re.compile(r"(\d+)(?:-(\d+))?")


class GtidSet:
    """A set of GTIDs with tags, in MySQL's own notation.

    ``uuid:1-5:9:tag:1-3,uuid2:7`` holds, among others, ``uuid:9`` and ``uuid:tag:2``.
    """

    def __init__(self, text: str = "") -> None:
        """Raise ValueError for what is no GTID set."""
        self._intervals: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for source, first, last in _parsed(text):
            insort(self._intervals.setdefault(source, []), (first, last))
        for source, intervals in self._intervals.items():
            self._intervals[source] = _joined(intervals)

    def add(self, uuid: str, tag: str, number: int) -> None:
        """Add one GTID; quick for the one after the newest, which is the rule."""
        intervals = self._intervals.setdefault((uuid, tag), [])
        if intervals and intervals[-1][1] == number - 1:
            intervals[-1] = (intervals[-1][0], number)
        else:
            insort(intervals, (number, number))
            self._intervals[uuid, tag] = _joined(intervals)

    def holds(self, uuid: str, tag: str, number: int) -> bool:
        """Whether one GTID is in the set."""
        intervals = self._intervals.get((uuid, tag), ())
        return any(first <= number <= last for first, last in intervals)

    def __or__(self, other: "GtidSet") -> "GtidSet":
        return GtidSet(",".join(filter(None, (str(self), str(other)))))

    def __le__(self, other: "GtidSet") -> bool:
        return str(self | other) == str(other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __len__(self) -> int:
        return sum(last - first + 1 for some in self._intervals.values() for first, last in some)

    def __bool__(self) -> bool:
        return bool(self._intervals)

    def __str__(self) -> str:
        parts: dict[str, list[str]] = {}
        for (uuid, tag), intervals in sorted(self._intervals.items()):
            part = parts.setdefault(uuid, [uuid])
            part += [tag] if tag else []
            part += [f"{a}-{b}" if b > a else str(a) for a, b in intervals]
        return ",".join(":".join(part) for part in parts.values())


def _parsed(text: str) -> Iterator[tuple[tuple[str, str], int, int]]:
    for part in filter(None, "".join(text.split()).lower().split(",")):
        uuid, *rest = part.split(":")
        tag = ""
        if not rest:
            raise ValueError(f"{part} is no GTID set")
        for word in rest:
            if match := INTERVAL.fullmatch(word):
                first = int(match[1])
                yield (uuid, tag), first, int(match[2] or first)
            else:
                tag = word


def _joined(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in intervals:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
