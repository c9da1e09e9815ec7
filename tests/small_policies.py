"""Small policies, each with one contradiction or with none, and how long their jobs take."""

from dataclasses import dataclass, field
from datetime import timedelta

DAILY, WEEKLY, HOURLY = "0 3 * * *", "0 3 * * 0", "0 * * * *"
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Small:
    """One policy of one component. ``schedule`` and ``retention`` are written as YAML flow."""

    rule: str
    schedule: str
    rpo: str = "25h"
    retention: str = ""
    more: str = ""
    engine: str = "mysql"
    full: float = 0
    incremental: int = 0
    objective: str = "31d"
    durations: dict[str, timedelta] = field(init=False)

    def __post_init__(self) -> None:
        known = {"full": self.full * MINUTE, "incremental": self.incremental * MINUTE}
        object.__setattr__(self, "durations", {kind: took for kind, took in known.items() if took})

    @property
    def text(self) -> str:
        """The policy as YAML."""
        source = {
            "mysql": "{host: db.example, user: backup, password: 'file:x'}",
            "influxdb": "{url: 'http://metrics.example:8086', backup: 'metrics.example:8088'}",
            "git": "{repository: 'ssh://git.example/playbooks'}",
        }[self.engine]
        lines = [
            "estate: Small",
            f"objectives: {{rpo: {self.rpo}, rto: 4h, restore_test_every: {self.objective}}}",
            "vault: {location: vault}",
            self.more,
            "components:",
            "  it:",
            f"    engine: {self.engine}",
            "    image: it:1",
            f"    source: {source}",
            "    coverage: [data]",
            f"    schedule: {{{self.schedule}}}" if self.schedule else "",
            f"    retention: {{{self.retention}}}" if self.retention else "",
        ]
        return "\n".join(line for line in lines if line)


def _chain(full: str, incremental: str, zone: str = "UTC") -> str:
    return f"full: {full}, incremental: {incremental}, time_zone: {zone}"


CONTRADICTIONS = {
    "daily against an hour": Small("RPO-001", f"full: {DAILY}", "1h"),
    "Sundays against twelve hours": Small("RPO-001", f"full: {WEEKLY}", "12h"),
    "no backup at weekends": Small("RPO-001", "full: 0 3 * * 1-5", "30h"),
    "monthly against thirty days": Small("RPO-001", "full: 0 3 1 * *", "30d"),
    "a day of 25 hours": Small("RPO-001", f"full: {DAILY}, time_zone: Europe/Paris", "24h30m"),
    "hourly with a job of three minutes": Small("RPO-001", f"full: {HOURLY}", "1h", full=3),
    "every 55 minutes": Small("RPO-001", "full: '*/55 * * * *'", "50m"),
    "twice at night": Small("RPO-001", "full: [0 2 * * *, 0 4 * * *]", "20h"),
    "increments in the daytime": Small("RPO-001", _chain(WEEKLY, "0 8-18 * * *"), "8h"),
    "a stream that the engine lacks": Small(
        "RPO-001", f"full: {HOURLY}, continuous: true", "30m", engine="git"
    ),
    "not on the 31st": Small("RPO-001", "full: 0 3 1-30 * *", "47h"),
    "a long full backup": Small(
        "RPO-001", _chain(WEEKLY, HOURLY), "90m", full=50, incremental=1
    ),
    "jobs longer than the objective": Small("RPO-001", f"full: {DAILY}", "24h", full=1),
    "a full backup over the next increments": Small(
        "POL-001", _chain(WEEKLY, HOURLY), "4h", full=75, incremental=1
    ),
    "every five minutes with jobs of six": Small("POL-001", "full: '*/5 * * * *'", "1h", full=6),
    "an hour that the clocks skip": Small(
        "POL-001", "full: [30 1 * * *, 30 3 * * *], time_zone: Europe/Paris", "25h", full=90
    ),
    "a minute apart": Small(
        "POL-001", _chain(WEEKLY, "1 3 * * *"), "26h", full=2, incremental=1
    ),
    "full backups on leap days": Small("POL-002", _chain("0 3 29 2 *", DAILY)),
    "full backups on fifth Mondays of February": Small(
        "POL-002", _chain("'0 3 * 2 MON#5'", DAILY)
    ),
    "a chain of a week kept for a day": Small(
        "POL-003", _chain(WEEKLY, DAILY), retention="days: 1"
    ),
    "a week and the job after it": Small("POL-003", _chain(WEEKLY, DAILY), retention="days: 7",
        full=3, incremental=1),
    "the newest three of a chain of seven": Small(
        "POL-003", _chain(WEEKLY, DAILY), retention="count: 3"
    ),
    "a month of 31 days": Small("POL-003", _chain("0 3 1 * *", DAILY), retention="days: 30"),
    "nothing while the job runs": Small("POL-003", f"full: {DAILY}", retention="days: 1", full=5),
    "a week of 169 hours": Small("POL-003", _chain(WEEKLY, DAILY, "Europe/Paris"), "26h",
        retention="days: 7"),
    "for thirty days and for good": Small(
        "POL-004", f"full: {DAILY}", retention="days: 30, until: deleted-by-hand"
    ),
    "neither days nor number keep a chain": Small(
        "POL-003", _chain(WEEKLY, DAILY), retention="days: 2, count: 3"
    ),
    "audits every other month": Small("POL-005", f"full: {DAILY}",
        more="audit: {schedule: 0 4 1 */2 *}"),
    "audits every quarter": Small("POL-005", f"full: {DAILY}",
        more="audit: {schedule: '0 4 1 1,4,7,10 *'}", objective="90d"),
    "logs that the document promises": Small("POL-006", f"full: {DAILY}",
        more="promised_coverage: {it: [data, logs]}"),
    "a web server that nobody backs up": Small("POL-006", f"full: {DAILY}",
        more="promised_coverage: {it: [data], web: [configuration]}"),
}  # fmt: skip

