"""TCP and TLS connections to judged addresses, directly or by way of a proxy, under one deadline.

Rules:

1. A name is resolved once and every address judged; the connection goes to a judged address, never to the
   name again: an answer that changes in between changes nothing (threats.md T28).
2. Private addresses are for the hosts that the caller names, and are never asked of a proxy.
3. `https_proxy`, `http_proxy` and `no_proxy` are obeyed. A name that cannot be resolved here is
   then the proxy's to resolve; one that resolves to nothing but private addresses is still refused.
4. The deadline covers resolving, connecting, the handshake, and every byte (T5).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from newleaf.core.networks import private_kind
from newleaf.core.releases.source_errors import AddressRefused, HttpFailed, ProxyInvalid

PORTS = {"http": 80, "https": 443}
MAX_PROXY_ANSWER_BYTES = 16 * 1024


class Deadline:
    """A moment that no part of a call may pass."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that remain. Raises: TimeoutError when none do."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


@dataclass(frozen=True)
class Destination:
    """Where a call goes. `what` names the call in messages; `private_hosts` may lead to private addresses."""

    what: str
    scheme: str
    host: str
    port: int
    private_hosts: frozenset[str] = frozenset()

    @property
    def authority(self) -> str:
        """Host and port as a CONNECT request writes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def may_be_private(self) -> bool:
        """Whether the host was named as one that may have a private address."""
        names = {name.lower().strip("[]") for name in self.private_hosts}
        return bool({self.host, self.authority} & names)


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy, and what it wants to see to let us through."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Address:
    """One resolved address, as the socket module wants it."""

    family: int
    socket_address: tuple[Any, ...]

    @property
    def text(self) -> str:
        return str(self.socket_address[0])


class DeadlineSocket:
    """What http.client needs of a socket, with the deadline's rest as time limit of every call."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def sendall(self, content: bytes) -> None:
        self._socket.settimeout(self._deadline.left())
        self._socket.sendall(content)

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_Received(self._socket, self._deadline))

    def close(self) -> None:
        """Nothing: who dialled hangs up."""


class _Received(io.RawIOBase):
    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(self._deadline.left())
        return self._socket.recv_into(buffer)


@contextlib.contextmanager
def dial(
    to: Destination, proxy: Proxy | None, deadline: Deadline, ca_file: str | None = None
) -> Iterator[tuple[DeadlineSocket, bool]]:
    """A connection, encrypted where the destination says https, and whether it leads to the proxy.

    Raises: AddressRefused, HttpFailed, OSError (TimeoutError and socket.gaierror among them).
    """
    addresses, is_private = _judged(to, deadline, may_be_unknown=proxy is not None)
    via = None if is_private else proxy
    connected = _connect(resolve(via.host, via.port, deadline) if via else addresses, deadline)
    try:
        if via and to.scheme == "https":
            _tunnel(connected, via, to, deadline)
        if to.scheme == "https":
            connected.settimeout(deadline.left())
            connected = _context(ca_file).wrap_socket(connected, server_hostname=to.host)
        yield DeadlineSocket(connected, deadline), via is not None
    finally:
        connected.close()


