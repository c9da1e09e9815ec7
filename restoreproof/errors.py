"""What may go wrong around an audit: the user's mistakes and trouble with infrastructure.

A backup that cannot be restored is no exception but a result, so it is not in this tree.

    RestoreProofError
    ├── UserError                 exit code 2: policy, arguments, credentials
    │   ├── SeveralProblems
    │   │   └── PolicyInvalid
    │   ├── SecretMissing
    │   ├── SourceUnavailable
    │   ├── DockerUnavailable
    │   ├── ImageUnavailable
    │   ├── OutputUnwritable
    │   └── IdentityUnusable
    └── InfrastructureError       exit code 3: could not tell
        ├── CatalogCorrupt
        ├── VaultBusy
        ├── LedgerCorrupt
        ├── SigningFailed
        └── SandboxTrouble
"""

from collections.abc import Sequence


class RestoreProofError(Exception):
    """Base of all errors raised on purpose. Never raised directly.

    ``str()`` is one line: where, what and how to mend it. It never holds a secret.
    """

    exit_code = 3

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what = one_line(what)
        self.where = one_line(where)
        self.mend = one_line(mend)
        super().__init__(self.what)

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        mend = f" -- {self.mend}" if self.mend else ""
        return f"{where}{self.what}{mend}"

    def lines(self) -> tuple[str, ...]:
        """Every line to print, without a traceback."""
        return (str(self),)


class UserError(RestoreProofError):
    """Something the user can mend: policy, arguments or credentials."""

    exit_code = 2


class SeveralProblems(UserError):
    """One or more mistakes that were found together and are reported at once."""

    def __init__(self, problems: Sequence[UserError]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.what for problem in problems))

    def lines(self) -> tuple[str, ...]:
        return tuple(line for problem in self.problems for line in problem.lines())


class PolicyInvalid(SeveralProblems):
    """A policy with mistakes."""


class SecretMissing(UserError):
    """A secret that the policy refers to is not in the environment or not readable."""


class SourceUnavailable(UserError):
    """A component's source cannot be reached, or refuses the credentials or privileges."""


class DockerUnavailable(UserError):
    """No Docker engine answers."""


class ImageUnavailable(UserError):
    """An image is neither local nor pullable nor built from a recipe of ours."""


class OutputUnwritable(UserError):
    """A folder given for the vault, the archive or a report cannot be written."""


class IdentityUnusable(UserError):
    """The signing identity is missing, locked, expired or not yet valid."""


class InfrastructureError(RestoreProofError):
    """Trouble that says nothing about the backup: the answer is 'could not tell'."""


class CatalogCorrupt(InfrastructureError):
    """The vault's catalog cannot be read, so nobody can say what the vault holds."""


class VaultBusy(InfrastructureError):
    """Another process works on the same component or vault; nothing was done."""


class LedgerCorrupt(InfrastructureError):
    """The archive's ledger of runs was damaged or edited, so no run can be entered in it."""


class SigningFailed(InfrastructureError):
    """Key, time-stamping authority or revocation service gave no signature of the level wanted."""


class SandboxTrouble(InfrastructureError):
    """A throwaway server did not start, or was killed, for reasons of its own."""


def one_line(text: str) -> str:
    """The text with every run of white space folded into one space."""
    return " ".join(text.split())
