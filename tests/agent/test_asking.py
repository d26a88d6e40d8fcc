"""Who asks for an update gets an outcome, and there are no more updates than are needed (lessons.md L36)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent import asking
from newleaf.agent.asking import ByProcess, ByUpdater, VerbProcess
from newleaf.core.errors import CorruptFile
from newleaf.core.orders import BY_ANOTHER
from newleaf.core.records import stamp
from newleaf.core.requests import Request
from newleaf.system.commands import Runner
from newleaf.system.locks import update_lock

CHAT = Request("chat")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LOOK_SECONDS", 0.01)


class Line:
    """A command line whose answers a test gives, in order; then it is up to date."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, ...]] = []
        self.is_held = False
        self.at_once = 0
        self.most_at_once = 0

    async def ask(self, *words: str) -> dict[str, Any]:
        self.asked.append(words)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0)
        while self.is_held:  # noqa: ASYNC110 - the test lets it go
            await asyncio.sleep(0.002)
        self.at_once -= 1
        return self.answers.pop(0) if self.answers else {"outcome": "up_to_date"}


def made(state: Path, line: Line, lines: Callable[[], list[dict[str, Any]]] = list) -> ByProcess:
    return ByProcess(state, line, lines, lambda: {"status": "deployed"}, lambda: datetime.now(UTC))


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(bounded())


async def in_turn(updates: ByProcess, line: Line, first: Request, *others: Request) -> list[Any]:
    """What they are answered who ask while an update runs for the first."""
    line.is_held = True
    asked = [asyncio.ensure_future(updates.request(first))]
    while not line.asked:  # noqa: ASYNC110 - it is counted
        await asyncio.sleep(0.002)
    asked += [asyncio.ensure_future(updates.request(other)) for other in others]
    await asyncio.sleep(0)
    line.is_held = False
    return await asyncio.gather(*asked)


def ended(outcome: str = "updated") -> list[dict[str, Any]]:
    return [{"at": stamp(datetime.now(UTC)), "outcome": outcome, "attempt": "theirs"}]


def test_l36_a_thousand_ask_at_once_then_one_update_and_a_thousand_answers(tmp_path: Path) -> None:
    line = Line({"outcome": "updated", "attempt": "a"})
    updates = made(tmp_path, line)

    answers = run(lambda: in_turn(updates, line, CHAT, *[Request("webhook")] * 999))
    assert len(line.asked) == 2, "what is pushed while an update runs may be newer than its target"
    assert line.most_at_once == 1
    assert {answer["attempt"] for answer in answers} == {"a"}
    assert "notes" not in answers[0]
    assert answers[999]["notes"] == [BY_ANOTHER]


def test_there_was_something_newer_then_those_who_asked_later_are_told_of_that(tmp_path: Path) -> None:
    line = Line({"outcome": "updated", "attempt": "a"}, {"outcome": "updated", "attempt": "b"})
    updates = made(tmp_path, line)

    answers = run(lambda: in_turn(updates, line, CHAT, CHAT))
    assert [answer["attempt"] for answer in answers] == ["a", "b"]


def test_another_target_is_asked_for_then_it_is_an_update_of_its_own(tmp_path: Path) -> None:
    line = Line()
    updates = made(tmp_path, line)

    async def work() -> Any:
        await asyncio.gather(*(updates.request(Request("app", to=to)) for to in ("1.0", "1.1", "1.1")))

    run(work)
    assert [words[-1] for words in line.asked] == ["--to=1.0", "--to=1.1"]


def test_who_waits_goes_away_then_the_others_are_answered(tmp_path: Path) -> None:
    updates = made(tmp_path, Line({"outcome": "updated"}))

    async def work() -> Any:
        one, other = (asyncio.ensure_future(updates.request(CHAT)) for _ in range(2))
        await asyncio.sleep(0.005)
        one.cancel()
        return await other

    assert run(work)["outcome"] == "updated"


@pytest.mark.parametrize(
    ("theirs", "next_outcome", "asked", "answer", "is_theirs"),
    [
        ("updated", "up_to_date", 2, "updated", True),
        ("updated", "held", 2, "updated", True),
        ("updated", "waiting", 2, "waiting", False),
        ("failed", "updated", 1, "failed", True),
        ("rolled_back", "updated", 1, "rolled_back", True),
        (None, "updated", 2, "updated", False),
    ],
)
def test_l36_another_process_updates_then_its_end_is_waited_for_and_told(
    tmp_path: Path, theirs: str | None, next_outcome: str, asked: int, answer: str, is_theirs: bool
) -> None:
    history: list[dict[str, Any]] = []
    line = Line({"outcome": "locked"}, {"outcome": next_outcome})
    updates = made(tmp_path, line, lambda: list(history))

    async def work() -> Any:
        with update_lock(tmp_path, "timer", "to move"):
            answering = asyncio.ensure_future(updates.request(CHAT))
            await asyncio.sleep(0.1)
            assert len(line.asked) == 1, "it is waited for"
            history.extend(ended(theirs) if theirs else [])
        return await answering

    record = run(work)
    assert (record["outcome"], len(line.asked)) == (answer, asked)
    assert (record.get("notes") == [BY_ANOTHER]) is is_theirs


