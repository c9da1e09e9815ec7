"""Evidence as a run over the sample estate Agama would write it, without running anything."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from restoreproof.evidence import (
    ArtifactRecord,
    AttemptRecord,
    BackupRecord,
    CheckRecord,
    ComponentRecord,
    Environment,
    Evidence,
    ImageRecord,
    JobRecord,
    Measure,
    Objectives,
    Package,
    PhaseRecord,
    PolicyRecord,
    PromiseRecord,
    Run,
    Severity,
    Verdict,
)

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
    )


def _policy() -> PolicyRecord:
    return PolicyRecord(
        file="fixtures/agama/policy.yaml",
        sha256=digest("policy"),
        estate="Agama",
        owner="Platform team",
        objectives=Objectives(
            rpo=timedelta(hours=1), rto=timedelta(hours=4), restore_test_every=timedelta(days=31)
        ),
    )


def _environment() -> Environment:
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
        images=tuple(
            ImageRecord(
                reference=reference,
                identifier=f"sha256:{digest(reference)}",
                origin="built from Debian packages by fixtures/images",
            )
            for reference in sorted(set(IMAGES.values()))
        ),
    )


def _run() -> Run:
    return Run(
        id="20260703T090412Z-7c1e",
        started_at=STARTED,
        finished_at=STARTED + timedelta(seconds=48.7),
        command="restoreproof audit fixtures/agama/policy.yaml",
        seed=20260703,
        interrupted=False,
    )


def _backups(name: str, days: int) -> tuple[BackupRecord, ...]:
    return tuple(
        backup(
            name,
            age,
            selected=age in (0, 2),
            reason="newest recovery point"
            if age == 0
            else "drawn at random with the run's seed"
            if age == 2
            else "not in the sample",
        )
        for age in range(days)
    )


def _passing(of: BackupRecord) -> list[CheckRecord]:
    kind = of.component.partition("-")[0]
    passed = Verdict.PASSED
    checks = [
        check("VLT-001", passed, component=of.component, of=of, examined=2,
              expected="2 artifacts with the SHA-256 of the manifest", seen="2 of 2 equal"),
        check("RST-001", passed, component=of.component, of=of,
              expected="a server that answers", seen="answered after 6.5 s"),
        check("RST-002", passed, component=of.component, of=of, examined=14,
              expected="14 items as in the fingerprint", seen="14 of 14 equal"),
        check("RST-003", passed, component=of.component, of=of,
              expected="4 h or less", seen="6.5 s"),
    ]  # fmt: skip
    extra = {"mysql": "SQL-001", "influxdb": "INF-001", "ansible": "GIT-001"}[kind]
    checks.append(
        check(extra, passed, component=of.component, of=of, examined=9,
              expected="9 objects", seen="9 of 9 equal")
    )  # fmt: skip
    return checks


def _promise(
    name: str, key: str, promise: str, verdict: Verdict, checks: Sequence[str]
) -> PromiseRecord:
    return PromiseRecord(
        id=f"{name}.{key}",
        component=name,
        promise=promise,
        verdict=verdict,
        checks=tuple(checks),
        reason="" if checks else "this version does not run it yet",
    )


def _promises(name: str, rpo: Verdict) -> list[PromiseRecord]:
    return [
        _promise(name, "rpo", "At most 1 h of data is lost", rpo, ("POL-001", "RPO-001")),
        _promise(name, "rto", "Service is back within 4 h", Verdict.PASSED, ("RST-003",)),
        _promise(name, "coverage.data", "Data is backed up and can be restored",
                 Verdict.PASSED, ("VLT-001", "RST-001", "RST-002")),
        _promise(name, "coverage.configuration", "Configuration is backed up",
                 Verdict.UNPROVEN, ()),
        _promise(name, "coverage.logs", "Logs are backed up", Verdict.UNPROVEN, ()),
        _promise(name, "incremental", "Increments Tuesday to Sunday at 16:10 UTC",
                 Verdict.UNPROVEN, ()),
        _promise(name, "retention", "Backups are kept for 35 days", Verdict.UNPROVEN, ()),
    ]  # fmt: skip


def seal(evidence: Evidence, **changes: Any) -> Evidence:
    """The evidence with some members changed, under a seal that fits."""
    return evidence.model_copy(update=changes).sealed()


def agama(*, copies: int = 1, days: int = 4) -> Evidence:
    """A run over Agama that is not compliant, with checks of all verdicts.

    With more copies the estate has so many times three components; with more days each has
    more backups to choose from.
    """
    components: list[ComponentRecord] = []
    backups: list[BackupRecord] = []
    attempts: list[AttemptRecord] = []
    checks: list[CheckRecord] = []
    promises: list[PromiseRecord] = []
    for copy in range(copies):
        suffix = f"-{copy + 1}" if copy else ""
        mysql, influxdb, ansible = f"mysql{suffix}", f"influxdb{suffix}", f"ansible{suffix}"
        components += [
            component(mysql, Verdict.FAILED, "Application database of Agama"),
            component(influxdb, Verdict.FAILED, "Telegraf metrics"),
            component(ansible, Verdict.UNPROVEN, "Playbook, inventory and configuration"),
        ]
        for name in (mysql, influxdb, ansible):
            population = _backups(name, days if name != ansible else 1)
            backups += population
            for one in population:
                if one.selected and (name != influxdb or one is population[0]):
                    attempts.append(attempt(one))
                    checks += _passing(one)
        for name in (mysql, influxdb):
            checks.append(
                check("POL-001", Verdict.FAILED, component=name, expected="1 h or less",
                      seen="24 h between two recovery points by schedule, plus 12 s for the job",
                      remedy="run the increments every 45 minutes, or promise an RPO of 25 h")
            )  # fmt: skip
            checks.append(
                check("RPO-001", Verdict.FAILED, component=name, expected="1 h or less",
                      seen="16 h 54 min", remedy="run a backup now, then mend the schedule")
            )  # fmt: skip
            promises += _promises(name, Verdict.FAILED)
        older = next(one for one in backups if one.component == influxdb and one.selected)
        broken = next(
            one for one in backups if one.component == influxdb and one.id != older.id
        ) if days > 1 else older  # fmt: skip
        attempts.append(
            attempt(broken, failure="influxd: restore: DB metadata not changed, database may"
                    " already exist\nrc 1 after 1.2 s")
        )  # fmt: skip
        checks += [
            check("RST-001", Verdict.FAILED, component=influxdb, of=broken,
                  expected="a server that answers",
                  seen="influxd: restore: DB metadata not changed, database may already exist",
                  remedy="take a new full backup, and read the attempt's log in the archive"),
            check("RST-002", Verdict.UNPROVEN, component=influxdb, of=broken, examined=0,
                  expected="14 items as in the fingerprint", seen="nothing to compare",
                  reason="the restore did not complete"),
            check("INF-001", Verdict.ERROR, component=influxdb, of=broken, examined=0,
                  expected="2 continuous queries", seen="the sandbox was killed: out of memory",
                  reason="the engine had trouble of its own",
                  remedy="give the sandbox more memory: limits.memory in the policy"),
            check("RPO-001", Verdict.PASSED, component=ansible,
                  expected="1 h or less", seen="8 s"),
            check("POL-001", Verdict.UNPROVEN, component=ansible, examined=0,
                  expected="a schedule", seen="the job runs by hand",
                  reason="the policy names no schedule for this component"),
        ]  # fmt: skip
        promises += _promises(ansible, Verdict.UNPROVEN)
    promises.append(
        PromiseRecord(
            id="restore-test",
            component=None,
            promise="A restore is tested at least every 31 days",
            verdict=Verdict.UNPROVEN,
            checks=(),
            reason="there is no earlier run to compare with",
        )
    )
    return Evidence(
        run=_run(),
        policy=_policy(),
        verdict=Verdict.FAILED,
        verdict_reason="the schedule allows 24 h between recovery points of mysql and influxdb,"
        " and the policy promises at most 1 h",
        components=tuple(components),
        promises=tuple(promises),
        checks=tuple(checks),
        jobs=tuple(
            JobRecord(
                component=one.name,
                kind="full",
                started_at=STARTED + timedelta(seconds=1),
                duration=timedelta(seconds=7.25),
                succeeded=True,
                backup=next(b.id for b in backups if b.component == one.name),
            )
            for one in components
        ),
        backups=tuple(backups),
        attempts=tuple(attempts),
        exclusions=(
            "Incremental backups: not executed by this version",
            "Configuration and logs of the servers: not executed by this version",
            "Monitoring and web servers of the estate: no component of the policy",
        ),
        environment=_environment(),
    ).sealed()


def compliant() -> Evidence:
    """A run over one component in which nothing is left to be desired."""
    population = _backups("mysql", 4)
    chosen = [one for one in population if one.selected]
    return Evidence(
        run=_run(),
        policy=_policy(),
        verdict=Verdict.PASSED,
        verdict_reason="every promise of the policy was proven",
        components=(component("mysql", Verdict.PASSED, "Application database of Agama"),),
        promises=tuple(p for p in _promises("mysql", Verdict.PASSED) if p.checks),
        checks=tuple(check for one in chosen for check in _passing(one)),
        jobs=(),
        backups=population,
        attempts=tuple(attempt(one) for one in chosen),
        exclusions=(),
        environment=_environment(),
    ).sealed()
