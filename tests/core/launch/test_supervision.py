"""The daemon's life under its launcher: starts, crashes, restarts it asks for, plans, ends."""

from __future__ import annotations

from itertools import pairwise

import pytest

from newleaf.core.durations import Rate
from newleaf.core.launch import events as e
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL
from tests.support.fake_daemon import Behaviour, FakeDaemon, commit_of, counters_of

CRASHES = Behaviour(ready=None, dies=0.01)
WORKS = Behaviour()


def confirmed(**plan: object) -> FakeDaemon:
    """A daemon whose release A was confirmed long ago, and serves."""
    return FakeDaemon(counters_of("A"), **plan).begin(61).forget()


# --- starts -------------------------------------------------------------------------------


def test_first_start_then_it_serves_is_ready_and_confirmed_after_probation() -> None:
    daemon = FakeDaemon().begin(1)
    assert daemon.story() == ["start 1 A", "serves 1", "ready 1", "withdraw"]
    daemon.forget().pass_time(5)
    assert daemon.story() == ["settle confirmed"]
    assert daemon.supervision.counters.confirmed == commit_of("A")


def test_start_of_what_was_confirmed_before_then_what_the_last_launcher_left_said_is_put_right() -> None:
    """lessons.md L3: the next start resolves what was left "restarting"; once."""
    daemon = FakeDaemon(counters_of("A")).begin(1)
    assert daemon.story() == ["start 1 A", "serves 1", "ready 1", "withdraw", "settle confirmed"]
    daemon.forget().end(1).pass_time(5)
    assert "settle confirmed" not in daemon.story()


def test_launcher_comes_back_in_the_middle_of_a_trial_then_the_starts_go_on_where_they_were() -> None:
    """lessons.md L32: switching the machine off and on gives a bad release no new tries."""
    before = Counters.read(
        {"confirmed": commit_of("A"), "attempt": "x", "commit": commit_of("B"), "starts": 2}
    )
    daemon = FakeDaemon(before, handover=SEQUENTIAL, attempt="x")
    daemon.loads, daemon.behaves["B"] = "B", CRASHES
    daemon.begin()
    daemon.until("settle failed")
    assert daemon.story("start") == ["start 1 B"]


@pytest.mark.parametrize(
    ("handover", "starts", "more"), [(SEQUENTIAL, 3, 0), (OVERLAP, 1, 1), (OVERLAP, 3, 0)]
)
def test_launcher_is_killed_with_a_release_on_trial_again_and_again_then_it_is_given_up(
    handover: str, starts: int, more: int
) -> None:
    """lessons.md L32: no failure of its was ever seen, and no start of it was ever proven."""
    trial = {"confirmed": commit_of("A"), "attempt": "x", "commit": commit_of("B"), "starts": starts}
    daemon = FakeDaemon(Counters.read(trial), handover=handover, attempt="x")
    daemon.loads, daemon.behaves["B"], daemon.settles_as = "B", CRASHES, "A"
    daemon.begin().until("settle failed")
    assert len(daemon.story("start")) == more
    assert daemon.pass_time(1).serving == "A"


def test_trial_that_the_launcher_finds_left_by_another_start_is_over() -> None:
    before = Counters.read(
        {"confirmed": commit_of("A"), "attempt": "x", "commit": commit_of("B"), "starts": 1}
    )
    daemon = FakeDaemon(before).begin(2)
    assert not daemon.supervision.counters.is_on_trial
    assert "settle confirmed" in daemon.story()


@pytest.mark.parametrize("handover", [OVERLAP, SEQUENTIAL])
def test_nothing_ever_confirmed_and_it_cannot_be_started_then_the_launcher_gives_up(handover: str) -> None:
    daemon = FakeDaemon(handover=handover)
    daemon.behaves["A"] = Behaviour(starts=False)
    daemon.begin(0.1)
    assert daemon.story() == ["start 1 A", "serves 1", "exit 1"]
    assert "cannot be started: no such file" in daemon.said


