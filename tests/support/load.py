"""A constant load on a daemon of `tests.support.served_app`: served, failed, the longest wait."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PAUSE_SECONDS = 0.004
PATIENCE_SECONDS = 10.0
CLIENTS = 3
Address = Path | tuple[str, int]


class Connection(http.client.HTTPConnection):
    """To a port, or to a socket's path."""

    def __init__(self, address: Address) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self.address = address

    def connect(self) -> None:
        where = str(self.address) if isinstance(self.address, Path) else self.address
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(where)

    def ask(self, path: str = "/") -> str:
        """The body of the answer."""
        self.request("GET", path)
        return self.getresponse().read().decode()


def ask(address: Address, path: str = "/") -> str:
    """One request on a connection of its own."""
    with contextlib.closing(Connection(address)) as connection:
        return connection.ask(path)


class Load:
    """Requests, one after the other in each thread; `served` counts answers by their body."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.served: Counter[str] = Counter()
        self.failures: list[str] = []
        self.longest_wait = 0.0
        self.clients = CLIENTS
        self._ends = threading.Event()

    def run(self, *, keeps_alive: bool) -> None:
        """One thread's requests; a connection is kept as long as the server lets it be."""
        connection = Connection(self.address)
        while not self._ends.is_set():
            began = time.monotonic()
            try:
                self.served[connection.ask()] += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            self.longest_wait = max(self.longest_wait, time.monotonic() - began)
            if not keeps_alive:
                connection.close()
            self._ends.wait(PAUSE_SECONDS)
        connection.close()

    def end(self) -> None:
        self._ends.set()


@contextlib.contextmanager
def load_on(address: Address) -> Iterator[Load]:
    """A few clients, one of which keeps its connection alive, until the block is left."""
    load = Load(address)
    threads = [
        threading.Thread(target=load.run, kwargs={"keeps_alive": place == 0}, daemon=True)
        for place in range(load.clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