def test_l36_asked_to_go_back_while_another_process_updates_then_once_when_that_has_ended(
    tmp_path: Path,
) -> None:
    """lessons.md L36: two who ask go back once."""
    line = Line({"outcome": "locked"}, {"outcome": "ok"})
    updates = made(tmp_path, line)

    async def work() -> Any:
        with update_lock(tmp_path, "timer", "to move"):
            answering = [asyncio.ensure_future(updates.rollback()) for _ in range(2)]
            await asyncio.sleep(0.1)
            assert line.asked == [("rollback",)], "it is waited for"
        return await asyncio.gather(*answering)

    assert run(work) == [{"outcome": "ok"}] * 2
    assert line.asked == [("rollback",)] * 2


def test_the_history_cannot_be_read_then_that_is_the_answer(tmp_path: Path) -> None:
    def broken() -> list[dict[str, Any]]:
        raise CorruptFile(path="history.jsonl", reason="not JSON")

    record = run(lambda: made(tmp_path, Line({"outcome": "locked"}), broken).request(CHAT))
    assert (record["outcome"], record["errors"][0]["code"]) == ("inconsistent", "corrupt_file")


def test_status_and_why_then_what_they_say(tmp_path: Path) -> None:
    line = Line({"summary": "nothing is owed"})
    updates = made(tmp_path, line)
    assert run(updates.status) == {"status": "deployed"}
    assert run(updates.why) == {"summary": "nothing is owed"}
    assert line.asked == [("why",)]


def test_many_ask_for_the_status_at_once_then_it_is_looked_at_once(tmp_path: Path) -> None:
    looks: list[int] = []

    def read() -> dict[str, Any]:
        looks.append(threading.active_count())
        time.sleep(0.02)
        return {"status": "deployed"}

    async def work() -> None:
        updates = ByProcess(tmp_path, Line(), list, read, lambda: datetime.now(UTC))
        answers = await asyncio.gather(*(updates.status() for _ in range(100)))
        assert answers == [{"status": "deployed"}] * 100
        await updates.status()

    run(work)
    assert len(looks) == 2, "later it is looked at again"


def test_the_status_cannot_be_read_then_why_not(tmp_path: Path) -> None:
    def broken() -> dict[str, Any]:
        raise CorruptFile(path="status.json", reason="empty")

    updates = ByProcess(tmp_path, Line(), list, broken, lambda: datetime.now(UTC))
    assert run(updates.status)["errors"][0]["code"] == "corrupt_file"


def test_an_updater_lives_here_then_it_makes_the_update(tmp_path: Path) -> None:
    asked: list[Request] = []

    class Updater:
        def submit(self, request: Request) -> Future[Any]:
            asked.append(request)
            answer: Future[Any] = Future()
            answer.set_result({"outcome": "updated"})
            return answer

    line = Line({"summary": "x"})
    updates = ByUpdater(Updater(), made(tmp_path, line))
    assert run(lambda: updates.request(CHAT)) == {"outcome": "updated"}
    assert run(updates.status) == {"status": "deployed"}
    assert run(updates.why) == {"summary": "x"}
    assert run(updates.rollback) == {"outcome": "up_to_date"}
    assert (asked, line.asked) == ([CHAT], [("why",), ("rollback",)])


def verb(folder: Path, code: str, timeout_seconds: float = 20) -> Any:
    process = VerbProcess((sys.executable, "-c", code), folder, dict(os.environ), timeout_seconds, Runner())
    return run(lambda: process.ask("update", "--origin", "chat"))


def test_a_process_answers_then_its_record(tmp_path: Path) -> None:
    code = "import sys, json; print(json.dumps({'outcome': 'held', 'said': sys.argv[1:]})); sys.exit(9)"
    assert verb(tmp_path, code) == {"outcome": "held", "said": ["update", "--origin", "chat", "--json"]}


@pytest.mark.parametrize("said", ["", "{", "[]", '{"outcome": "great"}', json.dumps("x")])
def test_a_process_gives_no_answer_then_a_failure_with_what_it_said(tmp_path: Path, said: str) -> None:
    """lessons.md L2"""
    record = verb(tmp_path, f"import sys; print({said!r}); print('boom', file=sys.stderr)")
    assert (record["outcome"], record["errors"][0]["code"]) == ("failed", "no_answer")
    assert "boom" in record["errors"][0]["lines"]
    assert record["waiting_for"] == []


def test_a_process_hangs_or_cannot_be_started_then_a_failure(tmp_path: Path) -> None:
    assert verb(tmp_path, "import time; time.sleep(60)", 0.2)["errors"][0]["code"] == "command_timed_out"
    process = VerbProcess((str(tmp_path / "none"),), tmp_path, {}, 5, Runner())
    assert run(lambda: process.ask("why"))["outcome"] == "failed"
