"""The bus as anybody sees it who may look: what lies on the streams, told by the server and not by newleaf.

Orders of work are written here as any program would write them: contracts of the bus, and no newleaf.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

WORK = "factory:make"


@dataclass(frozen=True)
class Bus:
    """The streams below `prefix`, at `url`."""

    url: str
    prefix: str
    client: redis.Redis
    given: list[tuple[str, str]] = field(default_factory=list)
    """The orders of work so far: whom each is for, and its id."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def order(self, target: str, thing: str, seconds: float = 0.0) -> str:
        """Orders work of one factory, or of all (`*`); returns the order's id."""
        now, job = datetime.now(UTC), f"{thing}-{next(self._numbers)}"
        fields = {
            "job_id": job,
            "mission_kind": WORK,
            "target": target,
            "issued_at": now.isoformat(),
            "expires_at": (now + timedelta(hours=1)).isoformat(),
            "payload": json.dumps({"task": thing, "context": {"thing": thing, "seconds": seconds}}),
        }
        stream = "all" if target == "*" else f"host:{target}"
        self.client.xadd(f"{self.prefix}:{stream}", fields)  # type: ignore[arg-type]
        self.given.append((target, job))
        return job

    def results(self, job: str | None = None) -> list[dict[str, Any]]:
        """The results of an order, or of all, as they came; each with its entry's `ms`."""
        entries: Any = self.client.xrange(f"{self.prefix}:results")
        found = [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in entries]
        for each in found:
            each["result"] = json.loads(each["result"])
        return [each for each in found if job in (None, each["job_id"])]

    def told(self, job: str) -> dict[str, dict[str, Any]]:
        """The results of an order, by factory."""
        return {each["host"]: each for each in self.results(job)}

    def told_twice(self) -> list[tuple[str, str]]:
        """Orders and factories of which there is more than one result."""
        times = Counter((each["job_id"], each["host"]) for each in self.results())
        return [each for each, count in times.items() if count > 1]

    def enrolled(self) -> set[str]:
        """The factories that have a place of their own on everybody's stream."""
        return {group["name"].decode().removeprefix("host:") for group in self._groups("all")}

    def unread(self, host: str) -> int:
        """How many of its own orders a factory has not been handed out."""
        (group,) = self._groups(f"host:{host}")
        after = f"({group['last-delivered-id'].decode()}"
        left: Any = self.client.xrange(f"{self.prefix}:host:{host}", after)
        return len(left)

    def dead(self) -> int:
        """How many dead letters there are."""
        return int(self.client.xlen(f"{self.prefix}:dead"))  # type: ignore[arg-type]

    def _groups(self, stream: str) -> list[dict[str, Any]]:
        name = f"{self.prefix}:{stream}"
        found: Any = self.client.xinfo_groups(name) if self.client.exists(name) else []
        return list(found)


@contextlib.contextmanager
def bus_at(url: str) -> Iterator[Bus]:
    """The bus for the length of a story; afterwards its streams are gone: it may be the user's own Redis."""
    prefix = f"newleaf:factory-{os.getpid()}:missions"
    with redis.Redis.from_url(url) as client:
        try:
            yield Bus(url, prefix, client)
        finally:
            for key in client.scan_iter(f"{prefix}:*"):
                client.delete(key)
