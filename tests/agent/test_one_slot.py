"""The one-slot queue: who wins, and who is told what. What it does in the agent's loop: test_beside.py."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from newleaf.agent.one_slot import Answer, Asked, OneSlot, Wanted, answer, refusal
from newleaf.core.inside_errors import StandsBy
from newleaf.core.requests import Request
from newleaf.core.retries import Ended


def asked(request: Request) -> Asked:
    waiting: Answer = Future()
    return Asked(request, waiting)


def test_the_newest_wins_and_nobody_who_asked_is_forgotten() -> None:
    """lessons.md L36"""
    slot = OneSlot()
    callers = [asked(Request("chat", to=version)) for version in ("1.1", "1.2", "1.3")]
    for caller in callers:
        slot.ask(caller)
    wanted = slot.take()
    assert wanted
    assert (wanted.request.to, wanted.asked) == ("1.3", tuple(callers))
    assert slot.take() is None


def test_what_the_agent_wants_is_replaced_by_what_it_wants_now_and_by_a_request() -> None:
    slot = OneSlot()
    slot.put(Wanted(Request("poll"), "a"))
    slot.put(Wanted(Request("signal"), "b"))
    assert slot.wanted == Wanted(Request("signal"), "b")
    slot.ask(asked(Request("chat")))
    slot.put(Wanted(Request("poll"), "c"))
    taken = slot.take()
    assert taken
    assert taken.origin == "chat"


@pytest.mark.parametrize(
    ("second", "wanted"),
    [
        (Request("http"), Request("http", now=True)),
        (Request("http", to="1.2"), Request("http", to="1.2")),
    ],
)
def test_two_want_the_same_and_one_of_them_now_then_now(second: Request, wanted: Request) -> None:
    slot = OneSlot()
    slot.ask(asked(Request("chat", now=True)))
    slot.ask(asked(second))
    taken = slot.take()
    assert taken
    assert taken.request == wanted


def test_a_caller_waits_no_more_then_the_others_are_answered() -> None:
    gone, there = asked(Request("chat")), asked(Request("http"))
    gone.answer.cancel()
    answer(Wanted(Request(), asked=(gone, there)), Ended("updated", record={"outcome": "updated"}))
    assert there.answer.result(timeout=0)["outcome"] == "updated"


def test_a_refusal_has_every_key_of_a_result() -> None:
    record = refusal(StandsBy(state="/state", owner="python (pid 7)"))
    assert record["outcome"] == "locked"
    assert record["errors"][0]["code"] == "stands_by"
    assert {
        "schema",
        "from",
        "to",
        "commits",
        "steps",
        "waiting_for",
        "confirmed",
        "attempt",
    } <= record.keys()
