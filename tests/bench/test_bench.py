from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import report, run
from bench.measure import (
    Absent,
    Contestant,
    DidNotWork,
    Figures,
    Measured,
    Program,
    Resident,
    Timing,
    nearest_rank,
    summarize,
    take_turns,
)
from bench.rows import Must, Row

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {
    "system": "Linux",
    "processor": "some",
    "cores": 2,
    "load": 0.0,
    "python": "CPython",
    "programs": {},
}


class Said:
    """A contestant that takes what it is told to."""

    def __init__(self, name: str, took: list[float | str], turns: list[str]) -> None:
        self.name = name
        self.took = iter(took)
        self.turns = turns

    def run(self) -> Timing:
        self.turns.append(self.name)
        now = next(self.took)
        if isinstance(now, str):
            raise DidNotWork(now)
        return Timing(now, now / 2)


def figures(median: float) -> Figures:
    return Figures(1, median, median, median, median, median)


def program(code: str, folder: Path, **prove: Any) -> Program:
    return Program("python", (sys.executable, "-c", code), folder, {"PATH": "/usr/bin:/bin"}, **prove)


def outcome(measured: list[Measured], *musts: Must) -> report.Outcome:
    return report.Outcome(Row("some", "some work", lambda _: [], musts), measured)


# --- numbers ----------------------------------------------------------------------------


def test_figures_are_of_the_wall_times_and_the_median_of_the_cpu_times() -> None:
    timings = [Timing(wall, wall * 10) for wall in (5, 1, 4, 2, 3)]
    assert summarize(timings) == Figures(runs=5, median=3, minimum=1, maximum=5, p90=5, cpu=30)


def test_of_one_run_all_figures_are_that_run() -> None:
    assert summarize([Timing(7, 3)]) == Figures(1, 7, 7, 7, 7, 3)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (9, 9), (10, 9), (11, 10), (20, 18), (100, 90)])
def test_p90_is_the_smallest_value_that_nine_of_ten_do_not_exceed(count: int, expected: int) -> None:
    assert nearest_rank([float(value) for value in range(1, count + 1)], 0.9) == expected


@pytest.mark.parametrize(
    ("must", "shown", "met"),
    [
        (Must("newleaf", 110), "≤ 110 ms", True),
        (Must("newleaf", 99), "≤ 99 ms", False),
        (Must("newleaf", 60, 1, "bare"), "≤ bare + 60 ms", True),
        (Must("newleaf", 50, 1, "bare"), "≤ bare + 50 ms", False),
        (Must("newleaf", times=1.1, beside="asked"), "≤ 1.1 x asked", False),
        (Must("newleaf", times=1 / 10, beside="slow"), "≥ 10 x faster than slow", True),
        (Must("newleaf", times=1 / 11, beside="slow"), "≥ 11 x faster than slow", False),
        (Must("newleaf", times=1, beside="slow"), "faster than slow", True),
        (Must("newleaf", times=1, beside="absent"), "faster than absent", None),
        (Must("absent", 110), "≤ 110 ms", None),
    ],
)
def test_bounds_are_judged_by_medians_of_the_same_row(must: Must, shown: str, *, met: bool | None) -> None:
    known = {"newleaf": figures(100), "bare": figures(45), "asked": figures(90), "slow": figures(1000)}
    assert (str(must), must.is_met(known)) == (shown, met)


def test_every_bound_is_on_a_contestant_of_a_row_with_a_name_of_its_own() -> None:
    assert len({row.name for row in run.ROWS}) == len(run.ROWS)


# --- turns ------------------------------------------------------------------------------


def test_contestants_run_in_turns_and_warm_ups_do_not_count() -> None:
    turns: list[str] = []
    both: list[Contestant | Absent] = [Said("a", [100, 1, 3], turns), Said("b", [200, 2, 4], turns)]
    measured = take_turns(both, rounds=2, warmups=1, begin_round=lambda: turns.append("-"))
    assert "".join(turns) == "-ab-ab-ab"
    assert [each.figures and each.figures.maximum for each in measured] == [3, 4]


def test_who_did_not_work_has_no_time_and_takes_no_further_part() -> None:
    turns: list[str] = []
    both: list[Contestant | Absent] = [Said("a", [1, "broken", 1], turns), Said("b", [2, 2, 2], turns)]
    broken, good = take_turns(both, rounds=3, warmups=0)
    assert (broken.figures, broken.failure, broken.absent) == (None, "broken", False)
    assert good.figures
    assert good.figures.runs == 3
    assert "".join(turns) == "ababb"


