"""Repositories: are they complete, can every version be viewed, and is Ansible's part there?"""

import pytest

SAMPLE = 40
NO_VERSION = "the repository has no version yet"


@pytest.mark.check(
    "GIT-001",
    severity="critical",
    engine="git",
    proves=("content", "versions"),
)
def test_repository_is_complete(restored, seed, observe):
    """The restored repository is whole: git fsck --full --strict finds nothing.

    Its bundles were verified and unpacked into an empty repository, with nothing beside them.
    """
    commits, references = restored.commits(), restored.references().names
    complaints = restored.examined(restored.sample(seed, SAMPLE)).complaints
    observe(
        examined=len(commits) + len(references) + 1,
        expected="no complaint of git fsck",
        seen=complaints or f"no complaint over {len(commits)} commits, {len(references)} names",
        remedy="take a new backup; if the source complains too, mend it from a good clone",
    )
    assert not complaints


@pytest.mark.check("GIT-002", severity="critical", engine="git", proves=("versions",))
def test_any_version_can_be_viewed(attempt, restored, audited, seed, observe):
    """Any version can be viewed, and is what was backed up.

    All versions of a small repository, and of a large one the newest, the oldest and a sample
    drawn with the run's seed, are read whole. Their files are hashed again, and the tree that
    follows from them is compared with the one that was recorded when the backup was taken.
    """
    commits = restored.commits()
    sample = restored.sample(seed, SAMPLE)
    recorded = restored.recorded()
    noted = {
        "examined": len(sample) or int(recorded == 0),
        "expected": "every file of every version in the sample, in the recorded tree",
        "remedy": "restore an older backup and bring the lost versions back",
    }
    # The words on a version that cannot be read are the reason of the finding.
    observe(seen=f"not all of {len(sample)} versions can be read", **noted)
    viewed = restored.examined(sample).versions
    differing = restored.differing(viewed)
    files = sum(version.files for version in viewed)
    said = f"viewed {len(viewed)} of {len(commits)} versions, {files} files"
    if not sample:
        said = f"{NO_VERSION}, as was recorded" if recorded == 0 else "no version came back"
    elif recorded is None:
        said += "; no trees were recorded to hold them against"
    if attempt.target.newest:
        said += "".join(f"; {sentence}" for sentence in audited.submodules.held)
    if differing:
        said = f"not as recorded: {', '.join(one[:12] for one in differing[:5])}"
    observe(seen=said, **noted)
    assert not differing
    assert viewed or recorded == 0


@pytest.mark.check(
    "GIT-003", severity="high", engine="git", coverage="playbook", proves=("playbook",)
)
def test_playbook_is_there(restored, audited, observe):
    """The playbook is in the newest version, as named or where it is looked for."""
    _is_there("playbook", restored, audited, observe)


@pytest.mark.check(
    "GIT-004", severity="high", engine="git", coverage="inventory", proves=("inventory",)
)
def test_inventory_is_there(restored, audited, observe):
    """The inventory is in the newest version, as named or where it is looked for."""
    _is_there("inventory", restored, audited, observe)


@pytest.mark.check(
    "GIT-005", severity="high", engine="git", coverage="configuration", proves=("configuration",)
)
def test_configuration_is_there(restored, audited, observe):
    """The configuration is in the newest version, as named or where it is looked for.

    Without an ansible.cfg it is what the repository says of its hosts, groups and roles.
    """
    _is_there("configuration", restored, audited, observe)


@pytest.mark.check(
    "GIT-006", severity="high", engine="git", coverage="playbook", proves=("playbook",)
)
def test_playbook_works(restored, audited, observe):
    """The playbook works: ansible-playbook --syntax-check finds nothing and no role is missing.

    Ansible is asked about the restored newest version, in a container without a network. What
    has to be installed from elsewhere (a collection, a role of requirements.yml) is not in the
    backup, so then it stays open.
    """
    _works("playbook", restored, audited, observe)


