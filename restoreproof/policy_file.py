"""Reading a policy file: YAML 1.2 to a valid policy, or every mistake with its line."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from restoreproof import engines
from restoreproof.errors import PolicyInvalid, UserError
from restoreproof.policy import PolicyDocument, document_model, fingerprint_of

Place = tuple[int | str, ...]
SECTION = ("not a section", "write its keys below it, indented")
WORDS = {
    "extra_forbidden": ("unknown key", "remove '{key}' or correct its spelling"),
    "missing": ("is missing", "add '{key}:'"),
    "union_tag_invalid": ("unknown engine {tag}", "use one of: {engines}"),
    "union_tag_not_found": ("engine is missing", "add 'engine:' with one of: {engines}"),
    "string_pattern_mismatch": (
        "not a valid name",
        "use lower-case letters, digits and hyphens, a letter first",
    ),
    "string_type": ("not a text", "write a text, in quotes if YAML takes it for something else"),
    "string_too_short": ("is empty", "write a text"),
    "too_short": ("is empty", "name at least one"),
    "literal_error": ("no value that is known", "use {expected}"),
    "greater_than_equal": ("less than {ge}", "write {ge} or more"),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        ("not a date", "write year, month and day, such as 2027-01-31"),
    ),
    "tuple_type": ("not a list", "write it in brackets: [one, another]"),
    "dict_type": SECTION,
    "model_type": SECTION,
    "model_attributes_type": SECTION,
}
"""What is wrong and how to mend it, by pydantic's own names of mistakes."""


def read_policy(path: Path) -> PolicyDocument:
    """Read and validate a policy. Raise PolicyInvalid with all its mistakes."""
    content = _read(path)
    tree = _parse(path, content)
    try:
        policy = document_model().model_validate(_plain(tree))
    except ValidationError as error:
        raise PolicyInvalid(_problems(path, tree, error.errors())) from None
    return PolicyDocument(policy=policy, path=path.resolve(), sha256=fingerprint_of(content))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        mend = "give the path of a policy file, such as fixtures/agama/policy.yaml"
        problem = UserError(f"cannot be read: {error.strerror}", where=str(path), mend=mend)
        raise PolicyInvalid((problem,)) from None


def _parse(path: Path, content: bytes) -> Any:
    try:
        tree = YAML(typ="rt").load(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_yaml(path, line, "not UTF-8 text") from None
    except ReaderError as error:
        line = content.decode("utf-8").count("\n", 0, error.position) + 1
        raise _not_yaml(path, line, "a control character") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _not_yaml(path, line, error.problem or str(error)) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise _not_yaml(path, 1, str(error)) from None
    if not isinstance(tree, Mapping):
        mend = "begin with 'estate:', 'objectives:', 'vault:' and 'components:'"
        problem = UserError("not a policy: no mapping", where=f"{path}:1", mend=mend)
        raise PolicyInvalid((problem,))
    return tree


def _not_yaml(path: Path, line: int, what: str) -> PolicyInvalid:
    mend = "correct the syntax"
    return PolicyInvalid((UserError(f"not YAML: {what}", where=f"{path}:{line}", mend=mend),))


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_plain(item) for item in node]
    return node


def _problems(path: Path, tree: Any, mistakes: Sequence[ErrorDetails]) -> list[UserError]:
    """All mistakes in the order of their lines, each place once: a union complains twice."""
    found: dict[tuple[int, str], UserError] = {}
    misspelt = _misspelt(mistakes)
    for details in mistakes:
        if details["type"] == "too_short" and _is_above_another(details, mistakes):
            # Only items without a mistake were counted.
            continue
        if details["type"] == "missing" and details["loc"] in misspelt.values():
            continue
        line, keys = _locate(tree, _location(details), details["type"])
        what, mend = _explain(details, keys)
        if details["loc"] in misspelt:
            mend = f"write '{misspelt[details['loc']][-1]}'"
        name = ".".join(map(str, keys))
        problem = UserError(f"{name}: {what}" if name else what, where=f"{path}:{line}", mend=mend)
        found.setdefault((line, name), problem)
    return [found[place] for place in sorted(found)]


def _misspelt(mistakes: Sequence[ErrorDetails]) -> Mapping[Place, Place]:
    """The place of an unknown key, and that of the one like it that is missing beside it."""
    missing = [one["loc"] for one in mistakes if one["type"] == "missing"]
    found = {}
    for place in (one["loc"] for one in mistakes if one["type"] == "extra_forbidden"):
        beside = {str(one[-1]): one for one in missing if one[:-1] == place[:-1]}
        for like in get_close_matches(str(place[-1]), beside, n=1):
            found[place] = beside[like]
    return found


def _is_above_another(details: ErrorDetails, mistakes: Sequence[ErrorDetails]) -> bool:
    place = details["loc"]
    return any(one["loc"][: len(place)] == place for one in mistakes if one is not details)


def _location(details: ErrorDetails) -> list[Any]:
    """The keys that lead to a mistake, without the engine's name that its union adds."""
    location = list(details["loc"])
    if details["type"] == "union_tag_invalid":
        return [*location, "engine"]
    if location[0] == "components":
        del location[2:3]
    return location


def _locate(tree: Any, location: Sequence[Any], mistake: str) -> tuple[int, list[Any]]:
    """Line number (from 1) of the deepest place that exists, and the keys leading there."""
    node, line, keys = tree, 1, []
    for part in location:
        if isinstance(node, Mapping) and part in node:
            places, node = node.lc, node[part]  # type: ignore[attr-defined]  # ruamel keeps places there
            on_key = (
                node is None or isinstance(node, Mapping | list) or mistake == "extra_forbidden"
            )
            line = (places.key(part) if on_key else places.value(part))[0] + 1
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            line, node = node.lc.item(part)[0] + 1, node[part]  # type: ignore[attr-defined]  # ruamel keeps places there
        elif mistake != "missing":
            # No key of the file: a union or a mapping names what it tried.
            continue
        keys.append(part)
    return line, keys


def _explain(details: ErrorDetails, keys: Sequence[Any]) -> tuple[str, str]:
    """What is wrong and how to mend it, in a user's words."""
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        return _explain_own(str(context["error"]))
    fallback = (f"{details['msg'][0].lower()}{details['msg'][1:]}", "correct the value")
    if details["type"] not in WORDS:
        return fallback
    what, mend = WORDS[details["type"]]
    known = {"key": keys[-1] if keys else "", "engines": ", ".join(engines.names()), **context}
    return what.format(**known), mend.format(**known)


def _explain_own(message: str) -> tuple[str, str]:
    """Our own validators say what is wrong and, after a semicolon or 'write', how to mend it."""
    what, _, mend = message.partition(";")
    what, _, write = what.partition(": write ")
    return what, mend.strip() or (f"write {write}" if write else "correct the value")
