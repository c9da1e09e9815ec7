"""``restoreproof demo``: a week of the sample estate, from nothing to a signed report.

1. The estate starts in the past, and simulated time is put forward from job to job while its
   application works: rows, commits, points, logs and catalog carry the week's dates.
2. The last jobs are the audit's own; after them the estate works on, and fails.
3. Restores, checks and signature take place here and now, and are dated so.
"""

import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from restoreproof import plugin, signing
from restoreproof.archive import new_run_id
from restoreproof.audit import AuditOptions
from restoreproof.clock import system_clock
from restoreproof.component_audit import ComponentAudit
from restoreproof.demo.estate import estate
from restoreproof.demo.simulated_clock import SimulatedClock
from restoreproof.demo.week import Jobs, Play, agama_week, mended_evening
from restoreproof.estate import (
    find_images,
    open_components,
    open_vault,
    probe,
    run_job,
    streaming,
)
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.resources import folder
from restoreproof.sandbox import Sandboxes
from restoreproof.storage import write_once
from restoreproof.wording import instant

IDENTITY = "demo-identity"
VAULTS = "demo-vaults"


def play(archive: Path, progress: Progress, *, mended: bool = False) -> None:
    """Play a week of the estate, its failure and its audit. Raise RestoreProofError."""
    planned = (mended_evening if mended else agama_week)(system_clock())
    policy = folder("fixtures") / "agama" / planned.policy
    archive = archive.resolve()
    identity = demo_identity(archive / IDENTITY, progress)
    vault = archive / VAULTS / new_run_id(system_clock())
    sandboxes = Sandboxes(vault.name)
    clock = SimulatedClock(planned.begin)
    with ExitStack() as stack:
        images = find_images(read_policy(policy), (), progress)
        agama = stack.enter_context(
            estate(
                mysql_image=images["mysql"],
                influxdb_image=images["influxdb"],
                labels=sandboxes.labels("estate"),
                folder=stack.enter_context(sandboxes.folder()),
                clock=clock,
                progress=progress,
            )
        )
        os.environ.update({**agama.environment, **identity, "AGAMA_VAULT": str(vault)})
        document = read_policy(policy)
        components = open_components(document, (), sandboxes, clock, progress)
        probe(components)
        open_vault(document).prepare()
        working = stack.enter_context(ExitStack())
        for number, jobs in enumerate(planned.jobs):
            progress(f"the application works until {instant(jobs.at)}, in simulated time")
            agama.pass_time(jobs.at)
            with agama.workload():
                _run(jobs, components, document, progress)
            if mended and not number:
                working.enter_context(streaming(policy, (), progress, clock))
        progress(f"the application works until {instant(planned.last_jobs_at)}")
        agama.pass_time(planned.last_jobs_at)
        at_work = working.enter_context(ExitStack())
        at_work.enter_context(agama.workload())

        def until_disaster() -> None:
            progress(f"the application works until {instant(planned.fails_at)}")
            agama.pass_time(planned.fails_at)

        def disaster() -> None:
            progress("failure of the estate: from here on there is nothing but the vault")
            working.close()

        options = AuditOptions(
            policy=policy,
            archive=archive,
            command=f"restoreproof demo{' --mended' if mended else ''}",
            until_disaster=until_disaster,
            disaster=disaster,
            clock=clock,
            simulated=told(planned),
        )
        plugin.run_audit(options, progress, ())
    launcher = os.environ.get("RESTOREPROOF_LAUNCHER", "restoreproof")
    progress.plain(
        f"Again    AGAMA_VAULT={vault} {launcher} audit {policy} --no-backup"
        "  (damage a file in that vault first, and see what it says)"
    )


def _run(
    jobs: Jobs, components: Sequence[ComponentAudit], document: PolicyDocument, progress: Progress
) -> None:
    """Run jobs side by side, since each waits for a server of its own most of the time."""
    vault, estate_name = open_vault(document), document.policy.estate
    with ThreadPoolExecutor(thread_name_prefix="jobs") as pool:
        results = [
            pool.submit(run_job, audited, vault, estate_name, progress)
            for audited in components
            if not jobs.components or audited.name in jobs.components
        ]
    for result in results:
        result.result().require_answer()


def told(planned: Play) -> str:
    """What of the play is simulated, for whoever reads its report."""
    return (
        f"A demonstration. The estate's time from {instant(planned.begin)} to its failure at"
        f" {instant(planned.fails_at)} is simulated: the instants of its data, backups, catalog"
        " and losses. Real are the servers, the backups and restores, and how long each took"
        " (RTO); the run's own time, its ledger entry and its signature are this machine's."
    )


def demo_identity(place: Path, progress: Progress) -> dict[str, str]:
    """The demo's own signing identity, made once, as the variables that the policy needs."""
    passphrase = place / "passphrase"
    if not passphrase.exists():
        secret = secrets.token_urlsafe(24)
        signing.create_identity(place, secret.encode(), now=system_clock())
        write_once(passphrase, secret.encode(), mode=0o600)
        progress(f"made a signing identity for trying out in {place}")
    return {
        "AGAMA_IDENTITY": str(place / "signer.p12"),
        "AGAMA_PASSPHRASE_FILE": str(passphrase),
    }
