"""Files: were all of them read, is restored configuration of use, are restored logs whole?"""

import pytest


@pytest.mark.check(
    "FIL-001",
    severity="critical",
    engine="files",
    proves=("data", "configuration", "logs"),
)
def test_every_file_was_read(restored, observe):
    """Every file that the policy names was read when it was backed up.

    A file that the backup may not read is lost with its source. Files that went away while their
    folder was read are named, and are no finding: they are not there at the source any more.
    """
    unread, gone = restored.unread(), restored.gone()
    went = f"; went away meanwhile: {', '.join(gone)}" if gone else ""
    observe(
        examined=int(restored.fact("files") or 0) + len(unread) + 1,
        expected="no file that could not be read",
        seen=f"could not be read: {'; '.join(unread)}{went}"
        if unread
        else f"{restored.fact('files')} files, {restored.fact('bytes')} bytes read{went}",
        remedy="let the backup's user read them, or exclude them in the policy",
    )
    assert not unread


@pytest.mark.check(
    "FIL-002",
    severity="high",
    engine="files",
    coverage="configuration",
    proves=("configuration",),
)
def test_configuration_is_of_use(restored, observe):
    """The restored configuration is accepted by the programs that the policy names.

    They are run in a sandbox without a network, and find the files where they were at the source.
    """
    validated = restored.validate()
    if not validated.examined:
        pytest.skip("the policy names no program that reads it: give source.validate")
    observe(
        examined=validated.examined,
        expected=f"{validated.examined} programs accept it",
        seen="; ".join(validated.complaints) or f"accepted by {validated.examined}",
        remedy="correct the configuration at the source, then back it up again",
    )
    assert not validated.complaints


@pytest.mark.check("FIL-003", severity="high", engine="files", coverage="logs", proves=("logs",))
def test_logs_are_whole(attempt, restored, observe):
    """Restored logs can be read, have no hole, and go on until the backup.

    Rotated and compressed files of a log are read to their ends. Between the times of two lines,
    and between the last line and the backup, may be no more than the gap that the policy sets.
    """
    logs = restored.source.logs
    if logs is None:
        pytest.skip("the policy does not say which files are logs: give source.logs")
    checked = restored.check_logs(attempt.manifest.recovery_point)
    unknown = ", ".join(checked.unknown)
    observe(
        examined=checked.examined,
        expected=f"no gap longer than {logs.largest_gap}, up to {attempt.manifest.recovery_point}",
        seen="; ".join(checked.complaints)
        or f"{checked.examined} lines with a time in {checked.files} files",
        remedy="find out what keeps the log from being written or kept, or correct source.logs",
    )
    assert not checked.complaints
    if checked.unknown:
        pytest.skip(f"no line tells a time that is known in {unknown}: give source.logs.pattern")
