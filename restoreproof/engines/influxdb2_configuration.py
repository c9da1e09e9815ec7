"""How influxd of 2.x reads its configuration, and what it takes for another value without a word.

Measured on 2.7.12: a file of another ending is not read at all, and a number, a switch or a
length of time that it cannot read becomes 0, off or the default, with exit code 0.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from restoreproof.engines.server_configuration import Reader

NAMES = ("config.json", "config.toml", "config.yaml", "config.yml")
FOLDERS = ("/etc/influxdb2", "/etc/influxdb", "")
"""Where images and packages have it look, and where it does by itself: in its working folder."""
SIZE = re.compile(r"(?i)\s*([+-]?\d[\d_]*\s*([kmgt]i?)?b?|0x[\da-f]+)\s*")
LENGTH = re.compile(r"[+-]?(\d+(\.\d*)?(ns|us|µs|μs|ms|s|m|h)?)+")
SWITCHES = {
    **dict.fromkeys(("1", "t", "true", "y", "yes", "on"), True),
    **dict.fromkeys(("0", "f", "false", "n", "no", "off"), False),
}


def passed_over(path: str, file: bytes, made: str) -> tuple[str, ...]:
    """What influxd made something else of, given a file and its ``print-config`` for that."""
    try:
        taken: Mapping[str, Any] = YAML(typ="safe", pure=True).load(made) or {}
        written = _content(path, file)
    except (ValueError, YAMLError):
        # It reads what we cannot, and only that is asked here.
        return ()
    return tuple(_differing({str(key).lower(): one for key, one in written.items()}, taken))


def _content(path: str, file: bytes) -> Mapping[Any, Any]:
    text = file.decode()
    match PurePosixPath(path).suffix:
        case ".json":
            found = json.loads(text)
        case ".toml":
            found = tomllib.loads(text)
        case _:
            found = YAML(typ="safe", pure=True).load(text)
    return found if isinstance(found, dict) else {}


def _differing(written: Mapping[str, Any], taken: Mapping[str, Any]) -> Iterator[str]:
    """No value is told: it may be a secret that stands behind another's name."""
    for key, value in written.items():
        got = taken.get(key)
        if isinstance(got, bool):
            if SWITCHES.get(str(value).lower()) is not got:
                yield f"{key} is taken for {str(got).lower()}"
        elif isinstance(got, int):
            if isinstance(value, bool | list | dict) or not SIZE.fullmatch(str(value)):
                yield f"{key} is no number, and taken for {got}"
        elif isinstance(got, str) and LENGTH.fullmatch(got) and not LENGTH.fullmatch(str(value)):
            yield f"{key} is no length of time, and taken for {got}"


SECOND = Reader(
    called="config.toml",
    standard=tuple(f"{folder}/{name}" for folder in FOLDERS for name in NAMES),
    endings=(".json", ".toml", ".yaml", ".yml"),
    # Variables of the sandbox would replace what the file says.
    script='exec env -i PATH="$PATH" INFLUXD_CONFIG_PATH="$1" influxd print-config',
    passed_over=passed_over,
)
"""InfluxDB 2.x."""
