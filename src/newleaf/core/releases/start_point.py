"""What a command starts, as far as a preflight can try it: a module, a script, what a server is told to load.

Rules: only words that name Python code count; what a shell or another program would do with the rest is
not guessed at. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from msgspec import Struct
from msgspec.structs import replace

_PYTHON = re.compile(r"(?:.*/)?python[0-9.]*\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\Z")
_REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_][\w.]*(?:\(\))?\Z")
_SERVERS = frozenset(("uvicorn", "gunicorn", "hypercorn", "daphne", "granian"))
_ADDRESSED = frozenset(("-b", "--bind", "--header", "--endpoint", "--insecure-bind", "--quic-bind"))
"""Options of servers whose value may look like `module:app` (`unix:app.sock`)."""
_CHANGES_LOADING = ("--app-dir", "--chdir", "--pythonpath", "--working-dir", "--env", "-e")
"""How options of servers begin by which the app is loaded in another way than from its folder as it is."""


class StartPoint(Struct, frozen=True):
    """Python code that a command starts.

    `started` is run by `-m`; `script` is a file to run; `imported` are modules that are loaded and not run;
    `variables` are what the command adds to the environment.
    """

    started: str | None = None
    script: str | None = None
    imported: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.started or self.script or self.imported)

    def as_record(self) -> dict[str, object]:
        """What the process is told in which the release is tried."""
        return {"started": self.started, "script": self.script, "imported": list(self.imported)}


def find_start_point(command: Sequence[str], module: str | bool | None) -> StartPoint:  # noqa: FBT001
    """What `command` starts; `module` is `update.preflight`: another one to import, or False for nothing."""
    if module is False:
        return StartPoint()
    words = list(command)
    if words and words[0].rpartition("/")[2] == "env":
        del words[0]
    given = list(takewhile(_ASSIGNMENT.match, words))
    variables = tuple((name, value) for name, _, value in (word.partition("=") for word in given))
    del words[: len(given)]
    if isinstance(module, str):
        return StartPoint(imported=(module,), variables=variables)
    if not words:
        return StartPoint()
    found = _read_python(words[1:]) if _PYTHON.match(words[0]) else _read_program(words)
    return replace(found, variables=variables)


def _read_python(words: list[str]) -> StartPoint:
    """After `python`: its own options, then `-m MODULE`, or a file."""
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word.startswith("--"):
            del words[: word == "--check-hash-based-pycs"]
            continue
        # Options of one letter may stand together, and the value of the last one with them: -um app, -Wa.
        option = re.search("[cmWX]", word)
        if option is None:
            continue
        value = word[option.end() :] or (words.pop(0) if words else "")
        if option[0] == "c":
            return StartPoint()
        if option[0] == "m":
            module = value if _MODULE.match(value) else None
            return StartPoint(started=module, imported=_loaded_by(value, words))
    return StartPoint(script=words[0]) if words and words[0] != "-" else StartPoint()


def _read_program(words: list[str]) -> StartPoint:
    """A program of the app's environment is Python too; one from elsewhere is not the app's."""
    program = words[0] if "/bin/" in words[0] and not words[0].startswith("/") else None
    return StartPoint(script=program, imported=_loaded_by(words[0].rpartition("/")[2], words[1:]))


def _loaded_by(server: str, words: Sequence[str]) -> tuple[str, ...]:
    """What a web server is told to load: `package.module:app`."""
    if server.partition(".")[0] not in _SERVERS or any(word.startswith(_CHANGES_LOADING) for word in words):
        return ()
    spared = {at + 1 for at, word in enumerate(words) if word in _ADDRESSED}
    found = (_REFERENCE.match(word) for at, word in enumerate(words) if at not in spared)
    return tuple(match["module"] for match in found if match)
