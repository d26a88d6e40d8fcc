"""Jobs: while one runs, nothing of the app is changed and nothing restarts.

Rules: a job holds `busy.lock` shared from its beginning to its end, each with a descriptor of its own, so any
number of them in any threads and tasks. A job that would begin while the live tree is changed waits: in a
thread by sleeping in the kernel, in a coroutine by looking again, so that the event loop never stands still
(lessons.md L30).
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from newleaf.core.job_errors import UpdateInstalling
from newleaf.system import busy_lock
from newleaf.system.files import prepare_state_directory
from newleaf.system.known_apps import known_apps, notes_folder
from newleaf.system.place import (
    STATE_VARIABLE,
    Selection,
    Unnamed,
    current_folder,
    find_place,
    find_standing,
    is_deployed,
    own_tree,
)

POLL_SECONDS = 0.02


class Busy:
    """A job, for `with` and for `async with`. One object may be entered again, also while it is entered.

    Without `makes` it holds nothing while there is no state directory.
    """

    def __init__(self, state: Path, job: str = "", *, makes: bool = True) -> None:
        self._state = state
        self._job = job
        self._makes = makes
        self._entered: list[tuple[AbstractContextManager[int], int] | None] = []

    def __enter__(self) -> None:
        """Begins the job; in a thread that runs an event loop it does not wait.

        Raises: UpdateInstalling, StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
        """
        opened = self._open()
        if opened is None:
            return
        lock, descriptor = opened
        try:
            if not busy_lock.try_shared(descriptor):
                _refuse_in_event_loop()
                busy_lock.wait_shared(descriptor)
        except BaseException:
            lock.__exit__(None, None, None)
            raise
        self._begin(lock, descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = self._entered.pop()
        if entered is None:
            return
        lock, descriptor = entered
        busy_lock.forget_job(descriptor)
        lock.__exit__(kind, error, trace)

    async def __aenter__(self) -> None:
        """Begins the job, as soon as nothing changes the live tree.

        Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
        """
        opened = self._open()
        if opened is None:
            return
        lock, descriptor = opened
        try:
            # Whoever holds it is another process: no event of this loop could tell.
            while not busy_lock.try_shared(descriptor):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
        except BaseException:
            lock.__exit__(None, None, None)
            raise
        self._begin(lock, descriptor)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _open(self) -> tuple[AbstractContextManager[int], int] | None:
        if not (self._makes or is_deployed(self._state)):
            self._entered.append(None)
            return None
        prepare_state_directory(self._state)
        lock = busy_lock.open_shared(self._state)
        return lock, lock.__enter__()

    def _begin(self, lock: AbstractContextManager[int], descriptor: int) -> None:
        busy_lock.name_job(descriptor, self._job)
        self._entered.append((lock, descriptor))


def busy(job: str = "", *, state_dir: Path | str | None = None) -> Busy:
    """A job of this app: `with newleaf.busy():` or `async with newleaf.busy("job 17"):`.

    Without `state_dir` the app is that of NEWLEAF_STATE_DIR, else that of the tree which this program was
    started from, else the one that it stands in. On a machine where newleaf does not deploy it, a
    developer's, nothing is held.

    Raises: AppUnknown, CheckoutUnknown, CheckoutMoved, CorruptFile, FolderGone.
    """
    if state_dir:
        return Busy(Path(state_dir), job)
    return Busy(find_state(Unnamed(), own=True), job, makes=False)


def find_state(selection: Selection, *, own: bool = False) -> Path:
    """The state directory of the app that is meant, by `own` this program's; its checkout need not be known.

    Raises: AppUnknown, CheckoutUnknown, CheckoutMoved, CorruptFile.
    """
    named = selection.state_dir or os.environ.get(STATE_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    folder = (_own_app() if own else None) or current_folder()
    return find_place(selection, folder, os.environ, lambda: known_apps(notes_folder())).state


def _own_app() -> Path | None:
    """The tree of this program, where that is an app's: a daemon may stand in any folder, or in another's."""
    tree = own_tree()
    standing = find_standing(tree) if tree else None
    return tree if standing and (standing.name or standing.state) else None


def _refuse_in_event_loop() -> None:
    """To wait here could be for ever: what is waited for may need this very loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UpdateInstalling
