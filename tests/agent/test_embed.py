"""The agent inside a daemon: when it is of no use, what it says, and that the daemon lives on.

What it does when all is well: tests/end_to_end/test_updater.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newleaf.agent import departure, embed
from newleaf.agent.beside import Beside, BesideParts
from newleaf.agent.children import Children
from newleaf.agent.departure import Leaving
from newleaf.agent.embed import Embedded, Inside
from newleaf.agent.jobs import Busy
from newleaf.agent.watcher import OnTarget
from newleaf.core.errors import SettingsInvalid
from newleaf.core.releases.polling import Interval
from newleaf.core.requests import Request
from newleaf.core.retries import Ended
from newleaf.system import busy_lock
from newleaf.system.inside_lock import alone
from newleaf.system.restarts import raise_flag


class World:
    """An app on this machine; nothing of it is watched."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.deployed = True
        self.unusable = False
        self.said: list[str] = []
        self.origin = "poll"
        self.trying: Callable[[], object] = lambda: None
        self.ended = Ended("up_to_date", record={"outcome": "up_to_date"})
        self.embedded = Embedded(self, self.said.append, lambda: datetime.now(UTC))

    # Makes

    def find(self) -> Path:
        return self.state

    def is_deployed(self, _: Path) -> bool:
        return self.deployed

    def job(self, state: Path, name: str) -> Busy:
        return Busy(state, name)

    def make(self, say: Callable[[str], None]) -> Inside:
        if self.unusable:
            raise SettingsInvalid(listed="app.name is wrong")
        parts = BesideParts(self, _Attempts(self), self, Interval(300, 0.0))
        return Inside(Beside(lambda: parts, say, parts), lambda: Leaving("exit"), Children(), Children())

    # Watches and Sees

    async def run(self, _: OnTarget) -> None:
        await asyncio.sleep(60)

    def look_soon(self) -> None:
        raise AssertionError

    def trace(self, _: str) -> object:
        return None

    def is_busy(self) -> bool:
        return False

    def is_locked(self) -> bool:
        return False

    def owes(self) -> bool:
        return False


class _Attempts:
    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self, _: Request) -> Ended:
        self._world.trying()
        return self._world.ended


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(embed, "LOOK_SECONDS", 0.02)
    monkeypatch.setenv("NEWLEAF_KEEPER", "1")
    tmp_path.chmod(0o700)
    return World(tmp_path)


def ask(world: World) -> tuple[str, str]:
    """Asks from inside; the outcome and the error's code."""

    async def main() -> tuple[str, str]:
        async with world.embedded as updater:
            record = await asyncio.wait_for(updater.request(), 10)
            return record["outcome"], next((e["code"] for e in record.get("errors", ())), "")

    return asyncio.run(main())


def test_all_is_well_then_who_asks_gets_the_record(world: World) -> None:
    assert ask(world) == ("up_to_date", "")
    assert world.said == []


def test_the_state_directory_is_not_there_yet_then_it_is_made(world: World) -> None:
    world.state = world.state / "not-yet"
    assert ask(world) == ("up_to_date", "")
    assert world.said == []
    assert world.state.stat().st_mode & 0o777 == 0o700


