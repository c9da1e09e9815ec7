"""A dump is cut where the client would cut it, never elsewhere, and nothing of it is lost."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from restoreproof.engines import mysql_dump_reader as reader
from restoreproof.engines.mysql_dump_reader import DumpReader, Kind, Piece

HEAD = b"-- MySQL dump 10.13  Distrib 9.7.4, for Linux (x86_64)\n--\n"
TABLE = b"""DROP TABLE IF EXISTS `t;'`;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `t;'` (
  `a` int DEFAULT NULL COMMENT 'it''s; "quoted" \\\\',
  KEY `a` (`a`)
) ENGINE=InnoDB;
LOCK TABLES `t;'` WRITE;
/*!40000 ALTER TABLE `t;'` DISABLE KEYS */;
INSERT INTO `t;'` VALUES (1,'a;\\n'),(2,_binary '\\\\'),(NULL,'it\\'s ''so'' \\"');
INSERT INTO `t;'` VALUES (0x00,-1.5e-30);
/*!40000 ALTER TABLE `t;'` ENABLE KEYS */;
UNLOCK TABLES;
"""
OBJECTS = b"""/*!50003 SET sql_mode              = 'STRICT_TRANS_TABLES' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`a b`@`%`*/ /*!50003 TRIGGER `x`
BEFORE INSERT ON `t` FOR EACH ROW BEGIN
    -- a comment; with DELIMITER ;
    SET @a = 'INSERT INTO `t` VALUES (1);
DELIMITER ;
';
END */;;
DELIMITER ;
/*!50106 DROP EVENT IF EXISTS `e` */;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`root`@`%` SQL SECURITY DEFINER */
/*!50001 VIEW `v` AS select ';' AS `;` */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
"""


def read(dump: bytes, step: int = 1 << 20) -> list[Piece]:
    """The pieces of a dump that comes in chunks of a size; joined they are the dump."""
    pieces = list(DumpReader(dump[at : at + step] for at in range(0, len(dump), step)).pieces())
    assert b"".join(piece.text for piece in pieces) == dump
    return pieces


def kinds(dump: bytes, step: int = 1 << 20) -> list[Kind]:
    """The kinds of the pieces that are more than blank."""
    return [piece.kind for piece in read(dump, step) if piece.kind is not Kind.BLANK]


@pytest.fixture(autouse=True, params=[1, 7, 1 << 21], ids="filled by {}".format)
def _filled_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of a dump is at hand, it is cut in the same places."""
    monkeypatch.setattr(reader, "FILL_BYTES", request.param)


@pytest.mark.parametrize("head", [HEAD, b""], ids=["by mysqldump", "by nobody known"])
@pytest.mark.parametrize("step", [1, 5, 1 << 20])
def test_a_table_is_cut_into_its_statements(head: bytes, step: int) -> None:
    """Definition, lock, keys and rows are told apart, whatever stands in names and values."""
    pieces = [piece for piece in read(head + TABLE, step) if piece.kind is not Kind.BLANK]

    assert [piece.kind for piece in pieces] == [
        Kind.DROP_TABLE, Kind.SETTING, Kind.CREATE_TABLE, Kind.LOCK, Kind.KEYS, Kind.ROWS,
        Kind.ROWS, Kind.KEYS, Kind.UNLOCK,
    ]  # fmt: skip
    assert {piece.table for piece in pieces if piece.table} == {b"`t;'`"}
    assert pieces[6].text == b"INSERT INTO `t;'` VALUES (0x00,-1.5e-30);"


def test_objects_stay_whole() -> None:
    """A trigger with its delimiter, and a view in several comments, are a statement each."""
    expected = [Kind.SETTING, *[Kind.ORDERED] * 3, Kind.SETTING]
    assert kinds(HEAD + OBJECTS) == expected
    assert kinds(HEAD + TABLE + OBJECTS + TABLE)[-9:] == kinds(TABLE)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"INSERT INTO `t` (`a`, `b`) VALUES (1,'x'),(2,NULL);\n", Kind.ROWS),
        (b"INSERT INTO t VALUES (1);\n", Kind.ROWS),
        (b"INSERT INTO `d`.`t` VALUES (1);\n", Kind.ROWS),
        (b"INSERT INTO `t` VALUES\n(1,'a'),\n(2,'b');\n", Kind.ROWS),
        (b"INSERT INTO `t` VALUES (1,'line\nbreak;\nINSERT INTO `t` VALUES (2);\n');\n", Kind.ROWS),
        (b"INSERT INTO `t` VALUES (1);\r\n", Kind.ROWS),
        (b"INSERT INTO `t` VALUES (_utf8mb4'x',b'01',-.5,+1e9);\n", Kind.ROWS),
        (b"INSERT  IGNORE INTO `t` VALUES (1);\n", Kind.ORDERED),
        (b"INSERT  DELAYED INTO `t` VALUES (1);\n", Kind.ORDERED),
        (b"REPLACE INTO `t` VALUES (1);\n", Kind.ORDERED),
        (b"INSERT INTO `t` VALUES (1),(@a:=@a+1);\n", Kind.ORDERED),
        (b"INSERT INTO `t` VALUES (UUID());\n", Kind.ORDERED),
        (b"INSERT INTO `t` VALUES ((SELECT 1));\n", Kind.ORDERED),
        (b'INSERT INTO `t` VALUES ("it\'s");\n', Kind.ORDERED),
        (b"INSERT INTO `t` VALUES (1) -- ';\n,(2);\n", Kind.ORDERED),
        (b"INSERT INTO `t` SELECT 1;\n", Kind.ORDERED),
        (b"CREATE TABLE `t` LIKE `u`;\n", Kind.ORDERED),
        (b"USE `d`;\n", Kind.ORDERED),
        (b"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d` /*!40100 COLLATE x */;\n", Kind.ORDERED),
        (b"/*!50003 DROP PROCEDURE IF EXISTS `p` */;\n", Kind.ORDERED),
        (b"CREATE DEFINER=`a b`@`%` FUNCTION `f`() RETURNS int RETURN 1;\n", Kind.ORDERED),
        (b"SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a-b:1-5,\nc:1';\n", Kind.SETTING),
        (b"/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_ZERO_DATE' */;\n", Kind.SETTING),
        (b"/*M!100616 SET @N=@@NOTE_VERBOSITY, NOTE_VERBOSITY=0 */;\n", Kind.SETTING),
        (b"/*!50503 SET NAMES utf8mb4 */;\n", Kind.SETTING),
        (b"SET @@SESSION.SQL_LOG_BIN= 0;\n", Kind.SETTING),
        (b"SET sql_mode='NO_BACKSLASH_ESCAPES';\n", Kind.REST),
        (b"SET sql_select_limit=0;\n", Kind.REST),
        (b"SET character_set_results = utf16;\n", Kind.REST),
        (b"DELIMITER ;;\r\nSELECT 1;;\r\n", Kind.REST),
        (b"SET @a = SLEEP(5);\n", Kind.REST),
        (b"FLUSH TABLES WITH READ LOCK;\n", Kind.REST),
        (b"START TRANSACTION;\n", Kind.REST),
        (b"\\! touch /tmp/x\n", Kind.REST),
        (b"source /etc/passwd\n;\n", Kind.REST),
        (b"DELIMITER '\nx '\n", Kind.REST),
        (b"INSERT INTO `t` VALUES (1,'cut", Kind.REST),
    ],
)
def test_a_statement_is_known_by_its_form(text: bytes, kind: Kind) -> None:
    """What is no plain INSERT of literals keeps its place; what is unknown ends the cutting."""
    after = b"INSERT INTO `t` VALUES (9);\n"

    assert kinds(text) == [kind]
    assert kinds(text + after) == [kind, *([] if kind is Kind.REST else [Kind.ROWS])]


