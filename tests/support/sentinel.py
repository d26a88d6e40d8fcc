"""A primary, a replica and a sentinel on loopback, for a failover that is real."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.support.redis_server import ENGINES, RedisServer

SERVICE = "main"
START_SECONDS = 20.0


class Watched:
    """What a sentinel watches. `url` names the sentinel, not a server."""

    def __init__(self, folder: Path, engine: str) -> None:
        self._ports = _free_ports(3)
        servers = []
        for name, port in zip(("one", "two"), self._ports, strict=False):
            (folder / name).mkdir()
            servers.append(RedisServer(folder / name, engine, port=str(port), bind="127.0.0.1"))
        self.primary, self.replica = servers
        self.url = f"redis+sentinel://127.0.0.1:{self._ports[2]}/{SERVICE}/0"
        self._folder = folder
        self._command = [ENGINES[engine], str(folder / "sentinel.conf"), "--sentinel"]
        self._sentinel: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the sentinel knows the replica, and the replica follows."""
        self.primary.start()
        self.replica.start()
        with _client(self.replica.url) as replica:
            _ask(replica, "REPLICAOF", "127.0.0.1", str(self._ports[0]))
            _until(lambda: b"master_link_status:up" in _ask(replica, "INFO", "replication"))
        (self._folder / "sentinel.conf").write_text(
            f"port {self._ports[2]}\nbind 127.0.0.1\n"
            f"dir {self._folder}\nlogfile {self._folder}/sentinel.log\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._ports[0]} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 300\nsentinel failover-timeout {SERVICE} 2000\n"
        )
        self._sentinel = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with _client(f"redis://127.0.0.1:{self._ports[2]}") as sentinel:
            _until(lambda: len(_ask(sentinel, "SENTINEL", "REPLICAS", SERVICE)) == 1)

    def fail_over(self) -> None:
        """Kills the primary; returns when the other one has become it."""
        self.primary.kill()
        with _client(self.replica.url) as replica:
            _until(lambda: b"role:master" in _ask(replica, "INFO", "replication"))

    def end(self) -> None:
        if self._sentinel:
            self._sentinel.kill()
            self._sentinel.wait(10)
        self.primary.kill()
        self.replica.kill()


@contextlib.contextmanager
def watched(engine: str) -> Iterator[Watched]:
    """For the length of a `with`."""
    with tempfile.TemporaryDirectory(prefix="nl-sentinel-") as folder:
        made = Watched(Path(folder), engine)
        try:
            made.start()
            yield made
        finally:
            made.end()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _client(url: str) -> contextlib.closing[Redis]:
    client = Redis.from_url(url, protocol=2)
    client.response_callbacks.clear()
    return contextlib.closing(client)


def _ask(client: Redis, *words: str) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(RedisError):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError("it did not come true in time")
