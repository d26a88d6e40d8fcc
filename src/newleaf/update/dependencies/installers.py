"""How uv, pip and an app's own command are called, under one deadline (lessons.md L22).

Rules: `uv sync --frozen`, never `uv run`; all that is asked for in one call, so that the resolver sees
it whole; what comes from settings or tree is one word of an argv, behind `--name=`, never an
option of its own.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from newleaf.core.dependencies.install_errors import InstallerMissing, InstallFailed, InstallTimedOut
from newleaf.core.dependencies.manifest import chosen_extras
from newleaf.core.errors import CommandTimedOut, DiskFull
from newleaf.core.ports import OnLine
from newleaf.system import files
from newleaf.system.commands import Command
from newleaf.update.dependencies.needs import Needs
from newleaf.update.dependencies.surroundings import Python, Surroundings

CHECK_SECONDS = 60.0
SHORTEST_SECONDS = 0.001
TOLD_CHARACTERS = 300
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
_NO_ROOM = re.compile(
    r"no space left on device|disk quota exceeded|os error (?:28|122)\b|errno (?:28|122)\b", re.IGNORECASE
)
_NO_PYTHON = re.compile(
    r"error: (?:no interpreter found|no download found|failed to inspect python interpreter)"
    r"|incompatible with the project's python requirement|failed to download .*/cpython-",
    re.IGNORECASE,
)
_TELLING = re.compile(r"\berror\b|\bfailed\b|not found|no such file|denied", re.IGNORECASE)


class Installer(Struct):
    """Calls installers for `needs`; `on_line` hears them; `update.install_timeout` covers all calls."""

    needs: Needs
    surroundings: Surroundings
    on_line: OnLine
    began: float = field(default_factory=time.monotonic)

    def uv_sync(self, environment: Path) -> None:
        """Makes the environment where there is none, and brings it to what the lock says.

        uv fetches a Python that this host does not have, where it may.
        Raises: InstallFailed, InstallerMissing, PythonMissing, DiskFull.
        """
        uv = self.surroundings.uv
        if uv is None:
            raise InstallerMissing(what="uv sync", why=f"{self.needs.lock} is uv's", program="uv")
        try:
            self.run("uv sync", [str(uv), *uv_arguments(self.needs)], uv_variables(environment))
        except InstallFailed as error:
            if not any(map(_NO_PYTHON.search, error.lines)):
                raise
            needs = self.needs
            wish, requires = needs.python_wish, needs.manifest.requires_python
            raise self.surroundings.missing_python(needs.folder, wish, requires, error.lines) from error

    def run_own_command(self) -> None:
        """Runs the app's own command.

        Raises: InstallFailed, DiskFull, ProgramMissing.
        """
        self.run(self.needs.installer, self.needs.update.install)

    def make_environment(self, environment: Path) -> None:
        """Makes an empty environment with a Python of this host, with pip where it is needed and to be had.

        Raises: InstallFailed, PythonMissing, DiskFull.
        """
        needs = self.needs
        requires = needs.manifest.requires_python
        python = self.surroundings.base_python(needs.folder, needs.python_wish, requires)
        self.on_line(f"making {environment} with Python {python.version} ({python.base})")
        # To bring pip along takes seconds.
        has_pip = python.has_ensurepip and needs.has_packages
        argv = [str(python.base), "-m", "venv", *([] if has_pip else ["--without-pip"])]
        self.run("python -m venv", [*argv, str(environment)])

    def pip_install(self, python: Python) -> None:
        """Brings the environment of `python` to what requirements and project say.

        Raises: InstallFailed, DiskFull.
        """
        if not self.needs.has_packages:
            return
        pip = [*self._pip(python), "install", "--progress-bar=off"]
        with tempfile.TemporaryDirectory(prefix="newleaf-") as folder:
            plain = Path(folder) / "requirements.txt"
            plain.write_text("".join(f"{line}\n" for line in self.needs.plain))
            arguments = pip_arguments(self.needs, plain)
            if arguments:
                self.run("pip install", [*pip, *arguments])

    def run(self, what: str, argv: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        """Runs one command in what is left of the time.

        Raises: InstallFailed, InstallTimedOut, DiskFull, ProgramMissing.
        """
        limit = self.needs.update.install_timeout
        left = max(self.began + limit - time.monotonic(), SHORTEST_SECONDS)
        environment = {**self.surroundings.child_environment, **(variables or {})}
        command = Command(argv, what, self.needs.folder, environment, left, on_line=self.on_line)
        try:
            finished = self.surroundings.runner.run(command)
        except CommandTimedOut as error:
            raise InstallTimedOut(what=what, seconds=limit, lines=error.facts["lines"]) from error
        if finished.status == 0:
            return
        if any(_NO_ROOM.search(line) for line in finished.tail):
            free = files.size(shutil.disk_usage(self.needs.folder).free)
            raise DiskFull(path=self.needs.folder, free=free, needed="more")
        reason = f"{telling_lines(finished.tail)} (exit {finished.status})"
        raise InstallFailed(what=what, reason=reason, lines=finished.tail)

    def _pip(self, python: Python) -> list[str]:
        """The pip that installs into the environment: its own, one made for it, or the host's.

        Raises: InstallFailed.
        """
        own = [str(python.path), *PIP]
        if python.has_pip:
            return own
        if python.has_ensurepip:
            self.run("python -m ensurepip", [str(python.path), "-m", "ensurepip", "--default-pip"])
            return own
        for name in ("python3", "python"):
            program = self.surroundings.find(name)
            host = self.surroundings.ask(program, self.needs.folder) if program else None
            if host and host.has_pip:
                return [str(host.path), *PIP, "--python", str(python.path)]
        reason = f"there is no pip for {python.path}, and Python {python.version} brings none"
        raise InstallFailed(what="pip install", reason=f"{reason} (Debian, Ubuntu: apt install python3-venv)")


def uv_arguments(needs: Needs) -> list[str]:
    """The words after `uv`. The group `dev` is left out unless it is asked for."""
    update = needs.update
    extras = ["--all-extras"] if update.extras == "all" else [f"--extra={name}" for name in update.extras]
    if update.groups == "all":
        groups = ["--all-groups"]
    else:
        groups = [f"--group={name}" for name in update.groups]
        groups += [] if "dev" in update.groups else ["--no-dev"]
    project = ["--no-install-project"] if update.install_project is False else []
    again = [f"--reinstall-package={name}" for name in needs.moving]
    return ["sync", "--frozen", *extras, *groups, *project, *again]


def uv_variables(environment: Path) -> dict[str, str]:
    """What uv is told by its environment."""
    return {"UV_PROJECT_ENVIRONMENT": str(environment)}


def is_in_sync(needs: Needs, environment: Path, surroundings: Surroundings) -> bool:
    """Whether uv, offline and changing nothing, finds the environment as the lock has it."""
    assert surroundings.uv is not None
    argv = [str(surroundings.uv), *uv_arguments(needs), "--check", "--offline"]
    variables = {**surroundings.child_environment, **uv_variables(environment)}
    seconds = min(CHECK_SECONDS, needs.update.install_timeout)
    command = Command(argv, "uv sync --check", needs.folder, variables, seconds)
    try:
        return surroundings.runner.run(command).status == 0
    except CommandTimedOut:
        return False


def pip_arguments(needs: Needs, plain: Path) -> list[str]:
    """The words after `pip install`. `plain` is a file with the requirements that stand in pyproject.toml."""
    arguments = ["--requirement=requirements.txt"] if needs.requirements else []
    arguments += [f"--requirement={plain}"] if needs.plain else []
    if needs.installs_project:
        extras = ",".join(chosen_extras(needs.manifest, needs.update.extras))
        arguments.append(f"--editable=.[{extras}]" if extras else "--editable=.")
    return arguments


def telling_lines(lines: Sequence[str]) -> str:
    """The three lines from the first that speaks of an error; else the last one."""
    said = [line.strip() for line in lines if line.strip()]
    first = next((i for i, line in enumerate(said) if _TELLING.search(line)), len(said) - 1)
    told = "; ".join(said[max(first, 0) :][:3]) or "it said nothing"
    return told if len(told) <= TOLD_CHARACTERS else f"{told[: TOLD_CHARACTERS - 1]}…"
