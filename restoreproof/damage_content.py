"""Faults inside MySQL dumps and files of servers, for ``VaultCopy.rewrite``: named functions.

They take content and give it back with one fault in it; content in which the fault cannot be
done is a mistake of the caller, and an assertion says so. All of them work in memory: they are
for copies of small backups.
"""

import io
import re
import tarfile
from collections.abc import Callable, Iterator

from restoreproof.damage import Change

VALUE = re.compile(rb"'(?:[^'\\]|\\.|'')*'|[^,()']+|[,()]", re.DOTALL)


# MySQL dumps


def drop_row(table: str) -> Change:
    """Leave out the last row of the table's first INSERT."""
    return lambda dump: _in_insert(dump, table, lambda rows: rows[:-1])


def null_to_empty(table: str) -> Change:
    """Store an empty text where the table's first INSERT holds its first NULL."""

    def change(rows: list[bytes]) -> list[bytes]:
        for number, row in enumerate(rows):
            parts = VALUE.findall(row)
            if b"NULL" in parts:
                parts[parts.index(b"NULL")] = b"''"
                return [*rows[:number], b"".join(parts), *rows[number + 1 :]]
        raise AssertionError(f"{table} holds no NULL")

    return lambda dump: _in_insert(dump, table, change)


def double_row(table: str, times: int = 1) -> Change:
    """Store the last row of the table's first INSERT so many times more."""
    return lambda dump: _in_insert(dump, table, lambda rows: rows + rows[-1:] * times)


def swap_rows(one: str, other: str) -> Change:
    """Give each of two tables the last row of the other's first INSERT."""

    def change(dump: bytes) -> bytes:
        first, second = _inserted(dump, one)[-1], _inserted(dump, other)[-1]
        assert first != second, "the rows are equal"
        dump = _in_insert(dump, one, lambda rows: [*rows[:-1], second])
        return _in_insert(dump, other, lambda rows: [*rows[:-1], first])

    return change


def replace_in_rows(table: str, old: bytes, new: bytes) -> Change:
    """Store another text for one in all rows of the table's first INSERT."""
    return lambda dump: _in_insert(dump, table, lambda rows: [r.replace(old, new) for r in rows])


def replace_in_definition(table: str, old: bytes, new: bytes) -> Change:
    """Make the table with another text for one in its definition."""

    def change(dump: bytes) -> bytes:
        found = re.search(
            rb"^CREATE TABLE `%s` \(\n.*?;$" % re.escape(table.encode()),
            dump,
            re.DOTALL | re.MULTILINE,
        )
        assert found, f"the dump makes no table {table}"
        assert old in found[0], f"the definition of {table} holds no {old!r}"
        return dump[: found.start()] + found[0].replace(old, new) + dump[found.end() :]

    return change


def replace_text(old: bytes, new: bytes) -> Change:
    """Store another text for one, wherever it stands."""

    def change(content: bytes) -> bytes:
        assert old in content, f"nothing holds {old!r}"
        return content.replace(old, new)

    return change


def drop_lines(text: bytes) -> Change:
    """Leave out every line that holds a text."""

    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        kept = [line for line in lines if text not in line]
        assert len(kept) < len(lines), f"no line holds {text!r}"
        return b"".join(kept)

    return change


def add_statements(sql: str) -> Change:
    """Let the dump do something more, as its last act."""

    def change(dump: bytes) -> bytes:
        at = dump.rindex(b"-- Dump completed")
        return dump[:at] + sql.encode() + b"\n" + dump[at:]

    return change


def drop_object(kind: str, name: str) -> Change:
    """Leave out a TRIGGER, PROCEDURE, FUNCTION or EVENT."""
    # The statement alone: the settings around it are then put back as they were.
    pattern = rb"^(?:CREATE DEFINER=|/\*!\d+ CREATE\*/)(?:(?!;;$).)*?\b%s `%s`.*?;;$" % (
        kind.encode(),
        re.escape(name.encode()),
    )
    return lambda dump: _cut(dump, pattern, b"SELECT 1 ;;")


def drop_view(name: str) -> Change:
    """Leave out a view, and the table that stands in for it while the dump is loaded."""
    quoted = re.escape(name.encode())

    def change(dump: bytes) -> bytes:
        dump = _cut(dump, rb"^/\*!50001 CREATE VIEW `%s` AS .*?;$" % quoted)
        final = rb"^/\*!50001 CREATE ALGORITHM=\w+ \*/\n[^\n]*\n/\*!50001 VIEW `%s` AS .*?;$"
        return _cut(dump, final % quoted)

    return change


