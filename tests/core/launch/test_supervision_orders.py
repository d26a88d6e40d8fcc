"""Orders on lines: holds, reloads, orders for what is known, and those that come at the wrong time."""

from __future__ import annotations

import pytest

from newleaf.core.launch import events as e
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL
from tests.core.launch.test_supervision_handover import CRASHES, WAITS_FIRST, confirmed
from tests.support.fake_daemon import Behaviour, FakeDaemon, commit_of, counters_of

# --- holds --------------------------------------------------------------------------------


@pytest.mark.parametrize("handover", [OVERLAP, SEQUENTIAL])
def test_hold_then_it_is_stopped_until_the_handover(handover: str) -> None:
    daemon = confirmed(handover).feed(e.Hold(7, "to B")).pass_time(50)
    assert daemon.story() == ["announce", "stop 1", "tell 7 stopped"]
    daemon.forget().hand_over("B").pass_time(1)
    assert daemon.story() == [
        *("tell 7 accepted", "tell 7 stopped", "tell 7 started", "start 2 B", "serves 2"),
        *("ready 2", "withdraw", "tell 7 serving"),
    ]
    daemon.until("tell 7 confirmed")


def test_hold_of_what_does_not_run_then_stopped_is_told_at_once() -> None:
    assert confirmed().end(1).feed(e.Hold(7, "to B")).story("tell") == ["tell 7 stopped"]


def test_hold_of_one_that_ignores_it_then_stopped_is_told_when_it_was_killed() -> None:
    daemon = confirmed(behaves=Behaviour(stops=None), stop_seconds=10.0).feed(e.Hold(7, "to B")).pass_time(11)
    assert daemon.story() == ["announce", "stop 1", "kill 1", "tell 7 stopped"]


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_hold_whose_line_hangs_up_then_what_was_left_is_dealt_with_and_it_runs_again(seconds: float) -> None:
    """It may have been killed in the middle of a migration."""
    daemon = confirmed(behaves=Behaviour(stops=0.3)).feed(e.Hold(7, "to B")).pass_time(seconds)
    daemon.forget().feed(e.Hung(7)).pass_time(0.4)
    assert daemon.story() == ["settle left"]
    daemon.pass_time(1)
    back = ["start 2 A", "serves 2", "ready 2", "withdraw"]
    assert daemon.story() == ["settle left", *back, "settle confirmed"]


def test_hold_that_is_settled_then_the_old_release_runs_again_and_that_is_told() -> None:
    daemon = confirmed().feed(e.Hold(7, "to B")).pass_time(1).forget().settle(7, "A").pass_time(1)
    assert daemon.story() == ["start 2 A", "serves 2", "ready 2", "tell 7 running", "withdraw"]


def test_hold_while_a_plan_is_being_made_then_it_counts_no_more_afterwards() -> None:
    daemon = confirmed()
    daemon.plan_seconds = 1.0
    daemon.end(1).pass_time(0.5).feed(e.Hold(7, "to B")).settle(7, "B").pass_time(5)
    assert daemon.serving == "B"


def test_stop_while_held_then_the_launcher_ends() -> None:
    assert confirmed().feed(e.Hold(7, "to B")).pass_time(1).feed(e.Stop()).story("exit") == ["exit 0"]


def test_second_hold_then_it_is_refused() -> None:
    daemon = confirmed().feed(e.Hold(7, "to B")).feed(e.Hold(8, "to C"))
    assert daemon.story("tell 8") == ["tell 8 refused"]


def test_order_of_somebody_else_while_held_then_it_is_refused() -> None:
    daemon = confirmed().feed(e.Hold(7, "to B")).pass_time(1)
    daemon.forget().feed(e.Reload(8)).hand_over("C", line=9).pass_time(1)
    assert daemon.story() == ["tell 8 refused", "tell 9 refused"]


def test_hold_of_an_attempt_whose_release_is_on_trial_then_its_handover_lets_go_of_it() -> None:
    """It was killed, and starts over."""
    daemon = confirmed(SEQUENTIAL).hand_over("B").pass_time(1).feed(e.Hung(7))
    daemon.feed(e.Hold(8, "to B")).pass_time(1).forget().hand_over("B", line=8)
    assert daemon.until("tell 8 confirmed") < 10
    assert daemon.story("start") == ["start 3 B"]


# --- reloads ------------------------------------------------------------------------------


def test_reload_in_overlap_then_a_fresh_process_takes_over() -> None:
    daemon = confirmed().feed(e.Reload(7)).pass_time(1)
    assert daemon.story() == [
        *("tell 7 accepted", "announce", "start 2 A gated health"),
        *("stop 1", "go 2", "serves 2", "tell 7 started", "ready 2", "tell 7 running", "withdraw"),
    ]
    assert daemon.story("plan") == ["plan fresh"]
    assert daemon.forget().pass_time(100).story() == []


