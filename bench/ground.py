"""The place where rows are measured: one remote with an app, checkouts of it, a home, all below one folder.

Rules: nothing outside the folder is read or written (but programs, and the peers' folder); the remote is a
local path, or a server on the loopback; the environment of every program is made from nothing, so
that byte code is on, and no configuration of the user's or the machine's is seen.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.measure import DidNotWork, Program, Resident
from bench.packages import PackagedApp
from bench.peers import Peer, find_ansible, find_pm2, find_uv
from tests.support.git_servers import served
from tests.support.http_server import serving
from tests.support.repositories import Checkout, Remote

BALLAST_FILES = 200
"""Files of the app beside its own: about what a small service has."""

SETTINGS = """\
[app]
name = "sessions"

[restart]
mode = "none"
"""
PROJECT = """\
[project]
name = "sessions"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = []
"""
DAEMON = "import time\n\nwhile True:\n    time.sleep(60)\n"
PLAYBOOK = "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks: []\n"


@dataclass
class Ground:
    """The remote, what is cloned from it, and the programs' environment."""

    folder: Path
    cache: Path
    remote: Remote
    http_url: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """The app as it was first published."""
    _published: int = 0
    _packaged: dict[int, PackagedApp] = field(default_factory=dict)
    _at_end: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @classmethod
    def make(cls, folder: Path, cache: Path) -> Ground:
        """An app of some 200 files without dependencies: its lock file is there, and found in order."""
        ground = cls(folder, cache, Remote.make(folder / "remote"))
        (folder / "home").mkdir()
        project = folder / "project"
        project.mkdir()
        files: dict[str, str] = {
            "newleaf.toml": SETTINGS,
            "pyproject.toml": PROJECT,
            "app.py": DAEMON,
            "local.yml": PLAYBOOK,
            ".gitignore": ".venv/\n",
            "release.txt": "0\n",
        }
        for number in range(BALLAST_FILES):
            files[f"package{number % 10}/module{number}.py"] = f"VALUE = {number}\n" * 40
        (project / "pyproject.toml").write_text(PROJECT)
        ground.call("uv", "lock", "--quiet", folder=project)
        files["uv.lock"] = (project / "uv.lock").read_text()
        ground.files = files
        ground.remote.commit(files, "Version 1.0.0")
        server = ground._at_end.enter_context(serving(served(ground.remote)))
        ground.http_url = f"{server.url}/{ground.remote.path.name}"
        return ground

    def end(self) -> None:
        """Ends what was started on this ground."""
        self._at_end.close()

    def on_end(self, do: Callable[[], object]) -> None:
        """Does something before the ground goes."""
        self._at_end.callback(do)

    # --- the app ------------------------------------------------------------------------

    def clone(self, name: str, *, url: str = "", synced: bool = False) -> Checkout:
        """A checkout of the app, with its environment in order if need be."""
        checkout = self.remote.clone(self.folder / "checkouts" / name, url=url or None)
        if synced:
            self.call("uv", "sync", "--frozen", "--quiet", folder=checkout.path)
        return checkout

    def publish(self) -> str:
        """A new commit on the branch: one file of the app, nothing else."""
        self._published += 1
        return self.remote.commit({"release.txt": f"{self._published}\n"}, f"Change {self._published}")

    def head(self) -> str:
        """What the branch of the remote is at."""
        return self.remote.id_of(f"refs/heads/{self.remote.branch}")

    def arrived(self, checkout: Checkout) -> Callable[[], None]:
        """Proves that a checkout is at the head of the branch."""

        def prove() -> None:
            here, wanted = checkout.id_of(), self.head()
            if here != wanted:
                raise DidNotWork(f"the checkout is at {here[:9]}, the remote at {wanted[:9]}")

        return prove

    def packaged(self, count: int) -> PackagedApp:
        """The app with so many packages, in a remote of its own."""
        if count not in self._packaged:
            self._packaged[count] = PackagedApp.make(self, count)
        return self._packaged[count]

    # --- programs -----------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """What every program is started with."""
        programs = [Path(sys.executable).parent, *([self.uv.parent] if self.uv else [])]
        return {
            "PATH": os.pathsep.join([*map(str, programs), os.environ.get("PATH", os.defpath)]),
            "HOME": str(self.folder / "home"),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "UV_OFFLINE": "1",
            "UV_PYTHON": sys.executable,
            "UV_CACHE_DIR": str(self.folder / "uv"),
            "UV_NO_CONFIG": "1",
            # Else it tries every Python that it finds on PATH.
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "PM2_HOME": str(self.folder / "pm2"),
            # Else pm2 has no `pull`.
            "PM2_ENABLE_GIT_PARSING": "true",
            **self._python_path,
        }

    @property
    def _python_path(self) -> dict[str, str]:
        """Only where newleaf is not installed, but found on PYTHONPATH."""
        return {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}

    @cached_property
    def uv(self) -> Path | None:
        return find_uv()

    @cached_property
    def ansible(self) -> Peer:
        return find_ansible(self.cache)

    @cached_property
    def pm2(self) -> Peer:
        return find_pm2(self.cache)

    def call(self, *argv: str, folder: Path | None = None) -> str:
        """Runs a program to its end, untimed. Raises: DidNotWork."""
        done = subprocess.run(
            argv, cwd=folder or self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DidNotWork(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def program(self, name: str, *argv: str, folder: Path | None = None) -> Program:
        """A program to be timed."""
        return Program(name, argv, folder or self.folder, self.environment)

    def newleaf(self, checkout: Checkout, *arguments: str) -> Program:
        """newleaf in a checkout, with a state directory of its own."""
        argv = (*newleaf_program(), *arguments)
        name = " ".join(("newleaf", *arguments))
        return Program(name, argv, checkout.path, self.deployed(checkout))

    def resident(self, name: str, work: str, checkout: Checkout) -> Resident:
        """newleaf in a process that stays."""
        return Resident(name, resident_program(work), checkout.path, self.deployed(checkout))

    def deployed(self, checkout: Checkout) -> dict[str, str]:
        """The environment in which newleaf takes a checkout for the deployed one."""
        state = self.folder / "state" / checkout.path.name
        state.parent.mkdir(exist_ok=True)
        return self.environment | {"NEWLEAF_STATE_DIR": str(state)}


def resident_program(work: str) -> tuple[str, ...]:
    """newleaf in a process that stays, for one kind of work."""
    return (sys.executable, str(Path(__file__).with_name("resident.py")), work)


def newleaf_program() -> tuple[str, ...]:
    """newleaf as people start it: the script of this environment, where there is one."""
    script = Path(sys.executable).parent / "newleaf"
    return (str(script),) if script.exists() else (sys.executable, "-m", "newleaf")
