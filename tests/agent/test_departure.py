"""How a daemon leaves: when, in which order, and what cannot keep it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.agent import departure
from newleaf.agent.departure import Departure, GivenHook, Leaving
from newleaf.agent.jobs import Busy
from newleaf.system import busy_lock, planned_restart
from newleaf.system.restarts import raise_flag

BEGAN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NOW = BEGAN + timedelta(minutes=1)
EXIT = Leaving("exit", 42)


class World:
    """A daemon that may leave, and what happens around it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.leaving = EXIT
        self.happened: list[str] = []
        self.said: list[str] = []
        self.is_trying = False
        self.now = NOW
        self.departure = Departure(
            state,
            BEGAN,
            "declared",
            lambda: self.leaving,
            self,
            [],
            self.said.append,
            lambda: self.now,
            lambda code: self.happened.append(f"exit {code}"),
            lambda: self.happened.append("SIGTERM"),
        )

    def say_restarting(self) -> None:
        self.happened.append("restarting")

    def acknowledge(self) -> None:
        self.happened.append("acknowledged")

    def end_children(self) -> None:
        self.happened.append("children ended")

    def hook(self, stage: str, call: Callable[[], Any] | None = None, seconds: float = 5.0) -> None:
        self.departure.hooks.append(
            GivenHook(stage, call or (lambda: self.happened.append(f"hook {stage}")), seconds)
        )

    def raise_flag(self, at: datetime = NOW) -> None:
        raise_flag(self.state, 1, at)

    def run(self, seconds: float = 0.15, meanwhile: Callable[[], Any] | None = None) -> list[str]:
        async def main() -> None:
            task = asyncio.ensure_future(self.departure.run())
            await asyncio.sleep(seconds / 2)
            if meanwhile:
                meanwhile()
            await asyncio.sleep(seconds / 2)
            task.cancel()
            await asyncio.wait({task})

        asyncio.run(main())
        return self.happened


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(departure, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(departure, "DRAIN_LOOK_SECONDS", 0.01)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tmp_path.chmod(0o700)
    return World(tmp_path)


def test_a_restart_is_wanted_then_drained_recorded_acknowledged_flushed_and_left_in_this_order(
    world: World,
) -> None:
    """lessons.md L29, L31"""
    for stage in ("flush", "acknowledge", "record", "drain"):
        world.hook(stage)
    world.hook("record", lambda: world.happened.append(str(planned_restart.read(world.state, NOW))))
    world.raise_flag()
    happened = world.run()
    assert happened.pop(3).startswith(
        "PlannedRestart(reason='the daemon leaves by itself, with exit code 42'"
    )
    assert happened == [
        *("hook drain", "restarting", "hook record", "acknowledged", "hook acknowledge", "hook flush"),
        *("children ended", "exit 42"),
    ]


def test_nothing_is_wanted_then_it_stays(world: World) -> None:
    assert world.run() == []
    assert not world.departure.is_wanted


@pytest.mark.parametrize("at", [BEGAN - timedelta(seconds=1), NOW + timedelta(hours=1)])
def test_a_flag_from_before_or_from_the_future_then_it_stays(at: datetime, world: World) -> None:
    """lessons.md L29: never a loop"""
    world.raise_flag(at)
    assert world.run() == []


def test_malformed_flag_then_it_stays(world: World) -> None:
    (world.state / "restart-requested").write_text("restart, please")
    assert world.run() == []


@pytest.mark.parametrize("mode", ["launcher", "command", "none"])
def test_the_restart_is_somebody_elses_then_it_stays(mode: str, world: World) -> None:
    world.leaving = Leaving(mode)
    world.raise_flag()
    assert (world.run(), world.said) == ([], [])


def test_no_keeper_then_it_stays_and_says_so_once(world: World) -> None:
    world.departure.keeper = None
    world.raise_flag()
    assert world.run() == []
    assert [line.partition(":")[0] for line in world.said] == ["no keeper"]
    assert not world.departure.is_wanted


def test_a_job_runs_then_no_job_is_cut_off_and_it_leaves_when_the_job_has_ended(world: World) -> None:
    """lessons.md L26"""
    world.raise_flag()
    job = Busy(world.state, "job 17")
    job.__enter__()
    seen: list[Any] = []

    def end() -> None:
        seen.append((list(world.happened), world.departure.is_wanted))
        job.__exit__(None, None, None)

    assert world.run(0.3, end)[-1] == "exit 42"
    assert seen == [([], True)]


def test_the_flag_is_taken_away_while_it_waits_then_it_stays(world: World) -> None:
    world.raise_flag()
    with Busy(world.state):
        assert world.run(0.2, (world.state / "restart-requested").unlink) == []
    assert world.run(0.05) == []


def test_max_wait_is_over_then_it_leaves_all_the_same_and_names_the_jobs(world: World) -> None:
    """lessons.md L26: a ceiling for a host that is never idle"""
    world.leaving = replace(EXIT, max_wait=60)
    world.raise_flag(NOW - timedelta(seconds=50))
    with Busy(world.state, "job 17"):
        assert world.run(0.1) == []
        world.now = NOW + timedelta(seconds=11)
        assert world.run(0.1)[-1] == "exit 42"
    assert "leaves although job 17 still run" in world.said[0]


def test_an_attempt_of_its_own_runs_then_it_waits_for_that(world: World) -> None:
    world.is_trying = True
    world.raise_flag()
    assert world.run(0.1) == []
    world.is_trying = False
    assert world.run(0.1)[-1] == "exit 42"


def test_drained_then_no_job_begins_any_more(world: World) -> None:
    def try_job() -> None:
        with busy_lock.open_shared(world.state) as descriptor:
            world.happened.append(f"job: {busy_lock.try_shared(descriptor)}")

    world.hook("flush", try_job)
    world.raise_flag()
    assert "job: False" in world.run()


def test_hooks_that_fail_or_hang_then_said_and_left_behind(world: World) -> None:
    async def deaf() -> None:
        while True:
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(0.05)
            break

    def fail() -> None:
        raise ValueError("boom")

    hanging = threading.Event()
    world.hook("record", fail)
    world.hook("record", hanging.wait, 0.05)
    world.hook("acknowledge", deaf, 0.02)
    world.hook("flush")
    world.raise_flag()
    assert world.run(0.5)[-3:] == ["hook flush", "children ended", "exit 42"]
    hanging.set()
    said = " | ".join(world.said)
    assert "fail at record has failed: ValueError: boom" in said
    assert "wait at record has taken longer than 0.05 s" in said


def test_the_loop_stands_still_after_the_drain_then_a_thread_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contracts.md: nothing hangs it"""
    monkeypatch.setattr(departure, "GRACE_SECONDS", 0.05)

    async def stand_still() -> None:
        time.sleep(0.4)  # noqa: ASYNC251 - what a daemon should not do
        world.happened.append("awake")

    world.hook("record", stand_still, 0.05)
    world.raise_flag()
    happened = world.run(0.8)
    assert happened.index("exit 42") < happened.index("awake")


def test_mode_sigterm_then_it_signals_itself_once_and_jobs_go_on_when_that_was_ignored(world: World) -> None:
    world.leaving = Leaving("sigterm", stop_seconds=0.05)
    world.raise_flag()
    assert world.run(0.3).count("SIGTERM") == 1
    assert any("SIGTERM has not ended this daemon" in line for line in world.said)
    with Busy(world.state):
        pass


def test_a_defect_then_said_and_it_goes_on(world: World) -> None:
    calls: list[int] = []

    def broken() -> datetime:
        calls.append(1)
        raise OSError("boom")

    world.departure.now = broken
    assert world.run() == []
    assert len(calls) > 2
    assert world.said == ["a defect in newleaf: OSError: boom"]
