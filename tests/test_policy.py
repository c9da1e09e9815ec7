"""Policies: what is valid, what is read from it, and the published schema."""

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from policies import MISTAKES, VALID
from pydantic import ValidationError
from ruamel.yaml import YAML

from restoreproof import policy, resources
from restoreproof.policy import fingerprint_of, json_schema
from restoreproof.policy_file import read_policy
from restoreproof.sandbox import Limits

AGAMA = resources.folder("fixtures") / "agama" / "policy.yaml"
SCHEMA = Path(policy.__file__).parent / "schemas" / "policy.schema.json"


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """Where a test writes its policy."""
    return tmp_path / "policy.yaml"


def test_policy_is_read(policy_file: Path) -> None:
    """A valid policy becomes values: durations, references as they stand, defaults filled in."""
    policy_file.write_text(VALID)

    document = read_policy(policy_file)
    policy = document.policy

    assert document.sha256 == fingerprint_of(VALID.encode())
    assert document.folder == policy_file.parent
    assert policy.estate == "Harbour"
    assert policy.objectives.rpo == timedelta(minutes=90)
    assert list(policy.components) == ["database", "metrics", "playbooks"]
    assert policy.components["database"].source.password == "${PASSWORD}"  # type: ignore[attr-defined]
    assert policy.components["metrics"].source.lateness == timedelta(minutes=5)  # type: ignore[attr-defined]
    assert policy.audit.restore == "all"


def test_agama_says_what_its_document_says() -> None:
    """The sample policy promises what the estate's document promises, no more and no less."""
    policy = read_policy(AGAMA).policy

    assert policy.objectives.rpo == timedelta(hours=1)
    assert policy.objectives.rto == timedelta(hours=4)
    assert policy.objectives.restore_test_every == timedelta(days=31)
    for name in ("mysql", "influxdb"):
        schedule = policy.components[name].schedule
        assert schedule is not None
        assert schedule.kinds == {"full": ("10 16 * * 1",), "incremental": ("10 16 * * 2-7",)}
        assert schedule.time_zone == "UTC"
    promised = {kind for one in policy.components.values() for kind in one.coverage}
    assert promised == {"data", "configuration", "logs", "playbook", "inventory"}


@pytest.mark.parametrize("text", ["16:10", "on", "off", "yes", "no"])
def test_words_of_yaml_1_1_are_text(policy_file: Path, text: str) -> None:
    """What YAML 1.1 took for the number 970, or for true, is the text that stands there."""
    policy_file.write_text(VALID.replace("Harbour", text))

    assert read_policy(policy_file).policy.estate == text


def test_policy_cannot_be_changed(policy_file: Path) -> None:
    """What was read stays as it was read, at every level."""
    policy_file.write_text(VALID)
    document = read_policy(policy_file)
    component = document.policy.components["database"]

    for model, key in (
        (document.policy, "estate"),
        (document.policy.objectives, "rpo"),
        (component, "image"),
        (component.source, "host"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(model, key, "other")


def test_published_schema_is_current() -> None:
    """The schema in the package is the one that the models give."""
    current = json.dumps(json_schema(), indent=1, sort_keys=True) + "\n"
    command = (
        "python -c 'import json; from restoreproof.policy import json_schema;"
        f" print(json.dumps(json_schema(), indent=1, sort_keys=True))' > {SCHEMA}"
    )
    assert SCHEMA.read_text() == current, f"write it anew: {command}"


def test_published_schema_agrees_on_examples() -> None:
    """An editor with the schema accepts Agama's policy and sees mistakes of each level."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    validator.check_schema(validator.schema)
    yaml = YAML(typ="safe", pure=True)

    validator.validate(yaml.load(AGAMA.read_text()))
    validator.validate(yaml.load(VALID))
    for mistake in ("unknown key at the top", "unknown key of a source", "duration in words",
                    "unknown engine", "unknown coverage", "missing objective",
                    "table without its database"):  # fmt: skip
        old, new, *_ = MISTAKES[mistake]
        assert not validator.is_valid(yaml.load(VALID.replace(old, new))), mistake


def test_limits_of_a_sandbox_are_the_policys(policy_file: Path) -> None:
    """What a throwaway server may use is said once, in the units of a policy."""
    policy_file.write_text(
        f"{VALID}audit: {{limits: {{memory: 4GB, processors: 3, disk: 1.5TB}}}}\n"
    )
    limits = read_policy(policy_file).policy.audit.limits.of_each()
    assert (limits.memory_bytes, limits.processors) == (4 * 10**9, 3)
    assert limits.disk_bytes == 1_500 * 10**9

    policy_file.write_text(VALID)
    assert read_policy(policy_file).policy.audit.limits.of_each() == Limits()