@pytest.mark.check(
    "GIT-007", severity="high", engine="git", coverage="inventory", proves=("inventory",)
)
def test_inventory_works(restored, audited, observe):
    """The inventory works: ansible-inventory --list reads all of it, with its variables.

    An inventory that asks elsewhere for its hosts cannot be asked here and stays open. Encrypted
    files are taken for empty: their password is at its owner's.
    """
    _works("inventory", restored, audited, observe)


@pytest.mark.check(
    "GIT-008", severity="high", engine="git", coverage="configuration", proves=("configuration",)
)
def test_configuration_works(restored, audited, observe):
    """The configuration works: ansible-config dump takes every value."""
    _works("configuration", restored, audited, observe)


@pytest.mark.check(
    "GIT-009", severity="critical", engine="git", only="newest", proves=("versions",)
)
def test_nothing_was_lost(attempt, restored, audited, observe):
    """Nothing is lost since any earlier backup: no branch rewritten or deleted, no tag moved.

    A branch that went after all of it was merged is no loss. Somebody may have meant the others,
    but only the policy can say so (source.changed_by_hand): older backups still hold what went.
    """
    earlier = audited.backups_before(attempt)
    found = restored.losses(earlier, audited.component.source)
    notes = [f"held against {len(earlier)} earlier backups"] if earlier else ["the first backup"]
    notes += [f"gone after they were merged: {', '.join(found.merged)}"] if found.merged else []
    notes += [f"changed by hand: {', '.join(found.by_hand)}"] if found.by_hand else []
    observe(
        examined=found.examined + 1,
        expected="every commit, branch and tag of earlier backups",
        seen="; ".join(found.lost or notes),
        remedy=(
            "if nobody meant it, restore the backup before and push what was lost; if somebody "
            "did, name it in source.changed_by_hand"
        ),
    )
    assert not found.lost


@pytest.mark.check(
    "GIT-010", severity="critical", engine="git", only="newest", proves=("configuration",)
)
def test_no_secret_is_in_plain_text(restored, audited, observe):
    """No secret is in plain text: no private key without a passphrase, no password in variables.

    The newest version is looked at: every file for private keys, inventories and the files of
    variables for passwords. Every backup of the repository hands out what is there. Older versions
    and other branches are looked through as well; what they alone hold is told with its commit
    and is no failure, since history stays and nobody here can tell whether the secret was replaced.
    """
    if not restored.has_commit:
        observe(examined=1, expected="no secret in plain text", seen=NO_VERSION)
        return
    found = restored.secrets(audited.component.source)
    past = restored.past_secrets(audited.component.source, found)
    shown = [str(one) for one in found.plaintext]
    more = f"; and {len(shown) - 10} more" if len(shown) > 10 else ""
    observe(
        examined=found.files + past.contents + 1,
        expected="no secret in plain text",
        seen="; ".join(shown[:10]) + more
        or f"none in {found.files} files, {found.encrypted} of them encrypted" + _before(past),
        remedy=(
            "replace the secret, since its history has it for good, and encrypt the new one with "
            "ansible-vault; name what is no secret in source.plaintext_allowed"
        ),
    )
    assert not found.plaintext


@pytest.mark.check(
    "GIT-011", severity="high", engine="git", when="names_signers", proves=("versions",)
)
def test_signatures_are_good(restored, audited, seed, observe):
    """Signed tags and commits are signed by the keys that the policy names.

    All tags, the newest commit of every branch, and the versions of the sample are verified. A
    signature by another key may be as good, and nobody here can tell.
    """
    found = restored.signatures(audited.context, restored.sample(seed, SAMPLE))
    if not found.examined:
        # Signatures were promised and none was seen, and none is broken either: unproven.
        pytest.skip("nothing is signed among tags, newest commits and the sample")
    observe(
        examined=found.examined,
        expected="good signatures by keys of source.signers",
        seen=f"broken: {', '.join(found.broken)}"
        if found.broken
        else f"{found.examined - len(found.unknown)} of {found.examined} signatures are good",
        remedy="see who changed what was signed; sign again what is right",
    )
    assert not found.broken
    if found.unknown:
        # Whose key it is nobody here can tell: unproven, with the signers named.
        pytest.skip(f"by keys that source.signers does not name: {', '.join(found.unknown[:8])}")


