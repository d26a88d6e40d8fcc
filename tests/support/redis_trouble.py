"""Servers in a Redis's place that answer as one in trouble would, or not at all."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

HANG = None


@contextlib.contextmanager
def answering(
    path: Path, answer: bytes | None, wrap: Callable[[socket.socket], socket.socket] = lambda it: it
) -> Iterator[list[bytes]]:
    """A server on a unix socket that gives everybody the same answer, or none; yields what it was told."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with _serving(server, answer, wrap) as told:
            yield told


@contextlib.contextmanager
def answering_on_port(
    answer: bytes | None, wrap: Callable[[socket.socket], socket.socket] = lambda it: it
) -> Iterator[int]:
    """The same on a port of this machine; yields which."""
    with socket.create_server(("127.0.0.1", 0)) as server, _serving(server, answer, wrap):
        port: int = server.getsockname()[1]
        yield port


@contextlib.contextmanager
def _serving(
    server: socket.socket, answer: bytes | None, wrap: Callable[[socket.socket], socket.socket]
) -> Iterator[list[bytes]]:
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
