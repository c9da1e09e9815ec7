"""``restoreproof demo``: the main job on the sample estate, from nothing to a signed report."""

import os
import secrets
from contextlib import ExitStack
from pathlib import Path

from restoreproof import plugin, signing
from restoreproof.archive import new_run_id
from restoreproof.audit import AuditOptions
from restoreproof.clock import system_clock
from restoreproof.demo.estate import estate
from restoreproof.estate import find_images, run_jobs
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.resources import folder
from restoreproof.sandbox import Sandboxes
from restoreproof.storage import write_once

IDENTITY = "demo-identity"
VAULTS = "demo-vaults"


def play(archive: Path, progress: Progress) -> None:
    """Start the estate, audit it while it works, and report. Raise RestoreProofError."""
    policy = folder("fixtures") / "agama" / "policy.yaml"
    archive = archive.resolve()
    identity = demo_identity(archive / IDENTITY, progress)
    vault = archive / VAULTS / new_run_id(system_clock())
    sandboxes = Sandboxes(vault.name)
    with ExitStack() as stack:
        images = find_images(read_policy(policy), (), progress)
        agama = stack.enter_context(
            estate(
                mysql_image=images["mysql"],
                influxdb_image=images["influxdb"],
                labels=sandboxes.labels("estate"),
                folder=stack.enter_context(sandboxes.folder()),
                clock=system_clock,
                progress=progress,
            )
        )
        os.environ.update({**agama.environment, **identity, "AGAMA_VAULT": str(vault)})
        working = stack.enter_context(ExitStack())
        working.enter_context(agama.workload())
        progress("the application of the estate writes on while it is backed up")
        progress("the week's full backups")
        run_jobs(policy, (), progress, full=True)
        progress("and the backups that are due next, as part of the audit")

        def disaster() -> None:
            progress("failure of the estate: from here on there is nothing but the vault")
            working.close()

        options = AuditOptions(
            policy=policy, archive=archive, command="restoreproof demo", disaster=disaster
        )
        plugin.run_audit(options, progress, ())
    launcher = os.environ.get("RESTOREPROOF_LAUNCHER", "restoreproof")
    progress.plain(
        f"Again    AGAMA_VAULT={vault} {launcher} audit {policy} --no-backup"
        "  (damage a file in that vault first, and see what it says)"
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
