"""Handovers: the next process comes, the old one goes, and the verdict reaches who waits for it."""

from __future__ import annotations

import pytest

from newleaf.core.launch import events as e
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL, Health
from tests.support.fake_daemon import Behaviour, FakeDaemon, commit_of, counters_of

CRASHES = Behaviour(ready=None, dies=0.01)
ASKED = Health(probation=5.0, url="http://localhost/health")
WAITS = Behaviour(waits=True, early=True)
WAITS_FIRST = Behaviour(waits=True)
"""Ready only once it was let in, as the exclusive are."""


def confirmed(handover: str = OVERLAP, behaves: Behaviour | None = None, **plan: object) -> FakeDaemon:
    """A daemon whose release A was confirmed long ago, and serves."""
    daemon = FakeDaemon(counters_of("A"), handover=handover, **plan)
    if behaves:
        daemon.behaves["A"] = behaves
    return daemon.begin(65).forget()


# --- overlap ------------------------------------------------------------------------------


def test_overlap_then_the_new_one_is_ready_before_the_old_one_leaves_and_confirmed_after_probation() -> None:
    daemon = confirmed().hand_over("B").pass_time(1)
    assert daemon.story() == [
        *("tell 7 accepted", "announce", "start 2 B gated health"),
        *("stop 1", "go 2", "serves 2", "tell 7 started", "ready 2", "withdraw", "tell 7 serving"),
    ]
    daemon.forget().pass_time(5)
    assert daemon.story() == ["tell 7 confirmed"]
    assert daemon.supervision.counters.confirmed == commit_of("B")


def test_overlap_of_one_that_waits_then_it_is_let_in_before_the_old_one_leaves() -> None:
    daemon = confirmed(behaves=WAITS)
    daemon.behaves["B"] = WAITS
    daemon.hand_over("B").pass_time(1)
    assert daemon.story("go", "stop", "serves") == ["go 2", "stop 1", "serves 2"]


def test_overlap_of_one_that_is_ready_only_after_go_then_the_old_one_serves_until_it_is() -> None:
    daemon = confirmed()
    daemon.behaves["B"] = Behaviour(waits=True, ready=3.0)
    daemon.hand_over("B").pass_time(2)
    assert daemon.story("go", "stop") == ["go 2"]
    daemon.pass_time(2)
    assert daemon.story("stop", "serves") == ["stop 1", "serves 2"]


def test_overlap_then_it_is_proven_on_its_own_socket_and_asked_through_probation() -> None:
    daemon = confirmed(health=ASKED)
    daemon.behaves["B"] = WAITS
    daemon.hand_over("B").pass_time(1.9)
    assert daemon.story("ask", "go") == ["ask 2 private"] * 2
    daemon.until("tell 7 confirmed")
    assert daemon.story("ask", "go") == ["ask 2 private"] * 3 + ["go 2"] + ["ask 2"] * 5
    daemon.forget().pass_time(100)
    assert not daemon.story("ask")


def test_one_failure_in_overlap_then_it_is_given_up_and_the_old_one_was_never_touched() -> None:
    """lessons.md L32: told once nothing of it runs any more."""
    daemon = confirmed()
    daemon.behaves["B"] = CRASHES
    daemon.hand_over("B").pass_time(3)
    assert daemon.story() == [
        *("tell 7 accepted", "announce", "start 2 B gated health", "tell 7 failed"),
    ]
    assert daemon.last[e.Tell, 7] == e.Tell(7, "failed", "it ended with exit code 1")
    daemon.forget().settle(7, "A").pass_time(100)
    assert daemon.story() == ["ready 1", "tell 7 running", "withdraw"]
    assert daemon.supervision.seconds_to_look() == 30.0


def test_one_that_cannot_be_started_then_it_is_given_up() -> None:
    daemon = confirmed()
    daemon.behaves["B"] = Behaviour(starts=False)
    daemon.hand_over("B").pass_time(0.1)
    assert daemon.story("start", "tell", "exit") == [
        *("tell 7 accepted", "start 2 B gated health", "tell 7 failed"),
    ]


def test_unhealthy_in_overlap_then_failed_is_told_once_after_it_has_gone() -> None:
    """lessons.md L32: while it leaves, no other process of it is started."""
    daemon = confirmed(health=ASKED)
    daemon.behaves["B"] = Behaviour(health="it answers 500", stops=2.0)
    daemon.hand_over("B").until("tell 7 failed")
    assert daemon.story("start", "stop", "tell 7 failed") == [
        *("start 2 B gated health", "stop 2", "tell 7 failed"),
    ]
    assert daemon.times("tell 7 failed")[0] - daemon.times("stop 2")[0] == pytest.approx(2.0, abs=0.1)
    assert daemon.serving == "A"