def test_confirmed_before_and_it_cannot_be_started_then_it_is_tried_for_ever() -> None:
    daemon = FakeDaemon(counters_of("A"))
    daemon.behaves["A"] = Behaviour(starts=False)
    daemon.begin(100)
    assert len(daemon.story("start")) == 11
    assert not daemon.story("exit")


def test_first_release_that_crashes_has_no_way_back_and_is_started_for_ever() -> None:
    daemon = FakeDaemon()
    daemon.behaves["A"] = CRASHES
    daemon.begin(20)
    assert len(daemon.story("start")) > 5
    assert not daemon.story("settle", "exit")


# --- crashes ------------------------------------------------------------------------------


def test_proven_release_crashes_then_it_is_started_ever_more_slowly_and_for_ever() -> None:
    daemon = FakeDaemon(counters_of("A"))
    daemon.behaves["A"] = CRASHES
    daemon.begin(400)
    starts = daemon.times("start")
    pauses = [round(after - before, 1) for before, after in pairwise(starts)]
    assert pauses[:9] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6], abs=0.11)
    assert pauses[9:] == pytest.approx([30.0] * len(pauses[9:]), abs=0.11)
    assert len(starts) > 15
    assert not daemon.story("settle")


def test_crash_then_what_happened_and_when_it_starts_again_is_said() -> None:
    daemon = confirmed().end(1, -11)
    assert "it was ended by signal 11; started again in 0.1 s" in daemon.said
    daemon.pass_time(1).end(2, 3)
    assert "it ended with exit code 3; started again in 0.2 s" in daemon.said


def test_it_leaves_with_0_unasked_then_it_is_started_again() -> None:
    """lessons.md L28: an exit code of 0 leaves nobody down, and counts as a crash."""
    daemon = confirmed().end(1, 0)
    assert "it ended with exit code 0; started again in 0.1 s" in daemon.said
    assert daemon.pass_time(1).serving == "A"


def test_five_crashes_in_half_an_hour_then_one_alarm_and_another_only_after_it_was_stable() -> None:
    daemon = FakeDaemon(counters_of("A"))
    daemon.behaves["A"] = CRASHES
    daemon.begin(100)
    alarms = daemon.times("alarm")
    assert len(alarms) == 1
    assert alarms[0] == pytest.approx(daemon.times("start")[4], abs=0.1)
    daemon.behaves["A"] = WORKS
    daemon.pass_time(100)
    assert daemon.supervision.seconds_to_look() == 30.0
    daemon.behaves["A"] = CRASHES
    daemon.end(daemon.supervision.children.started).pass_time(100)
    assert len(daemon.story("alarm")) == 2


def test_crashes_far_apart_then_no_alarm_and_no_longer_pauses() -> None:
    daemon = confirmed()
    for number in range(1, 8):
        daemon.end(number).pass_time(600)
    assert not daemon.story("alarm")
    assert daemon.said.count("in 0.1 s") == 7


def test_alarm_raised_before_the_launcher_was_started_anew_is_not_raised_again() -> None:
    crashes = [1_795_176_000.0 - seconds for seconds in range(5)]
    daemon = FakeDaemon(counters_of("A", crashes=crashes, alarmed=True))
    daemon.behaves["A"] = CRASHES
    daemon.begin(50)
    assert not daemon.story("alarm")


# --- restarts that the daemon asks for ----------------------------------------------------


def test_exit_42_then_it_is_started_at_once_and_that_is_announced() -> None:
    daemon = confirmed().end(1, 42).pass_time(1)
    assert daemon.story() == ["announce", "start 2 A", "serves 2", "ready 2", "withdraw"]
    assert daemon.times("start 2") == daemon.times("announce")


def test_exit_code_that_the_app_chose_is_the_one_that_asks_for_a_restart() -> None:
    daemon = confirmed(exit_code=75).end(1, 75)
    assert "announce" in daemon.story()
    daemon.pass_time(1).forget().end(2, 42)
    assert "announce" not in daemon.story()


