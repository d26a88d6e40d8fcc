"""Signals that end this process by an exception, while that would leave something behind.

Rules: what comes meanwhile is heeded right afterwards, none is lost; nothing is blocked, for a child would
inherit that; ignored signals stay ignored. Python runs handlers in the main thread only: elsewhere there is
nothing to hold back.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Keeps the handlers of `ENDING` from running in the block, but in a `with` of what it yields."""
    is_main = threading.current_thread() is threading.main_thread()
    found = {int(number): signal.getsignal(number) for number in ENDING if is_main}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    came: list[int] = []

    def hold() -> None:
        for number in handlers:
            signal.signal(number, lambda number, _: came.append(number))

    def heed() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        while came:
            # Called, not raised again: an event loop has been woken already.
            number = came.pop(0)
            handlers[number](number, None)

    @contextlib.contextmanager
    def let_through() -> Iterator[None]:
        try:
            heed()
            yield
        finally:
            hold()

    try:
        hold()
        yield let_through
    finally:
        heed()
