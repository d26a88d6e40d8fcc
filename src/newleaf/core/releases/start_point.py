"""What a command starts, as far as a preflight can try it: a module, a script, what a server is told to load.

Rules: only words that name Python code count; what a shell or another program would do with the rest is
not guessed at. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

_PYTHON = re.compile(r"(?:.*/)?python[0-9.]*\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\Z")
_REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_][\w.]*(?:\(\))?\Z")
_SERVERS = frozenset(("uvicorn", "gunicorn", "hypercorn", "daphne", "granian"))
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


class StartPoint(Struct, frozen=True):
    """Python code that a command starts.

    `started` is run by `-m`; `script` is a file to run; `imported` are modules that are loaded and not run.
    """

    started: str | None = None
    script: str | None = None
    imported: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.started or self.script or self.imported)

    def as_record(self) -> dict[str, object]:
        return {"started": self.started, "script": self.script, "imported": list(self.imported)}


def find_start_point(command: Sequence[str], module: str | bool | None) -> StartPoint:  # noqa: FBT001
    """What `command` starts; `module` is `update.preflight`: another one to import, or False for nothing."""
    if module is False:
        return StartPoint()
    if isinstance(module, str):
        return StartPoint(imported=(module,))
    words = list(command)
    if words and words[0].rpartition("/")[2] == "env":
        del words[0]
    while words and _ASSIGNMENT.match(words[0]):
        del words[0]
    if not words:
        return StartPoint()
    return _read_python(words[1:]) if _PYTHON.match(words[0]) else _read_program(words)


def _read_python(words: list[str]) -> StartPoint:
    """After `python`: its own options, then `-m MODULE`, or a file."""
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in _WITH_VALUE and words:
            del words[0]
        elif word == "-m" and words:
            module = words[0] if _MODULE.match(words[0]) else None
            return StartPoint(started=module, imported=_loaded_by(module or "", words[1:]))
        elif word.startswith("-c"):
            return StartPoint()
    return StartPoint(script=words[0]) if words and words[0] != "-" else StartPoint()


def _read_program(words: list[str]) -> StartPoint:
    """A program of the app's environment is Python too; one from elsewhere is not the app's."""
    program = words[0] if "/bin/" in words[0] and not words[0].startswith("/") else None
    return StartPoint(script=program, imported=_loaded_by(words[0].rpartition("/")[2], words[1:]))


def _loaded_by(server: str, words: Sequence[str]) -> tuple[str, ...]:
    """What a web server is told to load: `package.module:app`."""
    if server.partition(".")[0] not in _SERVERS:
        return ()
    found = map(_REFERENCE.match, words)
    return tuple(match["module"] for match in found if match)
