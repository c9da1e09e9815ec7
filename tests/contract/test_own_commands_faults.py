"""What goes wrong with an organisation's own commands: each is a finding in a line, or exit 2."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from own_estate import Estate, estate

from restoreproof.clock import system_clock
from restoreproof.command_runs import LEAST_FREE_BYTES
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.git_command import run_git
from restoreproof.engines.git_place import GitSource
from restoreproof.errors import UserError
from restoreproof.sandbox import Sandboxes

SECRET = "planted-9f3c-passphrase"
BUNDLE = "git -C {folder}/source bundle create --quiet"
STAGED = f"{BUNDLE} {{staging}}/b --all"
COPY = "cp {store}/b.bundle {target}/ && git clone --quiet --mirror {target}/b.bundle {restored}"
DUPLICITY = "--archive-dir {folder}/cache file://{store}"


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceContext:
    """A repository with a commit, and a home and a passphrase of the test's."""
    repository = tmp_path / "source"
    run_git(["init", "--quiet", "--initial-branch=main", str(repository)])
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TEST_PASSPHRASE", SECRET)
    monkeypatch.setenv("OTHER_PASSPHRASE", "another-passphrase")
    source = GitSource(repository=str(repository))
    made = SourceContext("it", source, None, tmp_path, Sandboxes("test"), system_clock)
    commit(made, "first")
    return made


def commit(context: SourceContext, text: str) -> None:
    """Change the source."""
    repository = context.folder / "source"
    (repository / "file").write_text(text)
    run_git(["add", "file"], repository)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    run_git([*who, "commit", "--quiet", "-m", text], repository)


def made(context: SourceContext, **commands: object) -> Estate:
    """An estate that copies a bundle, but for what is given; ``{folder}`` is the test's."""
    place = context.folder
    known = {"full": f"{BUNDLE} {{store}}/b.bundle --all", "restore": COPY} | commands
    texts = {
        name: text.replace("{folder}", str(place)) if isinstance(text, str) else text
        for name, text in known.items()
    }
    return estate(context, place, "git", **texts)


