from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import launcher_facts
from bench.facts import Fact
from bench.ground import Ground
from bench.launcher_facts import MIB, Measured, Scale, measure
from bench.measure import DidNotWork


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (Fact("memory", 13.5, "MiB", 14.0), ["memory", "13.50 MiB", "≤ 14 MiB", "yes"]),
        (Fact("memory", 14.5, "MiB", 14.0), ["memory", "14.50 MiB", "≤ 14 MiB", "NO"]),
        (Fact("failed", 3, "", 0, "0"), ["failed", "3", "0", "NO"]),
        (Fact("import", 0.25, "s"), ["import", "0.25 s", "", ""]),
    ],
)
def test_a_fact_is_a_number_with_its_unit_and_what_is_asked(fact: Fact, line: list[str]) -> None:
    assert fact.line() == line
    assert Measured([fact]).as_record()[0]["met"] is fact.is_met


def test_the_verdict_is_the_last_that_the_journal_has(tmp_path: Path) -> None:
    lines = [("restart", 1), ("revert", 2), ("rolled_back", 3), ("restart", 4), ("revert", 5)]
    journal = "".join(f'{{"state": "{state}", "at": "1970-01-01T00:00:0{at}.250Z"}}\n' for state, at in lines)
    (tmp_path / "journal.jsonl").write_text(journal)
    assert launcher_facts._verdict_time(tmp_path) == 5.25
    assert launcher_facts._last_state(tmp_path) == "revert"
    assert launcher_facts._last_state(tmp_path / "nowhere") == ""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="there is no /proc that tells")
def test_what_a_process_takes_is_read_from_the_system() -> None:
    assert MIB < launcher_facts._resident(os.getpid(), "Pss") <= launcher_facts._resident(os.getpid())
    assert launcher_facts._processor_seconds(os.getpid()) > 0
    with pytest.raises(DidNotWork, match="Fair of process"):
        launcher_facts._resident(os.getpid(), "Fair")


def test_what_does_not_work_is_said_and_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Ground, scale: Scale) -> list[Fact]:
        raise DidNotWork(f"it rained {scale.times} times")

    for kind in ("_crash_loop", "_bad_release", "_detection", "_memory"):
        monkeypatch.setattr(launcher_facts, kind, broken)
    monkeypatch.setattr(launcher_facts, "_days", lambda *_: [Fact("a day", 1.0, "CPU-s")])
    measured = measure(None, quick=True)  # type: ignore[arg-type]
    assert measured.failures == ["launcher: it rained 2 times"] * 4
    assert [fact.name for fact in measured.facts] == ["a day"]
