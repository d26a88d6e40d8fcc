"""A FleetLock server on this machine: so many leases per group, each to one id, as the protocol has it."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.http_server import Answer, LocalServer, Received, serving

_GROUP = re.compile(r"[a-zA-Z0-9.-]+\Z")


@dataclass
class FleetLock:
    """The server's books. `owners` are the ids that have a lease now, by group."""

    slots: int = 1
    owners: dict[str, set[str]] = field(default_factory=dict)
    most_at_once: int = 0
    url: str = ""
    server: LocalServer | None = None
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Received) -> Answer:
        """One call of the protocol."""
        if request.method != "POST" or request.headers.get("fleet-lock-protocol") != "true":
            return _no(400, "wrong_protocol", "fleet-lock-protocol header is missing")
        try:
            client = json.loads(request.body)["client_params"]
            host, group = client["id"], client["group"]
        except (ValueError, KeyError, TypeError):
            return _no(400, "invalid_body", "body is no client_params")
        if not host or not _GROUP.match(group):
            return _no(400, "invalid_params", "id or group is not valid")
        with self._counting:
            return self._decide(request.target, host, self.owners.setdefault(group, set()))

    def _decide(self, target: str, host: str, owners: set[str]) -> Answer:
        if target.endswith("/v1/steady-state"):
            owners.discard(host)
            return Answer(200)
        if not target.endswith("/v1/pre-reboot"):
            return _no(404, "not_found", "there is no such call")
        if host not in owners and len(owners) >= self.slots:
            return _no(409, "failed_lock", "semaphore is full: all slots are taken")
        owners.add(host)
        self.most_at_once = max(self.most_at_once, len(owners))
        return Answer(200)


@contextlib.contextmanager
def fleetlock(slots: int = 1, path: str = "") -> Iterator[FleetLock]:
    """A FleetLock server until the block ends, below `path`."""
    books = FleetLock(slots)
    with serving(books.answer) as server:
        books.server, books.url = server, server.url + path
        yield books


def _no(status: int, kind: str, value: str) -> Answer:
    return Answer(
        status, {"Content-Type": "application/json"}, json.dumps({"kind": kind, "value": value}).encode()
    )
