"""The published word on its way to where others read it: in order, the latest always, nobody waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent import status_mirror
from newleaf.agent.status import StatusFile
from newleaf.agent.status_mirror import Manner, StatusMirror
from newleaf.core.records import Status
from newleaf.core.redis_errors import RedisRefuses, RedisSilent
from newleaf.system import files
from tests.support.deployment import wait_until
from tests.support.simulated_host import START

AWAY = RedisSilent(url="redis://r", reason="is away")


class OtherSide:
    """Where words are sent: `arrived` in order; `fault` is raised instead; a call waits for `opened`."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.tries = 0
        self.fault: Exception | None = None
        self.opened = threading.Event()
        self.opened.set()
        self.on_arrival: Callable[[], object] = lambda: None

    def send(self, text: str) -> None:
        self.opened.wait(10)
        self.tries += 1
        if self.fault:
            raise self.fault
        self.on_arrival()
        self.on_arrival = lambda: None
        self.arrived.append(json.loads(text)["status"])


class Bench:
    """One host: its status file, as several processes write it, and what lies on the other side."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.other = OtherSide()
        self.said: list[str] = []
        self.file = StatusFile(folder, lambda: None)
        self.mirrors: list[StatusMirror] = []

    def mirror(self, manner: Manner) -> tuple[StatusMirror, StatusFile]:
        """A process: its mirror, and the file as it publishes in it."""
        made = StatusMirror(self.other.send, self.file, manner, self.said.append)
        self.mirrors.append(made)
        return made, StatusFile(self.folder, lambda: None, made.tell)

    def arrives(self, *words: str) -> None:
        wait_until(lambda: self.other.arrived[-len(words) :] == list(words), 5)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(status_mirror, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(status_mirror, "LONGEST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(status_mirror, "LOOK_SECONDS", 0.02)
    made = Bench(tmp_path)
    yield made
    made.other.opened.set()
    for mirror in made.mirrors:
        mirror.stop()


def word(status: str, **more: Any) -> Status:
    return Status(status, START, "mini-1", "sessions", "beta", **more)


@pytest.mark.parametrize("manner", Manner)
def test_every_word_arrives_in_its_order_and_once(bench: Bench, manner: Manner) -> None:
    mirror, file = bench.mirror(manner)
    words = ["updating", "migrating", "installing", "restarting"]
    for each in words:
        file.publish(word(each))
    assert mirror.finish(5)
    assert bench.other.arrived == words


def test_what_arrives_is_the_file_to_the_letter(bench: Bench) -> None:
    sent: list[str] = []
    mirror = StatusMirror(sent.append, bench.file, Manner.ATTEMPT, bench.said.append)
    StatusFile(bench.folder, lambda: None, mirror.tell).publish(word("waiting", error="größer"))
    assert mirror.finish(5)
    assert [json.loads(each) for each in sent] == [json.loads((bench.folder / "status.json").read_text())]


def test_publishing_waits_for_nothing(bench: Bench) -> None:
    bench.other.opened.clear()
    mirror, file = bench.mirror(Manner.ATTEMPT)
    began = time.monotonic()
    for each in ("updating", "migrating", "restarting"):
        file.publish(word(each))
    assert time.monotonic() - began < 3
    assert not mirror.finish(0.05)


def test_word_of_another_process_that_came_meanwhile_is_the_last(bench: Bench) -> None:
    """lessons.md L3: `restarting`, sent late, must not stand above the new process's `deployed`."""
    mirror, file = bench.mirror(Manner.ATTEMPT)
    bench.other.on_arrival = lambda: bench.file.publish(word("deployed"))
    file.publish(word("restarting"))
    assert mirror.finish(5)
    assert bench.other.arrived == ["restarting", "deployed"]


def test_attempt_gives_up_at_once_and_tries_again_with_its_next_word(bench: Bench) -> None:
    bench.other.fault = AWAY
    mirror, file = bench.mirror(Manner.ATTEMPT)
    file.publish(word("updating"))
    assert not mirror.finish(5)
    time.sleep(0.1)
    assert bench.other.tries == 1
    file.publish(word("installing"))
    assert not mirror.finish(5)
    bench.other.fault = None
    file.publish(word("restarting"))
    assert mirror.finish(5)
    assert bench.other.arrived == ["restarting"]
    assert len(bench.said) == 1


