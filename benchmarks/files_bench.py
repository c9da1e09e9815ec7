"""The peer of figures about files: a folder packed, unpacked and hashed with the usual tools."""

import subprocess
from pathlib import Path

SCRIPT = """
    set -eu
    mkdir "$2" "$2/restored"
    tar -C "$1" -cf - . | zstd -q -3 -o "$2/archive.tar.zst"
    zstd -dc "$2/archive.tar.zst" | tar -C "$2/restored" -xf -
    (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$2/before"
    (cd "$2/restored" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$2/after"
    cmp "$2/before" "$2/after"
"""


def by_hand(source: Path, place: Path) -> None:
    """tar | zstd > file; zstd -dc file | tar -x; sha256sum of both sides; cmp."""
    subprocess.run(["sh", "-c", SCRIPT, "sh", str(source), str(place)], check=True)
