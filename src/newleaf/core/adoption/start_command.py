"""From a command that a keeper runs somewhere, to the one that newleaf runs in the app's folder.

Rules: an environment's own python or program becomes `.venv/bin/…`; a path of an image or another
host becomes the file of that name in the repository; wrappers that spawn (`uv run`, `poetry run`) go,
because they come between the daemon and its signals; what only a shell understands is given to a
shell. What cannot be carried over is said, never guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from msgspec import Struct

from newleaf.core.adoption.findings import Project, Start

ENVIRONMENT = ".venv/bin"
SYSTEM_PROGRAMS = frozenset(
    "bash dash env java make nginx node npm npx perl php redis-server ruby sh uv zsh".split()
)
_ENVIRONMENT_PROGRAM = re.compile(r"(?:.*/)?(?:\.?venv|\.?env|virtualenv)/bin/([^/]+)")
_PYTHON = re.compile(r"(?:.*/)?python[0-9.]*")
_NEEDS_SHELL = re.compile(r"[$&|;<>()`*?~]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*")
_SPAWNERS = {"uv": "run", "poetry": "run", "pdm": "run", "pipenv": "run"}
_INITS = {"tini", "dumb-init", "catatonit"}
_UV_VALUES = frozenset(
    "--directory --env-file --extra --group --index --package --project --python --with -p".split()
)


class Carried(Struct, frozen=True):
    """A command as newleaf would run it; `argv` is None when it cannot, and `reason` says why."""

    argv: tuple[str, ...] | None
    reason: str = ""


def carry_over(start: Start, project: Project, paths: Collection[str]) -> Carried:
    """The command of `start`, as run in the folder of `project`; `paths` are those of the repository."""
    place = _Place(project, paths, start.working_directory)
    if isinstance(start.command, str):
        if not start.command.strip():
            return Carried(None, "its image alone knows the command")
        if _NEEDS_SHELL.search(start.command) or "\n" in start.command:
            return _shell_line(start.command)
        try:
            argv = tuple(shlex.split(start.command))
        except ValueError as error:
            return Carried(None, f"cannot be split into words: {error}")
    else:
        argv = start.command
    if start.kind == "systemd" and any(re.search(r"%[^%h]", argument) for argument in argv):
        return Carried(None, "has systemd specifiers that only systemd fills in")
    if start.kind == "systemd" and any("$" in argument for argument in argv):
        carried = place.carry(argv)
        return _shell_line(" ".join(map(_shell_word, carried.argv))) if carried.argv else carried
    return place.carry(argv)


class _Place(Struct, frozen=True):
    """Where a command ends up."""

    project: Project
    paths: Collection[str]
    working_directory: str | None

    def carry(self, argv: tuple[str, ...]) -> Carried:
        argv, assignments = _unwrap(argv)
        if not argv:
            return Carried(None, "names no program")
        program = self._program(argv[0])
        if program is None:
            return Carried(None, f"runs {argv[0]}, which is not in the repository")
        arguments = [self._argument(argument) for argument in argv[1:]]
        missing = next((argument for argument in arguments if _is_missing(argument)), None)
        if missing:
            return Carried(None, f"names {missing}, which is not in the repository")
        if program.endswith(".py"):
            arguments, program = [program, *arguments], f"{ENVIRONMENT}/python"
        prefix = ("env", *assignments) if assignments else ()
        return Carried((*prefix, program, *arguments))

    def _program(self, program: str) -> str | None:
        environment = _ENVIRONMENT_PROGRAM.fullmatch(program)
        if _PYTHON.fullmatch(program):
            return f"{ENVIRONMENT}/python"
        if environment:
            return f"{ENVIRONMENT}/{environment[1]}"
        name = program.rpartition("/")[2]
        if name == program and name.removeprefix("./") not in self._own_paths():
            return program if program in SYSTEM_PROGRAMS else f"{ENVIRONMENT}/{program}"
        if name in self.project.scripts:
            return f"{ENVIRONMENT}/{name}"
        own = self._own(program)
        if own:
            return own if own.endswith(".py") or "/" in own else f"./{own}"
        if program.startswith(("/usr/bin/", "/bin/", "/usr/sbin/")):
            return program
        return f"{ENVIRONMENT}/{name}" if program.startswith("/usr/local/bin/") else None

    def _argument(self, argument: str) -> str:
        if not argument.startswith(("/", "%h/", "./")):
            return argument
        return self._own(argument) or argument

    def _own(self, path: str) -> str | None:
        """What `path` means in the project: the file or folder with the longest same end."""
        folder = self.working_directory
        if folder and path.rstrip("/") == folder.rstrip("/"):
            return "."
        parts = [part for part in path.removeprefix("%h").split("/") if part not in ("", ".")]
        own = self._own_paths()
        return next(("/".join(parts[i:]) for i in range(len(parts)) if "/".join(parts[i:]) in own), None)

    def _own_paths(self) -> frozenset[str]:
        start = "" if self.project.path == "." else f"{self.project.path}/"
        files = [path.removeprefix(start) for path in self.paths if path.startswith(start)]
        folders = {file.rsplit("/", depth)[0] for file in files for depth in range(1, file.count("/") + 1)}
        return frozenset(folders.union(files))


def _is_missing(argument: str) -> bool:
    """Whether an argument is a program of the image or of another host."""
    return argument.startswith(("/", "%h/")) and argument.endswith((".py", ".sh", ".pyz"))


def _unwrap(argv: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of the daemon itself, and the variables that `env` was to set."""
    assignments: list[str] = []
    words = list(argv)
    while words:
        name = words[0].rpartition("/")[2]
        if name == "exec" or _ASSIGNMENT.fullmatch(words[0]):
            assignments += [] if name == "exec" else [words[0]]
            words = words[1:]
        elif name == "env" and len(words) > 1 and not words[1].startswith("-"):
            words = words[1:]
        elif name in _INITS:
            words = words[words.index("--") + 1 :] if "--" in words else words[1:]
        elif name in ("gosu", "su-exec") and len(words) > 2:
            words = words[2:]
        elif _SPAWNERS.get(name) and words[1:2] == [_SPAWNERS[name]]:
            words = _spawned(words[2:])
        else:
            break
    return tuple(words), tuple(assignments)


def _spawned(words: list[str]) -> list[str]:
    """What `uv run` runs: a module, a script or a program."""
    left = list(words)
    while left and left[0].startswith("-"):
        if left[0] in ("-m", "--module"):
            return ["python", "-m", *left[1:]]
        if left[0] == "--":
            return left[1:]
        left = left[2:] if left[0] in _UV_VALUES else left[1:]
    return ["python", *left] if left and left[0].endswith(".py") else left


def _shell_word(argument: str) -> str:
    """An argument as sh reads it, by systemd's rule for variables: `$NAME` alone may become several words."""
    if "$" not in argument:
        return shlex.quote(argument)
    if re.fullmatch(r"\$\w+", argument):
        return argument
    return '"' + re.sub(r'([\\"`])', r"\\\1", argument) + '"'


def _shell_line(line: str) -> Carried:
    """A line for sh, with the environment's programs in front; sh gives way to the daemon where it can."""
    line = re.sub(r"^(exec\s+)?((uv|poetry|pdm|pipenv)\s+run\s+(?!-))?", "", line.strip())
    single = not re.search(r"&&|\|\||[;|\n]", line)
    assigned = _ASSIGNMENT.match(line)
    start = ("exec env " if assigned else "exec ") if single else ""
    return Carried(("sh", "-c", f'PATH="$PWD/{ENVIRONMENT}:$PATH"; {start}{line}'), "needs a shell")