SOUND = {
    "a stream and weekly full backups": Small("", f"full: {WEEKLY}, continuous: true", "1m"),
    "daily against 25 hours": Small("", f"full: {DAILY}", "25h", full=60),
    "daily in Paris against 25 hours": Small("", f"full: {DAILY}, time_zone: Europe/Paris"),
    "hourly with room for the job": Small("", f"full: {HOURLY}", "63m", full=3),
    "jobs that end when the next begins": Small("", f"full: {HOURLY}", "2h", full=60),
    "thirty versions in thirty days": Small("", f"full: {DAILY}", retention="days: 30, count: 30"),
    "thirty versions in thirty days of Paris": Small(
        "", f"full: {DAILY}, time_zone: Europe/Paris", retention="days: 30, count: 30"
    ),
    "seven versions at least, and thirty days": Small(
        "", f"full: {DAILY}", retention="days: 30, count: 7"
    ),
    "a day of versions in two": Small("", f"full: {HOURLY}", retention="days: 2, count: 24"),
    "few days, and a number that keeps a chain": Small(
        "", _chain(WEEKLY, DAILY), retention="days: 2, count: 7"
    ),
    "a small number, and days that keep a chain": Small(
        "", _chain(WEEKLY, DAILY), retention="days: 8, count: 2"
    ),
    "ten years of weeks": Small("", f"full: {WEEKLY}", "8d", retention="days: 3650, count: 522"),
    "a chain of a week kept for eight days": Small(
        "", _chain(WEEKLY, DAILY), retention="days: 8", full=30, incremental=5
    ),
    "a whole chain by number": Small("", _chain(WEEKLY, DAILY), retention="count: 7"),
    "kept until deleted by hand": Small(
        "", _chain(WEEKLY, DAILY), retention="until: deleted-by-hand"
    ),
    "full backups once a year": Small("", _chain("0 3 1 1 *", DAILY), retention="days: 400"),
    "audits every month": Small("", f"full: {DAILY}", more="audit: {schedule: 0 4 1 * *}"),
    "all that the document promises": Small(
        "", f"full: {DAILY}", more="promised_coverage: {it: [data]}"
    ),
    "no schedule": Small("", "", "1h", retention="days: 1"),
    "full backups of a repository": Small("", f"full: {DAILY}", engine="git", retention="count: 1"),
}
