"""A small app with migrations, as a folder on the disk, and one host's state beside it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

from newleaf.core.data.migration import Plan, Span, plan_backward, plan_forward, read_scripts
from newleaf.system.commands import Runner
from newleaf.update.data.migrations import Done, Ground, child_environment, read_folder, read_state, run_plan
from tests.support.kills import note_group

LEAVES_A_MARK = """
from pathlib import Path

mark = Path("{name}.mark")
log = Path("log.txt")

def check():
    return mark.exists()

def migrate():
    with log.open("a") as file:
        file.write("{name}\\n")
    mark.touch()
    return True

def revert():
    with log.open("a") as file:
        file.write("back {name}\\n")
    mark.unlink()
    return True
"""
"""Applied when its mark is there; every time that it runs is logged."""


class App:
    """A folder `app` with migrations and a folder `state`, below `folder`."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder / "app"
        self.state = folder / "state"
        self.migrations = self.folder / "migrations"
        self.group = folder / "group"
        self.python = python
        self.said: list[str] = []
        self.timeout_seconds = 60.0
        self.secrets: tuple[str, ...] = ()
        self.folder.mkdir()
        self.state.mkdir(mode=0o700)

    def write(self, path: str, source: str) -> Path:
        """A script, or a helper, below the migrations folder."""
        file = self.migrations / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(source))
        return file

    def write_marking(self, *names: str) -> None:
        """Scripts `1.1.0/001_name.py` that leave a mark."""
        for name in names:
            self.write(f"v{name}", LEAVES_A_MARK.format(name=name.replace("/", "-")))

    def plan(self, start: str | None = "1.0.0", end: str | None = "9.0.0") -> Plan:
        scripts = read_scripts(read_folder(self.migrations))
        span = Span.between(start, end)
        make = plan_backward if span.is_backward else plan_forward
        return make(scripts, read_state(self.state), span)

    def run(self, start: str | None = "1.0.0", end: str | None = "9.0.0", **env: str) -> list[Done]:
        """Plans and runs, as one attempt does."""
        facts = {"NEWLEAF_STATE_DIR": str(self.state), "NEWLEAF_COMMIT": "c" * 40, "NEWLEAF_VERSION": end}
        ground = Ground(
            folder=self.folder,
            migrations="migrations",
            python=Path(self.python),
            env=child_environment({**os.environ, **env}, self.folder, (), facts),
            timeout_seconds=self.timeout_seconds,
        )
        runner = Runner(secrets=self.secrets, on_start=note_group(self.group))
        return list(run_plan(self.plan(start, end), self.state, ground, runner, self.said.append))

    def runner_of(self, start: str | None = "1.0.0", end: str | None = "9.0.0") -> Callable[[], object]:
        return lambda: self.run(start, end)

    @property
    def recorded(self) -> dict[str, Any]:
        """`migration_state.json` as it lies there."""
        record: dict[str, Any] = json.loads((self.state / "migration_state.json").read_bytes())
        return record

    @property
    def ran(self) -> list[str]:
        """Every run of a marking script, in order."""
        log = self.folder / "log.txt"
        return log.read_text().splitlines() if log.exists() else []