def test_exit_42_with_another_release_staged_then_that_one_is_started_and_judged() -> None:
    daemon = confirmed()
    daemon.loads, daemon.plan = "B", {"attempt": "x"}
    daemon.end(1, 42).pass_time(10)
    assert daemon.story("start", "settle") == ["start 2 B", "settle confirmed"]


def test_exit_42_into_a_bad_release_then_it_is_given_up_and_the_old_one_runs() -> None:
    daemon = confirmed()
    daemon.loads, daemon.plan = "B", {"attempt": "x"}
    daemon.behaves["B"], daemon.settles_as = CRASHES, "A"
    daemon.end(1, 42).pass_time(5)
    assert daemon.story("start", "settle", "ready") == [
        *("start 2 B", "start 3 B", "start 4 B", "settle failed"),
        *("start 5 A", "ready 5"),
    ]


def test_restart_budget_spent_then_one_alarm_and_restarts_with_back_off() -> None:
    """lessons.md L34: five restarts may happen; the sixth is a crash."""
    daemon = confirmed(budget=Rate(5, 1800.0))
    daemon.behaves["A"] = Behaviour(ready=0.01, dies=0.02, status=42)
    daemon.end(1, 42).pass_time(100)
    assert daemon.story("announce") == ["announce"] * 5
    assert len(daemon.story("start")) == 5 + 10
    assert len(daemon.story("alarm")) == 1
    assert "more than 5 restarts in 1800 s" in daemon.said


def test_restart_budget_counts_across_launchers() -> None:
    """lessons.md L34"""
    daemon = FakeDaemon(counters_of("A", restarts=[1_795_176_000.0] * 5)).begin(61).forget()
    assert "announce" not in daemon.end(1, 42).story()


def test_release_on_trial_asks_for_restart_after_restart_then_it_is_given_up() -> None:
    daemon = confirmed(handover=SEQUENTIAL)
    daemon.behaves["B"] = Behaviour(dies=0.3, status=42)
    daemon.hand_over("B").until("tell 7 failed")
    assert daemon.story("start") == ["start 2 B", "start 3 B", "start 4 B"]
    assert "it asked for a restart again before it was proven" in daemon.said


# --- plans --------------------------------------------------------------------------------


def test_plan_cannot_be_made_at_the_start_then_that_is_dealt_with_and_it_is_made_anew() -> None:
    daemon = FakeDaemon()
    daemon.plan_fault = "no command"
    daemon.begin(0.2)
    assert daemon.story() == ["settle left"]
    daemon.plan_fault = None
    daemon.pass_time(5)
    assert daemon.serving == "A"


def test_plan_fails_again_and_again_then_it_is_asked_for_ever_more_seldom() -> None:
    daemon = FakeDaemon(counters_of("A"))
    daemon.plan_fault, daemon.settle_seconds = "no command", 0.01
    daemon.begin(300)
    assert len(daemon.story("settle")) < 20
    assert daemon.times("settle")[-1] > 250
    daemon.plan_fault = None
    daemon.pass_time(31)
    assert daemon.serving == "A"


def test_plan_fails_while_one_serves_then_the_order_is_refused_and_nothing_else_changes() -> None:
    daemon = confirmed()
    daemon.plan_fault = "no command"
    daemon.hand_over("B").pass_time(60)
    assert daemon.story() == ["tell 7 accepted", "tell 7 refused", "withdraw"]
    assert len(daemon.story("plan")) == 1
    assert daemon.supervision.seconds_to_look() == 30.0


def test_plan_fails_while_none_serves_then_the_order_is_refused_and_what_is_left_dealt_with() -> None:
    """Who asked would hold the lock that is needed to deal with it."""
    daemon = confirmed().end(1)
    daemon.plan_fault = "no command"
    daemon.hand_over("B").pass_time(0.1)
    assert daemon.story("tell", "settle") == ["tell 7 accepted", "tell 7 refused", "settle left"]


