"""The demo's service manager, with small daemons that end in every way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from newleaf.cli.demo import service_keeper
from newleaf.system import process_table
from tests.support.kills import PATIENCE_SECONDS, wait_until

ENDS_AS_TOLD = """
import sys, time
from pathlib import Path
told = Path("endings").read_text().split()
if told:
    Path("endings").write_text(" ".join(told[1:]))
    sys.exit(int(told[0]))
time.sleep(60)
"""


@contextmanager
def kept(folder: Path, code: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, service_keeper.__file__, str(folder / "events"), sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=folder, stdin=subprocess.PIPE) as keeper:
        try:
            yield keeper
        finally:
            assert keeper.stdin
            keeper.stdin.close()


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    if not (folder / "events").exists():
        return []
    lines = map(json.loads, (folder / "events").read_text().splitlines())
    return [event for event in lines if event["event"] == kind]


def test_daemon_that_leaves_with_42_and_one_that_crashes_are_started_again(tmp_path: Path) -> None:
    (tmp_path / "endings").write_text("42 3")
    with kept(tmp_path, ENDS_AS_TOLD):
        wait_until(lambda: len(events(tmp_path, "started")) == 3, "three starts")
    assert [event["status"] for event in events(tmp_path, "ended")][:2] == [42, 3]
    first, second, third = (event["at"] for event in events(tmp_path, "started"))
    assert second - first < service_keeper.PAUSE_SECONDS < third - second


def test_daemon_that_ends_well_is_meant_to(tmp_path: Path) -> None:
    (tmp_path / "endings").write_text("0")
    with kept(tmp_path, ENDS_AS_TOLD) as keeper:
        assert keeper.wait(PATIENCE_SECONDS) == 0
    assert [event["status"] for event in events(tmp_path, "ended")] == [0]


def test_daemon_ends_when_whoever_started_its_keeper_has_gone(tmp_path: Path) -> None:
    (tmp_path / "endings").write_text("")
    with kept(tmp_path, ENDS_AS_TOLD) as keeper:
        wait_until(lambda: bool(events(tmp_path, "started")), "a start")
    assert keeper.returncode == 0
    (ended,) = events(tmp_path, "ended")
    assert ended["status"] == -15
    assert process_table.find(ended["pid"]) is None


def test_keeper_that_pauses_after_a_crash_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "endings").write_text("1")
    with kept(tmp_path, ENDS_AS_TOLD):
        wait_until(lambda: bool(events(tmp_path, "ended")), "a crash")
        began = time.monotonic()
    assert time.monotonic() - began < service_keeper.PAUSE_SECONDS
    assert len(events(tmp_path, "started")) == 1


def test_stubborn_daemon_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_keeper, "GRACE_SECONDS", 0.1)
    stubborn = ["sh", "-c", "trap '' TERM; echo ready; sleep 60"]
    with subprocess.Popen(stubborn, start_new_session=True, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout
        daemon.stdout.readline()
        assert service_keeper.end(daemon) == -9