def test_comments_are_blank() -> None:
    """Comments of all three kinds, MariaDB's first line among them, are no statements."""
    comments = b"/*M!999999\\- enable the sandbox mode */ \n-- it's; \n--\n# \"x\n/* `\n; */\n\n"

    assert kinds(comments) == []
    assert kinds(comments + TABLE) == kinds(TABLE)


def test_a_long_statement_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is too long to be held goes past in parts, and cutting goes on after it."""
    monkeypatch.setattr(reader, "LARGEST_STATEMENT_BYTES", 10_000)
    monkeypatch.setattr(reader, "FILL_BYTES", 7)
    wide = b"INSERT INTO `t` VALUES ('" + b"x\\'\\\\;\n" * 5000 + b"',1);"

    for head in (HEAD, b""):
        found = read(head + wide + b"\n" + TABLE, 64)
        parts = [piece for piece in found if piece.kind is Kind.PART]
        assert b"".join(part.text for part in parts) == wide
        assert len(parts) > 1
        assert [piece.kind for piece in found if piece.kind is Kind.ROWS]


VALUES = some.one_of(
    some.none(),
    some.integers(),
    some.text("'\"\\`;\n\r\0\x1a-/*#() ,aб", max_size=12),
    some.binary(max_size=6),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=some.lists(some.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=8),
       seed=some.integers(0, 2**32), made_by=some.booleans())  # fmt: skip
def test_any_values_are_cut_right(rows: list[list[object]], seed: int, made_by: bool) -> None:
    """Whatever values mysqldump writes, each INSERT is one piece that ends where it was ended."""
    draw = random.Random(seed)
    statements = [
        b"INSERT INTO `a``b` VALUES (%s);" % b",".join(_literal(value) for value in row)
        for row in rows
    ]
    dump = (HEAD if made_by else b"") + b"".join(one + b"\n" for one in statements)

    found = [piece for piece in read(dump, draw.randint(1, 40)) if piece.kind is not Kind.BLANK]

    assert [piece.text for piece in found] == statements
    assert {piece.kind for piece in found} == {Kind.ROWS}


def _literal(value: object) -> bytes:
    """A value as mysqldump writes it: what would end a text or a line is escaped."""
    if value is None:
        return b"NULL"
    if isinstance(value, bytes):
        return b"0x" + value.hex().encode() if value else b"''"
    if isinstance(value, int):
        return str(value).encode()
    assert isinstance(value, str)
    escaped = {"\0": "\\0", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z"}
    escaped |= {one: f"\\{one}" for one in "\\'\""}
    return b"'" + "".join(escaped.get(one, one) for one in value).encode() + b"'"
