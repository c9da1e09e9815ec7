"""Single records of evidence, as a run over the sample estate Agama would write them."""

import hashlib
from datetime import UTC, datetime, timedelta

from restoreproof.evidence import (
    ArtifactRecord,
    AttemptRecord,
    BackupRecord,
    CheckRecord,
    ComponentRecord,
    Measure,
    PhaseRecord,
    Run,
)
from restoreproof.evidence_circumstances import (
    Environment,
    ImageRecord,
    Objectives,
    Package,
    PolicyRecord,
)
from restoreproof.evidence_week import PlannedRecord, SpanRecord, WeekRecord
from restoreproof.verdicts import Severity, Verdict

STARTED = datetime(2026, 7, 3, 9, 4, 12, 418_000, tzinfo=UTC)
NEWEST = {
    "mysql": datetime(2026, 7, 2, 16, 10, 3, 118_000, tzinfo=UTC),
    "influxdb": datetime(2026, 7, 2, 16, 10, 1, 904_000, tzinfo=UTC),
    "ansible": datetime(2026, 7, 3, 9, 4, 20, 55_000, tzinfo=UTC),
}
SIZES = {"mysql": 48_211_904, "influxdb": 9_120_441, "ansible": 71_233}
VERSIONS = {"mysql": "MySQL 9.7.0", "influxdb": "InfluxDB 1.6.7", "ansible": "git 2.39.5"}
IMAGES = {
    "mysql": "restoreproof/mysql:9.7",
    "influxdb": "restoreproof/influxdb:1.6",
    "ansible": "restoreproof/mysql:9.7",
}
PHASES = {
    "mysql": (0.031, 0.412, 0.873, 1.14, 3.902, 0.118, 1.667),
    "influxdb": (0.019, 0.133, 0.204, 0.78, 1.214, 0.095, 0.702),
    "ansible": (0.004, 0.021, 0.017, 0.0, 0.241, 0.013, 0.388),
}
PHASE_NAMES = (
    "find chain",
    "fetch artifacts",
    "check and unpack",
    "start server",
    "load full backup",
    "answer a query",
    "verify content",
)

# id, title, description, severity, promises that it gives evidence for
CATALOGUE = {
    "POL-001": (
        "The schedule can keep the recovery point objective",
        (
            "The longest time between two recovery points that the schedule allows, plus the time"
            " a job takes, must not exceed the RPO. Otherwise the promise cannot be kept, whatever"
            " the backups are like."
        ),
        Severity.CRITICAL,
        ("rpo",),
    ),
    "VLT-001": (
        "Every artifact is what was stored",
        (
            "The SHA-256 of each stored file is computed again and compared with the manifest"
            " before anything is restored from it."
        ),
        Severity.CRITICAL,
        ("integrity",),
    ),
    "RST-001": (
        "The backup can be restored",
        (
            "The recovery point is restored into a throwaway server of the source's version, with"
            " no network. The server must start and answer an application query."
        ),
        Severity.CRITICAL,
        ("restore",),
    ),
    "RST-002": (
        "What came back is what was backed up",
        (
            "Row counts alone miss silent corruption, so a strong digest of every table, series or"
            " reference is compared with the fingerprint taken in the backup's own instant."
        ),
        Severity.CRITICAL,
        ("restore", "integrity"),
    ),
    "RST-003": (
        "The restore fits the recovery time objective",
        (
            "The time from the decision to restore until the restored service answers is compared"
            " with the RTO. Verification is timed apart."
        ),
        Severity.HIGH,
        ("rto",),
    ),
    "RPO-001": (
        "The newest recovery point is young enough",
        "The age of the newest recovery point at the start of the run must not exceed the RPO.",
        Severity.HIGH,
        ("rpo",),
    ),
    "SQL-001": (
        "Views, routines, triggers and events came back",
        "SHOW CREATE of every schema object is compared with the one of the source.",
        Severity.HIGH,
        ("restore",),
    ),
    "INF-001": (
        "Retention policies and continuous queries came back",
        (
            "A portable backup of InfluxDB 1.x leaves continuous queries and users out; they are"
            " compared with those that were backed up apart."
        ),
        Severity.MEDIUM,
        ("restore",),
    ),
    "GIT-001": (
        "The repository is complete and any version can be viewed",
        (
            "git fsck finds nothing, every reference equals the source's, and old versions drawn"
            " at random are checked out."
        ),
        Severity.HIGH,
        ("restore",),
    ),
}


