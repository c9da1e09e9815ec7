"""Faults inside stored archives of files, for ``VaultCopy.rewrite``: named functions."""

import io
import tarfile
from collections.abc import Callable, Iterator

from restoreproof.damage import Change
from restoreproof.engines.files_archive import ROOT

Members = Iterator[tuple[tarfile.TarInfo, bytes]]


def drop_entry(path: str) -> Change:
    """Leave out a file, folder or link."""

    def change(member: tarfile.TarInfo, content: bytes) -> Members:
        if member.name != f"{ROOT}{path}":
            yield member, content

    return _in_archive(path, change)


def change_content(path: str) -> Change:
    """Turn over the bits of a file's first byte."""

    def change(member: tarfile.TarInfo, content: bytes) -> Members:
        if member.name == f"{ROOT}{path}":
            content = bytes([content[0] ^ 0xFF]) + content[1:]
        yield member, content

    return _in_archive(path, change)


def describe_otherwise(path: str, **attributes: object) -> Change:
    """Give an entry another mode, owner or target, by the names that ``tarfile`` has for them."""

    def change(member: tarfile.TarInfo, content: bytes) -> Members:
        if member.name == f"{ROOT}{path}":
            for name, value in attributes.items():
                setattr(member, name, value)
        yield member, content

    return _in_archive(path, change)


def add_member(member: tarfile.TarInfo, content: bytes = b"") -> Change:
    """Add a member as it is given, at the end."""

    def change(archive: bytes) -> bytes:
        member.size = len(content)
        padded = content + bytes(-len(content) % tarfile.BLOCKSIZE)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            end = max(_end(one) for one in tar)
        return archive[:end] + member.tobuf() + padded + bytes(2 * tarfile.BLOCKSIZE)

    return change


def _end(member: tarfile.TarInfo) -> int:
    return member.offset_data + member.size + -member.size % tarfile.BLOCKSIZE


def _in_archive(path: str, change: Callable[[tarfile.TarInfo, bytes], Members]) -> Change:
    def changed(archive: bytes) -> bytes:
        made = io.BytesIO()
        found = False
        with (
            tarfile.open(fileobj=io.BytesIO(archive)) as tar,
            tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as other,
        ):
            for member in tar:
                found |= member.name == f"{ROOT}{path}"
                file = tar.extractfile(member) if member.isreg() else None
                for kept, content in change(member, file.read() if file else b""):
                    kept.size = len(content)
                    other.addfile(kept, io.BytesIO(content))
        assert found, f"the archive holds no {path}"
        return made.getvalue()

    return changed
