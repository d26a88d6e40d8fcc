"""The lease: leave to restart from a FleetLock server, which gives out so many at a time.

The protocol has two calls, both POST with the header `fleet-lock-protocol: true` and a body with
`client_params` of `id` and `group`: `/v1/pre-reboot` asks for the lease, `/v1/steady-state` gives it back;
both may be repeated. 200 is yes; any other answer, and any error, is no.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from newleaf.core.errors import NewleafError
from newleaf.core.gates import Lease
from newleaf.core.job_errors import LeaseDenied
from newleaf.system.http import HttpClient, HttpRequest

GROUP = "default"
CALL_SECONDS = 10.0
MAX_ANSWER_BYTES = 65536
MAX_REASON_CHARACTERS = 200


@dataclass(frozen=True)
class LeaseClient:
    """One host's side. `id` names it to the server, the same in every call."""

    url: str
    id: str
    http: HttpClient
    group: str = GROUP

    def acquire(self) -> Lease:
        """Asks for the lease; a server that fails or cannot be reached grants none."""
        try:
            self._call("pre-reboot")
        except NewleafError as error:
            return Lease(is_granted=False, reason=error.message)
        return Lease(is_granted=True)

    def release(self) -> None:
        """Gives the lease back, or says that this host needs none.

        Raises: LeaseDenied, UrlInvalid, HttpFailed, HttpTimedOut.
        """
        self._call("steady-state")

    def _call(self, verb: str) -> None:
        host = urlsplit(self.url).hostname or ""
        response = self.http.send(
            HttpRequest(
                url=f"{self.url.rstrip('/')}/v1/{verb}",
                what="the lease server",
                method="POST",
                headers={"fleet-lock-protocol": "true", "content-type": "application/json"},
                body=json.dumps({"client_params": {"id": self.id, "group": self.group}}).encode(),
                timeout_seconds=CALL_SECONDS,
                max_body_bytes=MAX_ANSWER_BYTES,
                # The address is the host's own setting, and such servers live inside.
                private_hosts=frozenset({host}),
            )
        )
        if response.status != 200:
            raise LeaseDenied(host=host, reason=_reason(response.status, response.body))


def _reason(status: int, body: bytes) -> str:
    """The server's own words, `{"kind": …, "value": …}`, kept short and printable."""
    try:
        answer = json.loads(body)
        said = str(answer["value"])
    except (ValueError, TypeError, KeyError, RecursionError):
        said = ""
    words = "".join(character if character.isprintable() else " " for character in said).split()
    text = " ".join(words)[:MAX_REASON_CHARACTERS]
    return f"says no ({status}): {text}" if text else f"says no ({status})"
