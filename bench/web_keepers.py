"""Ways to keep the web daemon running and to update it: newleaf's launcher, and what people use today.

Each is a context in which the daemon runs, and gives what makes it run the version that was published last.
In the end everything that was started is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ground import newleaf_program
from bench.measure import DidNotWork
from bench.slots_hosts import SlotsHost
from bench.web_app import SECONDS, WebApp, wait_until

Update = Callable[[], object]
SAID = "said"
"""The file that has what a program says while it runs."""


@dataclass(frozen=True)
class Launched:
    """newleaf's launcher as it runs; `process` is the launcher itself."""

    app: WebApp
    host: SlotsHost
    process: subprocess.Popen[bytes]

    @classmethod
    @contextlib.contextmanager
    def running(cls, app: WebApp, *, agent: bool = False) -> Iterator[Launched]:
        """From when the daemon answers, and is confirmed, to when all of it has ended."""
        host = SlotsHost.make(app.ground, f"web-{app.name}", app.remote)
        argv = (*newleaf_program(), "run", *(() if agent else ("--no-agent",)))
        with _started(argv, app.folder, host.environment) as process:
            wait_until(lambda: bool(app.ask()) or process.poll() is not None, "the launcher serves nothing")
            if process.poll() is not None:
                raise DidNotWork(f"the launcher does not start: {(app.folder / SAID).read_text().strip()}")
            yield cls(app, host, process)

    def update(self) -> None:
        """One update. Raises: DidNotWork."""
        self.host.newleaf("update").run()

    def update_in_vain(self) -> None:
        """One update that newleaf is to take back. Raises: DidNotWork when it does not."""
        argv = (*newleaf_program(), "update")
        done = subprocess.run(
            argv, cwd=self.app.ground.folder, env=self.host.environment, capture_output=True, check=False
        )
        if done.returncode != 6:
            raise DidNotWork(f"a bad release ended with exit code {done.returncode}: {done.stdout.decode()}")


@contextlib.contextmanager
def overlap(app: WebApp) -> Iterator[Update]:
    """newleaf, the new process beside the old one."""
    with Launched.running(app) as launched:
        yield launched.update


@contextlib.contextmanager
def by_hand(app: WebApp) -> Iterator[Update]:
    """The old process is stopped, then the new one is started, and binds the port again."""
    checkout = app.remote.clone(app.folder / "checkout").path
    argv = (sys.executable, "serve.py")
    with contextlib.ExitStack() as now:
        now.enter_context(_started(argv, checkout, app.ground.environment))
        app.await_version()

        def update() -> None:
            _pull(app, checkout)
            now.close()
            now.enter_context(_started(argv, checkout, app.ground.environment))

        yield update


@contextlib.contextmanager
def pm2(app: WebApp) -> Iterator[Update]:
    """pm2, whose `reload` of what is no node cluster is a stop and a start."""
    program, checkout = str(app.ground.pm2), app.remote.clone(app.folder / "checkout").path
    call = app.ground.call
    app.ground.on_end(lambda: call(program, "kill"))
    call(program, "start", "serve.py", "--name", "web", "--interpreter", sys.executable, folder=checkout)
    try:
        app.await_version()

        def update() -> None:
            _pull(app, checkout)
            call(program, "reload", "web", folder=checkout)

        yield update
    finally:
        call(program, "delete", "web", folder=checkout)


@contextlib.contextmanager
def gunicorn_hup(app: WebApp) -> Iterator[Update]:
    """gunicorn's reload: SIGHUP, upon which the master replaces its worker."""
    with _gunicorn(app) as (checkout, process_id):

        def update() -> None:
            _pull(app, checkout)
            os.kill(process_id(), signal.SIGHUP)

        yield update


@contextlib.contextmanager
def gunicorn_usr2(app: WebApp) -> Iterator[Update]:
    """gunicorn's upgrade on the fly: SIGUSR2 starts a second master beside the first, which then is ended."""
    with _gunicorn(app) as (checkout, process_id):

        def update() -> None:
            _pull(app, checkout)
            old = process_id()
            os.kill(old, signal.SIGUSR2)
            app.await_version()
            os.kill(old, signal.SIGTERM)
            # The new master takes the file of the old one when that has gone.
            wait_until(lambda: process_id() not in (0, old), "the old master does not end")

        yield update


@contextlib.contextmanager
def _gunicorn(app: WebApp) -> Iterator[tuple[Path, Callable[[], int]]]:
    """One worker with four threads; where it lies, and who is its master now."""
    checkout, file = app.remote.clone(app.folder / "checkout").path, app.folder / "gunicorn.pid"
    bind = ("--bind", f"127.0.0.1:{app.port}", "--pid", str(file))
    options = ("--workers", "1", "--threads", "4", "--log-level", "error", "--no-control-socket")
    argv = (str(Path(sys.executable).parent / "gunicorn"), "app:application", *bind, *options)

    def process_id() -> int:
        with contextlib.suppress(OSError, ValueError):
            return int(file.read_text())
        return 0

    with _started(argv, checkout, app.ground.environment) as first:
        try:
            app.await_version()
            wait_until(lambda: process_id() != 0, "gunicorn writes no pid file")
            yield checkout, process_id
        finally:
            last = process_id()
            if last not in (0, first.pid):
                os.kill(last, signal.SIGTERM)
                wait_until(lambda: not file.exists(), "gunicorn does not end")


def _pull(app: WebApp, checkout: Path) -> None:
    app.ground.call("git", "pull", "--quiet", "--ff-only", folder=checkout)


@contextlib.contextmanager
def _started(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs meanwhile; in the end it is asked to leave, and killed if it does not."""
    with (folder / SAID).open("ab") as said:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
