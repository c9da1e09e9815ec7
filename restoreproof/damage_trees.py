"""Damages to backups of files and folders, in the archive that holds them."""

import io
import stat
import tarfile
from collections import Counter
from collections.abc import Callable

from restoreproof import damage_archives
from restoreproof.damage import Change, NotApplicable
from restoreproof.damage_kinds import Damage, Layer, Subject
from restoreproof.engines.files_archive import ARCHIVE, MARK, ROOT
from restoreproof.engines.files_tree import printable
from restoreproof.fingerprint import Comparison

FILES = frozenset({"files"})
DAY_SECONDS = 86_400
Fits = Callable[[tarfile.TarInfo], bool]


def lose_file(subject: Subject) -> str:
    path = _spoilt(subject, _is_file, lambda _: damage_archives.drop_entry)
    return f"{path} left out"


def lose_link(subject: Subject) -> str:
    path = _spoilt(subject, tarfile.TarInfo.issym, lambda _: damage_archives.drop_entry)
    return f"link {path} left out"


def change_content(subject: Subject) -> str:
    path = _spoilt(subject, _holds_something, lambda _: damage_archives.change_content)
    return f"first byte of {path} turned over"


def change_mode(subject: Subject) -> str:
    def change(found: tarfile.TarInfo) -> Callable[[str], Change]:
        mode = stat.S_IMODE(found.mode) ^ stat.S_IROTH
        return lambda path: damage_archives.describe_otherwise(path, mode=mode)

    return f"others may read {_spoilt(subject, _is_file, change)} who may not, or may not who may"


def change_time(subject: Subject) -> str:
    def change(found: tarfile.TarInfo) -> Callable[[str], Change]:
        earlier = int(found.mtime) - DAY_SECONDS
        return lambda path: damage_archives.describe_otherwise(path, mtime=earlier)

    return f"time of modification of {_spoilt(subject, _is_file, change)} a day earlier"


def lead_elsewhere(subject: Subject) -> str:
    def change(found: tarfile.TarInfo) -> Callable[[str], Change]:
        target = f"{found.linkname}.elsewhere"
        return lambda path: damage_archives.describe_otherwise(path, linkname=target)

    return f"link {_spoilt(subject, tarfile.TarInfo.issym, change)} leads elsewhere"


def add_file(subject: Subject) -> str:
    def change(found: tarfile.TarInfo) -> Callable[[str], Change]:
        return lambda path: damage_archives.add_member(_named(found, f"{path}.more"), b"more")

    return f"a file beside {_spoilt(subject, _is_file, change)} that nobody backed up"


def forget_deletion(subject: Subject) -> str:
    path = _spoilt(subject, _is_gone, lambda _: damage_archives.drop_entry)
    return f"that {path} was deleted is left out"


def _named(like: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"{ROOT}{path}")
    member.mode, member.mtime = like.mode, like.mtime
    member.uid, member.gid = like.uid, like.gid
    return member


def _is_file(found: tarfile.TarInfo) -> bool:
    return found.isreg() and not found.pax_headers.get(MARK)


def _holds_something(found: tarfile.TarInfo) -> bool:
    return _is_file(found) and found.size > 0


def _is_gone(found: tarfile.TarInfo) -> bool:
    return found.pax_headers.get(MARK) == "gone"


def _spoilt(
    subject: Subject, fits: Fits, change: Callable[[tarfile.TarInfo], Callable[[str], Change]]
) -> str:
    """Do something to one entry that is drawn; return its path as it can be printed."""
    vague = {
        item.name for item in subject.fingerprint.items if item.comparison is not Comparison.EQUAL
    }
    told: list[str] = []

    def spoil(archive: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            known = list(tar)
        times = Counter(one.name for one in known)
        # Of a name that stands twice only the last counts.
        drawn = [
            one
            for one in known
            if fits(one) and times[one.name] == 1
            and printable(one.name.removeprefix(ROOT)) not in vague
        ]  # fmt: skip
        if not drawn:
            raise NotApplicable("the archive holds nothing for it")
        found = subject.chance.choice(drawn)
        path = found.name.removeprefix(ROOT)
        told.append(printable(path))
        return change(found)(path)(archive)

    subject.rewrite(ARCHIVE, spoil)
    return told[0]


DAMAGES = tuple(
    Damage(name, title, Layer.CONTENT, inflict, FILES, increments)
    for name, title, inflict, increments in (
        ("tree-file-lost", "file lost", lose_file, None),
        ("tree-file-changed", "file's content changed", change_content, None),
        ("tree-mode-changed", "file's mode changed", change_mode, None),
        ("tree-time-changed", "file's time changed", change_time, None),
        ("tree-file-added", "file that nobody backed up", add_file, None),
        ("tree-link-lost", "link lost", lose_link, None),
        ("tree-link-led", "link leads elsewhere", lead_elsewhere, None),
        ("tree-deletion-lost", "deletion forgotten", forget_deletion, True),
    )
)
