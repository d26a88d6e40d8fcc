"""Git servers on this machine that ask who one is: over http and https, through a proxy, over ssh."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import selectors
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from pathlib import Path

from tests.support.http_server import Answer, Handler, Received
from tests.support.kills import wait_until
from tests.support.repositories import Remote, git_environment

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:" + os.environ["PATH"])


Serve = Callable[[socket.socket], None]


@dataclass(frozen=True)
class GitHandler:
    """Answers as `git http-backend` does, for the repositories below `root`, to whom `allowed` lets in."""

    root: Path
    allowed: str | None = None
    """The Authorization header that is wanted; None lets everybody in."""

    def __call__(self, request: Received) -> Answer:
        if self.allowed and request.headers.get("authorization") != self.allowed:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="test"'})
        path, _, query = request.target.partition("?")
        cgi = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            env=git_environment(self.root) | cgi,
            input=request.body,
            capture_output=True,
            check=False,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(BytesHeaderParser().parsebytes(head).items())
        status = int(headers.pop("Status", "200").split()[0])
        return Answer(status, headers, body)


def basic(user: str, password: str) -> str:
    """The Authorization header of a user and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def served(remote: Remote, allowed: str | None = None) -> Handler:
    """A handler that serves one remote; its url ends in the folder's name."""
    return GitHandler(remote.path.parent, allowed)


@dataclass
class Proxy:
    """A proxy that runs: where it listens, and the first line of every request that it was sent."""

    port: int
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def proxying() -> Iterator[Proxy]:
    """A proxy for http and, by CONNECT, for https."""
    with listening() as (listener, accept):
        proxy = Proxy(listener.getsockname()[1])
        accept(lambda client: _proxy(client, proxy))
        yield proxy


@dataclass(frozen=True)
class SshServer:
    """A real sshd for this user: its port, the client's options that know it, and a key that it takes."""

    port: int
    known_hosts: Path
    key: Path

    def url(self, remote: Remote) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{remote.path}"

    @property
    def options(self) -> str:
        """So that the test depends on nobody's ~/.ssh."""
        return f"-F /dev/null -o UserKnownHostsFile={self.known_hosts} -o IdentityFile=none"


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[SshServer]:
    """An sshd on a port of its own, one process a connection, with fresh keys below `folder`."""
    assert SSHD
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    host_key, key = make_key(folder / "host_key"), make_key(folder / "user_key")
    (folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    config = folder / "sshd_config"
    config.write_text(
        f"HostKey {host_key}\nAuthorizedKeysFile {folder / 'authorized_keys'}\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        f"PidFile none\nLogLevel VERBOSE\nSetEnv PATH={os.environ['PATH']}\n"
    )
    argv = [SSHD, "-i", "-f", str(config), "-E", str(folder / "sshd.log")]

    def serve(client: socket.socket) -> None:
        with client:
            subprocess.run(
                argv, stdin=client.fileno(), stdout=client.fileno(), stderr=subprocess.DEVNULL, check=False
            )

    with listening() as (listener, accept):
        port = listener.getsockname()[1]
        known = folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {host_key.with_suffix('.pub').read_text()}")
        accept(serve)
        yield SshServer(port, known, key)


@contextlib.contextmanager
def ssh_agent(folder: Path, key: Path) -> Iterator[Path]:
    """An agent that holds `key`; its socket."""
    place = folder / "agent.sock"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL)
    try:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(place)}
        add = ["ssh-add", "-q", str(key)]
        wait_until(
            lambda: (
                subprocess.run(add, env=environment, stderr=subprocess.DEVNULL, check=False).returncode == 0
            ),
            "the agent",
        )
        yield place
    finally:
        agent.terminate()
        agent.wait()


def make_key(path: Path) -> Path:
    """A fresh ssh key without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, Callable[[Serve], None]]]:
    """A listening socket, and a function that sets a thread to work on each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    stopped = threading.Event()

    def accept(serve: Serve) -> None:
        def loop() -> None:
            while True:
                client, _ = listener.accept()
                if stopped.is_set():
                    client.close()
                    return
                thread = threading.Thread(target=serve, args=(client,))
                thread.start()
                threads.append(thread)

        threads.append(threading.Thread(target=loop))
        threads[-1].start()

    try:
        yield listener, accept
    finally:
        stopped.set()
        with contextlib.suppress(OSError), socket.create_connection(listener.getsockname(), timeout=1):
            pass
        for thread in threads:
            thread.join(5)
        listener.close()


def _proxy(client: socket.socket, proxy: Proxy) -> None:
    with client:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = client.recv(65536)
            if not chunk:
                return
            head += chunk
        line = head.partition(b"\r\n")[0].decode()
        proxy.requests.append(line)
        method, target, version = line.split()
        if method == "CONNECT":
            host, _, port = target.partition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _pump(client, server)
            return
        address, _, path = target.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port or 80))) as server:
            server.sendall(f"{method} /{path} {version}\r\n".encode() + head.partition(b"\r\n")[2])
            _pump(client, server)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Carries bytes both ways until one side is done."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select(10):
                with contextlib.suppress(OSError):
                    chunk = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not chunk:
                        return
                    key.data.sendall(chunk)
