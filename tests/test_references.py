"""Values that a policy names without holding them."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from restoreproof import redaction
from restoreproof.errors import SecretMissing
from restoreproof.redaction import redact
from restoreproof.references import Secret, expand, reveal

ADAPTER: TypeAdapter[str] = TypeAdapter(Secret)
WHERE = "component mysql"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the test's secrets again."""
    monkeypatch.setattr(redaction, "_secrets", set())


def missing(secret: str, folder: Path) -> SecretMissing:
    """The refusal of a secret that is not there."""
    with pytest.raises(SecretMissing) as caught:
        reveal(secret, where=WHERE, folder=folder)
    (line,) = caught.value.lines()
    assert line.startswith(f"{WHERE}: ")
    assert caught.value.mend
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize("text", ["${PASSWORD}", "${_a1}", "file:secret.txt", "file:/etc/secret"])
def test_reference_is_taken(text: str) -> None:
    """A variable and a file are references."""
    assert ADAPTER.validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    ["hunter2", "", "${PASSWORD}x", "x${PASSWORD}", "${A}${B}", "$PASSWORD", "${1A}", "${A B}",
     "${PASSWORD:-hunter2}", "${PASSWORD:-}", "FILE:x", " file:x"],
)  # fmt: skip
def test_plain_secret_is_refused_and_not_repeated(text: str) -> None:
    """Whatever holds a secret, or a part of one, or a default for one, is refused unsaid."""
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(text)

    assert "by reference" in caught.value.errors()[0]["msg"]
    assert "hunter2" not in caught.value.errors()[0]["msg"]


def test_variables_are_replaced() -> None:
    """Every variable in a text is replaced, by its default where it is not set or empty."""
    environment = {"HOST": "db.example", "EMPTY": ""}
    text = "${HOST}:${PORT:-3306}/${EMPTY:-none}${NOTHING:-}"

    assert expand(text, where=WHERE, environment=environment) == "db.example:3306/none"


def test_replacement_is_not_replaced_again() -> None:
    """A value that looks like a variable is a value."""
    assert expand("${A}", where=WHERE, environment={"A": "${B}", "B": "x"}) == "${B}"


def test_text_without_variables_is_left_alone() -> None:
    """A dollar sign alone is no variable."""
    assert expand("$HOME $$ ${ }", where=WHERE, environment={}) == "$HOME $$ ${ }"


@pytest.mark.parametrize("environment", [{}, {"PASSWORD": ""}])
def test_unset_variable_is_named_with_its_mend(environment: dict[str, str]) -> None:
    """A variable that is not set, or empty, is named with the command that sets it."""
    with pytest.raises(SecretMissing, match="PASSWORD is not set") as caught:
        expand("${PASSWORD}", where=WHERE, environment=environment)

    assert str(caught.value).startswith(f"{WHERE}: ")
    assert "export PASSWORD=" in caught.value.mend


def test_secret_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable's value is the secret, is asked for when it is needed, and is redacted then."""
    monkeypatch.setenv("PASSWORD", "tiger-1")
    assert redact("tiger-1") == "tiger-1"

    assert reveal("${PASSWORD}", where=WHERE, folder=tmp_path) == "tiger-1"
    assert "tiger-1" not in redact("login with tiger-1 failed")


def test_secret_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's text is the secret, without line ends after it; paths start from the policy."""
    (tmp_path / "secret").write_text(" tiger 2 \n\n")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    for name in (
        "file:secret",
        f"file:{tmp_path}/secret",
        "file:${FOLDER}/secret",
        "file:~/secret",
    ):
        assert reveal(name, where=WHERE, folder=tmp_path) == " tiger 2 "
    assert redact("login with ' tiger 2 ' failed") == "login with '[secret]' failed"


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("file:none", "No such file"),
        ("file:", "Is a directory"),
        ("file:folder", "Is a directory"),
        ("file:binary", "not UTF-8 text"),
        ("file:empty", "is empty"),
        ("file:~nobody-of-this-name/x", "No such file"),
        ("file:a\0b", "cannot be read"),
        ("${NOT_SET_ANYWHERE}", "not set"),
        ("file:${NOT_SET_ANYWHERE}/x", "not set"),
    ],
)
def test_missing_secret_is_one_line(tmp_path: Path, secret: str, reason: str) -> None:
    """A secret that cannot be had is told with what to do, whatever the reason."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").write_bytes(b"\n")

    assert reason in missing(secret, tmp_path).what
