"""The table of the kill matrix: a row a case, gathered from all workers of a test run.

It is written to `build/kill-matrix.md`, or to the file that NEWLEAF_KILL_MATRIX names.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
VARIABLE = "NEWLEAF_KILL_MATRIX"
HEAD = ("layout", "release", "what happened", "states (✂ where)", "outcome", "seconds")


@dataclass(frozen=True)
class Row:
    """One case."""

    layout: str
    scenario: str
    struck: str
    states: str
    outcome: str
    seconds: float

    def cells(self) -> list[str]:
        return [self.layout, self.scenario, self.struck, self.states, self.outcome, f"{self.seconds:.1f}"]


class Table:
    """The rows of one test run, in a file that its workers share."""

    def __init__(self, rows: Path, target: Path) -> None:
        self._rows = rows
        self._target = target

    @classmethod
    def of_this_run(cls, shared: Path) -> Table:
        """The table of a test run whose workers have the folder `shared` in common."""
        target = os.environ.get(VARIABLE)
        rows = shared / "kill-matrix.jsonl"
        return cls(rows, Path(target) if target else ROOT / "build" / "kill-matrix.md")

    def add(self, row: Row) -> None:
        """Adds a row, at once whole."""
        with self._locked(), self._rows.open("a") as file:
            file.write(json.dumps(row.__dict__) + "\n")

    def write(self) -> None:
        """Writes the table as far as it has got."""
        if not self._rows.exists():
            return
        with self._locked():
            rows = [Row(**json.loads(line)) for line in self._rows.read_text().splitlines()]
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._target.write_text("".join(f"{line}\n" for line in render(rows)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._rows.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def render(rows: list[Row]) -> Iterator[str]:
    """The table as Markdown."""
    total = sum(row.seconds for row in rows)
    counts = Counter(row.layout for row in rows)
    by_layout = ", ".join(f"{layout} {count}" for layout, count in sorted(counts.items()))
    yield "# Kill matrix"
    yield ""
    yield f"{len(rows)} cases ({by_layout}), {total:.1f} seconds of work in all."
    yield ""
    yield "| " + " | ".join(HEAD) + " |"
    yield "|" + "---|" * len(HEAD)
    for row in sorted(rows, key=lambda row: (row.layout, row.scenario, row.struck)):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |"
