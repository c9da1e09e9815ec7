"""Images: found or built, rebuilt when a recipe changed, and fit to be a sandbox."""

import http.client
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pymysql
import pytest
from docker.models.containers import Container

from restoreproof import docker_engine, image_recipes, images
from restoreproof.errors import DockerUnavailable, ImageUnavailable

MYSQL = "restoreproof/mysql:9.7"
MARIADB = "restoreproof/mariadb:10.11"
INFLUXDB = "restoreproof/influxdb:1.6"
Answer = TypeVar("Answer")

# Every character that SQL or a shell could trip over.
PASSWORD = "it's a \\ \"pass`word"


def refuse(line: str) -> None:
    pytest.fail(f"work was done: {line}")


@pytest.fixture
def copied_recipe(tmp_path: Path) -> images.Recipe:
    recipe = next(recipe for recipe in images.recipes() if recipe.reference == INFLUXDB)
    folder = tmp_path / "copy"
    shutil.copytree(recipe.folder, folder)
    return replace(recipe, folder=folder)


@contextmanager
def isolated(
    reference: str, socket_name: str, **options: object
) -> Iterator[tuple[Container, Path]]:
    """A container of the image with no network and no privilege, and its socket's path here."""
    image = images.ensure(reference, print)
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder, "shared")
        shared.mkdir()
        shared.chmod(0o777)
        client = docker_engine.connect()
        container = client.containers.run(
            image.identifier,
            detach=True,
            network_mode="none",
            user="999:999",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="1g",
            volumes={str(shared): {"bind": "/shared", "mode": "rw"}},
            **options,
        )
        try:
            yield container, shared / socket_name
        finally:
            container.remove(force=True, v=True)
            client.close()


def wait_for(attempt: Callable[[], Answer], seconds: float = 120) -> Answer:
    """The first answer within that time; then the last error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except (OSError, pymysql.err.OperationalError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize("reference", [MYSQL, MARIADB, INFLUXDB])
def test_second_call_finds_the_image_and_does_no_work(reference: str) -> None:
    first = images.ensure(reference, print)
    second = images.ensure(reference, refuse)
    assert second == replace(first, origin="local")
    assert second.identifier.startswith("sha256:")


@pytest.mark.parametrize(
    "reference", ["restoreproof/unknown:1", "restoreproof-no-such-image:0", "Not A Name"]
)
def test_unavailable_image_is_one_line_with_a_mend(reference: str) -> None:
    with pytest.raises(ImageUnavailable) as raised:
        images.ensure(reference, print)
    line = str(raised.value)
    assert reference in line
    assert raised.value.mend
    assert "\n" not in line
    assert raised.value.exit_code == 2


def test_engine_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/docker.sock")
    with pytest.raises(DockerUnavailable) as raised:
        images.ensure(MYSQL, refuse)
    assert str(raised.value) == (
        "no Docker engine answers (tried unix:///no/such/docker.sock: no such file)"
        " -- start that engine, or unset DOCKER_HOST"
    )


def test_changed_recipe_has_another_digest(copied_recipe: images.Recipe) -> None:
    before = copied_recipe.digest
    original = next(recipe for recipe in images.recipes() if recipe.reference == INFLUXDB)
    assert before == original.digest
    with (copied_recipe.folder / "setup.sh").open("a") as file:
        file.write("\n")
    assert copied_recipe.digest != before


def test_changed_recipe_is_built_again(
    copied_recipe: images.Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.ensure(INFLUXDB, print)
    (copied_recipe.folder / "more").write_text("changed")
    built: list[images.Recipe] = []
    monkeypatch.setattr(images, "recipes", lambda: (copied_recipe,))
    monkeypatch.setattr(images, "build", lambda *arguments: built.append(arguments[1]))
    monkeypatch.setattr(images, "_forget", lambda *_: None)
    assert images.ensure(INFLUXDB, print).origin == "built"
    assert built == [copied_recipe]


def test_failed_build_says_why_and_leaves_nothing(
    copied_recipe: images.Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool, asked, disk = tmp_path / "mmdebstrap", tmp_path / "asked", tmp_path / "disk"
    disk.mkdir()
    tool.write_text(
        f'#!/bin/sh\necho "$@" > {asked}\n'
        'echo "I: at work"; echo "E: no such package" >&2; exit 1\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    recipe = replace(copied_recipe, reference="restoreproof/never:1")
    client = docker_engine.connect()
    # In its usual place other processes build too.
    monkeypatch.setattr(image_recipes, "_DISK", disk)
    with pytest.raises(ImageUnavailable, match="its build failed: E: no such package"):
        image_recipes.build(client, recipe, print)
    assert f" {disk}/" in asked.read_text()
    assert list(disk.iterdir()) == []
    assert not client.images.list("restoreproof/never")
    client.close()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (
            "sources.list",
            "# deb http://old/ sid main\ndeb [arch=amd64] http://near/debian sid main\n",
        ),
        (
            "sources.list.d/debian.sources",
            """\
