"""The six promises, whatever happens: a transaction in a simulated world that kills and fails it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from newleaf.core.errors import InconsistentError, LeftByHand, NewleafError, UsageError
from newleaf.core.records import AttemptRecord, Result
from newleaf.core.requests import Request
from newleaf.core.states import BEGINNINGS, MAX_RECORDS, TRANSITIONS, State
from newleaf.update.history import History
from newleaf.update.journal import Journal
from newleaf.update.parts import ROLLBACK, UPDATE
from newleaf.update.transaction import Transaction
from tests.support.properties import bounded
from tests.support.shipped import Shipped
from tests.support.simulated_life import STEPS, Life, cuts, flags, kills, numbers
from tests.support.simulated_world import AS_GATES_ARE_JUDGED, Kill

RESUMED = {State.INSTALL, State.MIGRATE, State.ACTIVATE, State.REVERT}
"""Killed here, the tree cannot be left as it is: the attempt goes on, jobs or not."""
PLAIN_UPDATES = 6
"""So many bring any host to a good state, once nothing fails any more."""


class Host(Life):
    """One host, from its first release on, and all that can be asked of it."""

    # --- what is asked for --------------------------------------------------------------

    @rule(
        broken=st.just("") | st.sampled_from(STEPS),
        migrates=st.integers(0, 2),
        declared=flags,
        offline=flags,
        kill=kills,
        cut=cuts,
        job_in=st.sampled_from([None, AS_GATES_ARE_JUDGED]),
    )
    def a_release_comes(
        self,
        broken: str,
        migrates: int,
        declared: bool,
        offline: bool,
        kill: Kill,
        cut: int | None,
        job_in: int | None,
    ) -> None:
        """What happens most often."""
        self._push(broken, migrates, declared, offline and migrates > 1, relocks=True, renumbers=False)
        self._act(Request(), lambda t: t.update(Request()), kill, cut, job_in)

    @rule(
        state=st.sampled_from([*sorted(RESUMED), State.SNAPSHOT, State.RESTART, State.DONE]),
        broken=st.sampled_from(["", "", "migrate", "health"]),
        offline=flags,
        cut=st.none() | cuts,
        job=st.sampled_from([True, True, False]),
        is_undone=flags,
        survives=flags,
    )
    def a_release_is_interrupted(
        self,
        state: State,
        broken: str,
        offline: bool,
        cut: int | None,
        job: bool,
        is_undone: bool,
        survives: bool,
    ) -> None:
        """Killed where it matters, while the daemon works on or starts again, before anyone comes."""
        self._push(broken, 2, declared=True, offline=offline, relocks=True, renumbers=False)
        self.world.jobs = 0
        if not survives:
            self.world.stop_daemon()
        elif self.world.daemon is None:
            self.the_daemon_starts(reports=True, kill=None)
        self._act(Request(), lambda t: t.update(Request()), state, cut)
        if not survives:
            self.the_daemon_starts(reports=True, kill=None)
        self.world.jobs = int(job and self.world.daemon is not None)
        if is_undone:
            self.rollback(to=None, data=False, force=False, kill=None, cut=None)
        self._act(Request(), lambda t: t.update(Request()))

    @rule(state=st.sampled_from([*sorted(RESUMED), State.SNAPSHOT, State.RESTART]))
    def every_update_is_killed_at_one_step(self, state: State) -> None:
        """Bounded tries."""
        self._push("", 1, declared=True, offline=False, relocks=True, renumbers=False)
        for _ in range(MAX_RECORDS + 5):
            if self._act(Request(), lambda t: t.update(Request()), state):
                break

    @rule(job=flags, starts=flags, kill=kills, cut=cuts)
    def the_daemon_comes_back_before_the_next_update(
        self, job: bool, starts: bool, kill: Kill, cut: int | None
    ) -> None:
        if starts or self.world.daemon is None:
            self.the_daemon_starts(reports=True, kill=None)
        self.world.jobs = int(job and self.world.daemon is not None)
        self._act(Request(), lambda t: t.update(Request()), kill, cut)

    @rule(kill=kills, cut=cuts, job_in=st.none() | st.integers(1, 12))
    def update(self, kill: Kill, cut: int | None, job_in: int | None) -> None:
        self._act(Request(), lambda t: t.update(Request()), kill, cut, job_in)

    @rule(
        to=st.none() | numbers,
        branch=st.none() | st.just("feature"),
        now=flags,
        force=flags,
        wait=st.sampled_from([0.0, 5.0]),
        kill=kills,
        cut=cuts,
    )
    def update_with_flags(
        self,
        to: int | None,
        branch: str | None,
        now: bool,
        force: bool,
        wait: float,
        kill: Kill,
        cut: int | None,
    ) -> None:
        request = Request("test", self._some(to).commit if to is not None else None, branch, now, force, wait)
        self._act(request, lambda t: t.update(request), kill, cut)

    @rule(to=st.none() | numbers, data=flags, force=flags, kill=kills, cut=cuts)
    def rollback(self, to: int | None, data: bool, force: bool, kill: Kill, cut: int | None) -> None:
        request = Request(to=self._some(to).commit if to is not None else None, force_busy=force)
        before = self._journal().last
        result = self._act(
            request, lambda t: t.rollback(request, with_data=data), kill, cut, is_rollback=True
        )
        if result and result.outcome == "ok" and result.start:
            assert result.start.commit in self._denied(), "No flip-flop: what was left by hand is denied"
        self._remember_what_was_left(before)

    def _remember_what_was_left(self, before: AttemptRecord | None) -> None:
        """What a person has left stays left, also when the rollback waits or was killed."""
        attempt = self._journal().last
        if attempt is None or attempt == before:
            return
        error = attempt.detail.get("error")
        if attempt.detail.get("kind") == ROLLBACK and attempt.at(State.INSTALL):
            if attempt.state is not State.REVERT and not attempt.at(State.REVERT):
                self.left_by_hand[attempt.start.commit] = attempt.id
        elif isinstance(error, dict) and error["code"] == LeftByHand.code:
            self.left_by_hand[attempt.target.commit] = attempt.id

    def _left(self) -> set[str]:
        """What a person has left, by a rollback that has not failed itself."""
        failed = {
            attempt.id
            for attempt in self._journal().attempts
            if attempt.state is State.INCONSISTENT
            or (attempt.detail.get("kind") == ROLLBACK and attempt.at(State.REVERT))
        }
        return {commit for commit, attempt in self.left_by_hand.items() if attempt not in failed}

    def _journal(self) -> Journal:
        return Journal(self.folder / "journal.jsonl", self.world.now)

    @rule(number=numbers)
    def allow(self, number: int) -> None:
        denied = sorted(self._denied())
        if denied:
            lifted = denied[number % len(denied)]
            self.left_by_hand.pop(lifted, None)
            self._decide(lambda t: t.parts.decisions.allow(lifted, self.world.now()))

    @rule(number=numbers)
    def pin(self, number: int) -> None:
        self._decide(lambda t: t.parts.decisions.set_pin(self._some(number).release.version))

    @rule()
    def unpin(self) -> None:
        self._decide(lambda t: t.parts.decisions.set_pin(None))

    @rule()
    def suspend(self) -> None:
        self._decide(lambda t: t.parts.decisions.suspend("fair", self.world.now()))

    @rule()
    def resume(self) -> None:
        self._decide(lambda t: t.parts.decisions.resume())

    def _some(self, number: int) -> Shipped:
        return self.world.remote[number % len(self.world.remote)]

    def _denied(self) -> set[str]:
        self.world.open()
        return set(self.world.decisions.denied)

    def _decide(self, action: Callable[[Transaction], object]) -> None:
        with self.world.acting(None) as transaction:
            action(transaction)

    def _act(
        self,
        request: Request,
        action: Callable[[Transaction], Result],
        kill: Kill = None,
        cut: int | None = None,
        job_in: int | None = None,
        *,
        is_rollback: bool = False,
    ) -> Result | None:
        """One process of newleaf; None when it died or refused to begin."""
        world = self.world
        world.open()
        denied, opened, head = set(world.decisions.denied), world.journal.open_attempt, world.head.commit
        world.may_disturb = request.force_busy or bool(opened and opened.state in RESUMED)
        result = None
        with world.acting(kill) as transaction:
            world.job_begins_in = job_in
            try:
                result = action(transaction)
            except NewleafError as error:
                if not (is_rollback or isinstance(error, (UsageError, InconsistentError))):
                    raise AssertionError("only what is wrongly asked for raises") from error
        if world.disk.is_dead:
            result = None
            if cut is None:
                world.disk.start_anew()
            else:
                world.stop_daemon()
                world.disk.cut_power(Random(cut))
        if world.head.commit != head and world.head.commit in denied | self._left():
            self._went_to_denied(opened)
        if not is_rollback:
            self._check_waiting_rollback(request, opened)
        if result:
            self._check(result)
        return result

    def _went_to_denied(self, opened: AttemptRecord | None) -> None:
        attempt = self.world.journal.last
        assert attempt
        by_hand = attempt.detail.get("kind", UPDATE) == ROLLBACK
        back = attempt.at(State.REVERT) and self.world.head.commit == attempt.start.commit
        assert by_hand or back, f"No flip-flop: a denied commit is installed by {attempt.id}, {opened}"

    def _check_waiting_rollback(self, request: Request, opened: AttemptRecord | None) -> None:
        if opened is None or opened.state is not State.WAIT or opened.detail.get("kind") != ROLLBACK:
            return
        if request == Request("command line"):
            now = next(each for each in self._journal().attempts if each.id == opened.id)
            assert now.state is not State.DISCARDED, "No lost work: a rollback that waits is forgotten"

    def _check(self, result: Result) -> None:
        """What an outcome claims is so."""
        world = self.world
        if result.confirmed:
            assert world.daemon, "Truth: confirmed, and nothing runs"
            assert world.daemon.reported, "Truth: confirmed, and nothing has reported"
            assert result.target, "Truth: confirmed, but what?"
            assert world.daemon.reported.commit == result.target.commit, "Truth: another commit runs"
        if result.outcome in ("updated", "up_to_date") and result.target:
            assert result.target.commit == world.head.commit, "Truth: the target is not what lies there"
            assert not world.mixed
            assert world.lock == world.head.lock, "Truth: the dependencies are not the target's"
        if result.outcome == "rolled_back":
            assert result.target
            assert result.target.commit in self._denied(), "Way back: what failed is not remembered"

    # --- what always holds --------------------------------------------------------------

    @invariant()
    def nothing_forbidden_has_happened(self) -> None:
        assert not self.world.violations

    @invariant()
    def the_records_can_be_read_and_every_attempt_is_a_walk_of_the_table(self) -> None:
        journal = self._journal()
        History(self.folder / "history.jsonl").entries()
        for attempt in journal.attempts:
            states = [record.state for record in attempt.records]
            assert len(states) <= MAX_RECORDS + 1
            assert states[0] in BEGINNINGS
            assert all(after in TRANSITIONS[before] for before, after in pairwise(states))
            # One that takes up a restart goes back to where that was begun from.
            live = attempt.target if "takes_up" in attempt.detail else attempt.start
            assert live.commit == self.world.begun[attempt.id], "from is not what was live"
            if attempt is not journal.last:
                assert not attempt.is_open

    @invariant()
    def what_was_said_to_the_journal_is_there(self) -> None:
        """Promise 5: no power cut takes away a record that was acted on."""
        for attempt in self._journal().attempts:
            assert len(attempt.records) >= self.world.said.get(attempt.id, 0)
        last = max(self.world.said, default="", key=lambda each: int(each.partition("-")[2]))
        assert not last or last in {attempt.id for attempt in self._journal().attempts}

    @invariant()
    def what_failed_to_migrate_is_undone_and_denied(self) -> None:
        """Promise 4: data as it was before, at most what was written meanwhile kept aside."""
        journal = self._journal()
        last = journal.last
        if last is None or last.is_open or last.id in self.ended:
            return
        self.ended.add(last.id)
        if last.state is State.ROLLED_BACK:
            assert self.world.data == self.world.kept[last.id]
            assert self.world.head.commit == last.start.commit
            assert not self.world.mixed
            assert last.target.commit in self._denied()

    @invariant()
    def there_is_a_way_back_from_what_an_update_brought(self) -> None:
        """Promise 4"""
        with self.world.acting(None) as transaction:
            last, live = self.world.journal.last, self.world.head.release
            if last is None or last.state is not State.DONE or last.detail.get("kind", UPDATE) != UPDATE:
                return
            if last.target.commit == live.commit and last.start.commit not in self.world.decisions.denied:
                assert transaction._way_back(Request(), live), "Way back: there is none"

    @invariant()
    def nothing_that_was_written_is_lost(self) -> None:
        assert self.rows <= self.world.data.rows | self.world.aside

    # --- where it ends ------------------------------------------------------------------

    @rule()
    def it_converges(self) -> None:
        self._converge()

    def _converge(self) -> Result | None:
        """Promise 5: nothing fails any more, jobs end, the daemon leaves when asked."""
        world = self.world
        world.faults.clear()
        world.jobs = 0
        world.clock += timedelta(days=40)
        self._decide(lambda t: t.parts.decisions.resume())
        outcomes = []
        for _ in range(PLAIN_UPDATES):
            world.clock += timedelta(hours=1)
            result = self._act(Request(), lambda t: t.update(Request()))
            outcomes.append(result.outcome if result else "raised")
            if result and self._is_settled(result):
                self._check_settled(result)
                return result
            world.stop_daemon()
        raise AssertionError(f"Any kill converges: {outcomes}")

    def _is_settled(self, result: Result) -> bool:
        if result.outcome in ("up_to_date", "updated", "held"):
            return True
        targets = {self.world.remote[-1].commit, result.target.commit if result.target else None}
        broken = any(each.broken for each in self.world.remote if each.commit in targets)
        return broken and result.outcome in ("failed", "refused", "rolled_back")

    def _check_settled(self, result: Result) -> None:
        world = self.world
        world.open()
        assert world.journal.open_attempt is None, f"{result.outcome}, and an attempt is open"
        gone_wrong = any(a.state is State.INCONSISTENT for a in world.journal.attempts)
        if not gone_wrong:
            assert not world.mixed, f"{result.outcome}, and the tree is of two releases"
            assert world.lock == world.head.lock, (
                f"{result.outcome}, and the dependencies are another release's"
            )
        if result.outcome == "updated":
            assert set(world.head.migrations) <= world.data.applied, "updated, and not migrated"

    def teardown(self) -> None:
        try:
            self._converge()
            sound = self._push("", 1, declared=True, offline=False, relocks=True, renumbers=False)
            self._decide(lambda t: t.parts.decisions.set_pin(None))
            result = self._converge()
            assert result
            if self.world.channel == "alpha":
                assert self.world.head == sound, f"{result.outcome}: a newer sound release is reached"
            self.nothing_forbidden_has_happened()
            self.nothing_that_was_written_is_lost()
        finally:
            self.world.disk.close()
            shutil.rmtree(self.folder)


Host.TestCase.settings = bounded(120, steps=30)
TestHost = Host.TestCase
