"""A server on a unix socket that answers orders as it is told to: a launcher's voice."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 20.0


class Answering:
    """`answers` are sent, in pieces, after an order; with `hangs_up` the line is closed then."""

    def __init__(self, listener: socket.socket) -> None:
        self.answers: list[bytes] = []
        self.orders: list[dict[str, Any]] = []
        self.hangs_up = False
        self._listener = listener
        self._lines: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="answering")

    @classmethod
    @contextlib.contextmanager
    def at(cls, path: Path) -> Iterator[Answering]:
        """One that listens there while the block runs."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen()
            made = cls(listener)
            made._thread.start()
            try:
                yield made
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                made.hang_up()
                made._thread.join(PATIENCE_SECONDS)

    def hang_up(self) -> None:
        """Closes every line, as a launcher does that ends."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self._lines.append(line)
                threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError), line.makefile("rb") as orders:
            for order in orders:
                self.orders.append(json.loads(order))
                answers, self.answers = self.answers, []
                for answer in answers:
                    line.sendall(answer)
                if self.hangs_up:
                    line.shutdown(socket.SHUT_RDWR)
                    return
