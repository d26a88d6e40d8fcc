"""What was measured, as a table, as Markdown, and as JSON, with the machine it was measured on."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.ground import Ground
from bench.measure import Absent, Figures, Measured
from bench.peers import first_line
from bench.rows import Must, Row

SCHEMA = 1
HEAD = ("work", "who", "median", "min", "p90", "max", "cpu", "must", "met")
NUMBERS = range(2, 7)
_MET = {True: "yes", False: "NO", None: "-"}


@dataclass(frozen=True)
class Outcome:
    """What came of one row."""

    row: Row
    measured: Sequence[Measured]

    @property
    def figures(self) -> Mapping[str, Figures]:
        """By contestant, of those that worked."""
        return {each.name: each.figures for each in self.measured if each.figures}

    @property
    def failures(self) -> list[str]:
        """What was there and did not work."""
        return [
            f"{self.row.name}: {each.name} did not work: {each.failure}"
            for each in self.measured
            if each.failure and not each.absent
        ]

    @property
    def absences(self) -> list[str]:
        """What could not take part."""
        return [
            f"{self.row.name}: {each.name} is absent: {each.failure}" for each in self.measured if each.absent
        ]

    def musts_of(self, name: str) -> list[Must]:
        """What is asked of one contestant."""
        return [must for must in self.row.musts if must.who == name]


def describe_machine(ground: Ground) -> dict[str, Any]:
    """What the times depend on."""
    programs = {
        "git": first_line(["git", "--version"]).removeprefix("git version "),
        "uv": first_line([str(ground.uv), "--version"]).split()[1:2] if ground.uv else [],
        "node": first_line(["node", "--version"]),
    }
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "programs": {name: "".join(found) for name, found in programs.items() if found},
    }


def describe_peers(ground: Ground) -> dict[str, str]:
    """The versions of the peers that took part."""
    peers = {"ansible-pull": ground.ansible, "pm2": ground.pm2}
    return {
        name: first_line([str(program), "--version"], ground.environment)
        for name, program in peers.items()
        if not isinstance(program, Absent)
    }


def as_record(outcomes: Sequence[Outcome], machine: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """The whole run, for programs."""
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "quick": quick,
        "machine": dict(machine),
        "rows": [_row_record(outcome) for outcome in outcomes],
    }


def _row_record(outcome: Outcome) -> dict[str, Any]:
    figures = outcome.figures
    return {
        "name": outcome.row.name,
        "title": outcome.row.title,
        "measured": [
            {
                "name": each.name,
                **(_figures_record(each.figures) if each.figures else {"failure": each.failure}),
                **({"absent": True} if each.absent else {}),
            }
            for each in outcome.measured
        ],
        "musts": [
            {"who": must.who, "must": str(must), "bound_ms": _rounded(bound), "met": must.is_met(figures)}
            for must in outcome.row.musts
            for bound in (must.bound(figures),)
        ],
    }


def _figures_record(figures: Figures) -> dict[str, Any]:
    return {
        "runs": figures.runs,
        "median_ms": _rounded(figures.median),
        "min_ms": _rounded(figures.minimum),
        "p90_ms": _rounded(figures.p90),
        "max_ms": _rounded(figures.maximum),
        "cpu_ms": _rounded(figures.cpu),
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 2)


def rows_of(outcome: Outcome) -> list[list[str]]:
    """A line a contestant, and one for every further thing that is asked of it."""
    lines = []
    for number, each in enumerate(outcome.measured):
        title = outcome.row.title if number == 0 else ""
        cells = _cells(each.figures) if each.figures else ["-"] * len(NUMBERS)
        if each.failure:
            cells[0] = "absent" if each.absent else "FAILED"
        musts = [[str(must), _met(must, outcome.figures)] for must in outcome.musts_of(each.name)]
        first = musts[0] if musts else ["", ""]
        lines.append([title, each.name, *cells, *first])
        lines += [["", "", *([""] * len(NUMBERS)), *further] for further in musts[1:]]
    return lines


def _cells(figures: Figures) -> list[str]:
    times = (figures.median, figures.minimum, figures.p90, figures.maximum, figures.cpu)
    return [f"{value:.1f}" if value < 100 else f"{value:,.0f}" for value in times]


def _met(must: Must, figures: Mapping[str, Figures]) -> str:
    word = _MET[must.is_met(figures)]
    if must.beside and must.beside in figures and must.who in figures:
        here, there = figures[must.who].median, figures[must.beside].median
        if must.limit_ms:
            return f"{word} (+ {here - there:.0f} ms)"
        return f"{word} ({there / here:.1f} x)" if must.times <= 1 else f"{word} ({here / there:.2f} x)"
    return word


def table(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The cells, the head first; times in milliseconds."""
    return [list(HEAD), *(line for outcome in outcomes for line in rows_of(outcome))]


def aligned(lines: Sequence[Sequence[str]], numbers: Container[int]) -> list[str]:
    """A table as text, its head first; columns of `numbers` end where their heads end."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = []
    for line in lines:
        cells = [
            cell.rjust(widths[column]) if column in numbers else cell.ljust(widths[column])
            for column, cell in enumerate(line)
        ]
        shown.append("  ".join(cells).rstrip())
    shown.insert(1, "-" * len(max(shown, key=len)))
    return shown


def marked_down(lines: Sequence[Sequence[str]], numbers: Container[int]) -> list[str]:
    """A table as Markdown, its head first."""
    rule = ["---:" if column in numbers else "---" for column in range(len(lines[0]))]
    return ["| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:])]


def machine_line(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    programs = ", ".join(f"{name} {version}" for name, version in machine["programs"].items())
    where = f"{machine['system']}, {machine['cores']} cores ({machine['processor']}), load {machine['load']}"
    return f"{where}; {machine['python']}, {programs}"


def write_json(record: Mapping[str, Any], path: Path) -> None:
    """Writes the run to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
