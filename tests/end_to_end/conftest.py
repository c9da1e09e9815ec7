"""The sample estate and the audits of it, shared by all end-to-end tests of a session."""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from runs import POLICY, UNPLAYED, Agama, Finished, audit_command, run
from scenario import CRITERIA, Case, Scenario

from restoreproof import images, signing
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.demo.estate import estate
from restoreproof.sandbox import Sandboxes

AT_ONCE = 2


def _silent(_message: str) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="session")
def agama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agama]:
    """The running estate with an identity to sign with."""
    place = tmp_path_factory.mktemp("estate")
    passphrase = secrets.token_urlsafe(24)
    identity = signing.create_identity(place / "id", passphrase.encode(), now=system_clock())
    (place / "passphrase").write_text(passphrase, encoding="utf-8")
    with estate(
        mysql_image=images.ensure("restoreproof/mysql:9.7", _silent),
        influxdb_image=images.ensure("restoreproof/influxdb:1.6", _silent),
        labels=Sandboxes(f"tests-{secrets.token_hex(4)}").labels("estate"),
        folder=place,
        clock=system_clock,
        progress=_silent,
    ) as running:
        environment = {
            **running.environment,
            "AGAMA_IDENTITY": str(identity.signer),
            "AGAMA_PASSPHRASE_FILE": str(place / "passphrase"),
        }
        kept = {
            "password of the backup user": running.environment["AGAMA_MYSQL_PASSWORD"],
            "password of the application": running.mysql.application_password,
            "passphrase of the identity": passphrase,
        }
        yield Agama(running, environment, kept)


@pytest.fixture(scope="session")
def healthy_vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the healthy run's backups lie."""
    return tmp_path_factory.mktemp("healthy") / "vault"


@pytest.fixture(scope="session")
def healthy(agama: Agama, healthy_vault: Path) -> Finished:
    """One audit of the whole estate while it works, by the real command line."""
    archive = healthy_vault.with_name("archive")
    with agama.estate.workload():
        return run(audit_command(archive, policy=POLICY), agama.with_vault(healthy_vault), archive)


@pytest.fixture(scope="session")
def copy_of_vault(
    healthy: Finished, healthy_vault: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], VaultCopy]:
    """Makes copies of the healthy run's vault, for damaging."""
    assert healthy.evidence.backups
    return lambda: VaultCopy.of(healthy_vault, tmp_path_factory.mktemp("copy") / "vault")


@pytest.fixture(scope="session")
def cases(
    request: pytest.FixtureRequest,
    agama: Agama,
    copy_of_vault: Callable[[], VaultCopy],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, "Future[Case]"]]:
    """Every scenario that the session's tests ask for, played two at a time."""
    parameters = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = (one.params["scenario"] for one in parameters if one and "scenario" in one.params)
    # Two checks that fail on the same fault share its audit.
    faults: dict[str, Scenario] = {scenario.title: scenario for scenario in wanted}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="scenario") as pool:
        yield {
            title: pool.submit(
                _play, scenario, agama, copy_of_vault(), tmp_path_factory.mktemp("case")
            )
            for title, scenario in faults.items()
        }
        pool.shutdown(cancel_futures=True)


def _play(scenario: Scenario, agama: Agama, copy: VaultCopy, place: Path) -> Case:
    backup = copy.newest(scenario.component)
    scenario.damage(copy)
    text = POLICY.read_text(encoding="utf-8")
    unplayed = ("", "") if scenario.check in CRITERIA else UNPLAYED
    for change in (scenario.policy, scenario.policy_too, unplayed):
        assert change[0] in text
        text = text.replace(*change)
    if not scenario.asks_ansible:
        text, count = re.subn(r"\n    image: \$\{AGAMA_ANSIBLE_IMAGE.*", "", text)
        assert count == 1
    policy = place / "policy.yaml"
    policy.write_text(text, encoding="utf-8")
    environment = agama.with_vault(copy.root, TAMPERING=scenario.tampering)
    arguments = ["--component", scenario.component, "--no-report"]
    if scenario.source:
        environment |= scenario.source(agama.estate.repository, place)
    else:
        arguments.append("--no-backup")
    if scenario.tampering:
        arguments += ["--", "-p", "tampering"]
    archive = place / "archive"
    command = audit_command(archive, *arguments, policy=policy)
    return Case(backup, run(command, environment, archive, place))
