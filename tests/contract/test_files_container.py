"""Files in a container, and programs in a sandbox that are asked about restored configuration."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from files_place import Place, differences

from restoreproof import docker_engine
from restoreproof.engines.files_restored import RestoredFiles
from restoreproof.engines.files_source import FilesSource
from restoreproof.errors import SourceUnavailable
from restoreproof.images import Image, ensure

OPTIONS = "[mysqld]\nmax_connections = 77\n!includedir /etc/mysql/conf.d/\n"
SECRET_VALUE = "swordfish-9000"


@pytest.fixture(scope="module")
def container(image: Image) -> Iterator[Any]:
    """A container that does not run, with configuration in it."""
    client = docker_engine.connect()
    made = client.containers.create(image.identifier, ["86400"], entrypoint=["sleep"])
    try:
        put(
            made,
            {
                "etc/mysql/my.cnf": OPTIONS,
                "etc/mysql/conf.d/own.cnf": "[mysqld]\nmax_connections = 78\n",
                "etc/mysql/a-link": "",
                "etc/other/имя": "name",
            },
        )
        yield made
    finally:
        made.remove(force=True)
        client.close()


def put(container: Any, contents: Mapping[str, str]) -> None:
    """Place files in a container; one without content is a link."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in contents.items():
            member = tarfile.TarInfo(name)
            member.mode, member.uid = 0o640, 999
            if text:
                member.size = len(text.encode())
            else:
                member.type, member.linkname = tarfile.SYMTYPE, "my.cnf"
            tar.addfile(member, io.BytesIO(text.encode()))
    container.put_archive("/", packed.getvalue())


def of(container: Any, **more: Any) -> FilesSource:
    """The container's configuration as a policy names it."""
    paths = ["/etc/mysql", "/etc/other/имя"]
    return FilesSource.model_validate({"container": container.name, "paths": paths, **more})


def test_files_of_a_container_come_back_and_are_accepted(
    tmp_path: Path, image: Image, container: Any
) -> None:
    """Full and increment out of a container; a real mysqld reads them where they were."""
    place = Place(tmp_path, image)
    source = of(container, validate=[{"mysqld": "/etc/mysql/my.cnf"}, {"command": ["true"]}])
    place.engine.probe(place.context(source))
    full = place.back_up(source)
    put(container, {"etc/mysql/conf.d/more.cnf": "[mysqld]\nport = 3307\n"})
    increment = place.back_up(source, full)

    assert full.manifest().source_version == "restoreproof/mysql:9.7"
    names = {item.name for item in full.manifest().fingerprint.items}
    assert names == {"/etc/mysql", "/etc/mysql/conf.d", "/etc/other"}
    with place.restored(full, source) as attempt:
        assert attempt.comparison.equal
    with place.restored(increment, source) as attempt:
        assert differences(attempt) == []
        assert isinstance(attempt.restored, RestoredFiles)
        link = Path(f"{attempt.restored.folder}/etc/mysql/a-link")
        assert str(link.readlink()) == "my.cnf"
        validated = attempt.restored.validate()
        assert (validated.examined, validated.complaints) == (2, ())


def test_what_programs_refuse_is_told_without_values(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option that mysqld does not know, a command that fails, one that does not end."""
    place = Place(tmp_path, image)
    (place.files / "my.cnf").write_text(f"[mysqld]\nno_such_option = {SECRET_VALUE}\n")
    tell = f"echo fatal error in {SECRET_VALUE} >&2; exit 3"
    source = place.source(
        validate=[
            {"mysqld": f"{place.files}/my.cnf"},
            {"command": ["sh", "-c", tell]},
            {"command": ["sleep", "600"], "time_limit": "1s"},
            {"command": ["test", "-f", f"{place.files}/my.cnf"]},
        ]
    )

    with place.restored(place.back_up(source), source) as attempt:
        assert isinstance(attempt.restored, RestoredFiles)
        validated = attempt.restored.validate()
    option, command, endless = validated.complaints
    assert f"mysqld on {place.files}/my.cnf: " in option
    assert "unknown variable 'no_such_option=…'" in option
    assert command == "sh: fatal error in …"
    assert endless == "sleep: it did not end within 1 s"
    assert SECRET_VALUE not in str(validated)


def test_influxd_is_asked(tmp_path: Path) -> None:
    """influxd config takes what it can read, and refuses what it cannot."""
    place = Place(tmp_path, ensure("restoreproof/influxdb:1.6", print))
    source = place.source(validate=[{"influxd": f"{place.files}/influxdb.conf"}])
    outcomes = []
    for line in ("store-enabled = false", "store-enabled = no"):
        (place.files / "influxdb.conf").write_text(f"[monitor]\n  {line}\n")
        with place.restored(place.back_up(source), source) as attempt:
            assert isinstance(attempt.restored, RestoredFiles)
            outcomes.append(attempt.restored.validate().complaints)

    assert outcomes[0] == ()
    assert "influxdb.conf: " in outcomes[1][0]


def test_a_program_that_is_not_there_is_told_before_a_job(tmp_path: Path, image: Image) -> None:
    """One line with its mend, for a command that the image lacks and for no image at all."""
    place = Place(tmp_path, image)
    with pytest.raises(SourceUnavailable) as caught:
        place.engine.probe(place.context(place.source(validate=[{"command": ["no-such-tool"]}])))
    assert "no command no-such-tool in the image restoreproof/mysql:9.7" in str(caught.value)
    place.image = None
    with pytest.raises(SourceUnavailable) as caught:
        place.engine.probe(place.context(place.source(validate=[{"mysqld": "/etc/my.cnf"}])))
    assert "add 'image:'" in caught.value.mend
