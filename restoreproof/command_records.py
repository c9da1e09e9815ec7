"""Turns what a manifest says of the organisation's own command into its evidence record."""

from datetime import timedelta

from restoreproof.command_engine import EXIT, POINT, PROOF, SECONDS, STORE
from restoreproof.evidence_commands import CommandRecord
from restoreproof.fingerprint import NOBODY_LOOKED
from restoreproof.manifest import Manifest
from restoreproof.redaction import redact


def command_record(manifest: Manifest) -> CommandRecord | None:
    """What a command did for a backup; None if ours made it."""
    facts, there = manifest.facts, manifest.elsewhere
    if STORE not in facts:
        return None
    found = manifest.fingerprint.method == NOBODY_LOOKED
    return CommandRecord(
        store=redact(facts[STORE]),
        point=redact(facts.get(POINT, "")),
        exit_status=None if found else int(facts[EXIT]),
        duration=None if found else timedelta(seconds=float(facts[SECONDS])),
        content_bytes=there.content_bytes if there else 0,
        stored_files=len(there.files) if there else 0,
        stored_bytes=sum(file.stored_bytes for file in there.files) if there else 0,
        proof=facts[PROOF],
    )