def test_failed_process_that_ignores_its_end_then_it_is_killed_soon() -> None:
    daemon = confirmed(health=ASKED)
    daemon.behaves["B"] = Behaviour(health="it answers 500", stops=None)
    daemon.hand_over("B").until("tell 7 failed")
    assert daemon.story("start", "stop", "kill") == ["start 2 B gated health", "stop 2", "kill 2"]
    assert daemon.times("kill 2")[0] - daemon.times("stop 2")[0] == pytest.approx(5.0, abs=0.1)


def test_failure_in_probation_then_it_is_given_up_and_the_old_release_runs_again() -> None:
    daemon = confirmed(health=ASKED)
    daemon.hand_over("B").until("tell 7 serving")
    daemon.behaves["B"] = Behaviour(health="it answers 500")
    daemon.until("tell 7 failed")
    daemon.settle(7, "A").pass_time(5)
    assert daemon.story("start", "tell 7") == [
        *("tell 7 accepted", "start 2 B gated health", "tell 7 started", "tell 7 serving"),
        *("tell 7 failed", "start 3 A", "tell 7 running"),
    ]


def test_old_one_crashes_while_the_new_one_is_proven_then_the_new_one_takes_over() -> None:
    daemon = confirmed()
    daemon.behaves["B"] = Behaviour(ready=1.0)
    daemon.hand_over("B").pass_time(0.5).end(1).pass_time(1)
    assert daemon.serving == "B"
    assert daemon.story("start") == ["start 2 B gated health"]


def test_old_one_asks_for_a_restart_while_the_new_one_is_proven_then_the_new_one_takes_over() -> None:
    daemon = confirmed()
    daemon.behaves["B"] = Behaviour(ready=1.0)
    daemon.hand_over("B").pass_time(0.5).end(1, 42).pass_time(1)
    assert daemon.serving == "B"
    assert daemon.story("start") == ["start 2 B gated health"]


def test_both_crash_then_the_verdict_is_told_and_the_old_one_comes_back() -> None:
    daemon = confirmed()
    daemon.behaves["B"] = Behaviour(ready=None)
    daemon.hand_over("B").pass_time(0.5).end(1).end(2)
    assert "tell 7 failed" in daemon.story()
    assert daemon.settle(7, "A").pass_time(5).serving == "A"


def test_old_one_does_not_stop_then_it_is_killed_and_that_is_said() -> None:
    daemon = confirmed(stop_seconds=10.0, behaves=Behaviour(stops=None))
    daemon.hand_over("B").pass_time(20)
    assert daemon.times("kill 1")[0] - daemon.times("stop 1")[0] == pytest.approx(10.0, abs=0.1)
    assert daemon.story("tell") == [
        *("tell 7 accepted", "tell 7 started", "tell 7 serving", "tell 7 confirmed"),
    ]
    assert "did not stop in time and is killed" in daemon.said


def test_unhealthy_proven_process_in_overlap_then_the_next_comes_once_it_has_gone() -> None:
    """Two of them might fight for what the first still holds, and its end is what counts as a crash."""
    daemon = confirmed().say(1, WATCHDOG="1").pass_time(30)
    daemon.behaves["A"] = Behaviour(stops=2.0)
    daemon.pass_time(3)
    assert daemon.story("start", "stop") == ["stop 1"]
    daemon.pass_time(3)
    assert daemon.story("start", "stop") == ["stop 1", "start 2 A"]


# --- sequential ---------------------------------------------------------------------------


def test_sequential_then_the_new_one_is_started_when_the_old_one_has_ended() -> None:
    daemon = confirmed(SEQUENTIAL, behaves=Behaviour(stops=3.0)).hand_over("B").pass_time(2)
    assert daemon.story() == ["tell 7 accepted", "announce", "stop 1"]
    daemon.forget().pass_time(2)
    assert daemon.story() == [
        *("tell 7 stopped", "tell 7 started", "start 2 B", "serves 2"),
        *("ready 2", "withdraw", "tell 7 serving"),
    ]
    assert daemon.until("tell 7 confirmed") < 6


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_sequential_failures_then_given_up_after_so_many_starts_within_3_s_of_the_last(most: int) -> None:
    """lessons.md L32: bounded tries."""
    daemon = confirmed(SEQUENTIAL, health=Health(max_starts=most))
    daemon.behaves["B"] = CRASHES
    daemon.hand_over("B").until("tell 7 failed")
    assert daemon.story("start") == [f"start {number} B" for number in range(2, 2 + most)]
    assert daemon.times("tell 7 failed")[0] - daemon.times("start")[-1] < 3.0
    assert daemon.settle(7, "A").pass_time(1).story("start", "tell 7 running")[-2:] == [
        *(f"start {most + 2} A", "tell 7 running"),
    ]


