"""Rows for the sample estate's tables: the same ones for the same instant, in every run."""

import hashlib
import json
import random
import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from restoreproof.demo.words import COMPANIES, COMPLAINTS, LANGUAGES, PEOPLE, REMARKS, SENTENCES

SEED = 1610
EMPLOYEES, CUSTOMERS, CONTRACTS, ASSETS, TICKETS = 60, 500, 700, 1500, 2500
READINGS_EACH, ARTICLES, LOGINS, INVOICES, RATES = 4, 200, 3000, 2000, 40
WGS_84 = 4326

Row = tuple[object, ...]


@dataclass(frozen=True)
class Table:
    """Rows for one table. Columns that the server computes are not among ``columns``."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Row]


def tables(now: datetime) -> Iterator[Table]:
    """All tables, in an order that satisfies their foreign keys. ``now`` is UTC."""
    drawn = random.Random(SEED)  # noqa: S311  # sample data, no secret
    instant = now.replace(tzinfo=None)
    for make in MAKERS:
        yield make(drawn, instant)


def customer_code(number: int) -> str:
    """A customer's code; pairs of codes differ in the case of their letters alone."""
    return f"{'AG' if number % 2 else 'ag'}{number // 2:06d}"


def _employees(drawn: random.Random, now: datetime) -> Table:
    skills = ("network", "storage", "database", "desktop", "security")
    rows: list[Row] = []
    for number in range(1, EMPLOYEES + 1):
        manager = drawn.randrange(1, number) if number > 1 else None
        chosen = ",".join(skill for skill in skills if drawn.random() < 0.4)
        start = timedelta(hours=drawn.randrange(5, 22), milliseconds=drawn.randrange(1000))
        hired = now.year - drawn.randrange(20)
        rows.append((number, drawn.choice(PEOPLE), manager, hired, start, chosen))
    columns = ("employee_id", "name", "manager_id", "hired_in", "shift_start", "skills")
    return Table("agama.employees", columns, rows)


def _customers(drawn: random.Random, now: datetime) -> Table:
    rows: list[Row] = []
    for number in range(1, CUSTOMERS + 1):
        settings = {
            "language": drawn.choice(LANGUAGES),
            "contacts": [drawn.choice(PEOPLE) for _ in range(drawn.randrange(3))],
            "limits": {"tickets": drawn.randrange(100), "share": round(drawn.random(), 6)},
        }
        rows.append(
            (
                number,
                customer_code(number),
                f"{drawn.choice(COMPANIES)} {number}",
                drawn.choice(("EE", "DE", "JP", "GB")),
                drawn.choice((None, "", f"EE{drawn.randrange(10**9):09d}")),
                drawn.choice((None, "", drawn.choice(SENTENCES))),
                point(drawn.uniform(-180, 180), drawn.uniform(-85, 85)),
                drawn.choice((None, json.dumps(settings, ensure_ascii=False))),
                drawn.choice((None, drawn.randbytes(16))),
                now - timedelta(days=drawn.randrange(1500), seconds=drawn.randrange(86400)),
            )
        )
    columns = ("customer_id", "code", "name", "country", "tax_number", "note", "office",
               "settings", "import_key", "created_at")  # fmt: skip
    return Table("agama.customers", columns, rows)


def _contracts(drawn: random.Random, now: datetime) -> Table:
    rows: list[Row] = []
    for _ in range(CONTRACTS):
        starts = now.date() - timedelta(days=drawn.randrange(2000))
        ends = drawn.choice((None, starts + timedelta(days=365), date(9999, 12, 31)))
        rows.append(
            (
                uuid.UUID(int=drawn.getrandbits(128), version=4).bytes,
                drawn.randrange(1, CUSTOMERS + 1),
                drawn.choice(("bronze", "silver", "gold", "größte Sorgfalt")),
                starts,
                ends,
                Decimal(drawn.randrange(5_000, 900_000)) / 100,
                drawn.choice((Decimal(0), Decimal("0.0250"), Decimal("0.1333"))),
            )
        )
    columns = ("contract_id", "customer_id", "level", "starts_on", "ends_on", "monthly_fee",
               "discount")  # fmt: skip
    return Table("agama.contracts", columns, rows)


