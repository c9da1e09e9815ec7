"""Evidence as a run over the sample estate Agama would write it, without running anything."""

import io
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pypdf import PdfReader
from sample_records import STARTED, attempt, backup, check, component, environment, policy, run

from restoreproof.evidence import (
    AttemptRecord,
    BackupRecord,
    CheckRecord,
    ComponentRecord,
    Evidence,
    JobRecord,
    PromiseRecord,
)
from restoreproof.verdicts import Verdict


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
        run=run(),
        policy=policy(),
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
        environment=environment(),
    ).sealed()


def large(*, components: int = 50, checks: int = 1_000, findings: int = 0) -> Evidence:
    """A run over many components with two backups each; so many of its checks failed."""
    names = [f"mysql-{number:02}" for number in range(1, components + 1)]
    population = {name: _backups(name, 3)[::2] for name in names}
    kinds = ("VLT-001", "RST-001", "RST-002", "RST-003", "SQL-001")
    found = []
    for number in range(checks):
        name = names[number % components]
        turn = number // components
        failed = number < findings
        found.append(
            check(
                kinds[turn % len(kinds)],
                Verdict.FAILED if failed else Verdict.PASSED,
                component=name,
                of=population[name][turn // len(kinds) % 2],
                examined=14 + turn,
                expected=f"{14 + turn} items as in the fingerprint",
                seen=f"{7 if failed else 14 + turn} of {14 + turn} equal",
                remedy="take a new full backup, and look for what damaged this one"
                if failed
                else "",
            )
        )
    broken = {one.component for one in found if one.verdict is Verdict.FAILED}
    return Evidence(
        run=run(),
        policy=policy(),
        verdict=Verdict.FAILED if findings else Verdict.PASSED,
        verdict_reason=f"{findings} checks failed" if findings else "every promise was proven",
        components=tuple(
            component(
                name, Verdict.FAILED if name in broken else Verdict.PASSED, "One of many databases"
            )
            for name in names
        ),
        promises=tuple(
            one
            for name in names
            for one in _promises(name, Verdict.FAILED if name in broken else Verdict.PASSED)
        ),
        checks=tuple(found),
        jobs=(),
        backups=tuple(one for name in names for one in population[name]),
        attempts=tuple(attempt(one) for name in names for one in population[name]),
        exclusions=tuple(f"{name}: the policy promises no retention" for name in names),
        environment=environment(),
    ).sealed()


def compliant() -> Evidence:
    """A run over one component in which nothing is left to be desired."""
    population = _backups("mysql", 4)
    chosen = [one for one in population if one.selected]
    return Evidence(
        run=run(),
        policy=policy(),
        verdict=Verdict.PASSED,
        verdict_reason="every promise of the policy was proven",
        components=(component("mysql", Verdict.PASSED, "Application database of Agama"),),
        promises=tuple(p for p in _promises("mysql", Verdict.PASSED) if p.checks),
        checks=tuple(check for one in chosen for check in _passing(one)),
        jobs=(),
        backups=population,
        attempts=tuple(attempt(one) for one in chosen),
        exclusions=(),
        environment=environment(),
    ).sealed()


def text_of(content: bytes) -> str:
    """The words of a PDF, with every run of white space folded."""
    pages = PdfReader(io.BytesIO(content)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())
