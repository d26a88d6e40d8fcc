"""How a host makes itself known on the bus: who it is, what it can do, what it runs; again and again.

A host that has said nothing for three intervals is silent: what it ran is not known any more (lessons.md
L41). One that has said nothing for a week is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from newleaf.core.missions.targeting import Target
from newleaf.core.records import moment, short_stamp

INTERVAL_SECONDS = 15.0
LONGEST_INTERVAL_SECONDS = 3600.0
"""Whoever means to say less often than that would hardly ever be silent."""
MISSED = 3
GONE = timedelta(days=7)
"""Longer than a host that is to come back is switched off, and than an order waits for it: a day, mostly."""
MAX_BYTES = 16 * 1024


class Registration(Struct, frozen=True, kw_only=True):
    """One host's word. `status` is the word of `newleaf status`, `since` when that was said.

    `consumer` tells its state directory from another's under the same name.
    """

    name: str
    at: datetime
    app: str = ""
    labels: Mapping[str, str] = {}
    capabilities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    version: str | None = None
    commit: str | None = None
    target: str | None = None
    status: str = ""
    since: str = ""
    paused: bool = False
    mission: str | None = None
    consumer: str = ""
    interval_seconds: Annotated[float, Meta(ge=0, le=LONGEST_INTERVAL_SECONDS)] = INTERVAL_SECONDS

    def as_record(self) -> dict[str, Any]:
        record = {name: getattr(self, name) for name in self.__struct_fields__}
        return {"schema": 1, **record, "at": short_stamp(self.at)}

    def as_json(self) -> str:
        return msgspec.json.encode(self.as_record()).decode()

    @property
    def patience(self) -> timedelta:
        """How long it may say nothing, until it is silent."""
        return timedelta(seconds=MISSED * self.interval_seconds)

    def is_silent(self, now: datetime) -> bool:
        """Whether it has missed too many of its own intervals."""
        return now - self.at > self.patience

    def is_gone(self, now: datetime) -> bool:
        """Whether nobody counts on it any more; its next word makes it known again."""
        return now - self.at > GONE

    def is_of_another(self, consumer: str, now: datetime) -> bool:
        """Whether somebody else goes by this host's name just now."""
        return self.consumer not in ("", consumer) and not self.is_silent(now)

    def is_meant(self, target: Target) -> bool:
        """Whether a mission for the target is for this host."""
        return target.means(self.name, self.labels)


def read_registration(text: str | bytes) -> Registration | None:
    """A registration that somebody wrote; None for what is none."""
    if len(text) > MAX_BYTES:
        return None
    try:
        found = msgspec.json.decode(text)
        known = {name: value for name, value in found.items() if name in Registration.__struct_fields__}
        return msgspec.convert({**known, "at": moment(found["at"])}, Registration)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def from_status(registration: Registration, status: Mapping[str, Any]) -> Registration:
    """The registration with what the record of `newleaf status --json` says."""
    running, target = status.get("running") or {}, status.get("target") or {}
    return msgspec.structs.replace(
        registration,
        app=str(status.get("app") or registration.app),
        version=running.get("version"),
        commit=running.get("commit"),
        target=target.get("commit"),
        status=str(status.get("status") or "unknown"),
        since=str(status.get("timestamp") or ""),
    )
