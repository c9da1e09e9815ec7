"""A signed statement of what a run found and which files are its own: in-toto test-result, DSSE.

The statement names every file by its SHA-256, so that one signature with the report's own key binds
what the PDF's signature does not cover. Signed are the bytes of DSSE's pre-authentication encoding,
never bare JSON, so that no signature over something else can be taken for this one.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from restoreproof.evidence import CheckRecord, Evidence, LedgerPosition
from restoreproof.ledger import BEGINNING
from restoreproof.ledger import NAME as LEDGER
from restoreproof.verdicts import Verdict

NAME = "attestation.dsse.json"
ENTRY = f"{LEDGER} entry "
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"

RESULTS = {Verdict.PASSED: "PASSED", Verdict.FAILED: "FAILED"}
LISTS = {Verdict.PASSED: "passedTests", Verdict.FAILED: "failedTests"}
"""What neither passed nor failed is a warning there: in-toto knows no other word."""


class NotAttested(Exception):
    """The attestation must not be trusted. ``str()`` is the reason in one line."""


def statement(evidence: Evidence, files: Mapping[str, str]) -> bytes:
    """What is attested of a run, of whose files the SHA-256 are given by name."""
    subjects = dict(files)
    # With the entry before it nobody can make earlier runs anew and keep this signature.
    subjects |= {f"{ENTRY}{one.sequence - 1}": one.previous for one in _place(evidence)}
    tests: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for check in evidence.checks:
        tests[LISTS.get(check.verdict, "warnedTests")].append(_name(check))
    configuration = {
        evidence.policy.file: evidence.policy.sha256,
        "suites": evidence.environment.suites_sha256,
    }
    content: dict[str, Any] = {
        "_type": STATEMENT,
        "subject": [_described(*one) for one in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "result": RESULTS.get(evidence.verdict, "WARNED"),
            "configuration": [_described(*one) for one in configuration.items()],
            **tests,
        },
    }
    return rfc8785.dumps(content)


def head_before(evidence: Evidence) -> list[str]:
    """The hash of the ledger's entry before the run, if there was one."""
    return [one.previous for one in _place(evidence)]


def is_ledger_entry(name: str) -> bool:
    """Whether a subject is an entry of the ledger, and no file."""
    return name.startswith(ENTRY)


def enveloped(payload: bytes, sign: Callable[[bytes], bytes], key: str) -> bytes:
    """A statement in its DSSE envelope, signed; ``key`` tells a reader which key it was."""
    signature = {"keyid": key, "sig": _base64(sign(encoded(payload)))}
    envelope: dict[str, Any] = {
        "payload": _base64(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [signature],
    }
    return rfc8785.dumps(envelope)


def encoded(payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def attested(envelope: bytes, certificate: x509.Certificate) -> dict[str, str]:
    """The SHA-256 of each file that the holder of this certificate's key attested, by name.

    Raise NotAttested.
    """
    try:
        found = json.loads(envelope)
        payload = base64.b64decode(found["payload"], validate=True)
        (signature,) = found["signatures"]
        raw = base64.b64decode(signature["sig"], validate=True)
        kind = found["payloadType"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotAttested(f"not a DSSE envelope: {type(error).__name__}") from None
    if kind != PAYLOAD_TYPE:
        raise NotAttested("the envelope holds no in-toto statement")
    _require_signature(certificate, raw, encoded(payload))
    try:
        content = json.loads(payload)
        if (content["_type"], content["predicateType"]) != (STATEMENT, PREDICATE):
            raise NotAttested("the statement is of another type")
        return dict(_digests(content["subject"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotAttested(f"not an in-toto statement: {type(error).__name__}") from None


def _digests(subjects: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for one in subjects:
        yield str(one["name"]), str(one["digest"]["sha256"])


def _require_signature(certificate: x509.Certificate, signature: bytes, content: bytes) -> None:
    public = certificate.public_key()
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, content, ec.ECDSA(hashes.SHA256()))
        else:
            raise NotAttested("the signer's key is of a kind that signs no attestation")
    except InvalidSignature:
        raise NotAttested("it was not signed by the report's signer, or changed after") from None


def _place(evidence: Evidence) -> list[LedgerPosition]:
    place = evidence.ledger
    return [place] if place and place.previous != BEGINNING else []


def _name(check: CheckRecord) -> str:
    return " ".join(one for one in (check.id, check.component, check.backup) if one)


def _described(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
