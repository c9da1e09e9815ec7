"""How a policy names files: what is refused, and in which words."""

from typing import Any

import pytest
from pydantic import ValidationError

from restoreproof.engines import load
from restoreproof.engines.files_contents import Entry, narrowed
from restoreproof.engines.files_source import FilesSource
from restoreproof.engines.files_tree import excluding, printable

SFTP = {"host": "web.example", "user": "backup"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"paths": []}, "at least 1 item"),
        ({"paths": ["etc"]}, "not an absolute path"),
        ({"paths": ["/etc", "/etc/mysql/"]}, "/etc/mysql is named twice; /etc holds it"),
        ({"paths": ["/etc", "/etc/"]}, "/etc is named twice"),
        ({"container": "web", "sftp": {**SFTP, "key_file": "k"}}, "give container or sftp"),
        ({"sftp": SFTP}, "one credential is needed"),
        ({"sftp": {**SFTP, "password": "hunter2"}}, "a secret is given by reference"),
        ({"sftp": {**SFTP, "key_file": "k", "port": 0}}, "greater than or equal to 1"),
        ({"limits": {"bytes": "many"}}, "not a size"),
        ({"logs": {"paths": ["/l"], "largest_gap": "soon"}}, "not a duration"),
        ({"logs": {"paths": ["/l"], "largest_gap": "1h", "pattern": "("}}, "not a regular expr"),
        ({"logs": {"paths": ["/l"], "largest_gap": "1h", "pattern": "x"}}, "one group is needed"),
        ({"logs": {"paths": ["/l"], "largest_gap": "1h", "format": "%H"}}, "belong together"),
        (
            {"logs": {"paths": ["/l"], "largest_gap": "1h", "time_zone": "Mars"}},
            "unknown time zone",
        ),
        ({"validate": [{"time_limit": "1s"}]}, "one program is needed"),
        ({"validate": [{"mysqld": "/m", "influxd": "/i"}]}, "one program is needed"),
    ],
)
def test_a_mistake_is_told(source: dict[str, Any], words: str) -> None:
    """Each mistake in a source of files says what is wrong, and holds no secret."""
    with pytest.raises(ValidationError) as caught:
        FilesSource.model_validate({"paths": ["/etc"], **source})
    told = " ".join(error["msg"] for error in caught.value.errors())
    assert words in told
    assert "hunter2" not in told


def test_paths_are_brought_into_one_form() -> None:
    """Slashes and dots make no other path."""
    source = FilesSource.model_validate({"paths": ["//etc/./mysql/../app/", "/"[:1] + "srv"]})

    assert source.paths == ("/etc/app", "/srv")


def test_what_is_left_out_is_told() -> None:
    """Exclusions name what no reader would guess, and every pattern of the policy."""
    source = FilesSource.model_validate({"paths": ["/etc"], "exclude": ["*.tmp"]})
    told = load("files").exclusions(source)

    assert "files named *.tmp" in told
    assert any("access control lists" in one for one in told)


def test_patterns_of_names_and_of_paths() -> None:
    """A pattern with a slash is of whole paths, another of names anywhere."""
    skip = excluding(("*.tmp", "/var/cache/*"))

    assert skip("/etc/deep/a.tmp")
    assert skip("/var/cache/x")
    assert not skip("/etc/cache/x")
    assert not skip("/var/cache")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/etc/plain", "/etc/plain"),
        ("/etc/имя", "/etc/имя"),
        ("/etc/line\nfeed", r"/etc/line\nfeed"),
        (r"/etc/line\nfeed", r"/etc/line\\nfeed"),
        ("/etc/latin-\udce9", r"/etc/latin-\xe9"),
        (r"/etc/latin-\xe9", r"/etc/latin-\\xe9"),
        ("/etc/\x1b[31mred", r"/etc/\x1b[31mred"),
    ],
)
def test_odd_names_are_spelt_so_that_no_two_look_alike(path: str, shown: str) -> None:
    """Names of any bytes are one line of text each, from which they can be told."""
    assert printable(path) == shown


def test_differences_are_named_and_counted() -> None:
    """The first few files by name and in what they differ; of the rest their number."""
    before = [Entry(f"/etc/{n}", "file", 0o644, 0, 0, 1, 1, "aa") for n in range(6)]
    after = {
        "/etc/0": Entry("/etc/0", "file", 0o600, 0, 5, 1, 2, "aa"),
        "/etc/1": Entry("/etc/1", "folder", 0o644, 0, 0, 0, 1),
        "/etc/new": Entry("/etc/new", "file", 0o644, 0, 0, 1, 1, "aa"),
    }

    assert narrowed(before, after) == (
        "/etc/0: mode 0600 and not 0644, owner 0:5 and not 0:0, another time of modification;"
        " /etc/1: a folder and no file; /etc/2 is missing; and 4 more"
    )
    assert Entry.read(before[0].line) == before[0]