def test_a_crash_in_probation_then_it_is_started_again_and_may_come_through() -> None:
    daemon = confirmed(SEQUENTIAL).hand_over("B").pass_time(2).end(2).pass_time(3)
    assert daemon.supervision.counters.starts == 2
    daemon.until("tell 7 confirmed")
    assert daemon.supervision.counters.starts == 0


def test_sequential_old_one_does_not_stop_then_it_is_killed_first() -> None:
    daemon = confirmed(SEQUENTIAL, behaves=Behaviour(stops=None), stop_seconds=10.0)
    daemon.hand_over("B").pass_time(12)
    assert daemon.story("stop", "kill", "start") == ["stop 1", "kill 1", "start 2 B"]


def test_sequential_of_what_was_seen_to_wait_then_it_is_loaded_before_the_old_one_leaves() -> None:
    daemon = confirmed(SEQUENTIAL, behaves=WAITS_FIRST)
    daemon.behaves["B"] = WAITS_FIRST
    daemon.hand_over("B").pass_time(1)
    assert daemon.story("start", "stop", "go", "serves") == ["start 2 B gated", "stop 1", "go 2", "serves 2"]


def test_old_one_needs_long_to_leave_then_the_one_that_waits_for_that_is_not_late() -> None:
    """Only "go" could make it ready, and that has to wait for the old process."""
    daemon = confirmed(SEQUENTIAL, behaves=Behaviour(waits=True, stops=50.0), stop_seconds=60.0)
    daemon.behaves["B"] = WAITS_FIRST
    daemon.hand_over("B").pass_time(60)
    assert daemon.times("go 2")[0] - daemon.times("stop 1")[0] == pytest.approx(50.0, abs=0.1)
    assert daemon.story("start", "tell") == [
        *("tell 7 accepted", "start 2 B gated", "tell 7 started", "tell 7 serving", "tell 7 confirmed"),
    ]


def test_one_that_waits_in_sequential_ends_before_the_old_one_left_then_the_next_start_waits_too() -> None:
    daemon = confirmed(SEQUENTIAL, behaves=Behaviour(waits=True, stops=1.0))
    daemon.behaves["B"] = WAITS_FIRST
    daemon.hand_over("B").pass_time(0.5).end(2).pass_time(3)
    assert daemon.story("start", "stop", "go") == ["start 2 B gated", "stop 1", "start 3 B"]
    assert daemon.serving == "B"


def test_one_that_waits_in_sequential_fails_at_every_start_then_the_old_one_is_left_alone() -> None:
    daemon = confirmed(SEQUENTIAL, behaves=WAITS_FIRST)
    daemon.behaves["B"] = CRASHES
    daemon.hand_over("B").until("tell 7 failed")
    assert daemon.story("start", "stop", "tell 7 failed") == [
        *("start 2 B gated", "start 3 B gated", "start 4 B gated", "tell 7 failed"),
    ]
    assert daemon.serving == "A"


@pytest.mark.parametrize(("old", "new"), [(OVERLAP, SEQUENTIAL), (SEQUENTIAL, OVERLAP)])
def test_the_releases_differ_in_their_handover_then_the_exclusive_one_stays_alone(old: str, new: str) -> None:
    daemon = confirmed(old, behaves=Behaviour(waits=True, early=True, stops=3.0))
    daemon.plan["handover"] = new
    daemon.hand_over("B").pass_time(2)
    assert daemon.story("start", "stop") == ["stop 1"]
    daemon.pass_time(2)
    assert daemon.story("start", "stop") == ["stop 1", "start 2 B"]


def test_exclusive_release_staged_and_a_process_of_before_still_leaves_then_it_waits_for_that() -> None:
    daemon = confirmed(OVERLAP, behaves=Behaviour(stops=10.0))
    daemon.hand_over("B").pass_time(6)
    daemon.plan["handover"], daemon.loads = SEQUENTIAL, "C"
    daemon.end(2, 42).pass_time(3)
    assert daemon.story("start") == ["start 2 B gated health"]
    daemon.pass_time(3)
    assert daemon.story("start") == ["start 2 B gated health", "start 3 C"]


# --- the verdict and its line -------------------------------------------------------------


def test_line_hangs_up_before_the_verdict_then_a_program_deals_with_it() -> None:
    daemon = confirmed()
    daemon.hand_over("B").pass_time(1).feed(e.Hung(7)).forget().pass_time(10)
    assert daemon.story() == ["settle confirmed"]