def digest(label: str) -> str:
    """A SHA-256 that looks like one and is always the same for the same label."""
    return hashlib.sha256(label.encode()).hexdigest()


def backup(name: str, age_days: int, *, selected: bool, reason: str) -> BackupRecord:
    """One full backup of a component, so many days before its newest one."""
    kind = name.partition("-")[0]
    point = NEWEST[kind] - timedelta(days=age_days)
    suffix = {"mysql": "sql.zst", "influxdb": "tar.zst", "ansible": "bundle.zst"}[kind]
    content = SIZES[kind] - 1_311 * age_days
    return BackupRecord(
        id=f"{point:%Y%m%dT%H%M%SZ}-{name}-full",
        component=name,
        kind="full",
        base="",
        recovery_point=point,
        started_at=point - timedelta(seconds=2.4),
        finished_at=point + timedelta(seconds=9.6),
        source_version=VERSIONS[kind],
        artifacts=(
            ArtifactRecord(
                name=f"{name}.{suffix}",
                sha256=digest(f"{name}{age_days}"),
                stored_bytes=content // 4,
                content_bytes=content,
            ),
            ArtifactRecord(
                name="fingerprint.json",
                sha256=digest(f"fingerprint{name}{age_days}"),
                stored_bytes=2_418,
                content_bytes=2_418,
            ),
        ),
        fingerprint_items=14,
        fingerprint_sha256=digest(f"items{name}{age_days}"),
        selected=selected,
        selection_reason=reason,
    )


def attempt(of: BackupRecord, *, failure: str = "") -> AttemptRecord:
    """A restore of a backup; with a failure it ended while the full backup was loaded."""
    kind = of.component.partition("-")[0]
    phases = []
    clock = 0.0
    for name, seconds in zip(PHASE_NAMES, PHASES[kind], strict=True):
        phases.append(
            PhaseRecord(
                name=name,
                started_after=timedelta(seconds=clock),
                duration=timedelta(seconds=seconds),
                counts_towards_rto=name != "verify content",
            )
        )
        clock += seconds
        if failure and name == "load full backup":
            break
    recovery = sum(
        (phase.duration for phase in phases if phase.counts_towards_rto), start=timedelta()
    )
    return AttemptRecord(
        component=of.component,
        backup=of.id,
        decided_at=STARTED + timedelta(seconds=11),
        succeeded=not failure,
        failed_in="load full backup" if failure else "",
        failure=failure,
        recovery_duration=recovery,
        phases=tuple(phases),
        server_version=of.source_version,
        image=IMAGES[kind],
        image_identifier=f"sha256:{digest(IMAGES[kind])}",
        isolation="no network at all; the server is reached by a Unix socket",
        limits="2 CPUs, 1 GiB of memory, 256 processes",
    )


def check(
    identifier: str,
    verdict: Verdict,
    *,
    component: str | None,
    of: BackupRecord | None = None,
    expected: str = "",
    seen: str = "",
    remedy: str = "",
    reason: str = "",
    examined: int = 1,
) -> CheckRecord:
    """The answer of one check of the catalogue."""
    title, description, severity, proves = CATALOGUE[identifier]
    return CheckRecord(
        id=identifier,
        title=title,
        description=description,
        severity=severity,
        component=component,
        backup=of.id if of else None,
        verdict=verdict,
        examined=examined,
        expected=expected,
        seen=seen,
        remedy=remedy,
        reason=reason,
        proves=proves,
        duration=timedelta(seconds=0.012 * (examined + 1)),
    )


