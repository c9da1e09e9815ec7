"""Ansible's own words on repositories as people have them, in a container without a network."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from git_bench import Repository

from restoreproof.engines.git_ansible import Answers
from restoreproof.engines.git_place import GitSource
from restoreproof.errors import SandboxTrouble
from restoreproof.images import Image, ensure

SECRET = "hunter2-of-the-estate"
VAULTED = "$ANSIBLE_VAULT;1.1;AES256\n61626364\n"
ROLE = {"roles/web/tasks/main.yml": "- ansible.builtin.ping:\n"}


@pytest.fixture(scope="module")
def ansible() -> Image:
    """Ansible as Debian packages it."""
    return ensure("restoreproof/ansible:2.14", print)


def _asked(
    place: Path, image: Image | None, files: Mapping[str, str], **paths: str
) -> Answers | None:
    made = Repository(place, image=image)
    made.commit(files)
    with made.restored(made.store(source=GitSource(repository=str(made.path)))) as restored:
        return restored.ansible(paths)


def test_a_repository_without_settings(ansible: Image, tmp_path: Path) -> None:
    """`hosts`, `.yaml`, no ansible.cfg, documents beside hosts, values under vault: no alarm."""
    files = {
        "site.yaml": "- hosts: web\n  gather_facts: no\n  roles: [web]\n",
        "other.yaml": "just: data\n",
        "hosts": "[web]\nweb1 ansible_host=10.0.0.1\nweb[2:4]\n",
        "group_vars/web/vault.yml": VAULTED,
        "group_vars/web/main.yml": "key: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61626364\n",
        "README.md": "# of ours\n",
        "logo.png": "\x89PNG\0\xff",
        **ROLE,
    }
    answers = _asked(tmp_path, ansible, files)

    assert answers is not None
    for answer in (answers.playbook, answers.inventory, answers.configuration):
        assert (answer.fault, answer.lacking) == ("", ""), answer
    assert answers.playbook.seen.startswith("ansible-playbook --syntax-check of site.yaml: no")
    assert answers.inventory.seen.startswith("ansible-inventory --list of hosts: 4 hosts")
    assert "without what is in 1 encrypted files" in answers.inventory.seen


def test_settings_of_another_machine(ansible: Image, tmp_path: Path) -> None:
    """What ansible.cfg asks of the operator's machine is no fault of the repository's."""
    files = {
        "ansible.cfg": (
            "[defaults]\ninventory = inventories/live\nstdout_callback = yaml\n"
            "vault_password_file = ~/.absent\nfact_caching = redis\nlog_path = /var/log/a.log\n"
        ),
        "site.yml": "- hosts: all\n  roles: [web]\n",
        "inventories/live/hosts.yml": "all: {hosts: {a: {}, b: {}}}\n",
        "inventories/live/README": "no inventory at all: [\n",
        "inventories/test/hosts.yml": "all: {hosts: {t: {}}}\n",
        **ROLE,
    }
    answers = _asked(tmp_path, ansible, files)

    assert answers is not None
    for answer in (answers.playbook, answers.inventory, answers.configuration):
        assert (answer.fault, answer.lacking) == ("", ""), answer
    assert "of inventories/live: 2 hosts" in answers.inventory.seen
    assert answers.configuration.examined == 5


@pytest.mark.parametrize(
    ("files", "fault", "lacking"),
    [
        (
            {"site.yml": f"- hosts: all\n  tasks:\n  - copy: {{a: {SECRET}\n"},
            "syntax error: We were unable to read either as JSON nor YAML",
            "",
        ),
        ({"site.yml": "- hosts: all\n  roles: [gone]\n"}, "role missing: gone is not in", ""),
        (
            {
                "site.yml": "- hosts: all\n  roles: [geerlingguy.nginx]\n",
                "requirements.yml": "- src: geerlingguy.nginx\n",
            },
            "",
            "role geerlingguy.nginx is installed from elsewhere",
        ),
        (
            {"site.yml": "- hosts: all\n  tasks: [{community.general.timezone: {name: UTC}}]\n"},
            "",
            "module community.general.timezone belongs to a collection",
        ),
    ],
)
def test_what_is_wrong_and_what_is_lacking(
    ansible: Image, tmp_path: Path, files: Mapping[str, str], fault: str, lacking: str
) -> None:
    """A mistake in the repository is a fault; what lies elsewhere leaves it open."""
    answers = _asked(tmp_path, ansible, {"hosts": "a\n", **files}, playbook="site.yml")

    assert answers is not None
    assert answers.playbook.fault.startswith(fault) and bool(answers.playbook.fault) == bool(fault)
    assert answers.playbook.lacking.startswith(lacking)
    assert bool(answers.playbook.lacking) == bool(lacking)
    assert SECRET not in str(answers)


def test_what_nobody_merged_is_seen(ansible: Image, tmp_path: Path) -> None:
    """The marks of a conflict in a playbook and in variables are faults of both."""
    marks = "<<<<<<< HEAD\n{0}\n=======\n{0}\n>>>>>>> other\n"
    files = {
        "hosts": "a\n",
        "site.yml": marks.format("- hosts: all"),
        "group_vars/all.yml": marks.format("port: 80"),
    }
    answers = _asked(tmp_path, ansible, files)

    assert answers is not None
    assert "syntax error" in answers.playbook.fault
    assert "group_vars/all.yml" in answers.inventory.fault


def test_an_inventory_that_asks_elsewhere(ansible: Image, tmp_path: Path) -> None:
    """A script that has no network here is no fault."""
    script = (
        "#!/bin/sh\npython3 -c 'import socket; socket.create_connection((\"198.51.100.1\", 80))'\n"
    )
    files = {"site.yml": "- hosts: all\n", "inventory/cloud.sh": script}
    made = Repository(tmp_path, image=ansible)
    made.commit(files)
    made.git("update-index", "--chmod=+x", "inventory/cloud.sh")
    made.git("commit", "--quiet", "-m", "executable")

    with made.restored(made.store()) as restored:
        answers = restored.ansible({})

    assert answers is not None
    assert answers.inventory.fault == ""
    assert answers.inventory.lacking == "inventory/cloud.sh asks elsewhere for its hosts"


def test_an_inventory_with_a_mistake(ansible: Image, tmp_path: Path) -> None:
    """The reason is that of the format that it is written in, with the line and without secrets."""
    broken = f"all:\n  vars: {{a: {SECRET}}}\n  hosts: [\n"
    files = {"site.yml": "- hosts: all\n", "inventory/of-a-rather-long-name.yml": broken}
    answers = _asked(tmp_path, ansible, files)

    assert answers is not None
    start = "inventory/of-a-rather-long-name.yml is no inventory: Syntax Error while loading YAML"
    assert answers.inventory.fault.startswith(start)
    assert "(line " in answers.inventory.fault
    assert SECRET not in str(answers)


def test_an_image_without_ansible(tmp_path: Path) -> None:
    """It is trouble, and no finding; without an image nobody is asked."""
    files = {"site.yml": "- hosts: all\n"}
    (tmp_path / "none").mkdir()
    assert _asked(tmp_path / "none", None, files) is None

    (tmp_path / "wrong").mkdir()
    with pytest.raises(SandboxTrouble, match="has no ansible-"):
        _asked(tmp_path / "wrong", ensure("restoreproof/influxdb:1.6", print), files)
