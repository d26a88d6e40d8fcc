"""The agent inside a daemon: the same loop as beside it, and the daemon's own restart.

Rules: nothing of it ends the daemon, or keeps it from starting: what goes wrong is said, and tried again; the
daemon's loop never waits for a disk, a program or a remote (lessons.md L30); of several daemons with one
state directory one watches, and the next takes over when that has ended; told to end, it ends what it has
started, unless a launcher goes on with an attempt that has the daemon stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

from msgspec import Struct

from newleaf.agent.background import run_in_background
from newleaf.agent.beside import BREATH_SECONDS, Beside
from newleaf.agent.children import Children
from newleaf.agent.departure import HOOK_SECONDS, RECORD, STAGES, Departure, GivenHook, Hook, Leaving
from newleaf.agent.one_slot import Answer, Record, refusal, settle
from newleaf.core.errors import NewleafError
from newleaf.core.inside_errors import DaemonEnds, NotDeployedHere, StandsBy
from newleaf.core.launch.notify_fields import AGENT_FIELD
from newleaf.core.requests import Request
from newleaf.core.retries import Ended
from newleaf.system import files, inside_lock, notify_socket, own_keeper
from newleaf.system.go import is_launched
from newleaf.system.restarts import drop_stale_flag, identify_daemon, running_daemon, write_daemon

if TYPE_CHECKING:
    from newleaf.agent.jobs import Busy

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 0.6
"""For an attempt to end by itself when the daemon is told to end; what is killed converges later."""
STOP_SECONDS = 5.0
AGENT_INSIDE = {AGENT_FIELD: "1"}

AnyHook = TypeVar("AnyHook", bound=Hook)


class Inside(Struct, frozen=True):
    """What is put together from the settings: the loop, how the daemon leaves, and what was started.

    `unfollow` ends what brings the status elsewhere, `say_restarting` publishes that the daemon leaves.
    """

    beside: Beside
    leaving: Callable[[], Leaving]
    looks: Children
    attempts: Children
    unfollow: Callable[[], None] = lambda: None
    say_restarting: Callable[[], None] = lambda: None


class Makes(Protocol):
    """Who puts it together: `compose.updater`."""

    def find(self) -> Path:
        """The state directory. Raises: UsageError and its kin."""
        ...

    def is_deployed(self, state: Path) -> bool:
        """Whether newleaf deploys this app on this machine."""
        ...

    def job(self, state: Path, name: str) -> Busy:
        """A job of the app."""
        ...

    def make(self, say: Callable[[str], None]) -> Inside:
        """Everything else. Raises: UsageError and its kin."""
        ...


class Embedded:
    """Updates a daemon from inside: `async with` in an event loop, `with` in a thread of its own."""

    def __init__(self, makes: Makes, say: Callable[[str], None], now: Callable[[], datetime]) -> None:
        self._makes = makes
        self._say = say
        self._now = now
        self._state: Path | None = None
        self._fault: NewleafError | None = None
        self._inside: Inside | None = None
        self._departure: Departure | None = None
        self._early: list[tuple[Request, Answer]] = []
        self._hooks: list[GivenHook] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._keeper = own_keeper.name_keeper(os.environ, os.getpid(), os.getppid())

    # --- what the daemon asks -------------------------------------------------------------

    def busy(self, job: str = "") -> Busy | contextlib.nullcontext[None]:
        """A job: `async with updater.busy("job 17"):`, or `with` in a thread. No restart cuts it off.

        Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
        """
        if self._state is None:
            with contextlib.suppress(NewleafError):
                self._state = self._makes.find()
        state = self._state
        is_deployed = state is not None and self._makes.is_deployed(state)
        return self._makes.job(state, job) if state and is_deployed else contextlib.nullcontext()

    @property
    def restart_wanted(self) -> bool:
        """Whether a job loop should begin no further job now. Costs nothing: look between any two jobs.

        So it is when a restart is wanted, and when an update waits for nothing but idle; False again when
        the update came to nothing, and always where nothing would start the daemon again.
        """
        if self._keeper is None or self._departure is None or self._inside is None:
            return False
        if self._departure.is_wanted:
            return True
        beside = self._inside.beside
        # The departure may not have looked since the update was made: a job that began would hold it up.
        if (beside.is_trying or beside.waits_for_restart) and self._departure.look():
            return True
        return beside.waits_for_idle and self._inside.leaving().mode != "none"

    def submit(self, request: Request) -> Future[Record]:
        """Asks for an update, from any thread; its result is the record of `newleaf update --json`."""
        answer: Answer = Future()
        loop = self._loop
        try:
            if loop:
                loop.call_soon_threadsafe(self._ask, request, answer)
        except RuntimeError:  # it has ended just now
            loop = None
        if loop is None:
            settle(answer, refusal(DaemonEnds()))
        return answer

    async def request(
        self, origin: str = "app", *, to: str | None = None, branch: str | None = None, now: bool = False
    ) -> Record:
        """Asks for an update and waits for what comes of it: the record that `newleaf update --json` prints.

        Several who ask at once have one update made, and all get its outcome; `notes` says so. `origin` is
        app, chat, http, webhook or mission.
        """
        answer = self.submit(Request(origin, to, branch, now))
        # Who waits no longer leaves the update alone, which others may wait for.
        return await asyncio.shield(asyncio.wrap_future(answer))

    @overload
    def on_restart(self, hook: AnyHook, *, stage: str = ..., seconds: float = ...) -> AnyHook: ...

    @overload
    def on_restart(self, *, stage: str = ..., seconds: float = ...) -> Callable[[AnyHook], AnyHook]: ...

    def on_restart(
        self, hook: AnyHook | None = None, *, stage: str = RECORD, seconds: float = HOOK_SECONDS
    ) -> Any:
        """Has `hook` called before the daemon leaves: at drain, record, acknowledge or flush, in this order.

        All jobs have ended by then. A coroutine function runs in the updater's loop, a function in a
        thread; after `seconds` it is left behind. For use as a decorator, with or without arguments.
        """
        if stage not in STAGES:
            raise ValueError(f"stage must be one of {', '.join(STAGES)}")

        def add(given: AnyHook) -> AnyHook:
            self._hooks.append(GivenHook(stage, given, seconds))
            return given

        return add if hook is None else add(hook)

    # --- begin and end ----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._require_new()
        begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(self._live(begun.set))
        await begun.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def __enter__(self) -> Self:
        self._require_new()
        begun = threading.Event()

        async def live() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            await self._live(begun.set)

        def run() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(live())
            begun.set()

        self._thread = threading.Thread(target=run, name="newleaf-updater", daemon=True)
        self._thread.start()
        begun.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, task = self._loop, self._task
        if loop and task and self._thread:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)
            self._thread.join(STOP_SECONDS)

    def _require_new(self) -> None:
        if self._task or self._thread:
            raise RuntimeError("an Updater is entered once; make another")

    # --- its life -----------------------------------------------------------------------------

    async def _live(self, begun: Callable[[], object]) -> None:
        """Until it is cancelled."""
        try:
            try:
                state = await run_in_background(self._begin, "newleaf-begin")
            except NewleafError as error:
                self._blame(error)
                state = None
            finally:
                begun()
            if state is None:
                await asyncio.Event().wait()
            else:
                await self._watch(state)
        except Exception as error:  # noqa: BLE001 - the daemon must not end with its updates
            self._say(f"no updates: a defect in newleaf: {type(error).__name__}: {error}")
        finally:
            self._loop = None
            self._refuse_early(DaemonEnds())
            if self._inside:
                self._inside.beside.answer_rest(_unmade(DaemonEnds()))
                await asyncio.shield(run_in_background(self._end_children, "newleaf-end"))

    def _begin(self) -> Path:
        """Finds the app, and takes away a flag that was not meant for this process.

        Raises: UsageError, StateDirectoryUnsafe, StateDirectoryUnwritable.
        """
        state = self._makes.find()
        if not self._makes.is_deployed(state):
            raise NotDeployedHere(state=state)
        files.prepare_state_directory(state)
        self._state = state
        with contextlib.suppress(OSError):
            drop_stale_flag(state, self._now(), identify_daemon(state, os.getpid()).since)
        return state

    async def _watch(self, state: Path) -> None:
        lock = await self._stand_by(state)
        try:
            inside = self._inside = await self._make()
            since = await run_in_background(lambda: self._note_daemon(state), "newleaf-daemon")
            if is_launched():
                notify_socket.notify(AGENT_INSIDE)
            own = _Own(inside, self._end_children)
            self._departure = Departure(
                state, since, self._keeper, inside.leaving, own, self._hooks, self._say, self._now
            )
            self._fault = None
            early, self._early = self._early, []
            for request, answer in early:
                inside.beside.ask(request, answer)
            async with asyncio.TaskGroup() as group:
                group.create_task(inside.beside.run())
                group.create_task(self._departure.run())
        finally:
            lock.__exit__(None, None, None)

    async def _stand_by(self, state: Path) -> AbstractContextManager[None]:
        """The lock of the one agent inside a daemon, as soon as it is free."""
        while True:
            lock = inside_lock.alone(state)
            try:
                await run_in_background(lock.__enter__, "newleaf-alone")
                return lock
            except NewleafError as error:
                self._blame(error)
            # To name who holds it costs more than to see that it is held.
            await asyncio.sleep(LOOK_SECONDS)
            # Whoever holds it is another process: no event of this loop could tell.
            while await run_in_background(lambda: _is_held(state), "newleaf-alone"):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)

    async def _make(self) -> Inside:
        while True:
            try:
                return await run_in_background(lambda: self._makes.make(self._say), "newleaf-make")
            except NewleafError as error:
                self._blame(error)
            await asyncio.sleep(BREATH_SECONDS)

    @staticmethod
    def _note_daemon(state: Path) -> datetime:
        """Records this process as the daemon, whether or not it reports itself later; when it began."""
        own = identify_daemon(state, os.getpid())
        with contextlib.suppress(NewleafError):
            known = running_daemon(state)
            if not is_launched() and (known is None or known.pid != own.pid):
                write_daemon(state, own.pid, None, None)
        return own.since

    def _blame(self, error: NewleafError) -> None:
        """Says once why there are no updates; whoever asks for one is told the same."""
        before = self._fault
        is_known = isinstance(error, StandsBy) and isinstance(before, StandsBy)
        if not is_known and (before is None or before.message != error.message):
            self._say(f"no updates: {error.message} {error.advice}".rstrip())
        self._fault = error
        self._refuse_early(error)

    def _refuse_early(self, error: NewleafError) -> None:
        early, self._early = self._early, []
        for _, answer in early:
            settle(answer, refusal(error))

    def _ask(self, request: Request, answer: Answer) -> None:
        if self._loop is None:
            settle(answer, refusal(DaemonEnds()))
        elif self._fault:
            settle(answer, refusal(self._fault))
        elif self._inside is None:
            self._early.append((request, answer))
        else:
            self._inside.beside.ask(request, answer)

    def _end_children(self) -> None:
        if self._inside:
            self._inside.unfollow()
            self._inside.looks.end(PATIENCE_SECONDS)
            # Under a launcher this may be the attempt that has had the daemon stopped.
            if not is_launched():
                self._inside.attempts.end(PATIENCE_SECONDS)


class _Own(Struct, frozen=True):
    """Implements `agent.departure.Own`."""

    inside: Inside
    end: Callable[[], None]

    @property
    def is_trying(self) -> bool:
        return self.inside.beside.is_trying

    def say_restarting(self) -> None:
        self.inside.say_restarting()

    def acknowledge(self) -> None:
        beside = self.inside.beside
        beside.answer_rest(beside.last or _unmade(DaemonEnds()))

    def end_children(self) -> None:
        self.end()


def _is_held(state: Path) -> bool:
    try:
        return inside_lock.is_held(state)
    except NewleafError:
        return False


def _unmade(error: NewleafError) -> Ended:
    return Ended(error.outcome, lines=(error.message,), record=refusal(error))
