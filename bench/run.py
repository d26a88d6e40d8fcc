"""newleaf measured beside what people use today for the same work; what `make bench` calls.

    bench/run.py                    every row; a table, and JSON in bench/results/latest.json
    bench/run.py --quick            a few rounds of each
    bench/run.py --row check        one row, or several; or tables: `restarts`, `launcher`, `embedded`,
                                    `missions`, `disk`
    bench/run.py --json             the JSON on standard output instead of the table
    bench/run.py --markdown         the table as docs/reference/numbers.md has it

Absolute times differ from machine to machine, ratios hold. A time never fails the run: the exit code is 1
only when something did not work at all (an update that did not arrive, say). Peers that cannot be installed
are shown as absent. No network but the loopback is used, except to install the peers, once, in build/bench.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from bench import disk, embedded, launcher_facts, missions, report, restarts  # noqa: E402
from bench.ground import Ground  # noqa: E402
from bench.measure import DidNotWork, Measured, take_turns  # noqa: E402
from bench.rows import ROWS as PLAIN_ROWS  # noqa: E402
from bench.rows import Row  # noqa: E402
from bench.slot_rows import SLOT_ROWS  # noqa: E402

ROWS = (*PLAIN_ROWS, *SLOT_ROWS)
TABLES = (restarts, launcher_facts, embedded, missions, disk)


class Table(Protocol):
    """What came of a table that is no row of times."""

    @property
    def failures(self) -> Sequence[str]: ...

    def lines(self) -> list[list[str]]: ...

    def as_record(self) -> list[dict[str, Any]]: ...


RESULTS = ROOT / "bench" / "results" / "latest.json"
CACHE = ROOT / "build" / "bench"
ROUNDS, WARMUPS = 15, 2
QUICK_ROUNDS, QUICK_WARMUPS = 3, 1


def main(arguments: Sequence[str]) -> int:
    """Runs the rows that are asked for."""
    asked = _parse(arguments)
    _compile()
    rows = [row for row in ROWS if not asked.row or row.name in asked.row]
    with tempfile.TemporaryDirectory(prefix="newleaf-bench-") as folder:
        ground = Ground.make(Path(folder).resolve(), CACHE)
        try:
            machine = report.describe_machine(ground)
            _say(report.machine_line(machine))
            outcomes = [_measure(row, ground, quick=asked.quick) for row in rows]
            tables = [_measure_table(table, ground, asked) for table in TABLES]
            has_peers = any(row.has_peers for row in rows) or _is_asked(restarts, asked)
            machine["peers"] = report.describe_peers(ground) if has_peers else {}
        finally:
            ground.end()
    record = report.as_record(outcomes, machine, quick=asked.quick)
    record |= {table.NAME: measured.as_record() for table, measured in zip(TABLES, tables, strict=True)}
    report.write_json(record, asked.output)
    if asked.json:
        print(json.dumps(record, ensure_ascii=False))
    else:
        _show(outcomes, tables, in_markdown=asked.markdown)
        for name, version in machine["peers"].items():
            print(f"{name}: {version}")
    failures = [line for outcome in outcomes for line in outcome.failures]
    failures += [line for measured in tables for line in measured.failures]
    for line in (*(line for outcome in outcomes for line in outcome.absences), *failures):
        _say(line)
    return 1 if failures else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few rounds of each row")
    parser.add_argument(
        "--row",
        action="append",
        choices=[*(each.name for each in ROWS), *(each.NAME for each in TABLES)],
        help="only this row",
    )
    parser.add_argument("--json", action="store_true", help="JSON on standard output")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    return parser.parse_args(arguments)


def _measure(row: Row, ground: Ground, *, quick: bool) -> report.Outcome:
    _say(f"{row.name} …")
    rounds, warmups = (QUICK_ROUNDS, QUICK_WARMUPS) if quick else (ROUNDS, WARMUPS)
    try:
        measured = take_turns(row.set_up(ground), rounds, warmups, lambda: row.begin(ground))
    except DidNotWork as error:
        measured = [Measured("set-up", failure=str(error))]
    return report.Outcome(row, measured)


def _measure_table(table: ModuleType, ground: Ground, asked: argparse.Namespace) -> Table:
    if not _is_asked(table, asked):
        nothing: Table = table.Measured()
        return nothing
    _say(f"{table.NAME} …")
    measured: Table = table.measure(ground, quick=asked.quick)
    return measured


def _is_asked(table: ModuleType, asked: argparse.Namespace) -> bool:
    return table in TABLES and (not asked.row or table.NAME in asked.row)


def _show(outcomes: Sequence[report.Outcome], tables: Sequence[Table], *, in_markdown: bool) -> None:
    as_text = report.marked_down if in_markdown else report.aligned
    shown = [(report.table(outcomes), report.NUMBERS)]
    shown += [(measured.lines(), table.NUMBERS) for table, measured in zip(TABLES, tables, strict=True)]
    print("\n\n".join("\n".join(as_text(lines, numbers)) for lines, numbers in shown if len(lines) > 1))


def _compile() -> None:
    """Byte code is on, and newleaf is compiled before anything is timed."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(ROOT / "src" / "newleaf", quiet=2)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