def test_plan_of_a_release_on_trial_fails_while_its_attempt_waits_then_it_is_made_again() -> None:
    """The attempt holds the lock that a program would need."""
    daemon = confirmed(handover=SEQUENTIAL).hand_over("B").pass_time(1)
    daemon.plan_fault = "no memory"
    daemon.end(2).pass_time(2)
    daemon.plan_fault = None
    daemon.until("tell 7 confirmed")
    assert not daemon.story("settle")


def test_plan_of_a_release_on_trial_fails_again_and_again_then_it_is_given_up() -> None:
    daemon = confirmed(handover=SEQUENTIAL).hand_over("B").pass_time(1)
    daemon.plan_fault = "no command"
    daemon.end(2)
    assert daemon.until("tell 7 failed") < 30
    assert daemon.last[e.Tell, 7] == e.Tell(7, "failed", "no command")


def test_order_while_a_plan_is_being_made_then_it_is_made_anew() -> None:
    """It was asked for before the attempt changed what a start would load."""
    daemon = confirmed()
    daemon.plan_seconds = 0.5
    daemon.end(1).pass_time(0.3)
    assert daemon.story("plan") == ["plan"]
    daemon.hand_over("B").pass_time(10)
    assert daemon.story("start", "tell") == [
        *("tell 7 accepted", "tell 7 stopped", "tell 7 started", "start 2 B"),
        *("tell 7 serving", "tell 7 confirmed"),
    ]


def test_release_given_up_again_and_again_then_ever_more_seldom() -> None:
    """The way back could not be gone: what lies there is the same bad release."""
    daemon = FakeDaemon(counters_of("A"), attempt="x")
    daemon.loads, daemon.behaves["B"], daemon.settle_seconds = "B", CRASHES, 0.01
    daemon.begin(120)
    assert len(daemon.story("settle failed")) < 12


# --- ends ---------------------------------------------------------------------------------


def test_stop_then_the_daemon_ends_first_and_the_launcher_with_0() -> None:
    daemon = confirmed().feed(e.Stop())
    assert daemon.story() == ["stop 1"]
    assert daemon.pass_time(1).story() == ["stop 1", "withdraw", "exit 0"]


def test_stop_with_nothing_running_then_the_launcher_ends_at_once() -> None:
    assert confirmed().end(1).feed(e.Stop()).story("exit") == ["exit 0"]


def test_stop_of_a_daemon_that_ignores_it_then_it_is_killed_and_that_is_said() -> None:
    daemon = confirmed(stop_seconds=10.0)
    daemon.behaves["A"] = Behaviour(stops=None)
    daemon.feed(e.Stop())
    assert daemon.until("exit 0") == pytest.approx(10, abs=0.2)
    assert daemon.story() == ["stop 1", "kill 1", "withdraw", "exit 0"]
    assert "did not stop in time and is killed" in daemon.said


def test_second_stop_then_it_is_killed_at_once() -> None:
    daemon = confirmed()
    daemon.behaves["A"] = Behaviour(stops=None)
    daemon.feed(e.Stop()).pass_time(0.1).feed(e.Stop()).pass_time(0.1)
    assert daemon.story() == ["stop 1", "kill 1", "withdraw", "exit 0"]
    assert "did not stop in time" not in daemon.said


def test_daemon_asks_for_more_time_while_it_ends_then_it_has_it() -> None:
    daemon = confirmed(stop_seconds=1.0)
    daemon.behaves["A"] = Behaviour(stops=None)
    daemon.feed(e.Stop()).pass_time(0.5).say(1, EXTEND_TIMEOUT_USEC="3000000")
    assert daemon.until("kill 1") == pytest.approx(3.0, abs=0.2)


def test_stop_in_a_handover_then_all_end_and_nothing_is_started() -> None:
    daemon = confirmed(handover=OVERLAP)
    daemon.behaves["B"] = Behaviour(ready=None)
    daemon.hand_over("B").pass_time(1).feed(e.Stop()).pass_time(1)
    told = daemon.story("start", "stop", "withdraw", "exit")
    assert told == ["start 2 B gated health", "stop 1", "stop 2", "withdraw", "exit 0"]