def drop_table(table: str) -> Change:
    """Leave out a table, its definition and its rows."""
    quoted = re.escape(table.encode())
    pattern = rb"^DROP TABLE IF EXISTS `%s`;\n.*?^/\*!40000 ALTER TABLE `%s` ENABLE KEYS \*/;$"
    return lambda dump: _cut(dump, pattern % (quoted, quoted))


def drop_sequence(name: str) -> Change:
    """Leave out a sequence of MariaDB."""
    quoted = re.escape(name.encode())
    return lambda dump: _cut(dump, rb"^CREATE SEQUENCE `%s` [^\n]*\nDO SETVAL[^\n]*$" % quoted)


def reset_sequence(name: str) -> Change:
    """Let a sequence of MariaDB begin anew."""
    quoted = re.escape(name.encode())
    return lambda dump: _cut(dump, rb"^DO SETVAL\(`%s`[^\n]*$" % quoted)


def cut_at_statement(table: str) -> Change:
    """Let the dump break off between two statements, before a table, but end as a whole one."""

    def change(dump: bytes) -> bytes:
        at = dump.index(b"DROP TABLE IF EXISTS `%s`;" % table.encode())
        return dump[:at] + dump[dump.rindex(b"-- Dump completed") :]

    return change


def change_gtid(dump: bytes, by: int = 1) -> bytes:
    """Set the restored server to some transactions more than the dump holds."""
    found = re.search(rb"SET @@GLOBAL.GTID_PURGED=.*?:1-(\d+)", dump, re.DOTALL)
    assert found, "the dump sets no GTIDs"
    return dump[: found.start(1)] + str(int(found[1]) + by).encode() + dump[found.end(1) :]


# Files and logs of servers


def replace_in_file(name: str, old: bytes, new: bytes) -> Change:
    """Store another text for one in a file of a tar."""

    def replace(content: bytes) -> bytes:
        assert old in content, f"{name} holds no {old!r}"
        return content.replace(old, new)

    return in_file(name, replace)


def in_file(name: str, change: Change) -> Change:
    """Change the content of one file of a tar."""
    return lambda stored: _members(stored, name, change)


def drop_file(name: str) -> Change:
    """Leave one file out of a tar."""
    return lambda stored: _members(stored, name, lambda _: None)


def drop_last_lines(count: int) -> Change:
    """Leave out the last lines of a text."""

    def change(stored: bytes) -> bytes:
        lines = stored.splitlines(keepends=True)
        assert len(lines) > count, "the text is no longer than that"
        return b"".join(lines[:-count])

    return change


def _members(stored: bytes, name: str, change: Callable[[bytes], bytes | None]) -> bytes:
    """The tar with one file changed, or left out if its change is None."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(stored)) as tar,
        tarfile.open(fileobj=made, mode="w", format=tar.format) as other,
    ):
        for member in tar:
            file = tar.extractfile(member)
            content: bytes | None = file.read() if file else b""
            if member.name == name:
                content = change(content or b"")
            if content is not None:
                member.size = len(content) if file else 0
                other.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _cut(dump: bytes, pattern: bytes, instead: bytes = b"") -> bytes:
    changed, count = re.subn(pattern, instead, dump, count=1, flags=re.DOTALL | re.MULTILINE)
    assert count, f"the dump holds nothing like {pattern!r}"
    return changed


def _in_insert(dump: bytes, table: str, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    begin, end = _insert(dump, table)
    rows = list(_rows(dump[begin:end]))
    assert len(rows) > 1, f"{table} has one row alone"
    return dump[:begin] + b",".join(change(rows)) + dump[end:]


def in_first_insert(table: str, change: Callable[[list[bytes]], list[bytes]]) -> Change:
    """Change the rows of a table's first INSERT."""
    return lambda dump: _in_insert(dump, table, change)


def _inserted(dump: bytes, table: str) -> list[bytes]:
    """The rows of the table's first INSERT."""
    begin, end = _insert(dump, table)
    return list(_rows(dump[begin:end]))


def _insert(dump: bytes, table: str) -> tuple[int, int]:
    """Where the rows of the table's first INSERT begin and end."""
    start = re.search(
        rb"^INSERT INTO `%s` .*?VALUES\s" % re.escape(table.encode()), dump, re.MULTILINE
    )
    assert start, f"the dump holds no row of {table}"
    return start.end(), dump.index(b";\n", start.end())


def _rows(values: bytes) -> Iterator[bytes]:
    """The rows of an INSERT, each with its brackets."""
    row, depth = b"", 0
    for token in VALUE.findall(values):
        if depth == 0 and token.strip() in {b",", b""}:
            continue
        row += token
        depth += {b"(": 1, b")": -1}.get(token, 0)
        if depth == 0:
            yield row
            row = b""
