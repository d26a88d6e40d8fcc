"""What callers of the operator's endpoint say, read strictly: an order, a registration.

Rules: an object with the fields that are known and no others (threats.md T26), each within its bounds (T24);
when a host was heard is what this clock says, never what the caller does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from newleaf.core.missions.registration import MAX_BYTES, Registration
from newleaf.core.missions.targeting import HOST
from newleaf.core.releases import names

MAX_TABLE = 64
WORD = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}"
LABEL_VALUE = rf"({WORD})?"
STATUS = r"[a-z_]{1,40}"
VERSION = r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,99}"
COMMIT = r"([0-9a-f]{40}|[0-9a-f]{64})"


class Unfit(ValueError):
    """A body that is none of what is meant; its text says why."""


def read_order(body: bytes) -> tuple[str | None, str | None]:
    """The host (None: all) and the branch (None: each host's own) that an order names. Raises: Unfit."""
    said = _read(body, ("target_factory_id", "branch"))
    host, branch = said.get("target_factory_id"), said.get("branch")
    if host is not None and not (isinstance(host, str) and re.fullmatch(HOST, host)):
        raise Unfit("target_factory_id is the name of a host")
    if branch is not None and not (isinstance(branch, str) and names.find_fault(branch) is None):
        raise Unfit("branch is a plain name of a branch")
    return host, branch


def read_registration_of(body: bytes, app: str, now: datetime) -> Registration:
    """What a factory of the app says of itself. Raises: Unfit."""
    known = ("name", "labels", "capabilities", "version", "commit", "status")
    said = _read(body, known)
    name = said.get("name")
    if not isinstance(name, str) or not re.fullmatch(HOST, name):
        raise Unfit("name is the name of a host")
    made = Registration(
        name=name,
        at=now,
        app=app,
        labels=_labels(said.get("labels")),
        capabilities=_capabilities(said.get("capabilities")),
        version=_text(said, "version", VERSION),
        commit=_text(said, "commit", COMMIT),
        status=_text(said, "status", STATUS) or "unknown",
    )
    if len(made.as_json()) > MAX_BYTES:
        raise Unfit(f"a registration has {MAX_BYTES} bytes at most")
    return made


def _read(body: bytes, known: tuple[str, ...]) -> Mapping[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unfit("the body is no JSON") from error
    if not isinstance(said, dict):
        raise Unfit("the body is no object")
    unknown = sorted(set(said) - set(known))
    if unknown:
        raise Unfit(f"the body may have {', '.join(known)}, and nothing else")
    return said


def _text(said: Mapping[str, Any], name: str, pattern: str) -> str | None:
    text = said.get(name)
    if text is None:
        return None
    if not isinstance(text, str) or not re.fullmatch(pattern, text):
        raise Unfit(f"{name} is no such word")
    return text


def _labels(said: Any) -> dict[str, str]:
    labels = {} if said is None else said
    if not isinstance(labels, dict) or len(labels) > MAX_TABLE:
        raise Unfit(f"labels is a table of {MAX_TABLE} entries at most")
    for name, value in labels.items():
        if not (re.fullmatch(WORD, name) and isinstance(value, str) and re.fullmatch(LABEL_VALUE, value)):
            raise Unfit("labels are plain words, each with a plain word")
    return labels


def _capabilities(said: Any) -> tuple[str, ...]:
    words = [] if said is None else said
    if not isinstance(words, list) or len(words) > MAX_TABLE:
        raise Unfit(f"capabilities is a list of {MAX_TABLE} words at most")
    if not all(isinstance(word, str) and re.fullmatch(WORD, word) for word in words):
        raise Unfit("capabilities are plain words")
    return tuple(words)
