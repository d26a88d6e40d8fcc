"""The process in which migrations run: started by path, with the app's own interpreter.

Standard library only and no newer syntax than Python 3.8, because newleaf is not installed where this
runs, and nothing of newleaf may be importable here. One process runs the scripts of one plan, in order.

It reads its order from standard input, and speaks on the descriptor named by its argument, a line of
JSON each, which what a migration prints can neither fake nor spoil:

    {"event": "asks", "script": "v1.1.0/001_a.py", "function": "check"}
    {"event": "done", "script": "v1.1.0/001_a.py", "ran": true}      and waits for one byte: recorded
    {"event": "failed", "script": "v1.1.0/001_a.py", "reason": "…", "lines": ["…"]}      and ends

A script is `check()`, and where that is False `migrate()` and `check()` again; backward it is the
same with `revert()`. Each answer is True or False and nothing else. When the process that gave
the order dies, this one ends with all that it started, whatever a migration is doing.
"""

from __future__ import annotations

import sys


def _forget_own_folder() -> None:
    """Takes newleaf's files off the import path, where starting by path has put them."""
    own = __file__.rpartition("/")[0]
    sys.path[:] = [entry for entry in sys.path if entry != own]


if __name__ == "__main__":
    _forget_own_folder()

# Only now: none of these may be looked for beside this file.
import json  # noqa: E402
import os  # noqa: E402
import queue  # noqa: E402
import reprlib  # noqa: E402
import signal  # noqa: E402
import threading  # noqa: E402
import traceback  # noqa: E402
import types  # noqa: E402
from typing import Any, Callable, NoReturn  # noqa: E402, UP035

KEPT_LINES = 200


class Failure(Exception):
    """A migration did not do what it must; the text says what."""


class Parent:
    """The process that gave the order, at the other end of the descriptor."""

    def __init__(self, descriptor: int) -> None:
        # Programs that a migration starts do not get it.
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._words: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._listen, name="newleaf", daemon=True).start()

    def say(self, **event: object) -> None:
        """Sends one line."""
        line = json.dumps(event).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError:
            end_everything()

    def wait(self) -> None:
        """Returns when what was said last is recorded."""
        self._words.get()

    def _listen(self) -> None:
        while True:
            try:
                word = os.read(self._descriptor, 1)
            except OSError:
                word = b""
            if not word:
                end_everything()
            self._words.put(word)


def end_everything() -> NoReturn:
    """Ends this process and all that it has started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Run:
    """One order: scripts as paths below `folder`, run from the folder that the process was started in."""

    def __init__(self, parent: Parent, folder: str, *, backward: bool) -> None:
        self._parent = parent
        self._folder = folder
        self._backward = backward
        self._release = os.getcwd()
        self._environment = dict(os.environ)
        self._import_path = list(sys.path)
        self._modules = set(sys.modules)

    def all(self, scripts: list[str]) -> bool:
        """Runs them in order; whether all are done."""
        script = ""
        try:
            # All are compiled before the first one runs.
            codes = {}
            for script in scripts:
                codes[script] = self._compile(script)
            for script in scripts:
                ran = self._one(script, codes[script])
                flush()
                self._parent.say(event="done", script=script, ran=ran)
                self._parent.wait()
        except Failure as failure:
            lines = traceback_lines(failure.__cause__) if failure.__cause__ else []
            flush()
            self._parent.say(event="failed", script=script, reason=str(failure), lines=lines)
            return False
        return True

    def _compile(self, script: str) -> types.CodeType:
        path = os.path.join(self._folder, script)
        try:
            with open(path, "rb") as file:
                return compile(file.read(), path, "exec", dont_inherit=True)
        except Exception as error:
            version = ".".join(map(str, sys.version_info[:2]))
            raise Failure(f"Python {version} cannot read it: {shown(error)}") from error

    def _one(self, script: str, code: types.CodeType) -> bool:
        """Whether it had to run: False when `check()` said that there is nothing to do."""
        module = self._load(script, code)
        if self._ask(script, module, "check") is not self._backward:
            return False
        function = "revert" if self._backward else "migrate"
        if not self._ask(script, module, function):
            raise Failure(f"{function}() returned False")
        if self._ask(script, module, "check") is self._backward:
            state = "still applied" if self._backward else "not applied"
            raise Failure(f"{function}() returned True, yet check() says that it is {state}")
        return True

    def _load(self, script: str, code: types.CodeType) -> types.ModuleType:
        """The script as a module, with the surroundings as they were when the process started."""
        path = os.path.join(self._folder, script)
        os.chdir(self._release)
        os.environ.clear()
        os.environ.update(self._environment)
        sys.path[:] = [os.path.dirname(path), *self._import_path]
        sys.argv[:] = [path]
        for name, module in list(sys.modules.items()):
            # Another version's helper may have the same name.
            if name not in self._modules and str(getattr(module, "__file__", "")).startswith(self._folder):
                del sys.modules[name]
        module = types.ModuleType("migration_" + script[:-3].replace("/", "_").replace(".", "_"))
        module.__file__ = path
        sys.modules[module.__name__] = module
        self._call(script, "load", lambda: exec(code, module.__dict__))  # noqa: S102
        return module

    def _ask(self, script: str, module: types.ModuleType, function: str) -> bool:
        answer = self._call(script, function, getattr(module, function, None))
        if answer is True or answer is False:
            return bool(answer)
        raise Failure(f"{function}() returned {reprlib.repr(answer)}, neither True nor False")

    def _call(self, script: str, name: str, function: Callable[[], Any] | None) -> object:
        if not callable(function):
            raise Failure(f"it has no {name}()")
        self._parent.say(event="asks", script=script, function=name)
        try:
            return function()
        except BaseException as error:
            raise Failure(f"{name}() raised {shown(error)}") from error


def shown(error: BaseException) -> str:
    """An exception in one line."""
    text = str(error).strip().partition("\n")[0][:500]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def traceback_lines(error: BaseException) -> list[str]:
    """The end of the traceback, from the migration's own frames on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    return text.splitlines()[-KEPT_LINES:]


def flush() -> None:
    """Sends on what a migration has printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # A migration may have closed it.
            continue


def main() -> None:
    """Runs the order on standard input."""
    order = json.loads(sys.stdin.buffer.read())
    run = Run(Parent(int(sys.argv[1])), order["folder"], backward=order["backward"])
    done = run.all(order["scripts"])
    flush()
    # What a migration left running must not hold this process.
    os._exit(0 if done else 1)


if __name__ == "__main__":
    main()
