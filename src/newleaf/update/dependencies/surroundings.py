"""What the host gives to an installation: its programs, its Pythons, and the environment of child processes.

Rules: an installer sees the user's own environment (proxies, certificates, caches, indexes are the user's
to choose), without what would lead it to another environment, another project or another repository;
uv is looked for on PATH and then where its installers put it, because a timer's PATH is shorter than a
shell's; a Python is known by asking it, once, and is afterwards called by its own path and not
through a version manager's shim.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from newleaf.core.dependencies.install_errors import PythonMissing
from newleaf.core.dependencies.manifest import is_python_wanted, wished_version
from newleaf.core.errors import CommandFailed, CommandTimedOut, ProgramMissing
from newleaf.system.commands import Command, Runner

PROBE_SECONDS = 20.0
UV_PLACES = (
    "~/.local/bin",
    "~/.cargo/bin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
)
MINORS = tuple(f"python3.{minor}" for minor in range(15, 8, -1))

LEFT_OUT = frozenset(
    """CONDA_PREFIX PYTHONHOME PYTHONPATH PYTHONSTARTUP VIRTUAL_ENV __PYVENV_LAUNCHER__
    PIP_PREFIX PIP_PYTHON PIP_ROOT PIP_TARGET PIP_USER
    UV_PROJECT UV_PROJECT_ENVIRONMENT UV_WORKING_DIR UV_WORKING_DIRECTORY
    FORCE_COLOR CLICOLOR_FORCE LISTEN_FDS LISTEN_FDNAMES LISTEN_PID NOTIFY_SOCKET WATCHDOG_PID
    WATCHDOG_USEC""".split()
)
LEFT_OUT_PREFIXES = ("NEWLEAF_", "GIT_")
_PROBE = """
import importlib.machinery, os, sys, sysconfig
find = importlib.machinery.PathFinder.find_spec
said = (
    "%d.%d.%d" % sys.version_info[:3],
    getattr(sys, "_base_executable", None) or sys.executable,
    sysconfig.get_path("purelib"),
    "pip" if find("pip") else "",
    "ensurepip" if find("ensurepip") else "",
    "",
)
sys.stdout.buffer.write(b"\\0".join(map(os.fsencode, said)))
"""
"""Without json and importlib.util, which would double the time that a Python takes to start."""


class Python(Struct, frozen=True):
    """An interpreter that runs. `base` is the one that an environment was made with; of others, itself."""

    path: Path
    version: str
    base: Path
    site: Path
    has_pip: bool
    has_ensurepip: bool


class Surroundings(Struct, frozen=True, dict=True):
    """The host as one installation sees it; `environ` is the environment that newleaf was started with."""

    runner: Runner
    environ: Mapping[str, str]

    @cached_property
    def child_environment(self) -> dict[str, str]:
        """What an installer is started with."""
        kept = {
            name: value
            for name, value in self.environ.items()
            if name not in LEFT_OUT and not name.startswith(LEFT_OUT_PREFIXES)
        }
        return {"PATH": os.defpath, **kept, "GIT_TERMINAL_PROMPT": "0", "NO_COLOR": "1"}

    @cached_property
    def uv(self) -> Path | None:
        """The uv program."""
        found = self.find("uv")
        home = self.environ.get("HOME", "~")
        for place in UV_PLACES if found is None else ():
            found = found or self.find("uv", str(Path(place.replace("~", home, 1))))
        return found

    def find(self, program: str, path: str | None = None) -> Path | None:
        """Where `program` lies on PATH (or on `path`)."""
        found = shutil.which(program, path=path or self.child_environment["PATH"])
        return Path(os.path.abspath(found)) if found else None

    def ask(self, python: Path, folder: Path) -> Python | None:
        """What `python` says of itself; None when it does not run."""
        environment = {**self.child_environment, "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [str(python), "-I", "-c", _PROBE]
        try:
            finished = self.runner.run(Command(argv, "asking Python", folder, environment, PROBE_SECONDS))
        except (CommandFailed, CommandTimedOut, ProgramMissing):
            return None
        version, *more = map(os.fsdecode, finished.stdout.split(b"\0"))
        if finished.status != 0 or len(more) != 5:
            return None
        base, site, pip, ensurepip, _ = more
        return Python(python, version, Path(base), Path(site), bool(pip), bool(ensurepip))

    def base_python(self, folder: Path, wish: str, requires_python: str) -> Python:
        """A Python of this host to make the app's environment with.

        Raises: PythonMissing.
        """
        seen = []
        for python in self._pythons(folder, wish):
            if is_python_wanted(python.version, wish, requires_python):
                return python
            seen.append(python.version)
        raise self._missing(seen, wish, requires_python)

    def missing_python(
        self, folder: Path, wish: str, requires_python: str, lines: Sequence[str]
    ) -> PythonMissing:
        """The error for an installer that found no Python and said so in `lines`."""
        seen = [python.version for python in self._pythons(folder, wish)]
        return self._missing(seen, wish, requires_python, lines)

    @staticmethod
    def _missing(
        seen: list[str], wish: str, requires_python: str, lines: Sequence[str] = ()
    ) -> PythonMissing:
        versions = ", ".join(dict.fromkeys(seen))
        asked = wished_version(wish) or wish or requires_python
        return PythonMissing(
            wanted=" and ".join(text for text in (wish, requires_python) if text) or "any",
            found=f"this host has {versions}" if versions else "this host has none",
            how=f"uv python install {shlex.quote(asked)}" if asked else "uv python install",
            source=".python-version" if wish else "requires-python in pyproject.toml",
            lines=tuple(lines),
        )

    def _pythons(self, folder: Path, wish: str) -> Iterator[Python]:
        asked = (self.ask(program, folder) for program in self._candidates(wish))
        return (python for python in asked if python)

    def _candidates(self, wish: str) -> Iterator[Path]:
        number = wished_version(wish)
        names = [f"python{'.'.join(number.split('.')[:2])}"] if number else []
        tried: set[Path] = set()
        for name in [*names, "python3", "python", *MINORS]:
            found = self.find(name)
            if found and found not in tried:
                tried.add(found)
                yield found
        yield Path(getattr(sys, "_base_executable", None) or sys.executable)
