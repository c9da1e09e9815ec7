"""The results that travel as exceptions until a job or a restore turns them into records."""


class BackupFailed(Exception):
    """A source that can be reached could not be backed up. Holds the tool's own words."""


class SourceChanged(BackupFailed):
    """What was being read at the source was defined anew meanwhile: a job is run again then."""


class RestoreFailed(Exception):
    """A backup did not come back. Holds the tool's or the server's own words."""