Types: deb
URIs: http://near/security
Suites: x-security

Types: deb-src
URIs: http://sources/
Suites: x

Enabled: no
Types: deb
URIs: http://off/
Suites: x

Types: deb
# why
URIs: http://near/debian http://far/debian
Suites: x
""",
        ),
    ],
)
def test_mirror_is_the_one_that_apt_uses(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / "os-release").write_text("ID=debian\n")
    sources = tmp_path / "apt" / file
    sources.parent.mkdir(parents=True)
    sources.write_text(content)
    assert image_recipes.apt_mirror(tmp_path) == ("http://near/debian",)


def test_mirror_of_another_distribution_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=ubuntu\nID_LIKE=debian\n")
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt" / "sources.list").write_text("deb http://near/ubuntu noble main\n")
    assert image_recipes.apt_mirror(tmp_path) == ()


@pytest.mark.parametrize(
    ("reference", "options", "state", "version"),
    [
        (MYSQL, [], "@@server_uuid, @@gtid_executed", "9.7."),
        (MARIADB, ["--log-bin"], "@@hostname, @@gtid_binlog_pos", "10.11."),
    ],
)
def test_mysql_is_ready_with_no_network_and_no_privilege(
    reference: str, options: list[str], state: str, version: str
) -> None:
    identities = set()
    for _ in range(2):
        with isolated(
            reference,
            "mysqld.sock",
            command=["--socket=/shared/mysqld.sock", *options],
            environment={"MYSQL_ROOT_PASSWORD": PASSWORD},
        ) as (container, path):
            connection = wait_for(
                lambda path=path: pymysql.connect(
                    unix_socket=str(path), user="root", password=PASSWORD
                )
            )
            with connection, connection.cursor() as cursor:
                cursor.execute(f"SELECT {state}, @@log_bin, @@version")
                identity, executed, logs, seen = cursor.fetchone()
                cursor.execute("SELECT CONVERT_TZ('2026-01-01', 'UTC', 'Europe/Prague')")
                assert cursor.fetchone()[0] is not None
                cursor.execute("SELECT host FROM mysql.user WHERE user = 'root' ORDER BY host")
                assert cursor.fetchall() == (("%",), ("localhost",))
            identities.add(identity)
            assert (executed, logs) == ("", 1)
            assert seen.startswith(version)
            for file in ("cmdline", "environ"):
                shown = container.exec_run(["cat", f"/proc/1/{file}"])
                assert shown.exit_code == 0
                assert PASSWORD.encode() not in shown.output
    assert len(identities) == 2, "each server has an identity of its own"


@pytest.mark.parametrize(
    ("reference", "variable"), [(MYSQL, "MYSQL_ROOT_PASSWORD"), (MARIADB, "MARIADB_ROOT_PASSWORD")]
)
def test_mysql_without_a_password_says_what_to_set(reference: str, variable: str) -> None:
    with isolated(reference, "mysqld.sock") as (container, _):
        assert container.wait(timeout=120)["StatusCode"] == 1
        assert f"set {variable}".encode() in container.logs()


def test_influxdb_is_ready_with_no_network_and_no_privilege() -> None:
    with isolated(
        INFLUXDB,
        "influxdb.sock",
        environment={
            "INFLUXDB_HTTP_UNIX_SOCKET_ENABLED": "true",
            "INFLUXDB_HTTP_BIND_SOCKET": "/shared/influxdb.sock",
        },
    ) as (container, path):

        def ping() -> int:
            connection = http.client.HTTPConnection("localhost")
            connection.sock = socket.socket(socket.AF_UNIX)
            with connection.sock:
                connection.sock.connect(str(path))
                connection.request("GET", "/ping")
                return connection.getresponse().status

        assert wait_for(ping) == 204
        assert path.stat().st_mode & 0o006 == 0o006, "a user that is not root can connect"
        backup = container.exec_run(["influxd", "backup", "-portable", "/tmp/backup"])
        assert backup.exit_code == 0, backup.output
