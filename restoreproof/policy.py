"""policy.yaml as frozen models: what an estate promises about its backups.

Unknown keys are refused, and every mistake is reported at once with file, line and mend.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)

from restoreproof import controls, engines
from restoreproof.durations import DURATION, Duration, parse_duration
from restoreproof.engines.contract_exercise import Criterion
from restoreproof.own_commands import Commands
from restoreproof.references import SourceModel
from restoreproof.sandbox import Limits
from restoreproof.signing_settings import Signing
from restoreproof.sizes import Size

COVERAGE_KINDS = ("data", "configuration", "logs", "playbook", "inventory")
CoverageKind = Literal["data", "configuration", "logs", "playbook", "inventory"]
CRON_FIELDS = 5
COMPONENT_NAME = r"^[a-z][a-z0-9-]{0,62}$"


def _check_cron(expression: str) -> str:
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
        # CronSim would take six fields too, the first for seconds; cron would not.
        if len(expression.split()) != CRON_FIELDS:
            raise CronSimError("wrong number of fields")
    except CronSimError as error:
        raise ValueError(
            f"not a cron expression: {str(error).lower()};"
            " write minute, hour, day, month, day of week, such as '10 16 * * 1'"
        ) from None
    return expression


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Cron = Annotated[str, AfterValidator(_check_cron)]
CRON_FORM = {"type": "string"}
Crons = Annotated[
    tuple[Cron, ...],
    BeforeValidator(_as_list),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [CRON_FORM, {"type": "array", "items": CRON_FORM, "minItems": 1}]}),
]
"""One cron expression, or several of which each counts."""


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"unknown time zone {name!r}; write one such as UTC or Europe/Paris"
        ) from None
    return name


def _as_duration(value: object) -> object:
    return timedelta() if value == "every-audit" else value


IntegrityChecks = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    BeforeValidator(_as_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "every-audit"},
                {"type": "string", "pattern": f"^{DURATION.pattern}$"},
            ]
        }
    ),
]
"""Within what time every stored byte is checked; nothing means at every audit."""
TimeZone = Annotated[str, AfterValidator(_check_zone)]


class PolicyModel(BaseModel):
    """Base of all policy sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Objectives(PolicyModel):
    """How much may be lost, how long recovery may take, how often a restore is tested."""

    rpo: Duration
    rto: Duration
    restore_test_every: Duration


class Schedule(PolicyModel):
    """When full and incremental backups are due: one cron expression each, or a list of them.

    ``continuous`` says that changes are stored as they happen, by ``restoreproof stream``.
    """

    full: Crons
    incremental: Crons | None = None
    continuous: bool = False
    time_zone: TimeZone = "UTC"

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Kind of backup to cron expressions."""
        return {"full": self.full} | ({"incremental": self.incremental} if self.incremental else {})


class Retention(PolicyModel):
    """How long backups are kept; ``until: deleted-by-hand`` keeps them for good.

    With ``days`` and ``count`` a backup is kept as long as either keeps it.
    """

    days: int | None = Field(default=None, ge=1)
    count: int | None = Field(default=None, ge=1)
    until: Literal["deleted-by-hand"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Retention":
        if self.days is None and self.count is None and self.until is None:
            raise ValueError("says nothing; give days, count or 'until: deleted-by-hand'")
        return self

    def describe(self) -> str:
        """The promise in words."""
        parts = [f"{self.days} days"] if self.days else []
        parts += [f"the newest {self.count}"] if self.count else []
        parts += ["until deleted by hand"] if self.until else []
        return ", ".join(parts)


class Component(PolicyModel):
    """One thing with its own backups. Each engine's own form of it adds engine and source."""

    engine: str
    description: str = ""
    image: str | None = None
    coverage: tuple[CoverageKind, ...] = Field(min_length=1)
    schedule: Schedule | None = None
    retention: Retention | None = None
    expected_size: Size | None = None
    """How much production holds, as a full backup of it unpacked, in bytes."""
    source: SourceModel
    commands: Commands | None = None
    """The organisation's own, where its backups are made and restored by them."""

    @model_validator(mode="after")
    def _fits_its_engine(self) -> "Component":
        engine = engines.load(self.engine)
        if engine.needs_image and not self.image:
            raise ValueError(
                f"the {self.engine} engine restores into a container; add 'image:' with its image"
            )
        if self.commands is not None and not engine.takes_commands:
            raise ValueError(
                f"no commands can make backups for the {self.engine} engine yet; leave out"
                " 'commands:', and jobs of its own do"
            )
        return self


class Vault(PolicyModel):
    """Where backups live: a folder, relative to the policy's own.

    The other keys say what no folder shows: which ``host`` its disk belongs to, where the copy
    off the site lies, and what encrypts it. They are the policy's word, and examined by nobody.
    """

    location: str
    host: str = ""
    off_site_copy: str = ""
    encryption: str = ""


