"""The small web daemon that is restarted while it is under load, and its repository.

Rules: the same application for everybody; it imports a web framework, as such daemons do, so that a start
takes what a start takes. It serves on the sockets that it inherits, else it binds its port itself; on
SIGTERM it answers what it has accepted, and leaves. gunicorn serves the application with workers of its
own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.ground import Ground
from bench.measure import DidNotWork
from tests.support.repositories import Remote

HOST = "127.0.0.1"
SECONDS = 30.0
LOOK_SECONDS = 0.005

APP = """\
import time
began = time.perf_counter()
import json, os
import aiohttp.web
ABOUT = {"version": %(version)d, "pid": os.getpid(), "import_ms": (time.perf_counter() - began) * 1000}

def application(environ, start_response):
    body = json.dumps(ABOUT).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
CRASH = """\
import os, time
with open(os.path.join(os.environ["NEWLEAF_STATE_DIR"], "exits"), "a") as exits:
    exits.write(f"{time.time()}\\n")
raise SystemExit(3)
"""
SERVE = """\
import os, signal, socket, sys, threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from app import application

class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass
    def address_string(self):
        return ""

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False
    request_queue_size = 2048

def inherited(descriptor):
    server = Server(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=descriptor)
    server.server_name, server.server_port = "web", 0
    server.setup_environ()
    return server

count = int(os.environ.get("LISTEN_FDS", "0"))
servers = [inherited(3 + number) for number in range(count)] or [Server(("%(host)s", %(port)d), Handler)]
def leave(*_):
    for server in servers:
        threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGINT, leave)
threads = []
for server in servers:
    server.set_app(application)
    threads.append(threading.Thread(target=server.serve_forever, args=(0.02,)))
    threads[-1].start()
if "NOTIFY_SOCKET" in os.environ:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
for thread in threads:
    thread.join()
for server in servers:
    server.server_close()
"""
SETTINGS = """\
[app]
name = "web"
command = [%(python)s, "serve.py"]
listen = ["%(host)s:%(port)d"]
handover = "%(handover)s"
stop_seconds = 10

[update]
install = "none"
preflight = false

[health]
ready = 20
probation = 0.3

[restart]
budget = "100000 in 30m"

[watch]
poll_seconds = %(poll)d
"""


@dataclass
class WebApp:
    """The daemon's repository, and its port, which is free. `version` is what was published last."""

    ground: Ground
    name: str
    handover: str = "overlap"
    poll_seconds: int = 3600
    version: int = 0
    remote: Remote = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        with socket.create_server((HOST, 0)) as server:
            self.port = server.getsockname()[1]
        folder = self.ground.folder / "web" / self.name
        folder.mkdir(parents=True)
        self.remote = Remote.make(folder)
        facts = {"host": HOST, "port": self.port, "handover": self.handover, "poll": self.poll_seconds}
        facts["python"] = json.dumps(sys.executable)
        self.remote.commit({"newleaf.toml": SETTINGS % facts, "serve.py": SERVE % facts}, "A web daemon")
        self.publish()

    @property
    def folder(self) -> Path:
        """Where this one's checkout and files may lie."""
        return self.ground.folder / "web" / self.name

    def publish(self) -> str:
        """A new version, of which nothing else has changed but its length.

        Python tells byte code of two versions of a file apart by second and length alone.
        """
        self.version += 1
        text = APP % {"version": self.version} + "#" * self.version
        return self.remote.commit({"app.py": text}, f"Version {self.version}")

    def publish_crash(self) -> str:
        """One that notes the time and ends with 3. The version stays that of the last good one."""
        count = time.monotonic_ns()
        return self.remote.commit({"app.py": f"# {count}\n{CRASH}"}, "It does not start")

    def ask(self) -> dict[str, Any] | None:
        """What is answered now; None when nobody does."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=SECONDS)
        with (
            contextlib.suppress(OSError, http.client.HTTPException, ValueError),
            contextlib.closing(connection),
        ):
            connection.request("GET", "/", headers={"Connection": "close"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        return None

    def await_version(self) -> dict[str, Any]:
        """The first answer of what was published last. Raises: DidNotWork."""
        seen: dict[str, Any] = {}

        def answers() -> bool:
            seen.update(self.ask() or {})
            return bool(seen) and seen["version"] == self.version

        wait_until(answers, f"{self.name}: version {self.version} does not answer")
        return seen


def wait_until(is_so: Callable[[], bool], trouble: str) -> None:
    """Returns as soon as it is so. Raises: DidNotWork."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise DidNotWork(trouble)
        time.sleep(LOOK_SECONDS)