@pytest.mark.check(
    "GIT-012",
    severity="critical",
    engine="git",
    when="keeps_vault_passwords",
    only="newest",
    proves=("configuration",),
)
def test_what_is_encrypted_can_be_opened(restored, audited, observe):
    """What ansible-vault encrypted can be opened with a password that the policy names.

    Every file and value under vault in the newest version is tried: without its password it is
    backed up and lost all the same. Nothing is decrypted by that.
    """
    _has_a_version(restored)
    found = restored.vaulted(audited.context)
    if not found.examined:
        # Passwords were promised to open something, and there is nothing: unproven.
        pytest.skip("nothing is under ansible-vault in the newest version")
    more = f" and {len(found.closed) - 10} more" if len(found.closed) > 10 else ""
    observe(
        examined=found.examined,
        expected="a password of source.vault_passwords for every file and value under vault",
        seen=f"opened by none: {', '.join(found.closed[:10])}{more}"
        if found.closed
        else f"all {found.examined} can be opened",
        remedy="find the password and name it; or encrypt anew what can still be had",
    )
    assert not found.closed


def _before(past):
    shown = [f"{one} at {commit[:12]}" for one, commit in past.plaintext.items()]
    more = f"; and {len(shown) - 5} more" if len(shown) > 5 else ""
    if shown:
        return f"; replace if in use, from older versions: {'; '.join(shown[:5])}{more}"
    left_out = "" if past.whole else ", older and large ones left out"
    return f"; none in {past.contents} contents of older versions{left_out}"


def _has_a_version(restored):
    if not restored.has_commit:
        # An empty repository is legitimate and holds nothing that could be judged: unproven.
        pytest.skip(NO_VERSION)


def _is_there(kind, restored, audited, observe):
    source = audited.component.source
    path = source.paths.get(kind)
    if path is None:
        _has_a_version(restored)
    layout = restored.layout(source.paths) if restored.has_commit else None
    if path is None and kind not in layout.found:
        # Nobody can say whether what is not named is there: unproven, with the mend.
        pytest.skip(f"no {kind} where one is usual: give source.paths.{kind}")
    named = path or ", ".join(layout.found[kind][:5])
    found = path is None or (layout is not None and layout.has(path))
    observe(
        examined=1,
        expected=f"{named} in the newest version",
        seen=f"{named} is there" if found else f"no {named}",
        remedy=f"put {named} back, or correct source.paths.{kind} in the policy",
    )
    assert found


def _works(kind, restored, audited, observe):
    paths = audited.component.source.paths
    _has_a_version(restored)
    layout = restored.layout(paths)
    there = [layout.has(path) for path in layout.found.get(kind, ())]
    if not all(there) or not (there or kind == "configuration"):
        # That it should be there is another check's question; untried is unproven.
        pytest.skip(f"there is no {kind} to try")
    answers = restored.ansible(paths)
    if answers is None:
        # Nobody was asked: unproven, with the mend.
        pytest.skip("no image to ask Ansible in: give image: restoreproof/ansible:2.14")
    answer = getattr(answers, kind)
    observe(
        examined=answer.examined,
        expected="no complaint of Ansible",
        seen=answer.fault or answer.seen,
        remedy="correct it in the repository; or name an image with the Ansible that you use",
    )
    assert not answer.fault
    if answer.lacking:
        # What it needs is not in the backup (a collection, a network): unproven, with what it is.
        pytest.skip(f"could not tell here: {answer.lacking}")