def resolve(host: str, port: int, deadline: Deadline) -> tuple[Address, ...]:
    """The addresses of a name, or of a number written in any of the ways that the system takes.

    Raises: socket.gaierror, TimeoutError.
    """
    try:
        return _look_up(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    answers: list[tuple[Address, ...]] = []
    failures: list[OSError] = []

    def ask() -> None:
        try:
            answers.append(_look_up(host, port, 0))
        except OSError as error:
            failures.append(error)

    # The system's resolver knows no deadline: it is left behind when it does not answer.
    asked = threading.Thread(target=ask, name="newleaf-resolve", daemon=True)
    asked.start()
    asked.join(deadline.left())
    if failures:
        raise failures[0]
    if not answers:
        raise TimeoutError
    return answers[0]


def proxy_for(environment: Mapping[str, str], scheme: str, host: str, port: int) -> Proxy | None:
    """The proxy that the environment asks for, lower-case variables first, as git and curl read them.

    Raises: ProxyInvalid.
    """
    skipped = environment.get("no_proxy", environment.get("NO_PROXY", ""))
    if any(_is_skipped(entry.strip().lower(), host, port) for entry in skipped.split(",")):
        return None
    names = ("https_proxy", "HTTPS_PROXY") if scheme == "https" else ("http_proxy",)
    text = next(
        (environment[name] for name in (*names, "all_proxy", "ALL_PROXY") if environment.get(name)), ""
    )
    if not text:
        return None
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port_there = url.port or PORTS["http"]
    except ValueError as error:
        raise ProxyInvalid from error
    if url.scheme != "http" or not url.hostname:
        raise ProxyInvalid
    authorization = None
    if url.username:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(url.hostname, port_there, authorization)


def _is_skipped(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, colon, its_port = entry.rpartition(":")
    if colon and its_port.isdigit() and "]" not in its_port and name.count(":") == 0:
        return _is_skipped(name, host, port) and int(its_port) == port
    name = entry.strip("[]").removeprefix(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _look_up(host: str, port: int, flags: int) -> tuple[Address, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "a label is empty or too long") from error
    return tuple(Address(family, address) for family, _, _, _, address in found)


def _judged(to: Destination, deadline: Deadline, *, may_be_unknown: bool) -> tuple[tuple[Address, ...], bool]:
    """The addresses that may be called, and whether they are private ones."""
    try:
        found = resolve(to.host, to.port, deadline)
    except socket.gaierror:
        if may_be_unknown:
            return (), False
        raise
    kinds = {address: private_kind(address.text) for address in found}
    public = tuple(address for address, kind in kinds.items() if kind is None)
    if public or not to.may_be_private:
        if not public:
            address, kind = next(iter(kinds.items()))
            raise AddressRefused(what=to.what, host=to.host, address=address.text, kind=kind)
        return public, False
    return found, True


def _connect(addresses: tuple[Address, ...], deadline: Deadline) -> socket.socket:
    """A connection to the first address that answers; one that is silent leaves time for the others."""
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for place, address in enumerate(addresses):
        attempt = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            attempt.settimeout(deadline.left() / (len(addresses) - place))
            attempt.connect(address.socket_address)
            return attempt
        except OSError as error:
            attempt.close()
            failure = error
    raise failure


def _tunnel(connected: socket.socket, via: Proxy, to: Destination, deadline: Deadline) -> None:
    """Asks the proxy for a way through (RFC 9110, CONNECT)."""
    lines = [f"CONNECT {to.authority} HTTP/1.1", f"Host: {to.authority}"]
    if via.authorization:
        lines.append(f"Proxy-Authorization: {via.authorization}")
    channel = DeadlineSocket(connected, deadline)
    channel.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = bytearray()
    # Byte by byte: what follows the empty line is already TLS.
    received = _Received(connected, deadline)
    while not answer.endswith(b"\r\n\r\n"):
        byte = received.read(1)
        if not byte or len(answer) > MAX_PROXY_ANSWER_BYTES:
            raise HttpFailed(what=to.what, host=via.host, reason="(the proxy) broke off")
        answer += byte
    status = bytes(answer).split(b" ", 2)[1:2]
    if not status or not status[0].startswith(b"2"):
        shown = status[0][:3].decode("ascii", "replace") if status else "no status"
        raise HttpFailed(
            what=to.what, host=via.host, reason=f"(the proxy) refused the way to {to.host}: {shown}"
        )


@functools.lru_cache(maxsize=4)
def _context(ca_file: str | None) -> ssl.SSLContext:
    # Reading the system's authorities takes longer than a local handshake.
    return ssl.create_default_context(cafile=ca_file)
