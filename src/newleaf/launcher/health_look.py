"""One look at a health address, as a program of its own: one that hangs can be ended, and costs no memory.

    python health_look.py URL COMMIT [SOCKET] [--then COMMAND...]

Exits 0 when the answer is good, 1 with the fault on standard output, 3 when nobody answered at all. With
SOCKET the path of URL is asked on that unix socket. A JSON answer with a `commit` must name the one that was
started. A COMMAND is run once the answer was good, and its exit code is taken.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from urllib.parse import urlsplit

SECONDS = 3.0
MAX_ANSWER_BYTES = 65536
SILENT_CODE = 3


class _OverSocket(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def look(url: str, commit: str, path: str | None) -> tuple[int, str]:
    """The exit code, and what is wrong."""
    try:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = _OverSocket(path) if path else kind(parts.hostname or "", parts.port, timeout=SECONDS)
    except ValueError as error:
        return 1, f"{url} is no address: {error}"
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        connection.request("GET", target, headers={"User-Agent": "newleaf", "Connection": "close"})
        response = connection.getresponse()
        body = response.read(MAX_ANSWER_BYTES)
    except (TimeoutError, ConnectionError):
        return SILENT_CODE, "no answer"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 1, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        return 1, f"it answers {response.status}"
    if response.length and len(body) < MAX_ANSWER_BYTES:
        return 1, "its answer is cut off"
    claimed = _claimed(body)
    if claimed and claimed != commit:
        return 1, f"it answers for commit {claimed[:12]}"
    return 0, ""


def _claimed(body: bytes) -> str | None:
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return None
    commit = record.get("commit") if isinstance(record, dict) else None
    return commit if isinstance(commit, str) else None


def main() -> None:
    """The program."""
    url, commit, *rest = sys.argv[1:]
    place = rest.index("--then") if "--then" in rest else len(rest)
    paths, command = rest[:place], rest[place + 1 :]
    code, fault = look(url, commit, paths[0] if paths else None)
    if code == 0 and command:
        try:
            os.execvp(command[0], command)  # noqa: S606 - its exit code is this one's
        except OSError as error:
            code, fault = 1, f"{command[0]}: {error.strerror}"
    sys.stdout.write(fault)
    sys.exit(code)


if __name__ == "__main__":
    main()
