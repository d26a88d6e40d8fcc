"""What a simulated world does by itself: releases come, things fail, clocks jump, daemon and power go."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from newleaf.core.errors import InconsistentError, UsageError
from newleaf.core.states import BEGINNINGS, State
from tests.support.shipped import Shipped, Store
from tests.support.simulated_host import SimulatedFailure
from tests.support.simulated_world import World

IN_MEMORY = Path("/dev/shm")
STEPS = ["fetch", "verify", "stage", "install", "migrate", "health"]
FAILURES = [*STEPS[:5], "resolve", "place", "activate", "restart", "restore", "snapshot", "sound"]

kills = st.none() | st.integers(1, 60) | st.sampled_from(sorted(set(State) - BEGINNINGS))
cuts = st.none() | st.integers(0, 2**16)
numbers = st.integers(0, 50)
flags = st.booleans()


class Life(RuleBasedStateMachine):
    """One host, from its first release on."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.world = World(self.folder)
        self.rows: set[int] = set()
        self.left_by_hand: dict[str, str] = {}
        self.ended: set[str] = set()

    @initialize(
        mode=st.sampled_from(["none", "command", "sigterm", "exit"]),
        ceiling=flags,
        migrate_first=flags,
        channel=st.sampled_from(["alpha", "beta"]),
        runs=flags,
    )
    def begin(self, mode: str, ceiling: bool, migrate_first: bool, channel: str, runs: bool) -> None:
        world = self.world
        world.mode, world.ceiling, world.channel = mode, ceiling, channel
        world.steps = ("migrate", "install") if migrate_first else ("install", "migrate")
        if runs:
            world.start_daemon()
            world.report()

    # --- what the world does ------------------------------------------------------------

    @rule(
        broken=st.just("") | st.sampled_from(STEPS),
        migrates=st.integers(0, 2),
        declared=flags,
        offline=flags,
        relocks=flags,
        renumbers=st.integers(0, 9),
    )
    def push(
        self, broken: str, migrates: int, declared: bool, offline: bool, relocks: bool, renumbers: int
    ) -> None:
        self._push(broken, migrates, declared, offline and migrates > 1, relocks, renumbers == 0)

    def _push(
        self, broken: str, migrates: int, declared: bool, offline: bool, relocks: bool, renumbers: bool
    ) -> Shipped:
        last, number = self.world.remote[-1], len(self.world.remote)
        version = f"0.{number}.0" if renumbers else f"{1 + number // 10}.{number % 10}.0"
        new = tuple(f"{number}/{each}" for each in range(migrates))
        return self.world.push(
            version,
            lock=f"lock {number + 1}" if relocks or "install" in (broken, last.broken) else last.lock,
            migrations=last.migrations + new,
            offline=last.offline | frozenset(new if offline else ()),
            declared=declared,
            broken=broken,
        )

    @rule(step=st.sampled_from(FAILURES), refuses=st.sampled_from(["fails", "system", "inconsistent"]))
    def something_will_fail(self, step: str, refuses: str) -> None:
        kinds: dict[str, Exception] = {
            "fails": SimulatedFailure(step=step),
            "system": OSError(28, "No space left on device", "/app/file"),
            "inconsistent": InconsistentError(reason=f"{step} needs a person"),
        }
        if step in ("resolve", "restart") and refuses == "system":
            refuses = "fails"  # their adapters explain what the system says
        self.world.faults[step] = UsageError(reason="not sound") if step == "sound" else kinds[refuses]

    @rule()
    def nothing_will_fail(self) -> None:
        self.world.faults.clear()

    @rule(seconds=st.sampled_from([-86400, -3600, -60, 60, 3600, 86400]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.world.clock += timedelta(seconds=seconds)
        self.world.clock_was_changed = True

    @rule()
    def time_passes(self) -> None:
        self.world.clock += timedelta(minutes=11)

    @rule(reports=flags, kill=st.none() | st.integers(1, 9))
    def the_daemon_starts(self, reports: bool, kill: int | None) -> None:
        self.world.stop_daemon()
        self.world.start_daemon()
        if reports:
            self._report(kill)

    @precondition(lambda self: self.world.daemon)
    @rule(kill=st.none() | st.integers(1, 9))
    def the_daemon_reports(self, kill: int | None) -> None:
        self._report(kill)

    def _report(self, kill: int | None) -> None:
        self.world.report(kill)
        if self.world.disk.is_dead:
            self.world.stop_daemon()
            self.world.disk.start_anew()

    @rule()
    def the_daemon_ends(self) -> None:
        self.world.stop_daemon()

    @precondition(lambda self: self.world.daemon)
    @rule()
    def a_job_begins(self) -> None:
        self.world.jobs += 1

    @rule()
    def all_jobs_end(self) -> None:
        self.world.jobs = 0

    @precondition(lambda self: self.world.daemon)
    @rule()
    def the_daemon_writes(self) -> None:
        row = len(self.rows)
        self.rows.add(row)
        data = self.world.data
        self.world.data = Store(data.rows | {row}, data.applied, data.half)

    @rule(number=numbers)
    def the_power_is_cut(self, number: int) -> None:
        self.world.stop_daemon()
        self.world.disk.cut_power(Random(number))