class Report(PolicyModel):
    """How reports look: their paper, and the frameworks of controls that they map checks to.

    ``classification`` says who may read them, in the organisation's own words.
    """

    paper: Literal["A4", "letter"] = "A4"
    classification: str = Field(default="", max_length=60)
    frameworks: tuple[str, ...] = ()

    @field_validator("frameworks")
    @classmethod
    def _known_frameworks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in controls.names():
                known = ", ".join(controls.names())
                raise ValueError(f"no framework {name!r}; choose from {known}")
        return names


class RestorationCriterion(PolicyModel):
    """A case in which backups are restored. One with a ``name`` is played in audits."""

    name: Criterion | None = None
    text: str = Field(min_length=1)


def _as_sentence(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


Sentence = Annotated[RestorationCriterion, BeforeValidator(_as_sentence)]
"""A criterion, or a sentence alone, which nothing can play."""


class SandboxLimits(PolicyModel):
    """How much each throwaway server may use, so that no backup takes more of this machine."""

    memory: Size = Field(default=1024**3, ge=256 * 1024**2)
    processors: float = Field(default=2, gt=0)
    disk: Size | None = None
    """On the engine's disk, beyond the image."""

    def of_each(self) -> Limits:
        """The limits as sandboxes take them."""
        return Limits(memory_bytes=self.memory, processors=self.processors, disk_bytes=self.disk)


class Audit(PolicyModel):
    """How audits go about it: which backups are restored, and what findings may say.

    With ``show_values`` a difference names keys of rows; without it, their places. ``schedule``
    says when audits run, each of which is a restore test. ``exercise`` names the components on
    copies of which the restoration criteria are played.
    """

    restore: Literal["all", "newest"] = "all"
    show_values: bool = False
    schedule: Crons | None = None
    time_zone: TimeZone = "UTC"
    exercise: Literal["all", "none"] | tuple[str, ...] = "all"
    limits: SandboxLimits = SandboxLimits()


class NegativeControl(PolicyModel):
    """How long audits damage copies of a component's backups, to prove that checks can fail.

    ``budget`` is for each component. Chance starts from the run's seed if none is given.
    """

    budget: Duration = timedelta(minutes=1)
    seed: int | None = None


class Policy(PolicyModel):
    """The whole policy of one estate."""

    estate: str = Field(min_length=1)
    description: str = ""
    owner: str = ""
    next_review: date | None = None
    """The day by which somebody looks over the policy again."""
    promised_coverage: dict[str, tuple[CoverageKind, ...]] = Field(default_factory=dict)
    """What the document behind the policy names as backed up, so that nothing is forgotten."""
    objectives: Objectives
    integrity_checks: IntegrityChecks | None = None
    restoration_criteria: tuple[Sentence, ...] = ()
    vault: Vault
    signing: Signing | None = None
    audit: Audit = Audit()
    negative_control: NegativeControl | Literal["off"] = NegativeControl()
    report: Report = Report()
    components: dict[Annotated[str, Field(pattern=COMPONENT_NAME)], Component] = Field(min_length=1)

    @field_validator("restoration_criteria")
    @classmethod
    def _named_once(cls, criteria: tuple[Sentence, ...]) -> tuple[Sentence, ...]:
        names = [one.name for one in criteria if one.name is not None]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} stands twice; write one sentence for both")
        return criteria

    @field_validator("components")
    @classmethod
    def _exercises_what_there_is(
        cls, components: dict[str, Component], info: ValidationInfo
    ) -> dict[str, Component]:
        audits = info.data.get("audit")
        chosen = audits.exercise if isinstance(audits, Audit) else "all"
        for name in chosen if isinstance(chosen, tuple) else ():
            if name not in components:
                known = ", ".join(components)
                raise ValueError(f"audit.exercise names no component {name!r}; choose from {known}")
        return components


@dataclass(frozen=True)
class PolicyDocument:
    """A valid policy with the file it came from."""

    policy: Policy
    path: Path
    sha256: str

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the policy start from."""
        return self.path.parent


@cache
def document_model() -> type[Policy]:
    """Policy with every engine's own source in it, so that mistakes there are found too."""
    forms = tuple(_component_form(name) for name in engines.names())
    component: Any = Annotated[reduce(or_, forms), Field(discriminator="engine")]
    named: Any = dict[Annotated[str, Field(pattern=COMPONENT_NAME)], component]
    return create_model("PolicyDocument", __base__=Policy, components=(named, Field(min_length=1)))


def _component_form(name: str) -> type[Component]:
    fields: dict[str, Any] = {
        "engine": (Literal[name], ...),
        "source": (engines.load(name).source_model, ...),
    }
    return create_model(f"{name.capitalize()}Component", __base__=Component, **fields)


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of a policy, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **document_model().model_json_schema(),
    }


def fingerprint_of(content: bytes) -> str:
    """Lower-case hex SHA-256 of the policy file as it lies there."""
    return hashlib.sha256(content).hexdigest()