def alive(process: int) -> bool:
    """Whether a process runs, and is not merely waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_healthy_commands_come_back(context: SourceContext) -> None:
    """The ground that the faults stand on."""
    healthy = made(context)
    backup = healthy.stored()
    with healthy.equal(backup) as attempt:
        assert attempt.comparison.equal
    assert backup.damage() == (3, ())


def test_a_command_that_hangs_is_ended_with_its_children(context: SourceContext) -> None:
    """Also a child that left its session is gone when the limit is reported."""
    hanging = made(
        context,
        full="(setsid sh -c 'echo $$ > {folder}/child; trap \"\" TERM; sleep 600') & sleep 600",
        limits={"time": "2s"},
    )
    begun = time.monotonic()

    problem = hanging.refused()

    assert problem == "full: ended at its limit of 2 s, with its children"
    # A busy machine takes its time; without an end it would be ten minutes.
    assert time.monotonic() - begun < 60
    child = int((context.folder / "child").read_text())
    assert not alive(child)
    assert not hanging.backups()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("true", "ended without an error and produced nothing"),
        (": > {store}/empty", "ended without an error and produced nothing"),
        ("echo out of tape >&2; exit 3", "full: exit status 3: out of tape"),
        ("echo gone; kill -9 $$", "full: ended by signal 9: gone"),
        ("head -c 20M /dev/zero > {staging}/x; sleep 60", "wrote more than 1,000,000 bytes"),
    ],
)
def test_a_job_that_stored_nothing_is_a_finding(
    context: SourceContext, command: str, words: str
) -> None:
    """Exit 0 with nothing, an exit status, a signal, too much: the catalog tells of each."""
    broken = made(context, full=command, limits={"time": "30s", "bytes": "1MB"})

    problem = broken.refused()

    assert words in problem
    (event,) = broken.vault.catalog.events()
    assert words in getattr(event, "problem", "")
    assert not (context.folder / "vault" / ".staging" / "it").exists()


@pytest.mark.parametrize(
    "finding", [{"list": "ls {store} | sed s/.bundle//"}, {"backups": "*.bundle"}]
)
def test_a_job_after_which_no_point_is_new_is_a_finding(
    context: SourceContext, finding: dict[str, str]
) -> None:
    """Something was written, and nothing that could be restored; an older point is no excuse."""
    name = "20261101T031000"
    known: dict[str, object] = {
        "restore": "git clone --quiet --mirror {store}/{name}.bundle {restored}",
        "points": {"pattern": r"(?P<time>\d{8}T\d{6})"},
        **finding,
    }
    made(context, full=f"{BUNDLE} {{store}}/{name}.bundle --all", **known).stored()

    silent = made(context, full="echo log > {store}/job.log", **known)

    assert "among the recovery points of the store none is new" in silent.refused()


@pytest.fixture
def small_store(context: SourceContext) -> Iterator[Path]:
    """A store on a disk of its own that holds little more than has to stay free."""
    store = context.folder / "store"
    store.mkdir()
    size = f"size={LEAST_FREE_BYTES + 4 * 1024**2}"
    mount = ["mount", "-t", "tmpfs", "-o", size, "none", str(store)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can mount a disk")
    yield store
    subprocess.run(["umount", "--lazy", str(store)], check=True)


def test_a_full_disk_ends_the_command(context: SourceContext, small_store: Path) -> None:
    """A command is ended before it takes the last of a disk."""
    filling = made(
        context,
        full="head -c 20M /dev/zero > {store}/large; sleep 60",
        limits={"time": "30s"},
    )

    assert "ended because it filled the disk" in filling.refused()
    assert (small_store / "large").exists()
    assert not filling.backups()


def test_a_printed_password_is_nowhere(context: SourceContext) -> None:
    """In no line that is told, no artifact, no catalog, no manifest; also half of a long line."""
    prints = made(
        context,
        full="echo $TOOL_PASSWORD; echo pass=$TOOL_PASSWORD >&2;"
        " head -c 70000 /dev/zero | tr '\\0' x; echo $TOOL_PASSWORD; "
        f"{BUNDLE} {{store}}/b.bundle --all",
        environment={"TOOL_PASSWORD": "${TEST_PASSPHRASE}"},
    )
    backup = prints.stored()
    prints.described(full="echo $TOOL_PASSWORD >&2; exit 1").refused()

    (artifact,) = backup.manifest().artifacts
    output = b"".join(backup.read(artifact))
    assert b"pass=[secret]" in output
    everything = "\n".join(prints.said).encode() + output
    for path in (context.folder / "vault").rglob("*"):
        everything += path.read_bytes() if path.is_file() else b""
    assert SECRET.encode() not in everything
    assert SECRET[:12].encode() not in everything


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ({"full": "no-such-tool {store}"}, "commands.full: no-such-tool: command not found"),
        ({"full": ["no-such-tool", "{store}"]}, "no-such-tool: command not found"),
        ({"full": "echo x | no-such-tool"}, "no-such-tool: command not found"),
        ({"restore": "./not-here {target}"}, "commands.restore: ./not-here: command not found"),
        ({"full": "echo 'open"}, "commands.full is no line of sh"),
        ({"folder": "not-here"}, "not-here: not a folder"),
        ({"store": "source/file"}, "source/file: not a folder"),
        ({"environment": {"P": "${NOT_SET}"}}, "environment variable NOT_SET is not set"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_done(
    context: SourceContext, commands: dict[str, object], words: str
) -> None:
    """Exit code 2, where and how to mend it, and nothing in the vault."""
    bad = made(context, **commands)

    with pytest.raises(UserError) as caught:
        bad.engine.probe(context)

    assert caught.value.exit_code == 2
    (line,) = caught.value.lines()
    assert words in line
    assert " -- " in line
    assert not (context.folder / "vault").exists()


@pytest.mark.parametrize(
    ("restore", "words"),
    [
        ("true {target}", "ended without an error and restored nothing into {target}"),
        ("echo no key >&2; exit 2", "restore: exit status 2: no key"),
        ("sleep 60", "ended at its limit of 2 s"),
        ("git init --quiet --bare {restored}", ""),
    ],
)
def test_a_restore_that_fails_is_a_result(context: SourceContext, restore: str, words: str) -> None:
    """Its words are the failure; one that brings nothing back without a word is a difference."""
    broken = made(context, restore=restore, limits={"time": "2s"})
    backup = broken.stored()

    with broken.restored(backup) as attempt:
        if words:
            assert attempt.failed_in == "load"
            assert words in attempt.failure
        else:
            assert "reference refs/heads/main: is missing" in str(
                attempt.comparison.differences[-1]
            )


def test_what_the_organisation_overwrites_is_gone_and_no_alarm(context: SourceContext) -> None:
    """Of a file that every job writes anew there is one recovery point, and the catalog says so."""
    overwriting = made(context)
    first = overwriting.stored()
    commit(context, "second")
    second = overwriting.stored()

    assert [one.id for one in overwriting.backups()] == [second.id]
    assert not second.damage()[1]
    assert [event.event for event in overwriting.vault.catalog.events()] == [
        "stored",
        "stored",
        "gone",
    ]
    assert not first.folder.exists()


def test_lost_and_changed_files_of_a_store_are_seen(context: SourceContext) -> None:
    """Each file is compared with what was recorded, and each is told once."""
    dated = made(context, full=f"{BUNDLE} {{store}}/$(date +%s%N).bundle --all")
    first = dated.stored()
    commit(context, "second")
    second = dated.stored()
    old, new = sorted(dated.store.iterdir())
    old.unlink()
    content = new.read_bytes()
    new.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert [one.problem for one in first.damage()[1]] == ["is missing"]
    assert [one.problem for one in second.damage()[1]] == ["SHA-256 differs"]


def test_backups_made_elsewhere_are_found_and_forgotten(context: SourceContext) -> None:
    """Cron's own files are entered, unproven; one that cron removes is noted as gone."""
    cron = made(
        context,
        full=None,
        restore="git clone --quiet --mirror {store}/{name} {restored}",
        backups="*.bundle",
        points={"pattern": r"(?P<time>\d{8}T\d{6})"},
    )
    cron.store.mkdir()
    for name in ("20261101T031000", "20261102T031000", "undated"):
        path = cron.store / f"{name}.bundle"
        run_git(["bundle", "create", "--quiet", str(path), "--all"], context.folder / "source")

    assert not cron.take_stock()
    assert not cron.take_stock()

    found = cron.backups()
    assert [one.entry.kind for one in found] == ["full"] * 3
    with cron.restored(found[0]) as attempt:
        assert attempt.succeeded, attempt.failure
        (undecided,) = attempt.comparison.undecided
        assert "nobody looked at the source" in undecided.reason
        assert not attempt.comparison.differences
    (cron.store / "20261101T031000.bundle").unlink()
    assert not cron.take_stock()
    assert [one.id for one in cron.backups()] == [one.id for one in found[1:]]
    shutil.rmtree(cron.store)
    (job,) = cron.take_stock()
    assert "there is no store" in job.problem
    cron.store.mkdir()
    (job,) = cron.take_stock()
    assert "lists nothing any more" in job.problem
    assert len(cron.backups()) == 2