def _assets(drawn: random.Random, _now: datetime) -> Table:
    rows: list[Row] = []
    for number in range(1, ASSETS + 1):
        attributes = {"cores": drawn.choice((2, 4, 8, 64)), "rack": f"R{drawn.randrange(40):02d}"}
        thumbnail = drawn.randbytes(drawn.randrange(1, 600)) if number % 10 == 0 else None
        rows.append(
            (
                number,
                drawn.randrange(1, CUSTOMERS + 1),
                drawn.choice(("server", "switch", "workstation", "printer")),
                f"SN-{number:06d}/{drawn.randrange(16**6):06x}",
                hashlib.sha256(drawn.randbytes(8)).digest(),
                drawn.getrandbits(12),
                json.dumps(attributes),
                b"" if number % 500 == 1 else thumbnail,
                drawn.getrandbits(64),
            )
        )
    columns = ("asset_id", "customer_id", "kind", "serial", "firmware", "flags", "attributes",
               "thumbnail", "bytes_served")  # fmt: skip
    return Table("agama.assets", columns, rows)


def _tickets(drawn: random.Random, now: datetime) -> Table:
    rows: list[Row] = []
    for number in range(1, TICKETS + 1):
        opened = _ticket_opened(number, now)
        closed = opened + timedelta(microseconds=drawn.randrange(10**10))
        rows.append(
            (
                number,
                drawn.randrange(1, CUSTOMERS + 1),
                drawn.choice((None, drawn.randrange(1, ASSETS + 1))),
                drawn.choice((None, drawn.randrange(1, EMPLOYEES + 1))),
                drawn.choice(COMPLAINTS),
                drawn.choice(("low", "normal", "high", "urgent")),
                opened,
                closed if closed < now and number % 5 else None,
            )
        )
    columns = ("ticket_id", "customer_id", "asset_id", "employee_id", "subject", "priority",
               "opened_at", "closed_at")  # fmt: skip
    return Table("agama.tickets", columns, rows)


def _ticket_opened(number: int, now: datetime) -> datetime:
    return now - timedelta(hours=(TICKETS - number + 1) * 1.7)


def _ticket_events(drawn: random.Random, now: datetime) -> Table:
    rows: list[Row] = []
    for ticket in range(1, TICKETS + 1):
        # The trigger wrote the first event of each ticket.
        for event in range(2, 2 + drawn.randrange(4)):
            at = _ticket_opened(ticket, now) + timedelta(minutes=event * drawn.random())
            rows.append((ticket, event, at, drawn.choice(REMARKS)))
    return Table("agama.ticket_events", ("ticket_id", "number", "happened_at", "text"), rows)


def _readings(drawn: random.Random, now: datetime) -> Table:
    rows: list[Row] = []
    hour = now.replace(minute=0, second=0, microsecond=0)
    for asset in range(1, ASSETS + 1):
        region = ("north", "west", "overseas")[asset % 3]
        for ago in range(READINGS_EACH):
            celsius = drawn.choice((None, Decimal(drawn.randrange(-2000, 9000)) / 100))
            taken = hour - timedelta(hours=ago)
            rows.append((region, asset, taken, drawn.uniform(0, 900), celsius))
    columns = ("region", "asset_id", "taken_at", "watts", "celsius")
    return Table("agama.readings", columns, rows)


def _articles(drawn: random.Random, _now: datetime) -> Table:
    rows: list[Row] = []
    for number in range(1, ARTICLES + 1):
        body = "\n\n".join(drawn.choices(SENTENCES, k=drawn.randrange(1, 40)))
        rows.append((number, drawn.choice(LANGUAGES), drawn.choice(COMPLAINTS), body))
    return Table("agama.articles", ("article_id", "language", "title", "body"), rows)


def _logins(drawn: random.Random, now: datetime) -> Table:
    rows: list[Row] = []
    while len(rows) < LOGINS:
        at = (now - timedelta(minutes=len(rows))).replace(microsecond=0)
        row = (at, drawn.choice(PEOPLE), drawn.choice(("accepted", "refused")))
        # Somebody tries again within the second: rows that are equal in every column.
        rows += [row] * drawn.choice((1, 1, 1, 2, 3))
    return Table("agama.logins", ("login_at", "account", "outcome"), rows[:LOGINS])