def test_reload_in_sequential_then_a_fresh_process_follows() -> None:
    daemon = confirmed(SEQUENTIAL).feed(e.Reload(7)).pass_time(1)
    assert daemon.story("start", "stop", "tell") == [
        *("tell 7 accepted", "stop 1", "tell 7 stopped", "tell 7 started", "start 2 A", "tell 7 running"),
    ]


@pytest.mark.parametrize("loads", ["A", "B"])
def test_reload_whose_process_fails_in_overlap_then_that_is_told_and_the_old_one_serves_on(
    loads: str,
) -> None:
    daemon = confirmed()
    daemon.behaves[loads], daemon.loads = CRASHES, loads
    daemon.feed(e.Reload(7)).pass_time(30)
    assert daemon.story("start", "tell", "settle") == [
        *("tell 7 accepted", f"start 2 {loads} gated health", "tell 7 failed"),
    ]
    assert daemon.serving == "A"
    assert daemon.supervision.seconds_to_look() == 30.0


def test_reload_whose_process_fails_in_sequential_then_that_is_told_and_it_is_tried_on() -> None:
    daemon = confirmed(SEQUENTIAL)
    daemon.behaves["A"] = CRASHES
    daemon.feed(e.Reload(7)).pass_time(1)
    assert daemon.story("tell")[:4] == [
        "tell 7 accepted",
        "tell 7 stopped",
        "tell 7 started",
        "tell 7 failed",
    ]
    daemon.behaves["A"] = Behaviour()
    daemon.pass_time(30)
    assert daemon.serving == "A"


def test_reload_while_none_serves_then_it_is_started_at_once() -> None:
    daemon = confirmed()
    daemon.behaves["A"] = CRASHES
    daemon.end(1).pass_time(30)
    daemon.behaves["A"] = Behaviour()
    daemon.forget().feed(e.Reload(7)).pass_time(0.5)
    assert daemon.story("tell") == ["tell 7 accepted", "tell 7 stopped", "tell 7 started", "tell 7 running"]


def test_reload_of_a_release_on_trial_then_it_is_refused() -> None:
    """A failure of the fresh process would be a verdict on the one that serves."""
    daemon = confirmed().hand_over("B").pass_time(1).feed(e.Hung(7)).forget().feed(e.Reload(8))
    assert daemon.story("tell") == ["tell 8 refused"]


def test_reload_brings_a_bad_release_of_an_attempt_then_it_fails_and_a_program_deals_with_it() -> None:
    daemon = confirmed(attempt="to B")
    daemon.loads, daemon.behaves["B"], daemon.settles_as = "B", CRASHES, "A"
    daemon.feed(e.Reload(7)).pass_time(5)
    assert daemon.story("start", "tell", "settle") == [
        *("tell 7 accepted", "start 2 B gated health", "tell 7 failed", "settle failed"),
        "settle confirmed",
    ]
    assert daemon.serving == "A"


def test_who_reloads_hangs_up_then_it_is_reloaded_all_the_same() -> None:
    daemon = confirmed(SEQUENTIAL).feed(e.Reload(7)).feed(e.Hung(7)).pass_time(1)
    assert daemon.story("start", "tell") == ["tell 7 accepted", "start 2 A"]


# --- what is asked for is known -----------------------------------------------------------


def test_order_for_what_is_confirmed_and_serves_then_confirmed_at_once() -> None:
    daemon = confirmed().hand_over("A")
    assert daemon.story() == ["tell 7 accepted", "tell 7 started", "tell 7 confirmed"]
    assert daemon.supervision.line is None


def test_order_for_what_is_on_trial_then_its_verdict_goes_to_the_new_line() -> None:
    daemon = confirmed().hand_over("B").pass_time(1).feed(e.Hung(7)).forget().hand_over("B", line=8)
    assert daemon.story() == ["tell 8 accepted", "tell 8 started"]
    daemon.until("tell 8 confirmed")


def test_order_for_what_is_on_trial_from_a_second_line_then_the_first_is_told() -> None:
    daemon = confirmed().hand_over("B").pass_time(1).forget().hand_over("B", line=8).pass_time(10)
    assert daemon.story("tell") == [
        *("tell 7 refused", "tell 8 accepted", "tell 8 started", "tell 8 confirmed"),
    ]


def test_order_that_is_asked_again_before_there_is_a_process_then_the_new_line_hears_of_it() -> None:
    daemon = confirmed(SEQUENTIAL).hand_over("B").hand_over("B", line=8).pass_time(10)
    assert daemon.story("tell") == [
        *("tell 7 accepted", "tell 7 refused", "tell 8 accepted", "tell 8 stopped", "tell 8 started"),
        *("tell 8 serving", "tell 8 confirmed"),
    ]
    assert daemon.story("start") == ["start 2 B"]


