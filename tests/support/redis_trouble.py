"""Servers in a Redis's place that answer as one in trouble would, or not at all."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.launched import short_folder

HANG = None
Wrap = Callable[[socket.socket], socket.socket]


@dataclass(frozen=True)
class InTrouble:
    """Where it is, and what it was told so far."""

    url: str
    told: list[bytes]


@contextlib.contextmanager
def answering(answer: bytes | None, credentials: str = "") -> Iterator[InTrouble]:
    """A server on a unix socket that gives everybody the same answer, or none."""
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        with _serving(server, answer, lambda accepted: accepted) as told:
            yield InTrouble(f"unix://{credentials}{folder}/s", told)


@contextlib.contextmanager
def answering_on_port(answer: bytes | None, wrap: Wrap) -> Iterator[int]:
    """The same on a port of this machine, which it yields; each connection is wrapped."""
    with socket.create_server(("127.0.0.1", 0)) as server, _serving(server, answer, wrap):
        port: int = server.getsockname()[1]
        yield port


@contextlib.contextmanager
def _serving(server: socket.socket, answer: bytes | None, wrap: Wrap) -> Iterator[list[bytes]]:
    told: list[bytes] = []
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                accepted, _ = server.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                connection = wrap(accepted)
                held.append(connection)
                told.append(connection.recv(65536))
                if answer is not None:
                    connection.sendall(answer)
                    # Only then: what is unread at a close would take the answer with it.
                    connection.shutdown(socket.SHUT_WR)

    server.listen(16)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        for each in held:
            each.close()
        thread.join(5)
