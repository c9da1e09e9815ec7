"""The faults that are done to a backup's content or to its logs, and what is then seen."""

from collections.abc import Mapping
from dataclasses import dataclass

from mysql_bench import ACCOUNTS, DUMP, PRIVILEGES

from restoreproof import damage_binlog as logs
from restoreproof import damage_content as faults
from restoreproof.damage import Change


@dataclass(frozen=True)
class Fault:
    """One fault in the content of a full backup, all hashes over it made anew.

    ``seen`` is everything that then differs, and nothing else does; ``refused`` part of the
    server's words where the backup cannot be loaded.
    """

    name: str
    changes: tuple[Change, ...]
    seen: tuple[str, ...] = ()
    refused: str = ""
    artifact: str = DUMP


def _one(name: str, change: Change, *seen: str, artifact: str = DUMP) -> Fault:
    return Fault(name, (change,), seen, artifact=artifact)


def _zeroed(dump: bytes) -> bytes:
    at = dump.index(b"'Barbara'")
    return dump[:at] + bytes(64) + dump[at + 64 :]


def _blocks_swapped(dump: bytes) -> bytes:
    one, other = dump.index(b"(1,'lamp'"), dump.index(b"(2,'blue'")
    size = len(b"(1,'lamp'")
    first, second = dump[one : one + size], dump[other : other + size]
    return dump[:one] + second + dump[one + size : other] + first + dump[other + size :]