@pytest.mark.parametrize("handover", [OVERLAP, SEQUENTIAL])
@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.15])
def test_line_hangs_up_before_there_is_a_process_then_a_program_deals_with_the_verdict(
    handover: str, seconds: float
) -> None:
    daemon = confirmed(handover, behaves=Behaviour(stops=0.2))
    daemon.behaves["B"], daemon.settles_as = Behaviour(dies=0.5), "A"
    daemon.hand_over("B").pass_time(seconds).feed(e.Hung(7)).forget().pass_time(20)
    assert daemon.story("tell", "settle") == ["settle failed", "settle confirmed"]
    assert daemon.serving == "A"


def test_line_hangs_up_after_a_bad_verdict_then_a_program_deals_with_it() -> None:
    daemon = confirmed(SEQUENTIAL)
    daemon.behaves["B"], daemon.settles_as = CRASHES, "A"
    daemon.hand_over("B").until("tell 7 failed")
    daemon.pass_time(60)
    assert daemon.serving is None
    daemon.forget().feed(e.Hung(7)).pass_time(2)
    story = ["settle failed", "start 5 A", "ready 5", "settle confirmed"]
    assert daemon.story("settle", "start", "ready") == story


def test_bad_verdict_is_being_dealt_with_then_nothing_starts_and_no_order_is_taken() -> None:
    daemon = confirmed(SEQUENTIAL)
    daemon.behaves["B"] = CRASHES
    daemon.hand_over("B").until("tell 7 failed")
    daemon.forget().hand_over("C", line=8).feed(e.Reload(9)).feed(e.Hold(10, "x")).pass_time(100)
    assert daemon.story() == ["tell 8 refused", "tell 9 refused", "tell 10 refused"]


def test_old_one_is_ready_while_a_bad_verdict_is_dealt_with_then_that_is_not_told_of_the_new_one() -> None:
    daemon = FakeDaemon(counters_of("A"), handover=OVERLAP)
    daemon.behaves = {"A": Behaviour(ready=2.0), "B": CRASHES}
    daemon.begin(0.5).hand_over("B").pass_time(10)
    assert daemon.story("start", "ready", "tell") == [
        *("start 1 A", "tell 7 accepted", "start 2 B gated health", "tell 7 failed", "ready 1"),
    ]
    assert daemon.forget().settle(7, "A").story("tell") == ["tell 7 running"]


def test_somebody_else_says_settled_then_the_verdict_is_dealt_with_all_the_same() -> None:
    daemon = confirmed(SEQUENTIAL)
    daemon.behaves["B"] = CRASHES
    daemon.hand_over("B").until("tell 7 failed")
    daemon.forget().feed(e.Settled(8)).feed(e.Settled()).pass_time(10)
    assert daemon.story() == []
    daemon.settle(7, "A").pass_time(1)
    assert daemon.story("tell") == ["tell 8 running", "tell 7 running"]


def test_who_deals_with_a_bad_verdict_may_have_the_old_one_stopped_to_put_its_data_back() -> None:
    daemon = confirmed()
    daemon.behaves["B"] = CRASHES
    daemon.hand_over("B").until("tell 7 failed")
    daemon.forget().feed(e.Hold(7, "to B")).pass_time(1)
    assert daemon.story() == ["announce", "stop 1", "tell 7 stopped"]
    daemon.forget().settle(7, "A").pass_time(1)
    assert daemon.story() == ["start 3 A", "serves 3", "ready 3", "tell 7 running", "withdraw"]


def test_who_has_the_old_one_stopped_to_put_its_data_back_hangs_up_then_one_program_deals_with_it() -> None:
    daemon = confirmed()
    daemon.behaves["B"], daemon.settles_as = CRASHES, "A"
    daemon.hand_over("B").until("tell 7 failed")
    daemon.feed(e.Hold(7, "to B")).pass_time(1).forget().feed(e.Hung(7)).pass_time(2)
    assert daemon.story("settle", "start") == ["settle failed", "start 3 A", "settle confirmed"]


def test_program_that_deals_with_a_verdict_has_the_old_one_stopped_then_the_data_is_put_back() -> None:
    daemon = confirmed()
    daemon.behaves["B"], daemon.settle_seconds, daemon.settles_as = CRASHES, 5.0, "A"
    daemon.hand_over("B").feed(e.Hung(7)).until("settle failed")
    daemon.forget().feed(e.Hold(8, "to B")).pass_time(1).settle(8, "A").pass_time(10)
    assert daemon.story("stop", "tell", "start") == [
        "stop 1",
        "tell 8 stopped",
        "start 3 A",
        "tell 8 running",
    ]


def test_what_was_dealt_with_may_be_started_before_its_attempt_has_ended() -> None:
    daemon = confirmed(SEQUENTIAL)
    daemon.behaves["B"] = CRASHES
    daemon.hand_over("B").until("tell 7 failed")
    daemon.forget().settle(7, "A").pass_time(1).end(5).pass_time(1)
    assert daemon.story("plan") == ["plan vouched", "plan"]
