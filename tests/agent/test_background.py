"""Work in a thread that nothing has to wait for."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from newleaf.agent.background import run_in_background
from newleaf.core.errors import FailedError


def test_result_and_exception_then_handed_over() -> None:
    def fail() -> None:
        raise FailedError(reason="it failed")

    async def main() -> None:
        assert await run_in_background(lambda: 5, "work") == 5
        with pytest.raises(FailedError, match="it failed"):
            await run_in_background(fail, "work")

    asyncio.run(main())


def test_work_blocks_then_the_loop_goes_on() -> None:
    """lessons.md L30."""
    released = threading.Event()

    async def main() -> float:
        work = asyncio.ensure_future(run_in_background(lambda: released.wait(10), "work"))
        worst = 0.0
        for _ in range(20):
            began = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - began - 0.005)
        released.set()
        assert await work
        return worst

    assert asyncio.run(main()) < 1.0  # a loop that waits for the work waits 10 s


def test_cancelled_then_neither_the_caller_nor_the_loop_s_end_waits() -> None:
    released, began = threading.Event(), threading.Event()

    def work() -> bool:
        began.set()
        return released.wait(30)

    async def main() -> None:
        task = asyncio.ensure_future(run_in_background(work, "newleaf-test"))
        await asyncio.to_thread(began.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < 5
    (left,) = [thread for thread in threading.enumerate() if thread.name == "newleaf-test"]
    assert left.daemon
    released.set()
    left.join(5)
    assert not left.is_alive()