FAULTS = (
    _one("missing table", faults.drop_table("tags"),
         "table shop.tags: is missing", "table definition shop.tags: is missing"),
    _one("one row lost", faults.drop_row("customers"), "table shop.customers: another count"),
    _one("one row doubled", faults.double_row("tags"), "table shop.tags: another count"),
    _one("one row doubled an even number of times", faults.double_row("tags", 2),
         "table shop.tags: another count"),
    _one("one row lost and another too many",
         faults.replace_in_rows("tags", b"(2,'blue')", b"(1,'red')"),
         "table shop.tags: other content"),
    _one("two rows swapped between tables", faults.swap_rows("sent", "received"),
         "table shop.received: other content", "table shop.sent: other content"),
    _one("NULL turned into ''", faults.null_to_empty("customers"),
         "table shop.customers: other content"),
    _one("'' turned into NULL", faults.replace_in_rows("customers", b"''", b"NULL"),
         "table shop.customers: other content"),
    _one("a separator moved", faults.replace_in_rows("customers", b"'x#y','z'", b"'x','y#z'"),
         "table shop.customers: other content"),
    _one("a value moved to its neighbour", faults.replace_in_rows(
             "customers", b"'','pq'", b"'p','q'"),
         "table shop.customers: other content"),
    _one("a float rounded", faults.replace_in_rows("orders", b",0.25,", b",0.3,"),
         "table shop.orders: other content"),
    _one("a double rounded", faults.replace_in_rows(
             "orders", b"3.141592653589793", b"3.14159265358979"),
         "table shop.orders: other content"),
    _one("charset lost", faults.replace_in_definition(
             "customers", b"CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci", b"CHARSET=utf8mb3"),
         "table definition shop.customers: other content"),
    _one("collation lost", faults.replace_in_definition(
             "customers", b"utf8mb4_0900_ai_ci", b"utf8mb4_general_ci"),
         "table definition shop.customers: other content"),
    _one("encoded twice", faults.replace_text(b"SET NAMES utf8mb4", b"SET NAMES latin1"),
         "table shop.customers: other content"),
    _one("letters lost to a small charset", faults.replace_in_rows(
             "customers", "щука".encode(), b"????"), "table shop.customers: other content"),
    _one("time zone lost", faults.replace_text(
             b"SET TIME_ZONE='+00:00'", b"SET TIME_ZONE='+01:00'"),
         "table shop.orders: other content"),
    _one("fraction of a second lost", faults.replace_in_rows(
             "orders", b"10:00:00.500000", b"10:00:00"),
         "table shop.orders: other content"),
    _one("generated column computed otherwise", faults.replace_in_definition(
             "orders", b"(`amount` * 2)", b"(`amount` * 3)"),
         "table shop.orders: other content", "table definition shop.orders: other content"),
    _one("AUTO_INCREMENT reset", faults.replace_in_definition(
             "counters", b" AUTO_INCREMENT=1000", b""),
         "auto-increment counter shop.counters: fewer than were seen before the backup"),
    _one("index lost", faults.replace_in_definition(
             "orders", b"  KEY `by_time` (`placed`),\n", b""),
         "table definition shop.orders: other content"),
    _one("foreign key lost", faults.replace_in_definition(
             "orders",
             b",\n  CONSTRAINT `of_customer` FOREIGN KEY (`customer`)"
             b" REFERENCES `customers` (`id`)",
             b""),
         "table definition shop.orders: other content"),
    _one("partition lost", faults.replace_in_definition(
             "parts", b"(PARTITION low VALUES LESS THAN (10) ENGINE = InnoDB,\n ", b"("),
         "table definition shop.parts: other content"),
    _one("NUL turned into a space", faults.replace_in_rows("files", b"0x0027", b"0x2027"),
         "table shop.files: other content"),
    _one("backslash lost", faults.replace_in_rows("files", b"275C0A", b"270A"),
         "table shop.files: other content"),
    _one("invisible column lost its values", faults.replace_in_rows(
             "customers", b"'z',7)", b"'z',0)"),
         "table shop.customers: other content"),
    _one("column no longer invisible", faults.replace_in_definition(
             "customers", b" /*!80023 INVISIBLE */", b""),
         "table definition shop.customers: other content"),
    _one("clause of a newer version passed over", faults.replace_in_definition(
             "customers", b"/*!80023 INVISIBLE */", b"/*!99999 INVISIBLE */"),
         "table definition shop.customers: other content"),
    Fault("collation of another version", (faults.replace_in_definition(
              "customers", b"utf8mb4_0900_ai_ci", b"utf8mb4_uca1400_ai_ci"),),
          refused="Unknown collation"),
    _one("SQL mode of a trigger lost", faults.replace_text(
             b"SET sql_mode              = '' */ ;\nDELIMITER ;;\n/*!50003 CREATE*/ /*!50017",
             b"SET sql_mode = 'ANSI' */ ;\nDELIMITER ;;\n/*!50003 CREATE*/ /*!50017"),
         "trigger shop.stamp: other content"),
    _one("missing trigger", faults.drop_object(
             "TRIGGER", "stamp"), "trigger shop.stamp: is missing"),
    _one("missing procedure", faults.drop_object("PROCEDURE", "greet"),
         "procedure shop.greet: is missing"),
    _one("missing function", faults.drop_object("FUNCTION", "half"),
         "function shop.half: is missing"),
    _one("missing event", faults.drop_object("EVENT", "tidy"), "event shop.tidy: is missing"),
    _one("missing view", faults.drop_view("named"), "view shop.named: is missing"),
    _one("wrong definer of a view", faults.replace_text(
             b"DEFINER=`owner`@`%` SQL SECURITY", b"DEFINER=`clerk`@`%` SQL SECURITY"),
         "view shop.named: other content"),
    _one("wrong definer of a procedure", faults.replace_text(
             b"DEFINER=`owner`@`%` PROCEDURE", b"DEFINER=`clerk`@`%` PROCEDURE"),
         "procedure shop.greet: other content"),
    _one("definer of a view that nobody is", faults.replace_text(
             b"DEFINER=`owner`@`%` SQL SECURITY", b"DEFINER=`ghost`@`%` SQL SECURITY"),
         "view shop.named: other content"),
    Fault("missing user", (faults.drop_lines(b"`clerk`"),), refused="not allowed to create a user",
          artifact=ACCOUNTS),
    _one("missing grant of a role", faults.drop_lines(b"GRANT `reader`"),
         "account `clerk`@`%`: other content", artifact=PRIVILEGES),
    _one("missing grant", faults.drop_lines(b"GRANT SELECT ON `shop`.*"),
         "account `reader`@`%`: other content", artifact=PRIVILEGES),
    _one("a grant too many", lambda sql: sql + b"GRANT DELETE ON `shop`.* TO `clerk`@`%`;\n",
         "account `clerk`@`%`: other content", artifact=PRIVILEGES),
    _one("another password", lambda sql: sql + b"ALTER USER `clerk`@`%` IDENTIFIED BY 'y';\n",
         "account `clerk`@`%`: other content", artifact=PRIVILEGES),
    _one("blocks of two tables swapped", _blocks_swapped,
         "table shop.sent: other content", "table shop.tags: other content"),
    Fault("a block filled with zeros", (_zeroed,), refused="ERROR"),
)  # fmt: skip


CHAIN_FAULTS: Mapping[str, tuple[Change, ...]] = {
    "first binlog after the base missing": (logs.drop_log(0), logs.drop_log(0)),
    "binlog missing in the middle": (logs.drop_log(2),),
    "last binlog missing": (logs.drop_log(-1),),
    "last binlog cut at a transaction": (logs.drop_last_transaction,),
    "last binlog without a transaction": (logs.empty_log(-1),),
    "binlog in the middle without a transaction": (logs.empty_log(2),),
    "one transaction missing inside a binlog": (logs.drop_transaction(1),),
    "stop one event early": (logs.drop_last_event,),
    "binlogs swapped": (logs.swap_logs(1, 3),),
    "binlog of another server": (logs.change_server,),
    "value changed in an event with its checksum": (logs.replace_in_events(b"late", b"lake"),),
}