def test_order_for_what_was_started_by_itself_then_it_is_judged_and_told() -> None:
    daemon = FakeDaemon().begin(1).forget().hand_over("A", attempt="x")
    daemon.pass_time(10)
    assert daemon.story() == ["tell 7 accepted", "tell 7 started", "tell 7 confirmed"]
    assert daemon.supervision.counters.attempt is None


def test_order_for_what_was_started_by_itself_and_fails_then_it_is_given_up() -> None:
    daemon = FakeDaemon(counters_of("B"), handover=OVERLAP).begin(1).forget().hand_over("A", attempt="x")
    daemon.end(1)
    assert daemon.story("tell") == ["tell 7 accepted", "tell 7 started", "tell 7 failed"]


# --- at the wrong time --------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 0.2, 3.0])
def test_order_while_another_is_under_way_then_it_is_refused(seconds: float) -> None:
    daemon = confirmed(SEQUENTIAL).hand_over("B").pass_time(seconds).forget()
    daemon.feed(e.Handover(8, "to C", commit_of("C"))).feed(e.Hold(9, "to C")).feed(e.Reload(10))
    assert daemon.story("tell 8", "tell 9", "tell 10") == [
        *("tell 8 refused", "tell 9 refused", "tell 10 refused"),
    ]
    daemon.until("tell 7 confirmed")


def test_order_once_a_release_on_trial_has_nobody_then_it_is_superseded() -> None:
    daemon = confirmed(SEQUENTIAL).hand_over("B").pass_time(1).feed(e.Hung(7)).forget()
    daemon.hand_over("C", line=8).pass_time(10)
    assert daemon.story("start", "tell", "settle") == [
        *("tell 8 accepted", "tell 8 stopped", "tell 8 started", "start 3 C"),
        *("tell 8 serving", "tell 8 confirmed"),
    ]


def test_superseded_release_fails_before_the_next_one_runs_then_that_is_not_the_next_ones_fault() -> None:
    daemon = confirmed(OVERLAP).hand_over("B").pass_time(1).feed(e.Hung(7))
    daemon.plan_seconds = 0.5
    daemon.forget().hand_over("C", line=8).end(2).pass_time(20)
    assert daemon.story("tell", "settle") == [
        *("tell 8 accepted", "tell 8 stopped", "tell 8 started", "tell 8 serving", "tell 8 confirmed"),
    ]


def test_superseding_release_fails_in_overlap_then_the_superseded_one_serves_on() -> None:
    daemon = confirmed(OVERLAP).hand_over("B").pass_time(1).feed(e.Hung(7))
    daemon.behaves["C"] = CRASHES
    daemon.forget().hand_over("C", line=8).pass_time(1)
    assert daemon.story("tell") == ["tell 8 accepted", "tell 8 failed"]
    assert daemon.settle(8, "B").pass_time(1).serving == "B"


def test_order_for_what_does_not_lie_there_then_it_is_refused_and_the_old_one_serves_on() -> None:
    daemon = confirmed(SEQUENTIAL).feed(e.Handover(7, "to B", commit_of("B"))).pass_time(5)
    assert daemon.story() == ["tell 7 accepted", "tell 7 refused", "withdraw"]
    assert daemon.serving == "A"


def test_order_while_the_launcher_ends_then_it_is_refused() -> None:
    daemon = confirmed(behaves=Behaviour(stops=5.0)).feed(e.Stop())
    daemon.hand_over("B").hand_over("A", line=8).feed(e.Hold(9, "x")).feed(e.Reload(10))
    assert daemon.story("tell") == [f"tell {line} refused" for line in (7, 8, 9, 10)]


def test_order_in_a_pause_after_a_crash_then_its_release_is_started_at_once() -> None:
    daemon = confirmed(SEQUENTIAL)
    daemon.behaves["A"] = CRASHES
    daemon.end(1).pass_time(30)
    daemon.forget().hand_over("B").pass_time(0.3)
    assert daemon.story("start") == [f"start {daemon.supervision.children.started} B"]


def test_words_of_a_process_or_a_line_that_is_gone_then_nothing() -> None:
    daemon = confirmed()
    for event in (
        e.Exited(99, 1),
        e.StartFailed(99, "no"),
        e.Notified(99, {"READY": "1"}),
        e.Checked(99, None),
        e.Hung(99),
        e.Settled(),
    ):
        daemon.feed(event)
    assert daemon.story() == []


def test_one_that_was_seen_to_wait_is_known_to_wait_to_the_next_launcher() -> None:
    daemon = confirmed(SEQUENTIAL, behaves=WAITS_FIRST)
    assert daemon.supervision.counters.waits
    assert daemon.supervision.counters.notifies
