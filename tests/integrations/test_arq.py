"""newleaf.integrations.arq with the real arq, on real Redis and Valkey servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from arq import worker
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job

import newleaf
from newleaf.integrations.arq import Knows, Worker
from tests.support.redis_server import ENGINES, serve_redis

LIMIT_SECONDS = 10.0
MARK = "arq:in-progress:"
pytestmark = [
    pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning:arq.worker"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""arq closes connections as redis-py no longer likes it, and cancels what is in the middle of a pipeline."""


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with serve_redis(request.param) as server:
        yield server.url


class Updater:
    """Knows how many jobs hold the lock, and which marks there were whenever none did."""

    def __init__(self, queue: ArqRedis) -> None:
        self.restart_wanted = False
        self.holders: list[str] = []
        self.marked_while_idle: list[Any] = []
        self._queue = queue

    @contextlib.asynccontextmanager
    async def busy(self, job: str = "") -> AsyncIterator[None]:
        self.holders.append(job)
        try:
            yield
        finally:
            self.holders.remove(job)
            if not self.holders:
                self.marked_while_idle += await self._queue.keys(f"{MARK}*")


class Scene:
    """A queue, and workers on it until the scene ends."""

    def __init__(self, url: str, queue: ArqRedis) -> None:
        self.queue = queue
        self.updater = Updater(queue)
        self.begun: list[str] = []
        self.may_end = asyncio.Event()
        self._settings = RedisSettings.from_dsn(url)
        self._workers: list[worker.Worker] = []

    async def work(self, context: dict[str, Any], name: str) -> str:
        self.begun.append(name)
        await self.may_end.wait()
        return name

    async def put(self, *names: str) -> list[Job]:
        jobs = [await self.queue.enqueue_job("work", name, _job_id=name) for name in names]
        return [job for job in jobs if job]

    def worker(self, name: str = "mini-1", **named: Any) -> Worker:
        work: Any = self.work
        functions = [worker.func(work, name="work")]
        made = Worker(
            self.updater,
            name,
            functions,
            redis_settings=self._settings,
            handle_signals=False,
            poll_delay=0.01,
            **named,
        )
        self._workers.append(made)
        return made

    def start(self, name: str = "mini-1", **named: Any) -> asyncio.Task[None]:
        return asyncio.ensure_future(self.worker(name, **named).async_run())

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():  # noqa: ASYNC110 - another task of arq's makes it true
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        for each in self._workers:
            tasks = [each.main_task, *each.tasks.values()]
            for task in tasks:
                if task:
                    task.cancel()
            # arq itself would not wait for them, and a connection that is in use then stays open.
            await asyncio.gather(*filter(None, tasks), return_exceptions=True)
            each.tasks.clear()
            await each.close()


def play(url: str, story: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        queue = await create_pool(RedisSettings.from_dsn(url))
        scene = Scene(url, queue)
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await story(scene)
        finally:
            await scene.close()
            await queue.aclose()

    asyncio.run(run())


def test_an_updater_is_what_a_worker_asks() -> None:
    known: Knows = newleaf.Updater()
    assert not known.restart_wanted


def test_l26_a_restart_is_wanted_then_running_jobs_end_and_no_other_is_taken(url: str) -> None:
    async def story(scene: Scene) -> None:
        running, waiting = await scene.put("running", "waiting")
        scene.start(max_jobs=1)
        await scene.until(lambda: scene.begun)
        scene.updater.restart_wanted = True
        scene.may_end.set()
        assert await running.result(poll_delay=0.01) == "running"
        await asyncio.sleep(0.1)
        assert (scene.begun, await scene.queue.zcard("arq:queue")) == (["running"], 1)
        scene.updater.restart_wanted = False
        assert await waiting.result(poll_delay=0.01) == "waiting"

    play(url, story)


def test_l26_a_job_then_the_app_is_busy_from_the_mark_to_the_result(url: str) -> None:
    async def story(scene: Scene) -> None:
        scene.may_end.set()
        jobs = await scene.put(*(f"job-{number}" for number in range(5)))
        scene.start(max_jobs=1)
        for job in jobs:
            await job.result(poll_delay=0.01)
        await scene.until(lambda: not scene.updater.holders)
        assert scene.updater.marked_while_idle == []
        assert await scene.queue.keys("*newleaf*") == []

    play(url, story)


def test_told_to_end_when_the_job_has_ended_then_the_worker_closes_without_a_failure(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(scene: Scene) -> None:
        ask = Worker._ask

        async def hang(self: Worker, *words: str | int) -> Any:
            return await (asyncio.Event().wait() if words[0] == "HDEL" else ask(self, *words))

        monkeypatch.setattr(Worker, "_ask", hang)
        scene.may_end.set()
        (job,) = await scene.put("ended")
        made = scene.worker()
        running = asyncio.ensure_future(made.async_run())
        await job.result(poll_delay=0.01)
        (last,) = made.tasks.values()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        last.cancel()
        await asyncio.gather(last)

    play(url, story)


def cut_off_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def end(*_: object) -> None:
        raise RuntimeError("the process is gone")

    monkeypatch.setattr(worker.Worker, "run_job", end)


def test_a_job_is_cut_off_then_the_next_start_does_it_again_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(scene: Scene) -> None:
        (job,) = await scene.put("cut off")
        with monkeypatch.context() as patched:
            cut_off_jobs(patched)
            with pytest.raises(RuntimeError, match="gone"):
                await scene.start()
        assert await scene.queue.exists(f"{MARK}cut off")
        started: list[str] = []

        async def own(_: object) -> None:
            started.append("the app's own")

        scene.start("mini-2", on_startup=own)
        await scene.until(lambda: started)
        await asyncio.sleep(0.1)
        assert scene.begun == [], "it is mini-1's"
        scene.start("mini-1", on_startup=own)
        scene.may_end.set()
        assert await job.result(poll_delay=0.01) == "cut off"
        assert (scene.begun, started) == (["cut off"], ["the app's own"] * 2)
        await scene.until(lambda: not scene.updater.holders)
        assert await scene.queue.keys("*newleaf*") == []

    play(url, story)


def test_the_mark_has_expired_and_another_worker_does_the_job_then_it_is_not_done_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(scene: Scene) -> None:
        (job,) = await scene.put("taken over")
        with monkeypatch.context() as patched:
            cut_off_jobs(patched)
            with pytest.raises(RuntimeError, match="gone"):
                await scene.start()
        await scene.queue.delete(f"{MARK}taken over")  # as its expiry does
        scene.start("mini-2", job_timeout=301)
        await scene.until(lambda: scene.begun)
        ready = asyncio.Event()

        async def tell(_: object) -> None:
            ready.set()

        scene.start("mini-1", on_startup=tell)
        await ready.wait()
        await asyncio.sleep(0.1)
        scene.may_end.set()
        assert await job.result(poll_delay=0.01) == "taken over"
        assert scene.begun == ["taken over"]

    play(url, story)
