"""What a mission is: an entry of a stream, read strictly.

Rules: every field is there that has to be, none that nobody knows (threats.md T26); each has its bound, the
whole too (T24); a mission ends, and sooner than hosts forget that they have had it (T27). What is wrong is
refused by the name of a rule.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from newleaf.core.missions.mission_errors import MalformedMission
from newleaf.core.missions.targeting import Target, parse_target
from newleaf.core.records import moment

MAX_BYTES = 64 * 1024
MAX_LIFE = timedelta(days=14)
"""From issue to expiry; results are remembered for longer."""
DEFAULT_LIFE = timedelta(days=1)
DEFAULT_RETRIES = 3

REQUIRED = ("job_id", "mission_kind", "target", "issued_at", "expires_at", "payload")
OPTIONAL = ("idempotency_key", "priority", "timeout_seconds", "max_retries", "signature")

_ID = r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}"
_KIND = r"[A-Za-z][A-Za-z0-9_.:/-]{0,63}"
_NUMBER = r"-?[0-9]{1,6}"
_SECONDS = r"[0-9]{1,8}(?:\.[0-9]{1,6})?"
_TARGET = r"[A-Za-z0-9._/*=!, -]{1,255}"
_NAMES = {"job_id": _ID, "idempotency_key": _ID, "mission_kind": _KIND, "target": _TARGET}


class Envelope(Struct, frozen=True, kw_only=True):
    """One mission. `timeout_seconds` 0 leaves the limit to the host; an empty `signature` is none.

    `payload` is what was sent; `task` and `context` are what stands in it. `str(target)` is the target as it
    was said.
    """

    job_id: str
    idempotency_key: str
    mission_kind: str
    target: Target
    issued_at: datetime
    expires_at: datetime
    payload: Mapping[str, Any]
    task: Any
    context: Mapping[str, Any]
    priority: int = 0
    timeout_seconds: float = 0.0
    max_retries: int = DEFAULT_RETRIES
    signature: str = ""


def is_kind(text: str) -> bool:
    """Whether a mission can be of this kind."""
    return bool(re.fullmatch(_KIND, text))


def write_payload(task: object, context: Mapping[str, Any]) -> str:
    """The text of a payload. Raises: ValueError, TypeError for what is no JSON."""
    return json.dumps({"task": task, "context": dict(context)}, allow_nan=False, separators=(",", ":"))


def read_fields(entry: Mapping[bytes, bytes]) -> dict[str, str]:
    """The fields of an entry as texts. Raises: MalformedMission."""
    if sum(len(name) + len(value) for name, value in entry.items()) > MAX_BYTES:
        raise MalformedMission(rule="too_large", reason=f"it is larger than {MAX_BYTES} bytes")
    try:
        return {name.decode(): value.decode() for name, value in entry.items()}
    except UnicodeDecodeError as error:
        raise MalformedMission(rule="not_text", reason="it holds what is no UTF-8") from error


def read_names(entry: Mapping[bytes, bytes]) -> dict[str, str]:
    """What an entry calls itself, a mission or not; empty where it does not, or in no such words."""
    said = {name: entry.get(name.encode(), b"").decode("utf-8", "replace") for name in _NAMES}
    return {name: text if re.fullmatch(_NAMES[name], text) else "" for name, text in said.items()}


def read_envelope(fields: Mapping[str, str]) -> Envelope:
    """The mission that the fields of an entry say. Raises: MalformedMission."""
    unknown = sorted(set(fields) - {*REQUIRED, *OPTIONAL})
    if unknown:
        raise MalformedMission(rule="unknown_field", reason=f"no mission has a field {unknown[0][:40]!r}")
    missing = [name for name in REQUIRED if not fields.get(name)]
    if missing:
        raise MalformedMission(rule="missing_field", reason=f"it has no {missing[0]}")
    job = _matching(fields, "job_id", _ID)
    issued_at, expires_at = _time(fields, "issued_at"), _time(fields, "expires_at")
    # What lies between two times there is always; what is later than one, at the end of all time, is not.
    if not timedelta() < expires_at - issued_at <= MAX_LIFE:
        reason = f"expires_at must be later than issued_at, by {MAX_LIFE.days} days at most"
        raise MalformedMission(rule="expires_at", reason=reason)
    payload = _payload(fields["payload"])
    return Envelope(
        job_id=job,
        idempotency_key=_matching(fields, "idempotency_key", _ID, job),
        mission_kind=_matching(fields, "mission_kind", _KIND),
        target=_target(fields["target"]),
        priority=int(_matching(fields, "priority", _NUMBER, "0")),
        timeout_seconds=float(_matching(fields, "timeout_seconds", _SECONDS, "0")),
        max_retries=_retries(fields),
        issued_at=issued_at,
        expires_at=expires_at,
        payload=payload,
        task=payload["task"],
        context=payload["context"],
        signature=fields.get("signature", ""),
    )


def _matching(fields: Mapping[str, str], name: str, pattern: str, default: str = "") -> str:
    text = fields.get(name) or default
    if not re.fullmatch(pattern, text):
        raise MalformedMission(rule=name, reason=f"{name} cannot be {text[:40]!r}")
    return text


def _retries(fields: Mapping[str, str]) -> int:
    number = int(_matching(fields, "max_retries", _NUMBER, str(DEFAULT_RETRIES)))
    if not 0 <= number <= 100:
        raise MalformedMission(rule="max_retries", reason="max_retries is 0 to 100")
    return number


def _time(fields: Mapping[str, str], name: str) -> datetime:
    try:
        return moment(fields[name])
    except ValueError as error:
        reason = f"{name} must be a time with its zone, like 2026-11-20T12:00:00Z"
        raise MalformedMission(rule=name, reason=reason) from error


def _target(text: str) -> Target:
    try:
        return parse_target(text)
    except ValueError as error:
        raise MalformedMission(rule="target", reason=f"target {error}") from error


def _payload(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedMission(rule="payload", reason="the payload is no JSON") from error
    # A publisher that has nothing to say writes null as often as it leaves it out.
    if not isinstance(found, dict) or not isinstance(found.get("context"), dict | None):
        raise MalformedMission(rule="payload", reason='the payload is no {"task": …, "context": {…}}')
    unknown = sorted(set(found) - {"task", "context"})
    if unknown:
        raise MalformedMission(rule="payload", reason=f"no payload has a field {unknown[0][:40]!r}")
    return {"task": found.get("task"), "context": found.get("context") or {}}
