"""docs/how-to/serve-without-losing-a-request.md: its programs as they stand, real servers under load."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.kills import PATIENCE_SECONDS, wait_until
from tests.support.server_programs import ONE_WORKER, PROGRAMS, SERVERS, Served
from tests.support.socket_parent import Child, SocketParent

BURST = 40


class Connection(http.client.HTTPConnection):
    """To a listening socket of whatever kind."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self.listener = listener

    def connect(self) -> None:
        self.sock = socket.socket(self.listener.family, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(self.listener.getsockname())

    def ask(self, path: str = "/") -> str:
        """Which release has answered."""
        self.request("GET", path)
        return self.getresponse().read().decode()


def ask(listener: socket.socket, path: str = "/") -> str:
    with contextlib.closing(Connection(listener)) as connection:
        return connection.ask(path)


@dataclass
class Load:
    """Clients that ask without a pause, each in a thread of its own, and what became of it."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self, *clients: Callable[[], str]) -> Iterator[Load]:
        threads = [threading.Thread(target=self._repeat, args=[client]) for client in clients]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            for thread in threads:
                thread.join(PATIENCE_SECONDS)

    def _repeat(self, client: Callable[[], str]) -> None:
        while not self.ended.is_set():
            try:
                self.answers[client()] += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            time.sleep(0.001)


@dataclass
class Launch:
    """One server of the page, with an app, and a parent that holds its sockets."""

    name: str
    folder: Path
    parent: SocketParent
    children: ExitStack

    @property
    def served(self) -> Served:
        return SERVERS[self.name]

    def start(self, release: str, *, overlap: bool = False) -> Child:
        """A process of this server, from when it says that it is ready."""
        environ = {"RELEASE": release, "HOME": str(self.folder), "PYTHONPATH": str(self.folder), **ONE_WORKER}
        log = self.children.enter_context((self.folder / f"{release}.log").open("w"))
        child = self.children.enter_context(
            self.parent.child(
                *self.served.argv, overlap=overlap, env=environ, cwd=self.folder, stdout=log, stderr=log
            )
        )
        for message in self.served.ready:
            assert self.parent.heard() == message, (self.folder / f"{release}.log").read_text()
        return child

    def end(self, child: Child, meanwhile: Callable[[], None] = lambda: None) -> None:
        """SIGTERM, and the honest end that must follow."""
        child.process.send_signal(signal.SIGTERM)
        if self.served.says_stopping:
            assert self.parent.heard() == "STOPPING=1"
        meanwhile()
        assert child.process.wait(PATIENCE_SECONDS) == self.served.ends


@pytest.fixture(params=SERVERS)
def launch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launch]:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "app.py").write_text(SERVERS[request.param].app)
    parent = SocketParent(tmp_path)
    with ExitStack() as children:
        children.callback(parent.close)
        yield Launch(request.param, tmp_path, parent, children)


def test_no_request_is_lost_when_processes_follow_one_another(launch: Launch) -> None:
    tcp, unix, health = launch.parent.tcp, launch.parent.unix, launch.parent.health
    queue = queue_length(tcp)
    first = launch.start("one")
    assert {ask(tcp), ask(unix)} == {"one"}
    assert queue_length(tcp) == queue, "asyncio would make it 100 for all who share the socket"

    # 1. Connections that the process accepts in the very moment of SIGTERM.
    with ThreadPoolExecutor() as readers:
        burst = readers.map(read_answer, connect_while_stopped(first, tcp, unix))
        launch.end(first)
        second = launch.start("two")
        assert set(burst) <= {"one", "two"}

    # 2. An overlap under load: new connections, kept-alive ones, slow answers under way.
    third = launch.start("new", overlap=True)
    assert ask(health) == "new"
    if launch.served.waits:
        assert {ask(tcp) for _ in range(20)} == {"two"}, "until go, the new process accepts on health alone"
    kept = [connected_to("two", listener) for listener in (tcp, tcp, unix)]
    clients = [lambda: ask(tcp), lambda: ask(unix), lambda: ask(tcp, "/slow"), lambda: ask(unix, "/slow")]
    with Load().running(*clients, *(connection.ask for connection in kept)) as load:
        wait_until(lambda: load.answers["two"] > 5, "the old process answers")
        third.say_go()
        wait_until(lambda: load.answers["new"] > 5, "the new process answers")
        idle = connected_to("two", tcp)
        launch.end(second, meanwhile=lambda: take_leave(idle))
        answered = load.answers.total()
        wait_until(lambda: load.answers.total() > answered + 20, "it goes on alone")
    assert not load.failures
    assert load.answers.keys() == {"two", "new"}
    assert {ask(tcp), ask(unix), ask(health)} == {"new"}
    for connection in kept:
        connection.close()


@pytest.mark.parametrize("launch", [name for name in SERVERS if SERVERS[name].waits], indirect=True)
def test_a_process_that_is_given_up_before_go_ends(launch: Launch) -> None:
    child = launch.start("new", overlap=True)
    child.give_up()
    assert child.process.wait(PATIENCE_SECONDS) == 1
    assert "LauncherGone" in (launch.folder / "new.log").read_text()


def connected_to(release: str, listener: socket.socket) -> Connection:
    """A kept-alive connection to that release's process, among those that accept."""
    while True:
        connection = Connection(listener)
        if connection.ask() == release:
            return connection
        connection.close()


def take_leave(connection: Connection) -> None:
    """A process that leaves still answers who is connected, and says that this was the last answer."""
    if connection.sock is None:  # kept no longer than for one answer
        return
    time.sleep(0.1)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert (response.read(), response.will_close) == (b"two", True)
    connection.close()


def queue_length(listener: socket.socket) -> int:
    """How many connections may wait on a TCP socket; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    told = struct.unpack("8B24I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104))
    return told[13]  # what counts acknowledged segments of a connection


def connect_while_stopped(child: Child, *listeners: socket.socket) -> list[socket.socket]:
    """Connections with a request each, for a process that sees them and SIGTERM at once when it goes on."""
    os.killpg(child.process.pid, signal.SIGSTOP)
    connections = []
    for number in range(BURST):
        listener = listeners[number % len(listeners)]
        connections.append(socket.socket(listener.family, socket.SOCK_STREAM))
        connections[-1].settimeout(PATIENCE_SECONDS)
        connections[-1].connect(listener.getsockname())
        connections[-1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    child.process.send_signal(signal.SIGTERM)
    os.killpg(child.process.pid, signal.SIGCONT)
    return connections


def read_answer(connection: socket.socket) -> str:
    """Which release has answered the one request of a connection."""
    with connection:
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200"), "closed without an answer"
    return answer[-3:].decode()
