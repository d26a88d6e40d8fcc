"""An attempt's line to a launcher: who is asked for what, and who hangs up when."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from newleaf.agent.launcher_line import LauncherLine
from newleaf.core.launch.launcher_errors import LauncherLost, LauncherRefused, NoLauncher
from newleaf.core.records import AttemptRecord, JournalRecord
from newleaf.core.release import Release
from newleaf.core.states import State
from newleaf.launcher.state_files import utc
from tests.support.launchers import COMMIT, OTHER, state_directory

ATTEMPT = AttemptRecord(
    (JournalRecord("a1", utc(0.0), State.ACTIVATE, Release(OTHER), Release(COMMIT)),),
)
HANDOVER = {"do": "handover", "attempt": "a1", "commit": COMMIT}
HOLD = {"do": "hold", "attempt": "a1"}
SETTLED = {"do": "settled"}


class FakeLauncher:
    """Answers each order with the events that are next, and hangs up after `None`."""

    def __init__(self, state: Path) -> None:
        self.orders: list[dict[str, object]] = []
        self.calls = 0
        self.answers: list[Sequence[str | dict[str, object] | None]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(state / "control.sock"))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._state = state

    def _serve(self) -> None:
        while True:
            one, _ = self._listener.accept()
            with one, one.makefile("rb") as lines:
                one.settimeout(10)
                self.calls += 1
                for line in lines:
                    order = json.loads(line)
                    if order == {"do": "end"}:
                        return
                    self.orders.append(order)
                    if not self._answer(one):
                        break

    def _answer(self, one: socket.socket) -> bool:
        for event in self.answers.pop(0):
            if event is None:
                return False
            record = {"event": event, "reason": ""} if isinstance(event, str) else event
            one.sendall(json.dumps(record).encode() + b"\n")
        return True

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self._state / "control.sock"))
            last.sendall(b'{"do": "end"}\n')
            self._thread.join(10)
        self._listener.close()


@pytest.fixture
def state() -> Iterator[Path]:
    with state_directory() as folder:
        yield folder


@pytest.fixture
def launcher(state: Path) -> Iterator[FakeLauncher]:
    made = FakeLauncher(state)
    yield made
    made.close()


class Calls:
    """What an attempt is told, in order."""

    def __init__(self, state: Path, *, overlaps: bool = False) -> None:
        self.seen: list[str] = []
        self.line = LauncherLine(state, 0.3, 0.3, overlaps, lambda: self.seen.append("prepared"))

    def hand_over(self) -> str | None:
        return self.line.hand_over(ATTEMPT, lambda: self.seen.append("stopped"))

    def end(self) -> None:
        if self.line._line:
            self.line._line.close()


@pytest.fixture
def calls(state: Path) -> Iterator[Calls]:
    made = Calls(state)
    yield made
    made.end()


def refused(reason: str) -> dict[str, object]:
    return {"event": "refused", "reason": reason}


def test_confirmed_then_the_line_is_closed(launcher: FakeLauncher, calls: Calls) -> None:
    launcher.answers = [["accepted", "stopped", "started", "serving", "a word of a newer one", "confirmed"]]
    assert calls.hand_over() is None
    assert calls.seen == ["prepared", "stopped", "stopped"]
    assert launcher.orders == [HANDOVER]
    calls.line.free()
    assert (launcher.orders, launcher.calls) == ([HANDOVER], 1)


def test_in_an_overlap_nothing_has_to_end_first(launcher: FakeLauncher, state: Path) -> None:
    calls = Calls(state, overlaps=True)
    launcher.answers = [["accepted", "confirmed"]]
    assert calls.hand_over() is None
    assert calls.seen == ["prepared", "stopped"]


def test_failed_then_the_line_is_kept_until_all_is_dealt_with(launcher: FakeLauncher, calls: Calls) -> None:
    launcher.answers = [["accepted", {"event": "failed", "reason": "it answers 500"}], ["started", "running"]]
    assert calls.hand_over() == "it answers 500"
    calls.line.free()
    assert (launcher.orders, launcher.calls) == ([HANDOVER, SETTLED], 1)
    calls.line.free()
    assert len(launcher.orders) == 2


def test_held_then_handed_over_on_the_same_line(launcher: FakeLauncher, calls: Calls) -> None:
    launcher.answers = [["stopped"], ["accepted", "started", "confirmed"]]
    calls.line.hold(ATTEMPT)
    calls.line.hold(ATTEMPT)
    assert calls.hand_over() is None
    assert (launcher.orders, launcher.calls) == ([HOLD, HANDOVER], 1)


def test_held_then_freed_without_a_handover(launcher: FakeLauncher, calls: Calls) -> None:
    launcher.answers = [["stopped"], ["running"], ["stopped"]]
    calls.line.hold(ATTEMPT)
    calls.line.free()
    calls.line.hold(ATTEMPT)
    assert (launcher.orders, launcher.calls) == ([HOLD, SETTLED, HOLD], 2)


def test_not_held_then_nothing_is_freed(launcher: FakeLauncher, calls: Calls) -> None:
    """What is settled on a line that holds nothing would be another attempt's."""
    launcher.answers = [[refused("busy")], ["accepted"], [None], ["stopped"]]
    for error in (LauncherRefused, LauncherLost, LauncherLost):
        with pytest.raises(error):
            calls.line.hold(ATTEMPT)
        calls.line.free()
    calls.line.hold(ATTEMPT)
    assert (launcher.orders, launcher.calls) == ([HOLD] * 4, 4)


def test_refused_a_handover_then_nothing_is_freed(launcher: FakeLauncher, calls: Calls) -> None:
    launcher.answers = [[refused("another handover is under way")]]
    with pytest.raises(LauncherRefused, match="another handover"):
        calls.hand_over()
    calls.line.free()
    assert launcher.orders == [HANDOVER]


def test_refused_what_was_held_for_it_then_that_is_freed(launcher: FakeLauncher, calls: Calls) -> None:
    launcher.answers = [["stopped"], [refused("it is to stop")], ["running"]]
    calls.line.hold(ATTEMPT)
    with pytest.raises(LauncherRefused):
        calls.hand_over()
    calls.line.free()
    assert launcher.orders == [HOLD, HANDOVER, SETTLED]


def test_it_goes_away_before_its_verdict(launcher: FakeLauncher, calls: Calls) -> None:
    launcher.answers = [["accepted", None]]
    with pytest.raises(LauncherLost):
        calls.hand_over()
    calls.line.free()


def test_freed_but_it_never_runs_then_the_line_ends_all_the_same(
    launcher: FakeLauncher, calls: Calls
) -> None:
    launcher.answers = [["stopped"], []]
    calls.line.hold(ATTEMPT)
    calls.line.free()
    assert calls.line._line is None


def test_none_runs(state: Path) -> None:
    calls = Calls(state)
    with pytest.raises(NoLauncher):
        calls.line.hold(ATTEMPT)
    with pytest.raises(NoLauncher):
        calls.hand_over()
    calls.line.free()
