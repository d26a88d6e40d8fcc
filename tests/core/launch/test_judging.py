"""Ready, proven, failed: judged from what a process has shown."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from newleaf.core.launch.child import INCOMING, SERVING, Child
from newleaf.core.launch.events import SILENT, UNANSWERED, Ask, Checked
from newleaf.core.launch.judging import find_fault, hear, is_proven, may_go
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL, Health
from tests.support.fake_daemon import PROBATION, Behaviour, FakeDaemon, commit_of, counters_of, plan_of

URL = Health(ready=30.0, probation=PROBATION, url="http://localhost/health")
COMMAND = Health(ready=30.0, probation=PROBATION, command=("check",))
NEVER = Behaviour(ready=None)
BAD = "it answers 500"


def started(behaves: Behaviour, **plan: Any) -> FakeDaemon:
    """A first process that behaves so."""
    daemon = FakeDaemon(counters_of("A"), **plan)
    daemon.behaves["A"] = behaves
    return daemon.begin()


def beside(behaves: Behaviour, *, notifies: bool = True, **plan: Any) -> FakeDaemon:
    """Release B beside A, in an overlap."""
    daemon = FakeDaemon(counters_of("A"), handover=OVERLAP, **plan)
    daemon.behaves["A"] = Behaviour() if notifies else NEVER
    daemon.begin(65).forget()
    daemon.behaves["B"] = behaves
    return daemon.hand_over("B")


# --- ready --------------------------------------------------------------------------------


def test_it_says_ready_then_it_is() -> None:
    daemon = FakeDaemon(counters_of("A", notifies=True))
    daemon.behaves["A"] = Behaviour(ready=7.0)
    assert daemon.begin().until("ready 1") == pytest.approx(7.0, abs=0.1)


def test_it_never_says_so_and_is_not_asked_then_it_is_ready_once_it_has_lived_for_a_second() -> None:
    assert started(NEVER).until("ready 1") == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("health", [URL, COMMAND])
def test_it_never_says_so_and_is_asked_then_it_is_ready_when_it_is_well(health: Health) -> None:
    daemon = started(NEVER._replace(health=BAD), health=health).pass_time(10)
    assert not daemon.story("ready")
    assert len(daemon.story("ask")) > 30
    daemon.behaves["A"] = NEVER
    assert daemon.until("ready 1") == pytest.approx(2.0, abs=0.4)


def test_an_app_that_was_seen_to_say_so_then_living_is_not_enough() -> None:
    daemon = FakeDaemon(counters_of("A", notifies=True))
    daemon.behaves["A"] = NEVER
    daemon.begin(29)
    assert not daemon.story("ready")
    daemon.pass_time(2)
    assert "it was not ready within 30 s" in daemon.said


def test_an_app_that_was_seen_to_say_so_then_it_is_not_asked_before() -> None:
    daemon = FakeDaemon(counters_of("A", notifies=True), health=URL)
    daemon.behaves["A"] = Behaviour(ready=5.0)
    daemon.begin(4.9)
    assert not daemon.story("ask")


def test_never_ready_then_it_is_ended_at_its_deadline_and_what_was_wrong_is_said() -> None:
    daemon = started(NEVER._replace(health=BAD), health=URL)
    assert daemon.until("stop 1") == pytest.approx(30.0, abs=0.1)
    assert "it was not ready within 30 s: it answers 500" in daemon.said


def test_it_asks_for_more_time_while_it_starts_then_it_has_it() -> None:
    daemon = FakeDaemon(counters_of("A", notifies=True))
    daemon.behaves["A"] = Behaviour(ready=100.0)
    daemon.begin(20).say(1, EXTEND_TIMEOUT_USEC="50000000").pass_time(45)
    assert not daemon.story("stop")
    assert daemon.until("stop 1") == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize("text", ["", "-1", "1e9", "x", "²", "0"])
def test_it_asks_for_no_time_that_can_be_read_then_nothing_changes(text: str) -> None:
    child = Child(1, plan_of(), SERVING, 100.0)
    assert hear(child, {"EXTEND_TIMEOUT_USEC": text}, 110.0) is None
    assert child.ready_by == 130.0


def test_it_asks_for_all_the_time_in_the_world_then_a_day_is_enough() -> None:
    child = Child(1, plan_of(), SERVING, 100.0)
    hear(child, {"EXTEND_TIMEOUT_USEC": "9" * 5000}, 110.0)
    assert child.ready_by == 110.0 + 86_400.0


def test_one_that_has_failed_asks_for_more_time_to_end_then_it_has_none() -> None:
    daemon = started(Behaviour(stops=None)).pass_time(1).say(1, X_NEWLEAF_COMMIT=commit_of("B"))
    daemon.say(1, EXTEND_TIMEOUT_USEC="900000000")
    assert daemon.until("kill 1") == pytest.approx(5.0, abs=0.1)


# --- proven -------------------------------------------------------------------------------


def test_three_checks_one_second_apart_then_it_serves_and_is_asked_until_its_probation_is_over() -> None:
    daemon = FakeDaemon(health=URL._replace(probation=60.0)).begin()
    daemon.until("ready 1")
    assert daemon.times("ask") == pytest.approx([0.0, 1.0, 2.0], abs=0.15)
    daemon.until("settle confirmed")
    pauses = [after - before for before, after in pairwise(daemon.times("ask")[3:])]
    assert pauses == pytest.approx([5.0] * len(pauses), abs=0.15)
    asked = len(daemon.story("ask"))
    assert asked == 3 + 11
    assert len(daemon.pass_time(300).story("ask")) == asked


def test_three_times_500_after_it_was_ready_then_it_has_failed() -> None:
    daemon = started(Behaviour(health=BAD), health=URL)
    assert daemon.until("stop 1") == pytest.approx(2.2, abs=0.3)
    assert "3 health checks in a row failed: it answers 500" in daemon.said


def test_three_times_500_in_probation_then_it_has_failed() -> None:
    daemon = FakeDaemon(health=URL).begin(4)
    assert daemon.story("ready") == ["ready 1"]
    daemon.behaves["A"] = Behaviour(health=BAD)
    assert daemon.until("stop 1") < 4


def test_one_500_in_between_then_the_three_are_counted_anew_and_it_has_not_failed() -> None:
    daemon = FakeDaemon(health=URL).begin(1)
    daemon.behaves["A"] = Behaviour(health=BAD)
    daemon.pass_time(1)
    daemon.behaves["A"] = Behaviour()
    daemon.until("ready 1")
    assert len(daemon.story("ask")) == 1 + 1 + 3
    assert not daemon.story("stop")


def test_a_proven_release_is_asked_no_more_then_a_bad_hour_of_its_check_ends_nothing() -> None:
    daemon = FakeDaemon(counters_of("A"), health=URL).begin(10)
    daemon.behaves["A"] = Behaviour(health=BAD)
    assert not daemon.pass_time(3600).story("stop")


def test_another_commit_is_claimed_then_it_has_failed() -> None:
    """lessons.md L1: what runs is what was started."""
    daemon = started(Behaviour(says={"X_NEWLEAF_COMMIT": commit_of("B")})).pass_time(0.3)
    assert daemon.story("stop") == ["stop 1"]
    assert "it reports commit bbbbbbbbbbbb, and aaaaaaaaaaaa was started" in daemon.said
    assert not daemon.story("ready")


def test_its_own_commit_is_claimed_then_all_is_well() -> None:
    assert started(Behaviour(says={"X_NEWLEAF_COMMIT": commit_of("A")})).pass_time(1).story("ready")


def test_watchdogs_pings_come_then_it_runs_on_and_it_fails_when_they_stop() -> None:
    daemon = started(Behaviour()).pass_time(1)
    for _ in range(10):
        daemon.say(1, WATCHDOG="1").pass_time(20)
    assert not daemon.story("stop")
    assert daemon.supervision.seconds_to_look() == 1.0
    assert daemon.until("stop 1") == pytest.approx(10.0, abs=1.1)
    assert "its watchdog has not been heard for 30 s" in daemon.said


# --- beside the one that serves -----------------------------------------------------------


def test_it_starts_slowly_then_its_silence_before_it_was_ready_is_no_fault() -> None:
    """Four checks have failed by then, and none of them of a process that had said that it serves."""
    daemon = beside(Behaviour(ready=3.0, private=SILENT), health=URL).pass_time(2.9)
    assert len(daemon.story("ask")) > 3
    daemon.behaves["B"] = Behaviour()
    daemon.until("tell 7 confirmed")
    assert not daemon.story("stop 2")


def test_ready_and_silent_on_its_own_socket_then_it_is_judged_without_and_then_on_the_shared_one() -> None:
    daemon = beside(Behaviour(private=SILENT), health=URL)
    daemon.until("tell 7 confirmed")
    assert daemon.story("ask 2")[-5:] == ["ask 2"] * 5
    assert daemon.story("stop") == ["stop 1"]


def test_ready_silent_and_bad_on_the_shared_socket_then_it_is_given_up() -> None:
    daemon = beside(Behaviour(private=SILENT, health=BAD), health=URL)
    daemon.until("tell 7 failed")
    assert len([word for word in daemon.story("ask") if word == "ask 2"]) == 3


def test_silent_on_its_own_socket_then_the_address_that_the_old_one_may_answer_is_not_asked_for_it() -> None:
    health = URL._replace(command=("check",))
    daemon = beside(Behaviour(private=SILENT), health=health).pass_time(1.5)
    asked = daemon.last[Ask, None]
    assert isinstance(asked, Ask)
    assert not asked.private
    assert asked.plan.health == health._replace(url=None)
    assert daemon.serving == "A"
    daemon.until("tell 7 serving")
    assert daemon.last[Ask, None] == Ask(2, plan_of("B", handover=OVERLAP, health=health), private=False)


def test_waits_silent_on_its_own_socket_and_ready_only_after_go_then_it_is_let_in() -> None:
    daemon = beside(Behaviour(waits=True, private=SILENT), health=URL)
    daemon.until("tell 7 confirmed")
    assert daemon.story("go", "stop") == ["go 2", "stop 1"]


def test_waits_and_is_bad_on_its_own_socket_then_it_is_never_let_in() -> None:
    daemon = beside(Behaviour(waits=True, early=True, private=BAD), health=URL)
    daemon.until("tell 7 failed")
    assert not daemon.story("go")


def test_takes_a_question_on_its_own_socket_and_does_not_answer_then_it_is_never_let_in() -> None:
    """With one thread, and that hanging, only its first question is taken."""
    daemon = beside(Behaviour(waits=True, early=True, private=SILENT), health=URL).pass_time(0.15)
    daemon.feed(Checked(2, UNANSWERED)).until("tell 7 failed")
    assert not daemon.story("go", "stop 1")


def test_never_ready_and_silent_then_it_is_given_up_at_its_deadline() -> None:
    daemon = beside(NEVER._replace(private=SILENT), health=URL)
    assert daemon.until("tell 7 failed") == pytest.approx(30.0, abs=0.3)


def test_well_on_its_own_socket_and_never_ready_then_it_is_given_up_at_its_deadline() -> None:
    daemon = beside(NEVER, health=URL)
    assert daemon.until("tell 7 failed") == pytest.approx(30.0, abs=0.3)


@pytest.mark.parametrize("health", [URL, COMMAND])
def test_an_app_that_never_says_ready_is_well_on_its_own_socket_then_it_takes_over(health: Health) -> None:
    daemon = beside(NEVER, notifies=False, health=health)
    assert daemon.until("serves 2") == pytest.approx(2.0, abs=0.2)


def test_an_app_that_never_says_ready_and_waits_then_it_is_let_in_first() -> None:
    daemon = beside(NEVER._replace(waits=True), notifies=False, health=URL)
    daemon.until("tell 7 confirmed")
    assert daemon.story("go", "stop", "serves") == ["go 2", "stop 1", "serves 2"]


def test_an_app_that_never_says_ready_and_is_not_asked_then_it_takes_over_after_a_second() -> None:
    assert beside(NEVER, notifies=False).until("serves 2") == pytest.approx(1.0, abs=0.1)


def test_an_app_that_says_nothing_and_waits_then_it_is_let_in_and_has_to_live_for_a_second() -> None:
    daemon = beside(NEVER._replace(waits=True), notifies=False)
    daemon.until("serves 2")
    assert daemon.times("serves 2")[0] - daemon.times("go 2")[0] == pytest.approx(1.0, abs=0.1)


# --- by itself ----------------------------------------------------------------------------


def test_who_waits_in_sequential_has_no_deadline_before_go_and_one_after() -> None:
    child = Child(1, plan_of(handover=SEQUENTIAL), INCOMING, 0.0)
    hear(child, {"X_NEWLEAF_WAITS": "1"}, 0.1)
    assert may_go(child)
    assert find_fault(child, 1000.0) is None
    child.let_in(1000.0)
    assert find_fault(child, 1029.0) is None
    assert find_fault(child, 1031.0) == "it was not ready within 30 s"


def test_who_is_being_checked_at_the_deadline_then_the_checks_are_ended_first() -> None:
    child = Child(1, plan_of(health=URL), SERVING, 0.0)
    hear(child, {"READY": "1"}, 29.9)
    child.passed = 1
    assert find_fault(child, 31.0) is None
    assert not is_proven(child)
    child.failed, child.fault = 1, BAD
    assert find_fault(child, 31.0) == "it was not ready within 30 s: it answers 500"
