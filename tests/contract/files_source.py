"""A folder with names, links, modes and sizes that are hard to bring back."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sources import PASSWORD, SECRET, Fault, Source

from restoreproof import damage_archives as faults
from restoreproof.engines.contract import Restored
from restoreproof.engines.files_restored import RestoredFiles
from restoreproof.engines.files_source import SFTP, FilesSource

HOLE_BYTES = 64 * 1024**2


class FilesTorture(Source):
    """The folder."""

    engine = "files"
    artifact = "files.tar.zst"

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = place / "torture"
        etc = f"{self.folder}/etc"
        described = f"{etc}/empty: owner 4321:0 and not 0:0; {etc}/my.cnf: mode 0666 and not 0640"
        led = f"{etc}/link: leads to /etc/shadow and not to my.cnf"
        self.faults = (
            Fault(
                "a file is not there",
                (faults.drop_entry(f"{etc}/my.cnf"),),
                (f"folder {etc}: another count: {etc}/my.cnf is missing",),
            ),
            Fault(
                "a file is changed",
                (faults.change_content(f"{etc}/my.cnf"),),
                (f"folder {etc}: other content: {etc}/my.cnf: other content",),
            ),
            Fault(
                "wrong mode and wrong owner",
                (
                    faults.describe_otherwise(f"{etc}/my.cnf", mode=0o666),
                    faults.describe_otherwise(f"{etc}/empty", uid=4321),
                ),
                (f"folder {etc}: other content: {described}",),
            ),
            Fault(
                "a link leads elsewhere",
                (faults.describe_otherwise(f"{etc}/link", linkname="/etc/shadow"),),
                (f"folder {etc}: other content: {led}",),
            ),
            Fault("cut short", (lambda tar: tar[: 5 * 512 + 10],), refused="not a whole tar"),
        )

    def fill(self) -> None:
        """Make the folder, and an empty one."""
        (self.place / "empty").mkdir()
        etc, deep = self.folder / "etc", self.folder / "a" / ("d" * 200) / ("e" * 200)
        for folder in (etc, deep, self.folder / "none", self.folder / "log"):
            folder.mkdir(parents=True)
        (etc / "my.cnf").write_text("[mysqld]\nmax_connections = 7\n")
        (etc / "my.cnf").chmod(0o640)
        (etc / "empty").touch()
        (etc / "link").symlink_to("my.cnf")
        (etc / "broken").symlink_to("/nowhere/ünd/\n")
        (etc / "run-as-root").write_bytes(b"#!/bin/true\n")
        (etc / "run-as-root").chmod(0o4755)
        (etc / "other\nline 'quoted' \\n").write_bytes(b"\0\xff\r\n")
        Path(os.fsdecode(os.fsencode(etc) + b"/\xff\xfe-latin-\xe9")).write_bytes(b"latin")
        (etc / "имя").write_text("имя")
        os.chown(etc / "имя", 12345, 3_000_000_000)
        os.utime(etc / "empty", (0, 1))
        os.link(etc / "my.cnf", self.folder / "second-name")
        os.mkfifo(self.folder / "pipe")
        (deep / ("f" * 250)).write_bytes(b"deep")
        with (self.folder / "sparse").open("wb") as file:
            file.truncate(HOLE_BYTES)
            file.seek(HOLE_BYTES // 2)
            file.write(b"in the midst")
        (self.folder / "log" / "app.log").write_bytes(b"")

    @property
    def good(self) -> FilesSource:
        return FilesSource(paths=(str(self.folder),))

    @property
    def empty(self) -> FilesSource:
        return FilesSource(paths=(str(self.place / "empty"),))

    @property
    def refused(self) -> Mapping[str, FilesSource]:
        path = (str(self.folder),)
        nobody = SFTP(host="127.0.0.1", port=1, user="backup", password=f"${{{PASSWORD}}}")
        return {
            "no such folder": FilesSource(paths=("/nowhere/never-made",)),
            "no such container": FilesSource(paths=path, container="never-made"),
            "nobody at the port": FilesSource(paths=path, sftp=nobody),
        }

    def state(self) -> object:
        # That a link was read is noted by the system, and nothing can be done about that.
        return {
            str(path): (known.st_mode, known.st_uid, known.st_mtime_ns, known.st_atime_ns)
            for path in sorted(self.folder.rglob("*"))
            if stat.S_ISREG((known := path.lstat()).st_mode)
        }

    def work(self, number: int) -> None:
        with (self.folder / "log" / "app.log").open("a") as log:
            log.write(f"line {number} " + "x" * 5000 + "\n")
        if number % 20 == 19:
            for kept in range(3, 0, -1):
                older = self.folder / "log" / f"app.log.{kept}"
                newer = self.folder / "log" / (f"app.log.{kept - 1}" if kept > 1 else "app.log")
                if newer.exists():
                    newer.rename(older)
        (self.folder / f"new-{number % 100}").write_text(f"{number}\n")
        replaced = self.folder / "etc" / ".my.cnf.new"
        replaced.write_text(f"[mysqld]\nmax_connections = {number}\n")
        replaced.rename(self.folder / "etc" / "my.cnf")

    def tamper(self, restored: Restored) -> str:
        assert isinstance(restored, RestoredFiles)
        (restored.folder / str(self.folder).lstrip("/") / "etc" / "my.cnf").chmod(0o600)
        etc = f"{self.folder}/etc"
        return f"folder {etc}: other content: {etc}/my.cnf: mode 0600 and not 0640"


@contextmanager
def source(place: Path) -> Iterator[Source]:
    """Make the folder."""
    assert SECRET
    torture = FilesTorture(place)
    torture.fill()
    yield torture
