"""``restoreproof policy explain``: what a policy promises in plain words, and its worst cases."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import nsmallest
from zoneinfo import ZoneInfo

from restoreproof.contradictions import Planned, rulings
from restoreproof.policy import Policy
from restoreproof.policy_check import PolicyCheck
from restoreproof.promises import promises
from restoreproof.week import week_of
from restoreproof.wording import duration
from restoreproof.worst_case import Run

SHOWN = 10


def explain(checked: PolicyCheck, now: datetime) -> Iterator[str]:
    """Every line of the explanation."""
    policy = checked.document.policy
    objectives = policy.objectives
    yield f"{policy.estate}{f': {policy.description}' if policy.description else ''}"
    yield f"No more than {duration(objectives.rpo)} of changes may be lost (RPO)."
    yield f"The service is back within {duration(objectives.rto)} (RTO)."
    yield f"A restore is tested at least every {duration(objectives.restore_test_every)}."
    for planned in checked.planned:
        yield ""
        yield from _component(planned, policy, now)
    yield ""
    yield from _next_runs(checked, now)


def _component(planned: Planned, policy: Policy, now: datetime) -> Iterator[str]:
    component = planned.component
    described = f": {component.description}" if component.description else ""
    yield f"{planned.name} ({component.engine}){described}"
    for promise in promises(planned.name, component, policy, planned.engine):
        yield f"  promises  {promise.text}"
    for ruling in rulings(planned):
        yield f"  {'holds   ' if ruling.holds else 'BROKEN  '}  {ruling.rule} {ruling.seen}"
        if not ruling.holds:
            yield f"            to do: {ruling.mend}"
    yield from _worst_case(planned)
    week = week_of(planned, now)
    for line in week.picture() if week else ():
        yield f"  {line}"


def _worst_case(planned: Planned) -> Iterator[str]:
    plan = planned.plan
    if plan is None:
        yield "  at worst  nobody can say: there is no schedule"
        return
    if planned.streams:
        yield "  at worst  what the stream had not stored yet, a few seconds while it runs"
        return
    worst, zone = plan.loss, plan.schedule.time_zone
    end, point = _local(worst.next.end, zone), _local(worst.of.at, zone)
    yield f"  at worst  {duration(worst.amount)} are lost: until {end}, when the"
    yield f"            {worst.next.kind} backup is stored, the newest there is of {point}"


def _next_runs(checked: PolicyCheck, now: datetime) -> Iterator[str]:
    due: list[tuple[datetime, str, Run, str]] = []
    for planned in checked.planned:
        if plan := planned.plan:
            later = [run for run in plan.runs if run.at > now]
            due += [(r.at, planned.name, r, plan.schedule.time_zone) for r in later[:SHOWN]]
    yield f"Next {SHOWN} runs"
    for at, name, run, zone in nsmallest(SHOWN, due, key=lambda one: one[:2]):
        away = duration(timedelta(minutes=max(round((at - now) / timedelta(minutes=1)), 1)))
        local = f" ({_local(at, zone)})" if zone != "UTC" else ""
        yield f"  {at:%a %Y-%m-%d %H:%M} UTC  {name}, {run.kind}, in {away}{local}"
    if not due:
        yield "  none: no component has a schedule"


def _local(instant: datetime, zone: str) -> str:
    return f"{instant.astimezone(ZoneInfo(zone)):%a %d %b %H:%M} {zone}"
