"""What came of a mission, and how it is published.

Rules: SUCCESS of an update is said of what a process has reported, never of what was pulled (lessons.md L1);
whatever a handler gives back, something that can be published comes of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from newleaf.core.missions.envelope import Envelope, read_names
from newleaf.core.missions.mission_errors import MalformedMission
from newleaf.core.releases.channels import parse_version
from newleaf.core.secrets import mask_text

SUCCESS, FAILED = "SUCCESS", "FAILED"
ARRIVED = ("updated", "ok", "up_to_date")
"""Outcomes of an update after which the host runs what was ordered."""

MAX_BYTES = 256 * 1024
MAX_ERROR = 4000
KEPT_LINES = 20


class MissionResult(Struct, frozen=True):
    """What a handler gives back. `result` is anything that JSON can say, about 256 KiB at most."""

    status: str
    error: str | None = None
    result: Any = None


class Report(Struct, frozen=True):
    """A result as it is published: one host's word on one mission. `rule` names why it was refused."""

    job_id: str
    idempotency_key: str
    mission_kind: str
    target: str
    host: str
    at: str
    status: str
    error: str = ""
    rule: str = ""
    result: Any = None

    def as_fields(self) -> dict[str, str]:
        """The entry of the stream of results; `result` is JSON. What is no text is `?`."""
        fields = {name: str(getattr(self, name)) for name in self.__struct_fields__}
        fields["result"] = json.dumps(self.result, ensure_ascii=False)
        # A file's name may hold what no UTF-8 is, and so may an error that names it.
        return {name: text.encode(errors="replace").decode() for name, text in fields.items()}

    def as_record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__struct_fields__}

    @classmethod
    def read(cls, entry: Mapping[bytes, bytes]) -> Report | None:
        """A result that somebody published; None for what no newleaf wrote."""
        try:
            fields: dict[str, Any] = {name.decode(): value.decode() for name, value in entry.items()}
            fields["result"] = msgspec.json.decode(fields.get("result") or "null")
            known = {name: value for name, value in fields.items() if name in cls.__struct_fields__}
            return cls(**known)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return None


def report(envelope: Envelope, host: str, at: str, result: MissionResult, rule: str = "") -> Report:
    """What the host of this name publishes."""
    return Report(
        envelope.job_id,
        envelope.idempotency_key,
        envelope.mission_kind,
        envelope.target.text,
        host,
        at,
        result.status,
        result.error or "",
        rule,
        result.result,
    )


def report_malformed(
    entry: Mapping[bytes, bytes], host: str, at: str, error: MalformedMission
) -> Report | None:
    """What it publishes of an entry that is no mission; None where that has no `job_id` to be known by."""
    names = read_names(entry)
    if not names["job_id"]:
        return None
    names["idempotency_key"] = names["idempotency_key"] or names["job_id"]
    return Report(
        **names,
        host=host,
        at=at,
        status=FAILED,
        error=mask_text(error.message)[:MAX_ERROR],
        rule=str(error.facts["rule"]),
    )


def failed(error: str, result: Any = None) -> MissionResult:
    """A failure, its text short, and without what looks like a secret (threats.md T29)."""
    return MissionResult(FAILED, mask_text(error)[:MAX_ERROR], result)


def read_result(given: object) -> MissionResult:
    """What a handler gave back, its result as JSON says it; a failure that says so where it is no result."""
    if not isinstance(given, MissionResult):
        return failed(f"the handler gave back no MissionResult but {type(given).__name__}")
    if given.status not in (SUCCESS, FAILED):
        return failed(f"the handler's status must be {SUCCESS} or {FAILED}")
    if given.error is not None and not isinstance(given.error, str):
        return failed("the handler's error must be a text")
    try:
        encoded = msgspec.json.encode(given.result)
        result = msgspec.json.decode(encoded)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        return failed(f"the handler's result is nothing that JSON can say: {error}")
    if len(encoded) > MAX_BYTES:
        return failed(f"the handler's result is larger than {MAX_BYTES} bytes")
    return MissionResult(given.status, (given.error or "")[:MAX_ERROR] or None, result)


def update_result(record: Mapping[str, Any], branch: str, wanted: str | None = None) -> MissionResult:
    """What came of an update or a rollback, from the record of `newleaf update --json`, final or not.

    `wanted` is the version or the commit that was ordered, if one was.
    """
    outcome = str(record.get("outcome"))
    to = record.get("to") or {}
    is_there = wanted is None or _is_same(wanted, to)
    is_good = is_there and outcome in ARRIVED and record.get("confirmed") is True
    errors = [dict(error) for error in record.get("errors") or () if isinstance(error, Mapping)]
    result = {
        "outcome": outcome,
        "updated_to": to.get("commit") if is_good else None,
        "version": to.get("version") if is_good else None,
        "from": record.get("from"),
        "to": record.get("to"),
        "branch": branch,
        "confirmed": record.get("confirmed"),
        "attempt": record.get("attempt"),
        "waiting_for": list(record.get("waiting_for") or ()),
        "output": [mask_text(str(line)) for line in _output(record, errors)][-KEPT_LINES:],
    }
    if is_good:
        return MissionResult(SUCCESS, None, result)
    if outcome in ARRIVED and not is_there:
        return failed(f"{outcome}, and that is not {wanted}", result)
    return failed(_reason(record, outcome, errors), result)


def _is_same(wanted: str, to: Mapping[str, Any]) -> bool:
    commit, version = to.get("commit"), to.get("version")
    return wanted == commit or (version is not None and parse_version(wanted) == parse_version(version))


def _output(record: Mapping[str, Any], errors: list[dict[str, Any]]) -> list[object]:
    lines = [line for error in errors for line in error.get("lines") or ()]
    return [*lines, *(record.get("notes") or ())]


def _reason(record: Mapping[str, Any], outcome: str, errors: list[dict[str, Any]]) -> str:
    said = [str(error.get("message", error.get("code"))) for error in errors]
    gates = record.get("waiting_for") or ()
    said += [f"waits for {gate.get('gate')}: {gate.get('reason')}" for gate in gates]
    if outcome in ARRIVED:
        said.append("installed, and no process has reported it")
    if outcome == "held":
        said += [str(note) for note in record.get("notes") or ()]
    return "; ".join([outcome, *said])