def week(*, hourly: bool) -> WeekRecord:
    """The week of the run, with jobs at 16:10, or at ten past each hour."""
    monday = datetime(2026, 6, 29, tzinfo=UTC)
    end = monday + timedelta(days=7)
    step = timedelta(hours=1) if hourly else timedelta(days=1)
    first = monday + timedelta(hours=0 if hourly else 16, minutes=10)
    due = [first + number * step for number in range(timedelta(days=7) // step)]
    spans = [SpanRecord(begin=max(at - step + timedelta(hours=1), monday), end=at) for at in due]
    return WeekRecord(
        begin=monday,
        end=end,
        time_zone="UTC",
        continuous=False,
        planned=tuple(
            PlannedRecord(at=at, kind="full" if at == first else "incremental", jobs=1)
            for at in due
        ),
        exposed=() if hourly else (*spans, SpanRecord(begin=due[-1] + timedelta(hours=1), end=end)),
    )


def component(name: str, verdict: Verdict, description: str) -> ComponentRecord:
    """The result of one component whose jobs run daily at 16:10 UTC."""
    kind = name.partition("-")[0]
    recovery = timedelta(seconds=sum(PHASES[kind][:-1]))
    hourly = verdict is Verdict.PASSED
    promised = timedelta(minutes=15, seconds=6) if hourly else timedelta(hours=24, seconds=12)
    return ComponentRecord(
        name=name,
        engine=kind,
        description=description,
        verdict=verdict,
        method="Number and digest of everything, taken in the backup's own instant",
        schedule=("full: */15 * * * * UTC",)
        if hourly
        else ("full: 10 16 * * 1 UTC", "incremental: 10 16 * * 2-7 UTC"),
        rpo_promised=Measure(
            value=promised, basis="longest gap that the schedule allows, plus the job's duration"
        ),
        rpo_kept=Measure(
            value=STARTED - NEWEST[kind]
            if not hourly and kind != "ansible"
            else timedelta(minutes=14, seconds=51),
            basis="longest gap in the catalog over the last 31 days, age of the newest included",
        ),
        rpo_measured=Measure(
            value=None, basis="no heartbeat was written while the source was alive"
        ),
        rto_measured=Measure(
            value=recovery, basis="slowest of the restores of this run, data of 48.2 MB"
        ),
        week=week(hourly=hourly),
    )


def policy() -> PolicyRecord:
    return PolicyRecord(
        file="fixtures/agama/policy.yaml",
        sha256=digest("policy"),
        estate="Agama",
        owner="Platform team",
        objectives=Objectives(
            rpo=timedelta(hours=1), rto=timedelta(hours=4), restore_test_every=timedelta(days=31)
        ),
    )


def environment() -> Environment:
    packages = (
        ("cryptography", "50.0.2"),
        ("docker", "7.1.0"),
        ("pyhanko", "0.38.0"),
        ("pydantic", "2.14.3"),
        ("pytest", "9.2.0"),
        ("testcontainers", "4.15.0"),
        ("weasyprint", "70.0"),
    )
    return Environment(
        restoreproof_version="0.1.0",
        source_commit=digest("commit")[:40],
        suites_sha256=digest("suites"),
        python_version="3.11.2",
        platform="Linux-6.1.0-x86_64-with-glibc2.36",
        docker_engine="20.10.24+dfsg1 (API 1.41), overlay2",
        clock="system clock, UTC; no proof of synchronisation",
        packages=tuple(Package(name=name, version=version) for name, version in packages),
        servers_left=0,
        images=tuple(
            ImageRecord(
                reference=reference,
                identifier=f"sha256:{digest(reference)}",
                origin="built from Debian packages by fixtures/images",
            )
            for reference in sorted(set(IMAGES.values()))
        ),
    )


def run() -> Run:
    return Run(
        id="20260703T090412Z-7c1e",
        started_at=STARTED,
        finished_at=STARTED + timedelta(seconds=48.7),
        command="restoreproof audit fixtures/agama/policy.yaml",
        seed=20260703,
        interrupted=False,
    )
