"""Damages to backups of Git repositories, each at a place that is drawn."""

from restoreproof import damage_git
from restoreproof.damage_kinds import Damage, Layer, Subject, first_possible

ENGINE = frozenset({"git"})
BUNDLE = "repository.bundle"


def lose_reference(subject: Subject) -> str:
    def attempt(name: str) -> None:
        subject.rewrite(BUNDLE, damage_git.drop_reference(name))

    subject.artifact(BUNDLE)
    return f"{first_possible(subject.equal('reference'), attempt, 'no reference')} left out"


def lose_newest_version(subject: Subject) -> str:
    subject.rewrite(BUNDLE, damage_git.drop_newest_version)
    return "newest version of the default branch left out"


def rewrite_history(subject: Subject) -> str:
    subject.rewrite(BUNDLE, damage_git.rewrite_newest_version)
    return "newest version of the default branch written anew with another message"


def lose_path(subject: Subject) -> str:
    subject.rewrite(BUNDLE, damage_git.drop_any_path(subject.chance))
    return "file or folder taken out of the newest version"


def name_a_file_twice(subject: Subject) -> str:
    subject.rewrite(BUNDLE, damage_git.name_a_file_twice)
    return "version added in which two files have the same name"


DAMAGES = tuple(
    Damage(name, title, Layer.CONTENT, inflict, ENGINE)
    for name, title, inflict in (
        ("reference-lost", "branch or tag lost", lose_reference),
        ("version-lost", "newest version lost", lose_newest_version),
        ("history-rewritten", "history rewritten", rewrite_history),
        ("path-lost", "file or folder lost", lose_path),
        ("version-invalid", "version that is no valid one", name_a_file_twice),
    )
)
