"""Whether the app is idle, from all that may know it: `busy.lock`, a command, an address.

Rules: all must say so; whoever fails to answer says busy, with its error (lessons.md L26). The address
must be one of this machine: it may come from the app's tracked file, and only the app itself is to be asked.
Decides nothing: what busy means for a restart is the gates' to say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from newleaf.core.errors import NewleafError
from newleaf.core.gates import Idle
from newleaf.core.settings.sections import Gates
from newleaf.system import busy_lock
from newleaf.system.commands import Command, Runner
from newleaf.system.http import HttpClient, HttpRequest

COMMAND_SECONDS = 30.0
URL_SECONDS = 10.0
MAX_ANSWER_BYTES = 65536
EXIT_BUSY = 75
MAX_REASON_CHARACTERS = 200


class IdleSources(Struct, frozen=True):
    """Where idleness is asked: the state directory's lock, and the settings' command and address.

    The command runs in `folder`, the running release's, with `env`.
    """

    state: Path
    gates: Gates
    folder: Path
    env: Mapping[str, str]
    runner: Runner
    http: HttpClient


def ask_idle(sources: IdleSources, *, is_quiet: bool = False) -> Idle:
    """Asks every source; idle when all say so. `is_quiet`: this process itself keeps the jobs out."""
    lock = "" if is_quiet else _ask_lock(sources)
    answers = (lock, _ask_command(sources), _ask_url(sources))
    reasons = tuple(answer for answer in answers if answer)
    return Idle(is_idle=not reasons, reasons=reasons)


def _ask_lock(sources: IdleSources) -> str:
    try:
        probe = busy_lock.probe(sources.state)
    except NewleafError as error:
        return error.message
    if probe.is_idle:
        return ""
    named = ", ".join(busy_lock.running_jobs())
    mine = any(holder.pid == os.getpid() for holder in probe.holders)
    return f"{probe} ({named})" if mine and named else str(probe)


def _ask_command(sources: IdleSources) -> str:
    argv = sources.gates.idle_command
    if argv is None:
        return ""
    command = Command(argv, "gates.idle_command", sources.folder, sources.env, COMMAND_SECONDS)
    try:
        finished = sources.runner.run(command)
    except NewleafError as error:
        return error.message
    if finished.status == 0:
        return ""
    said = f": {finished.tail[-1].strip()[:MAX_REASON_CHARACTERS]}" if finished.tail else ""
    if finished.status == EXIT_BUSY:
        return f"gates.idle_command says busy{said}"
    return f"gates.idle_command failed (exit {finished.status}){said}"


def _ask_url(sources: IdleSources) -> str:
    url = sources.gates.idle_url
    if url is None:
        return ""
    host = urlsplit(url).hostname or ""
    if not _is_this_machine(host):
        return "gates.idle_url must be an address of this machine, like http://127.0.0.1:8080/idle"
    request = HttpRequest(
        url,
        "gates.idle_url",
        timeout_seconds=URL_SECONDS,
        max_body_bytes=MAX_ANSWER_BYTES,
        private_hosts=frozenset({host}),
    )
    try:
        status = sources.http.send(request).status
    except NewleafError as error:
        return error.message
    if status == 200:
        return ""
    return "gates.idle_url says busy" if status == 503 else f"gates.idle_url answered {status}"


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
