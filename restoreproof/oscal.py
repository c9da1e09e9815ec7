"""The run as OSCAL assessment results, for tools that take audits in: from the evidence alone.

A promise of the policy is an objective with its finding, a check's answer an observation, a
component of the estate a component. OSCAL knows two states: what could not be told is
``not-satisfied`` with the reason ``other``, and never satisfied. Names are version 5 UUIDs of the
run and of what they name, so the same evidence gives the same bytes.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from restoreproof import controls
from restoreproof.evidence import CheckRecord, Evidence, PromiseRecord
from restoreproof.verdicts import Verdict, worst
from restoreproof.wording import ATTACHMENT, excerpt, headline, printable

NAME = "oscal-assessment-results.json"
VERSION = "1.2.1"
FRAMEWORK = "nist-800-53"
"""The one whose catalogue is itself OSCAL, so that other tools can look its controls up."""
NAMESPACE = "urn:restoreproof"
REASONS = {Verdict.PASSED: "pass", Verdict.FAILED: "fail"}
ROOM = 2_000

_NO_TOKEN = re.compile(r"[^A-Za-z0-9._-]")
_ENHANCEMENT = re.compile(r"\((\d+)\)")


def assessment_results(evidence: Evidence) -> bytes:
    """The assessment results of a run as JSON, its members sorted."""
    document = {"assessment-results": _Results(evidence).document()}
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True)
class _Objective:
    """A promise of the policy, or a check that failed and that no promise rests upon."""

    token: str
    title: str
    component: str | None
    verdict: Verdict
    reason: str
    observations: tuple[str, ...]


@dataclass
class _Results:
    evidence: Evidence
    run: uuid.UUID = field(init=False)
    checks: list[tuple[str, CheckRecord]] = field(init=False)

    def __post_init__(self) -> None:
        self.run = uuid.uuid5(uuid.NAMESPACE_URL, f"{NAMESPACE}:run:{self.evidence.run.id}")
        self.checks = [
            (self._name("check", str(number)), check)
            for number, check in enumerate(self.evidence.checks)
        ]

    def document(self) -> dict[str, Any]:
        run = self.evidence.run
        tool = f"RestoreProof {self.evidence.environment.restoreproof_version}"
        return {
            "uuid": self._name("document"),
            "metadata": {
                "title": _line(f"Restore audit of {self.evidence.policy.estate}, run {run.id}"),
                "last-modified": _instant(run.finished_at),
                "version": _line(run.id),
                "oscal-version": VERSION,
                "roles": [{"id": "owner", "title": "Answerable for the estate"}],
                "parties": [
                    {
                        "uuid": self._name("owner"),
                        "type": "organization",
                        "name": _line(self.evidence.policy.owner) or "not named",
                    }
                ],
                "responsible-parties": [{"role-id": "owner", "party-uuids": [self._name("owner")]}],
            },
            # The policy says what is assessed and against what: it is the plan.
            "import-ap": {"href": f"#{self._name('resource', 'policy')}"},
            "results": [
                {
                    "uuid": self._name("result"),
                    "title": headline(self.evidence.verdict),
                    "description": _line(self.evidence.verdict_reason) or "no reason given",
                    "start": _instant(run.started_at),
                    "end": _instant(run.finished_at),
                    "local-definitions": {
                        "components": self._components(),
                        "assessment-assets": {
                            "components": [
                                _component(self._name("tool"), "software", tool, run.command)
                            ],
                            "assessment-platforms": [
                                {
                                    "uuid": self._name("platform"),
                                    "title": _line(self.evidence.environment.platform)
                                    or "not named",
                                    "uses-components": [{"component-uuid": self._name("tool")}],
                                }
                            ],
                        },
                    },
                    **self._answers(),
                }
            ],
            "back-matter": {"resources": self._resources()},
        }

    def _components(self) -> list[dict[str, Any]]:
        about = {one.name: one for one in self.evidence.components}
        named = {*about, *(one.component for one in self.evidence.checks if one.component)}
        named |= {one.component for one in self.evidence.promises if one.component}
        estate = self.evidence.policy.estate
        return [
            _component(self._name("estate"), "this-system", estate, "the estate as a whole"),
            *(
                _component(
                    self._name("component", name),
                    "service",
                    name,
                    f"{about[name].engine}: {about[name].description}" if name in about else name,
                )
                for name in sorted(named)
            ),
        ]

    def _answers(self) -> dict[str, Any]:
        objectives = self._objectives()
        answers: dict[str, Any] = {"reviewed-controls": self._reviewed(objectives)}
        # OSCAL takes no empty lists.
        if self.checks:
            answers["observations"] = [self._observation(*one) for one in self.checks]
        if objectives:
            answers["findings"] = [self._finding(one) for one in objectives]
        return answers

    def _reviewed(self, objectives: Sequence[_Objective]) -> dict[str, Any]:
        framework = controls.load(FRAMEWORK)
        asked = {check.id for check in self.evidence.checks}
        concerned = [one.id for one in framework.controls if any(map(one.concerns, asked))]
        ids = concerned or [one.id for one in framework.controls]
        reviewed: dict[str, Any] = {
            "description": (
                "Checks of this run give evidence supporting these controls. Whether an"
                " organisation complies is for its auditor to say."
            ),
            "control-selections": [
                {
                    "description": _line(framework.name),
                    "include-controls": [{"control-id": _control_id(one)} for one in ids],
                }
            ],
        }
        if objectives:
            reviewed["control-objective-selections"] = [
                {
                    "description": "What the policy promises",
                    "include-objectives": [{"objective-id": one.token} for one in objectives],
                }
            ]
        return reviewed

    def _observation(self, name: str, check: CheckRecord) -> dict[str, Any]:
        properties = {
            "check": check.id,
            "verdict": check.verdict,
            "severity": check.severity,
            "examined": str(check.examined),
            "backup": check.backup or "",
        }
        told = (
            ("expected", check.expected),
            ("seen", check.seen),
            ("reason", check.reason),
            ("to do", check.remedy if check.verdict is not Verdict.PASSED else ""),
        )
        words = "; ".join(f"{what}: {words}" for what, words in told if words)
        return {
            "uuid": name,
            "title": _line(f"{check.id} {check.title}"),
            "description": _line(words) or "nothing was noted",
            "props": [
                {"name": key, "ns": NAMESPACE, "value": _line(value)}
                for key, value in properties.items()
                if value
            ],
            "methods": ["TEST"],
            "origins": [{"actors": [{"type": "tool", "actor-uuid": self._name("tool")}]}],
            "subjects": [{"subject-uuid": self._about(check.component), "type": "component"}],
            "relevant-evidence": [
                {
                    "href": f"#{self._name('resource', 'evidence')}",
                    "description": f"member checks of {ATTACHMENT}",
                }
            ],
            "collected": _instant(self.evidence.run.finished_at),
        }

    def _objectives(self) -> tuple[_Objective, ...]:
        by_id: dict[str, list[tuple[str, CheckRecord]]] = {}
        for name, check in self.checks:
            by_id.setdefault(check.id, []).append((name, check))
        tokens = _tokens(promise.id for promise in self.evidence.promises)
        promised = [
            _Objective(
                token=token,
                title=promise.promise,
                component=promise.component,
                verdict=promise.verdict,
                reason=promise.reason,
                observations=tuple(_behind(promise, by_id)),
            )
            for token, promise in zip(tokens, self.evidence.promises, strict=True)
        ]
        known = {name for one in promised for name in one.observations}
        others: dict[tuple[str, str | None], list[tuple[str, CheckRecord]]] = {}
        for name, check in self.checks:
            if name not in known:
                others.setdefault((check.id, check.component), []).append((name, check))
        tokens = _tokens(f"{component or 'estate'}.check.{key}" for key, component in others)
        return (
            *promised,
            *(
                _Objective(
                    token=token,
                    title=found[0][1].title,
                    component=component,
                    verdict=worst(check.verdict for _, check in found),
                    reason="",
                    observations=tuple(name for name, _ in found),
                )
                for token, ((_, component), found) in zip(tokens, others.items(), strict=True)
            ),
        )

    def _finding(self, objective: _Objective) -> dict[str, Any]:
        passed = objective.verdict is Verdict.PASSED
        status = {
            "state": "satisfied" if passed else "not-satisfied",
            "reason": REASONS.get(objective.verdict, "other"),
            "remarks": _line(f"{objective.verdict}: {objective.reason}".rstrip(": ")),
        }
        found: dict[str, Any] = {
            "uuid": self._name("finding", objective.token),
            "title": _line(objective.title),
            "description": _line(f"{objective.component or 'the estate'}: {objective.title}"),
            "target": {"type": "objective-id", "target-id": objective.token, "status": status},
        }
        if objective.observations:
            found["related-observations"] = [
                {"observation-uuid": name} for name in objective.observations
            ]
        return found

    def _resources(self) -> list[dict[str, Any]]:
        policy = self.evidence.policy
        evidence = hashlib.sha256(self.evidence.canonical()).hexdigest()
        return [
            self._resource("policy", "Policy", policy.file, policy.sha256),
            self._resource("evidence", "Everything that the run saw", ATTACHMENT, evidence),
        ]

    def _resource(self, key: str, title: str, file: str, sha256: str) -> dict[str, Any]:
        link = {"href": _address(file), "hashes": [{"algorithm": "SHA-256", "value": sha256}]}
        return {"uuid": self._name("resource", key), "title": title, "rlinks": [link]}

    def _about(self, component: str | None) -> str:
        return self._name("component", component) if component else self._name("estate")

    def _name(self, *what: str) -> str:
        """A UUID that names one thing of this run, the same whenever it is asked for."""
        return str(uuid.uuid5(self.run, "/".join(what)))


def _behind(
    promise: PromiseRecord, by_id: Mapping[str, Sequence[tuple[str, CheckRecord]]]
) -> Iterator[str]:
    """The observations that a promise rests upon."""
    for key in dict.fromkeys(promise.checks):
        for name, check in by_id.get(key, ()):
            if promise.component in (None, check.component):
                yield name


def _component(name: str, kind: str, title: str, description: str) -> dict[str, Any]:
    return {
        "uuid": name,
        "type": kind,
        "title": _line(title) or "not named",
        "description": _line(description) or "not described",
        "status": {"state": "operational"},
    }


def _tokens(names: Iterable[str]) -> list[str]:
    """Names as OSCAL takes them for identifiers, each unlike all others."""
    tokens: dict[str, None] = {}
    for name in names:
        clean = _NO_TOKEN.sub("_", name)[:80]
        unlike = clean != name or f"promise.{clean}" in tokens
        tokens[f"promise.{clean}.{len(tokens)}" if unlike else f"promise.{clean}"] = None
    return list(tokens)


def _control_id(name: str) -> str:
    """``CP-9(1)`` as the catalogue has it in OSCAL: ``cp-9.1``."""
    return _ENHANCEMENT.sub(r".\1", name).lower()


def _address(file: str) -> str:
    """A file's name as a relative reference."""
    return re.sub(r"[^A-Za-z0-9._~/-]", lambda found: f"%{ord(found[0]) & 0xFF:02X}", file)


def _line(text: str) -> str:
    return printable(excerpt(text, ROOM)).strip()


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
