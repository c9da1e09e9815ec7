"""What an OSCAL document refers to and does not hold: validators of OSCAL do not look."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

REFERENCES = ("observation-uuid", "subject-uuid", "component-uuid", "actor-uuid", "party-uuids")


def dangling(document: Mapping[str, Any]) -> tuple[str, ...]:
    """References to nothing, and names that are given twice; a line each."""
    defined = Counter(_values(document, "uuid"))
    objectives = set(_values(document, "objective-id"))
    named = {name for key in REFERENCES for name in _values(document, key)}
    named |= {href[1:] for href in _values(document, "href") if href.startswith("#")}
    return (
        *(f"nothing is named {one}" for one in sorted(named - set(defined))),
        *(f"two things are named {one}" for one, times in sorted(defined.items()) if times > 1),
        *(
            f"no objective is {one}"
            for one in sorted(set(_values(document, "target-id")) - objectives)
        ),
    )


def _values(node: Any, key: str) -> Iterator[str]:
    """All values of a member, wherever it stands."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == key:
                yield from map(str, value if isinstance(value, list) else [value])
            yield from _values(value, key)
    elif isinstance(node, list):
        for one in node:
            yield from _values(one, key)