def test_attempt_whose_first_word_was_lost_brings_the_last_that_came_meanwhile(bench: Bench) -> None:
    bench.other.opened.clear()
    bench.other.fault = AWAY
    mirror, file = bench.mirror(Manner.ATTEMPT)
    file.publish(word("updating"))
    wait_until(lambda: not mirror.finish(0), 5)
    for each in ("migrating", "restarting"):
        file.publish(word(each))
    bench.other.opened.set()
    wait_until(lambda: bench.other.tries, 5)
    bench.other.fault = None
    file.publish(word("deployed"))
    assert mirror.finish(5)
    bench.arrives("deployed")


def test_what_an_earlier_attempt_left_is_brought_by_the_next(bench: Bench) -> None:
    bench.file.publish(word("deployed"))
    mirror, _ = bench.mirror(Manner.ATTEMPT)
    mirror.begin()
    assert mirror.finish(5)
    assert bench.other.arrived == ["deployed"]


@pytest.mark.parametrize("manner", [Manner.DAEMON, Manner.AGENT])
@pytest.mark.parametrize("fault", [AWAY, RedisRefuses(url="redis://r", reason="OOM")])
def test_daemon_and_agent_bring_the_latest_word_when_the_other_side_returns(
    bench: Bench, manner: Manner, fault: Exception
) -> None:
    bench.other.fault = fault
    mirror, file = bench.mirror(manner)
    file.publish(word("restarting"))
    wait_until(lambda: bench.other.tries >= 3, 5)
    file.publish(word("deployed"))
    assert mirror.finish(0.5) is False
    bench.other.fault = None
    bench.arrives("deployed")
    assert bench.other.arrived == ["deployed"]
    assert len([each for each in bench.said if "does not arrive" in each]) == 1
    wait_until(lambda: (manner is Manner.AGENT) == ("the status arrives again" in bench.said), 5)


def test_tries_grow_rarer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_mirror, "LONGEST_RETRY_SECONDS", 10.0)
    bench.other.fault = AWAY
    mirror, file = bench.mirror(Manner.AGENT)
    file.publish(word("deployed"))
    time.sleep(0.5)
    assert 3 <= bench.other.tries <= 6
    mirror.stop()


def test_daemon_s_thread_ends_when_its_word_has_arrived(bench: Bench) -> None:
    mirror, file = bench.mirror(Manner.DAEMON)
    file.publish(word("deployed"))
    assert mirror.finish(5)
    assert mirror._thread is None


def test_agent_brings_the_words_of_others(bench: Bench) -> None:
    mirror, _ = bench.mirror(Manner.AGENT)
    mirror.begin()
    for each in ("updating", "deployed"):
        bench.file.publish(word(each))
        bench.arrives(each)
    time.sleep(0.1)
    assert bench.other.arrived == ["updating", "deployed"]


def test_agent_sends_the_word_anew_to_who_may_have_forgotten_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_mirror, "ANEW_SECONDS", 0.05)
    mirror, file = bench.mirror(Manner.AGENT)
    file.publish(word("deployed"))
    bench.arrives("deployed", "deployed", "deployed")
    mirror.stop()


def test_agent_that_is_stopped_sends_nothing(bench: Bench) -> None:
    mirror, _ = bench.mirror(Manner.AGENT)
    mirror.begin()
    mirror.stop()
    wait_until(lambda: mirror._thread is None, 5)
    bench.file.publish(word("deployed"))
    assert bench.other.arrived == []


@pytest.mark.parametrize("content", ["{", '{"schema": 99}', "[]"])
def test_file_that_cannot_be_read_is_nobody_s_trouble(bench: Bench, content: str) -> None:
    files.write_whole(bench.folder / "status.json", content.encode())
    mirror, _ = bench.mirror(Manner.ATTEMPT)
    mirror.begin()
    assert mirror.finish(5)
    assert (bench.other.arrived, bench.said) == ([], [])


def test_defect_ends_the_thread_alone(bench: Bench) -> None:
    bench.other.fault = ZeroDivisionError("oops")
    _, file = bench.mirror(Manner.AGENT)
    file.publish(word("deployed"))
    wait_until(lambda: bench.said, 5)
    assert "a defect in newleaf: ZeroDivisionError: oops" in bench.said[0]