def test_who_is_absent_is_shown_as_such_and_never_as_a_time() -> None:
    measured = take_turns([Absent("peer", "npm is not installed")], rounds=3, warmups=1)
    shown = outcome(measured, Must("peer", 10))
    assert measured == [Measured("peer", failure="npm is not installed", absent=True)]
    assert shown.failures == []
    line = report.rows_of(shown)[0]
    assert line[1:3] == ["peer", "absent"]
    assert not any(character.isdigit() for cell in line[2:7] for character in cell)
    record = report.as_record([shown], MACHINE, quick=True)["rows"][0]
    assert record["measured"] == [{"name": "peer", "failure": "npm is not installed", "absent": True}]
    assert record["musts"][0]["met"] is None


def test_a_program_that_fails_did_not_work_and_its_last_words_are_kept(tmp_path: Path) -> None:
    with pytest.raises(DidNotWork, match=r"exit 3: it rained"):
        program("import sys; sys.stderr.write('it rained'); sys.exit(3)", tmp_path).run()


def test_a_program_whose_work_is_not_done_did_not_work(tmp_path: Path) -> None:
    def prove() -> None:
        raise DidNotWork("the checkout is elsewhere")

    with pytest.raises(DidNotWork, match="elsewhere"):
        program("pass", tmp_path, prove=prove).run()


def test_times_of_a_program_cover_its_children(tmp_path: Path) -> None:
    spin = "import time; end = time.process_time() + 0.1\nwhile time.process_time() < end: pass"
    timing = program(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])", tmp_path
    ).run()
    assert timing.cpu_ms >= 100
    assert timing.wall_ms >= 100


def test_a_program_that_stays_is_asked_again_and_again(tmp_path: Path) -> None:
    answer = '{"wall_ms": %d, "cpu_ms": 1}'
    code = f"import os, sys\nfor _ in sys.stdin: print({answer!r} % os.getpid(), flush=True)"
    resident = Resident("python", (sys.executable, "-c", code), tmp_path, {})
    assert resident.run() == resident.run()
    resident.end()


def test_a_program_that_does_not_stay_did_not_work(tmp_path: Path) -> None:
    resident = Resident("python", (sys.executable, "-c", "input()"), tmp_path, {})
    with pytest.raises(DidNotWork, match="ended by itself"):
        resident.run()
    resident.end()


# --- the whole --------------------------------------------------------------------------


def test_a_table_has_aligned_columns_and_says_what_is_met() -> None:
    measured = [Measured("newleaf", figures(12.34)), Measured("peer", figures(1234.5))]
    shown = outcome(measured, Must("newleaf", times=1 / 10, beside="peer"), Must("newleaf", 10))
    lines = report.aligned(report.table([shown]), report.NUMBERS)
    assert (
        lines[2].split()
        == "some work newleaf 12.3 12.3 12.3 12.3 12.3 ≥ 10 x faster than peer yes (100.0 x)".split()
    )
    assert lines[3].split() == "≤ 10 ms NO".split()
    assert lines[4].split()[:2] == ["peer", "1,234"]
    assert report.marked_down(report.table([shown]), report.NUMBERS)[1].count("---:") == 5


def test_a_quick_run_of_one_row_writes_its_record(tmp_path: Path) -> None:
    output = tmp_path / "folder" / "numbers.json"
    arguments = [sys.executable, "bench/run.py", "--quick", "--row", "check", "--output", str(output)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "newleaf check" in done.stdout
    record = json.loads(output.read_text())
    assert (record["schema"], record["quick"], record["machine"]["peers"]) == (1, True, {})
    (row,) = record["rows"]
    assert row["musts"][0].keys() == {"who", "must", "bound_ms", "met"}
    assert [each["name"] for each in row["measured"]] == ["newleaf check", "git ls-remote"]
    for each in row["measured"]:
        assert each["runs"] == run.QUICK_ROUNDS
        assert 0 < each["min_ms"] <= each["median_ms"] <= each["p90_ms"] <= each["max_ms"]
        assert each["cpu_ms"] > 0


def test_what_did_not_work_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("broken", "work that fails", lambda ground: [ground.program("false", "false")])
    monkeypatch.setattr(run, "ROWS", (row,))
    monkeypatch.setattr(run, "TABLES", ())
    assert run.main(["--quick", "--json", "--output", str(tmp_path / "numbers.json")]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["rows"][0]["measured"][0]["failure"].startswith("exit 1")
    assert "false did not work" in said.err
