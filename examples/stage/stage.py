"""What the one command of every example shares: a place to play in, who plays, and what is looked at.

A story is played in a temporary folder: a package index made from what is installed here, a maintainer with
a bare remote, hosts with homes of their own, daemons under a small service manager. It narrates as it goes;
it is a success when every check held and nobody is left running. Nothing of the user's is seen or touched but
the programs on PATH. Built from the parts of `newleaf demo`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import newleaf
from examples.stage.app_maintainer import AppMaintainer
from newleaf.cli.demo.demo_host import Host
from newleaf.cli.demo.proofs import Check
from newleaf.cli.demo.sandbox import Sandbox, sandbox
from newleaf.cli.demo.screen import Screen, write_line
from newleaf.cli.demo.service import Service, kept
from newleaf.cli.demo.wheels import fill_index
from newleaf.core.errors import DemoStuck, NewleafError

KEEPER = {"NEWLEAF_KEEPER": "1"}
"""Tells a daemon that the stage's service manager starts it again."""


@dataclass(frozen=True)
class Stage:
    """The place, and the checks so far. `sandbox` is the maintainer's seat, and holds everything."""

    sandbox: Sandbox
    screen: Screen
    checks: list[Check] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.sandbox.folder

    def maintainer(self, app: str, example: Path) -> AppMaintainer:
        """Who publishes `app`, whose files lie below `example`; its remote is there, and empty."""
        maintainer = AppMaintainer(self.sandbox, {}, app=app, example=example)
        maintainer.set_up()
        return maintainer

    def host(self, name: str, app: str, **variables: str) -> Host:
        """A host called so, with an empty home of its own; `variables` are told to its programs."""
        home = self.folder / name
        (home / "tmp").mkdir(parents=True)
        mine = {**self.sandbox.variables, "NEWLEAF_APP__COMPUTER_NAME": name, **variables}
        return Host(Sandbox(home, self.sandbox.path, self.sandbox.groups, mine), self.screen, app=app)

    @contextlib.contextmanager
    def keeping(self, host: Host, argv: Sequence[str | Path]) -> Iterator[Service]:
        """The host's daemon, kept running by a service manager for the length of the block.

        The daemon's output is in programs.log of the host's home. Ended in any way but with 0 it is started
        again.
        """
        service = Service(host.checkout, host.sandbox.folder / "service.jsonl")
        with kept(host.sandbox, service.events_file, list(map(str, argv)), host.checkout):
            try:
                yield service
            finally:
                for pid in service.running():
                    host.sandbox.note_group(pid)

    def check(self, what: str, expected: Any, seen: Any) -> None:
        """Looks at something, and says whether it is as it should be."""
        check = Check(what, expected, seen)
        self.checks.append(check)
        self.screen.write(f"  {'✓' if check.holds else '✗'} {check}")

    def require(self, finished_status: int, what: str) -> None:
        """Raises: DemoStuck unless a program that all the rest needs has ended with 0."""
        if finished_status:
            raise DemoStuck(reason=f"{what} ended with exit code {finished_status}")

    def end_all(self) -> list[int]:
        """Ends what still runs of all that was started here; returns whose processes those were."""
        left = self.sandbox.left_running()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left


@contextlib.contextmanager
def set_stage(
    name: str, *needs: str, keep: bool = False, write: Callable[[str], None] = write_line
) -> Iterator[Stage]:
    """A stage; `needs` are what the example's app requires, as in its pyproject.toml, and is installed here.

    uv and pip find these and newleaf in the stage's own index, and ask no registry unless something is
    missing there. Raises: ProgramMissing.
    """
    with sandbox(keep=keep, name=name) as made:
        _, missing = fill_index(made.folder / "index", Path(newleaf.__file__).parent, *needs)
        made.variables.update(KEEPER, UV_FIND_LINKS=str(made.folder / "index"))
        made.variables.update(PIP_FIND_LINKS=str(made.folder / "index"), PIP_DISABLE_PIP_VERSION_CHECK="1")
        # One cache for all hosts: they are of one disk.
        made.variables["UV_CACHE_DIR"] = str(made.folder / ".cache/uv")
        if not missing:
            made.variables.update(UV_OFFLINE="1", PIP_NO_INDEX="1")
        stage = Stage(made, Screen(write, str(made.folder)))
        try:
            yield stage
        finally:
            stage.check("processes left running", [], stage.end_all())


def play(name: str, story: Callable[[Stage], None], *needs: str) -> int:
    """Plays an example's story; returns its exit code, 0 when every check held."""
    began, checks = time.monotonic(), []
    try:
        with set_stage(name, *needs, keep="--keep" in sys.argv) as stage:
            checks = stage.checks
            story(stage)
    except NewleafError as error:
        write_line(f"  ✗ it cannot go on: {error.message}\n{error.advice}")
        checks.append(Check("played to its end", expected=True, seen=False))
    except (LookupError, TypeError, ValueError, OSError, sqlite3.Error) as error:
        # What was looked at has another shape than it should have.
        write_line(f"  ✗ it cannot go on: {type(error).__name__}: {error}")
        checks.append(Check("played to its end", expected=True, seen=False))
    held = sum(check.holds for check in checks)
    write_line(f"\n{held} of {len(checks)} held, in {time.monotonic() - began:.1f} s")
    return 0 if held == len(checks) else 1
