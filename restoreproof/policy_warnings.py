"""What a policy leaves to be desired without contradicting itself."""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from restoreproof.contradictions import Planned
from restoreproof.engines.contract import STREAMED
from restoreproof.errors import SecretMissing
from restoreproof.evidence_warnings import WarningRecord
from restoreproof.policy import Policy
from restoreproof.redaction import redact
from restoreproof.references import expand

ADDRESSES = ("host", "url", "repository")
"""Under which key a source says where it is."""
HERE = "this machine"


@dataclass(frozen=True)
class PolicyWarning:
    """Something to look at. ``about`` is a component, or empty for the estate."""

    about: str
    what: str
    mend: str


def estate_warnings(policy: Policy, now: datetime) -> Iterator[PolicyWarning]:
    """Warnings about the policy as a whole."""
    vault = policy.vault
    if not vault.off_site_copy:
        yield PolicyWarning(
            "", "no copy of the vault off the site", "say in vault.off_site_copy where one lies"
        )
    if not vault.encryption:
        yield PolicyWarning("", "nothing encrypts the vault", "say in vault.encryption what does")
    if not policy.owner:
        yield PolicyWarning("", "nobody answers for the policy", "name somebody in owner")
    if policy.next_review is None:
        yield PolicyWarning(
            "", "no date at which the policy is reviewed", "give one in next_review"
        )
    elif policy.next_review < now.date():
        what = f"the policy was to be reviewed by {policy.next_review}"
        yield PolicyWarning("", what, "review it, and give the next date in next_review")


def component_warnings(planned: Planned, policy: Policy) -> Iterator[PolicyWarning]:
    """Warnings about one component."""
    name, component, engine = planned.name, planned.component, planned.engine
    schedule = component.schedule
    if schedule is None:
        covered = ", ".join(component.coverage)
        what = f"{covered} promised without a job: nothing says when {name} is backed up"
        yield PolicyWarning(name, what, "add a schedule")
    for kind in component.coverage:
        if gap := engine.gap(component.source, kind):
            yield PolicyWarning(name, f"{kind} promised without a job", gap)
    if schedule and schedule.incremental and "incremental" not in engine.kinds:
        what = f"increments promised, and the {engine.name} engine makes full backups instead"
        yield PolicyWarning(name, what, "make sure that there is room for them")
    if schedule and schedule.continuous and STREAMED not in engine.kinds:
        what = f"changes promised as they happen, and the {engine.name} engine stores none"
        yield PolicyWarning(name, what, "back up as often as the RPO asks for")
    source, host = source_host(planned), policy.vault.host or HERE
    if source == host and "://" not in policy.vault.location:
        what = f"backups lie on the host of their source: {host}"
        yield PolicyWarning(
            name, what, "keep the vault elsewhere, and say in vault.host on which host"
        )


def warning_records(
    policy: Policy, planned: Iterable[Planned], now: datetime
) -> Iterator[WarningRecord]:
    """All warnings about a policy, for the evidence."""
    of_components = (one for each in planned for one in component_warnings(each, policy))
    for found in (*estate_warnings(policy, now), *of_components):
        yield WarningRecord(
            component=found.about or None, what=redact(found.what), mend=redact(found.mend)
        )


def source_host(planned: Planned) -> str:
    """The host that a source is on; empty if the policy does not tell."""
    source = planned.component.source
    try:
        addresses = (str(getattr(source, key)) for key in ADDRESSES if hasattr(source, key))
        address = expand(next(addresses, ""), where=planned.name)
    except SecretMissing:
        return ""
    if not address:
        return ""
    if "://" in address:
        host = urlsplit(address).hostname or HERE
    elif hasattr(source, "repository"):
        # Git takes what stands before a colon and any slash for a host.
        before, colon, _ = address.partition(":")
        host = before.rpartition("@")[2] if colon and "/" not in before else HERE
    else:
        host = address
    return HERE if _is_loopback(host) else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", HERE}