@pytest.fixture
def encrypted(context: SourceContext) -> Estate:
    """A chain of duplicity's with a passphrase: a full backup and an increment."""
    if not shutil.which("duplicity"):
        pytest.skip("no duplicity on this machine")
    chained = made(
        context,
        full=f"{STAGED} && duplicity full {{staging}} {DUPLICITY}",
        incremental=f"{STAGED} && duplicity incremental {{staging}} {DUPLICITY}",
        restore="duplicity restore --time {time} file://{store} {target}/out"
        " && git clone --quiet --mirror {target}/out/b {restored}",
        environment={"PASSPHRASE": "${TEST_PASSPHRASE}"},
    )
    base = chained.stored()
    time.sleep(1.1)
    commit(context, "second")
    chained.stored(base)
    return chained


def remove(pattern: str) -> Callable[[Path], None]:
    """Lose the first file of a pattern."""
    return lambda store: min(store.glob(pattern)).unlink()


def flip(pattern: str) -> Callable[[Path], None]:
    """Change one byte in the middle of the first file of a pattern."""

    def change(store: Path) -> None:
        path = min(store.glob(pattern))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return change


@pytest.mark.usefixtures("no_agent_left")
def test_faults_of_a_duplicity_chain_are_seen(encrypted: Estate, context: SourceContext) -> None:
    """An increment missing, a volume corrupt, a manifest missing, a wrong passphrase."""
    *_, last = encrypted.backups()
    with encrypted.equal(last) as attempt:
        assert attempt.comparison.equal
    faults: dict[str, Callable[[Path], None]] = {
        "increment missing": remove("duplicity-inc*.difftar.gpg"),
        "volume corrupt": flip("duplicity-full*.difftar.gpg"),
        "manifest missing": remove("duplicity-full*.manifest.gpg"),
    }
    whole = context.folder / "whole"
    shutil.copytree(encrypted.store, whole)
    for name, damage in faults.items():
        damage(encrypted.store)
        damages = [str(one) for backup in encrypted.backups() for one in backup.damage()[1]]
        assert len(damages) == 1, f"{name}: {damages}"
        shutil.rmtree(context.folder / "cache", ignore_errors=True)
        with encrypted.restored(last) as attempt:
            lost = attempt.failure or [str(one) for one in attempt.comparison.differences]
            assert lost, f"{name} was missed"
        shutil.rmtree(encrypted.store)
        shutil.copytree(whole, encrypted.store)
    wrong = encrypted.described(environment={"PASSPHRASE": "${OTHER_PASSPHRASE}"})
    with wrong.restored(last) as attempt:
        assert attempt.failed_in == "load"
        assert "another-passphrase" not in attempt.failure