def test_what_is_read_and_loaded_is_read_and_loaded_beside_the_event_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L30"""
    threads: list[threading.Thread] = []
    find, make = world.find, world.make

    def seen_find() -> Path:
        threads.append(threading.current_thread())
        return find()

    def seen_make(say: Callable[[str], None]) -> Inside:
        threads.append(threading.current_thread())
        return make(say)

    monkeypatch.setattr(world, "find", seen_find)
    monkeypatch.setattr(world, "make", seen_make)
    ask(world)
    assert len(threads) == 2
    assert threading.main_thread() not in threads


def test_newleaf_does_not_deploy_it_here_then_said_and_nothing_is_made(tmp_path: Path, world: World) -> None:
    """A developer's checkout is nobody's to move."""
    world.state, world.deployed = tmp_path / "none", False
    assert ask(world) == ("usage", "not_deployed_here")
    with world.embedded.busy("job 1"):
        assert not world.state.exists()
    assert len(world.said) == 1
    assert "does not deploy this app on this machine" in world.said[0]


def test_settings_cannot_be_used_then_the_daemon_lives_and_who_asks_is_told(world: World) -> None:
    world.unusable = True
    assert ask(world) == ("usage", "settings_invalid")
    assert world.said[0].startswith("no updates: app.name is wrong")


def test_another_daemon_watches_then_this_one_stands_by_and_says_so_once(world: World) -> None:
    """lessons.md L35, L36"""

    async def main() -> str:
        with alone(world.state):
            async with world.embedded as updater:
                first = await updater.request()
                await asyncio.sleep(0.1)
                assert not updater.restart_wanted
                return str(first["errors"][0]["code"])

    assert asyncio.run(main()) == "stands_by"
    assert len(world.said) == 1


def test_the_other_daemon_ends_then_this_one_takes_over(world: World) -> None:
    async def main() -> str:
        lock = alone(world.state)
        lock.__enter__()
        async with world.embedded as updater:
            await asyncio.sleep(0.05)
            lock.__exit__(None, None, None)
            await asyncio.sleep(0.2)
            return str((await updater.request())["outcome"])

    assert asyncio.run(main()) == "up_to_date"


def test_a_defect_at_the_start_then_said_and_the_daemon_lives(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Path:
        raise OSError("boom")

    monkeypatch.setattr(world, "find", fail)

    async def main() -> str:
        async with world.embedded as updater:
            return str((await updater.request())["errors"][0]["code"])

    assert asyncio.run(main()) == "daemon_ends"
    assert world.said == ["no updates: a defect in newleaf: OSError: boom"]


@pytest.mark.parametrize(
    "flag", ["2099-01-01T00:00:00Z 3 commit(s)\n", "2020-01-01T00:00:00Z 3 commit(s)\n", "now!", ""]
)
def test_a_flag_that_is_none_lies_there_at_the_start_then_it_is_removed(flag: str, world: World) -> None:
    """lessons.md L27, L29: malformed, from the future, from before"""
    path = world.state / "restart-requested"
    path.write_text(flag)
    ask(world)
    assert not path.exists()


def test_asked_before_it_begins_or_after_it_has_ended_then_told(world: World) -> None:
    def asked() -> str:
        record = world.embedded.submit(Request("chat")).result(timeout=5)
        return str(record["errors"][0]["code"])

    assert asked() == "daemon_ends"
    ask(world)
    assert asked() == "daemon_ends"


def test_in_a_thread_then_the_same_and_it_ends_with_the_block(world: World) -> None:
    with world.embedded as updater:
        assert updater.submit(Request("chat")).result(timeout=10)["outcome"] == "up_to_date"
        with updater.busy("job 17"):
            assert busy_lock.running_jobs() == ("job 17",)
    assert updater._thread
    assert not updater._thread.is_alive()
    with alone(world.state):
        pass


def test_it_waits_for_idle_alone_then_job_loops_are_told_unless_nothing_would_restart(world: World) -> None:
    """lessons.md L26"""
    world.ended = Ended("waiting", frozenset({"idle"}), record={"outcome": "waiting"})

    async def main(embedded: Embedded) -> bool:
        async with embedded as updater:
            await updater.request()
            return updater.restart_wanted

    assert asyncio.run(main(world.embedded))
    again = Embedded(world, world.said.append, lambda: datetime.now(UTC))
    again._keeper = None
    assert not asyncio.run(main(again))


@pytest.mark.parametrize("is_raised", [True, False])
def test_the_update_is_made_but_for_the_restart_then_job_loops_are_told_at_once_while_it_is_wanted(
    is_raised: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L26, L27: before the departure has looked, a job would begin and hold it up."""
    monkeypatch.setattr(departure, "LOOK_SECONDS", 60)

    async def main() -> bool:
        async with world.embedded as updater:
            await updater.request()  # the departure has looked, and does not look again
            assert not updater.restart_wanted
            if is_raised:
                raise_flag(world.state, 1, datetime.now(UTC))
            world.ended = Ended("waiting", frozenset({"restart"}), record={"outcome": "waiting"})
            await updater.request()
            return updater.restart_wanted

    assert asyncio.run(main()) is is_raised


def test_an_attempt_has_raised_the_flag_and_has_not_ended_then_job_loops_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departure, "LOOK_SECONDS", 60)
    seen: list[bool] = []

    async def main() -> None:
        async with world.embedded as updater:
            await updater.request()  # as above

            def update() -> None:
                seen.append(updater.restart_wanted)
                raise_flag(world.state, 1, datetime.now(UTC))
                seen.append(updater.restart_wanted)

            world.trying = update
            await updater.request()

    asyncio.run(main())
    assert seen == [False, True]


def test_entered_twice_or_with_an_unknown_stage_then_refused(world: World) -> None:
    ask(world)
    with pytest.raises(RuntimeError, match="entered once"):
        ask(world)
    with pytest.raises(ValueError, match="drain, record, acknowledge, flush"):
        world.embedded.on_restart(print, stage="later")


def test_hook_given_as_a_decorator_then_it_stays_what_it_was(world: World) -> None:
    @world.embedded.on_restart
    def save() -> str:
        return "saved"

    @world.embedded.on_restart(stage="flush", seconds=1)
    async def flush() -> None: ...

    assert save() == "saved"
    assert [(hook.stage, hook.seconds) for hook in world.embedded._hooks] == [("record", 5.0), ("flush", 1)]
