"""Waiting for what happens: descriptors that can be read, signals, and time. One thread."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Loop:
    """Calls back who waits for a descriptor; collects the signals that have come."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._signals: list[int] = []
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._note)
        # They wait while a launcher is loaded anew.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._poll.register(self._woken, select.POLLIN)

    def watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Calls `callback` whenever there is something to read, or the other end has gone."""
        self._callbacks[descriptor] = callback
        self._poll.register(descriptor, select.POLLIN)

    def forget(self, descriptor: int) -> None:
        """Ends the watch; to be called before the descriptor is closed."""
        if self._callbacks.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def wait(self, seconds: float) -> list[int]:
        """Waits so long at most, calls back, and returns the signals that came."""
        for descriptor, _ in self._poll.poll(max(0.0, seconds) * 1000):
            if descriptor == self._woken:
                self._drain()
            elif callback := self._callbacks.get(descriptor):
                callback()
        came, self._signals = self._signals, []
        return came

    def close(self) -> None:
        """Hears no signal any more; they are handled as they were left."""
        signal.set_wakeup_fd(-1)
        os.close(self._woken)
        os.close(self._waker)

    def _note(self, number: int, _: object) -> None:
        self._signals.append(number)

    def _drain(self) -> None:
        try:
            while os.read(self._woken, 512):
                pass
        except BlockingIOError:
            return
