"""HTTP servers on this machine that behave as a test says, badly if need be."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import parse_headers
from io import BufferedReader
from pathlib import Path


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What to answer. `raw` replaces the whole answer; `drip_seconds` is waited before every byte of it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    drip_seconds: float = 0.0

    def as_bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


Handler = Callable[[Received], Answer]


@dataclass
class LocalServer:
    """A server that runs: where it listens, and what it was asked."""

    host: str
    port: int
    scheme: str
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{shown}:{self.port}"


@contextlib.contextmanager
def serving(
    handler: Handler, host: str = "127.0.0.1", certificate: Path | None = None
) -> Iterator[LocalServer]:
    """Serves until the block ends; with a certificate (and key, in one file) over TLS."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind((host, 0))
        listening.listen(64)
        server = LocalServer(host, listening.getsockname()[1], "https" if context else "http")
        stopped = threading.Event()
        threads = [threading.Thread(target=_accept, args=(listening, server, handler, context, stopped))]
        threads[0].start()
        try:
            yield server
        finally:
            stopped.set()
            # Waking accept() is the only way to end it on every system.
            with contextlib.suppress(OSError), socket.create_connection((host, server.port), timeout=1):
                pass
            threads[0].join(5)


def _accept(
    listening: socket.socket,
    server: LocalServer,
    handler: Handler,
    context: ssl.SSLContext | None,
    stopped: threading.Event,
) -> None:
    answering = []
    while True:
        connected, _ = listening.accept()
        if stopped.is_set():
            connected.close()
            break
        server.connections += 1
        thread = threading.Thread(target=_answer, args=(connected, server, handler, context, stopped))
        thread.start()
        answering.append(thread)
    for thread in answering:
        thread.join(5)


def _answer(
    connected: socket.socket,
    server: LocalServer,
    handler: Handler,
    context: ssl.SSLContext | None,
    stopped: threading.Event,
) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        stack.callback(connected.close)
        connected.settimeout(10)
        if context:
            connected = stack.enter_context(context.wrap_socket(connected, server_side=True))
        with connected.makefile("rb") as stream:
            request = _read(stream)
        if request is None:
            return
        server.received.append(request)
        _send(connected, handler(request), stopped)


def _read(stream: BufferedReader) -> Received | None:
    line = stream.readline().decode("latin-1").split()
    if len(line) < 2:
        return None
    headers = {name.lower(): value for name, value in parse_headers(stream).items()}
    body = stream.read(int(headers.get("content-length", "0")))
    return Received(line[0], line[1], headers, body)


def _send(connected: socket.socket, answer: Answer, stopped: threading.Event) -> None:
    content = answer.as_bytes()
    if not answer.drip_seconds:
        connected.sendall(content)
        return
    for place in range(len(content)):
        if stopped.is_set():
            return
        time.sleep(answer.drip_seconds)
        connected.sendall(content[place : place + 1])