def _canaries(_drawn: random.Random, _now: datetime) -> Table:
    columns = ("name", "text", "bytes", "number", "whole", "real8", "instant", "stamp", "span",
               "json", "shape")  # fmt: skip
    deep = {"π": 3.141592653589793, "big": 2**63, "empty": [{}, [], "", None], "😀": True}
    values: dict[str, dict[str, object]] = {
        "nothing": {},
        "empty": {"text": "", "bytes": b"", "number": 0, "whole": 0, "real8": 0.0, "json": "{}"},
        "quotes": {"text": "it's \"so\" \\ `back` \\' \\\\' %s %% ${HOME} $(id)"},
        "control characters": {"text": "NUL \0 SUB \x1a BS \b TAB \t CR \r LF \n CRLF \r\n end"},
        "statement": {"text": "'); DROP TABLE canaries; -- \n\\! true\ndelimiter $$"},
        "every byte": {"bytes": bytes(range(256))},
        "trailing": {"text": "two spaces  ", "bytes": b"\0a \0"},
        "beyond the plane": {"text": "😀 👩🏽‍🚀 𠮷 𝒜 \U0010ffff"},
        "combining": {"text": "é is not e\u0301; ｱ is not ア; שׁ; नि"},
        "largest": {
            "number": "9" * 35 + "." + "9" * 30,
            "whole": 2**64 - 1,
            "real8": 1.7976931348623157e308,
            "instant": "9999-12-31 23:59:59.999999",
            "stamp": "2038-01-19 03:14:07.999999",
            "span": "838:59:59.000000",
        },
        "smallest": {
            "number": "-" + "9" * 35 + "." + "9" * 30,
            "real8": 2.2250738585072014e-308,
            "instant": "1000-01-01 00:00:00.000000",
            "stamp": "1970-01-01 00:00:01.000000",
            "span": "-838:59:59.000000",
        },
        "exact": {"number": "0." + "0" * 29 + "1", "whole": 2**53 + 1, "real8": 0.1 + 0.2},
        # This hour came twice in most of Europe.
        "clock change": {"stamp": "2025-10-26 00:30:00", "instant": "2025-10-26 02:30:00"},
        "document": {"json": json.dumps(deep, ensure_ascii=False), "whole": 1},
        "place": {"shape": point(24.7536, 59.437)},
    }
    rows = [
        (name, *(given.get(column) for column in columns[1:])) for name, given in values.items()
    ]
    return Table("agama.canaries", columns, rows)


def _invoices(drawn: random.Random, now: datetime) -> Table:
    rows: list[Row] = []
    for number in range(1, INVOICES + 1):
        issued = now - timedelta(hours=9 * (INVOICES - number))
        paid = drawn.choice((None, issued + timedelta(seconds=drawn.randrange(10**6))))
        code = customer_code(drawn.randrange(1, CUSTOMERS + 1))
        currency = drawn.choice(("EUR", "GBP", "JPY"))
        rows.append((_invoice(number), code, issued.date(), paid, currency))
    columns = ("number", "customer_code", "issued_on", "paid_at", "currency")
    return Table("agama_billing.invoices", columns, rows)


def _invoice(number: int) -> str:
    return f"INV{number:07d}"


def _invoice_lines(drawn: random.Random, _now: datetime) -> Table:
    rows: list[Row] = []
    for invoice in range(1, INVOICES + 1):
        for position in range(1, 2 + drawn.randrange(4)):
            quantity = Decimal(drawn.randrange(1, 99_999)) / 1000
            price = Decimal(drawn.randrange(1, 10**8)) / 10_000
            text = drawn.choice(SENTENCES)
            rows.append((_invoice(invoice), position, text, quantity, price))
    columns = ("invoice", "position", "text", "quantity", "unit_price")
    return Table("agama_billing.invoice_lines", columns, rows)


def _old_rates(drawn: random.Random, _now: datetime) -> Table:
    labels = ("Anfahrt außer Haus", "Café crème 50 €", "naïve façade", "Überstunde ½", "plain")
    rows = [
        (f"R{number:03d}", drawn.choice(labels), Decimal(drawn.randrange(10**6)) / 10_000)
        for number in range(RATES)
    ]
    return Table("agama_billing.old_rates", ("code", "label", "rate"), rows)


def point(longitude: float, latitude: float) -> bytes:
    """A point in the server's own format: the number of its reference system, then WKB."""
    little_endian, wkb_point = 1, 1
    return struct.pack("<IBIdd", WGS_84, little_endian, wkb_point, longitude, latitude)


MAKERS: tuple[Callable[[random.Random, datetime], Table], ...] = (
    _employees,
    _customers,
    _contracts,
    _assets,
    _tickets,
    _ticket_events,
    _readings,
    _articles,
    _logins,
    _canaries,
    _invoices,
    _invoice_lines,
    _old_rates,
)
