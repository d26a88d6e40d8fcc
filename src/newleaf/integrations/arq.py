"""A worker of arq's that takes no job while a restart is wanted, and finds those that a crash has cut off.

Rules:
1. A job holds `busy.lock` from when arq takes it until arq has written its result, so that no restart and no
   installation comes in between (lessons.md L26). While a restart is wanted none is taken; all that wait
   stay in Redis.
2. arq marks a job that runs, and believes the mark until it expires: a job that was cut off would wait longer
   than a job may take. Each worker notes in Redis which jobs are marked by itself, and until when; at its
   start it takes away the marks of its last process, and none that somebody else has set since.
3. What arq does when it is told to end is arq's: jobs that run then are cancelled and done again, unless
   `job_completion_wait` lets them end.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from arq import worker
from arq.constants import in_progress_key_prefix
from arq.typing import StartupShutdown

__all__ = ["Worker"]

# Both by the clock of Redis, which is the same after a restart.
NOTE = """
local now = redis.call('TIME')
local expires = now[1] * 1000 + math.floor(now[2] / 1000) + redis.call('PTTL', KEYS[1])
redis.call('HSET', KEYS[2], ARGV[1], string.format('%d', expires))
"""
"""Notes when the mark of a job expires."""
UNMARK = """
local now = redis.call('TIME')
local expires = now[1] * 1000 + math.floor(now[2] / 1000) + redis.call('PTTL', KEYS[1])
local noted = tonumber(redis.call('HGET', KEYS[2], ARGV[1]))
redis.call('HDEL', KEYS[2], ARGV[1])
if expires > noted + 10 then
    return 0
end
return redis.call('DEL', KEYS[1])
"""
"""Takes the mark away that was noted; one that expires later was set later, by another worker."""


class Knows(Protocol):
    """What a worker asks of `newleaf.Updater`."""

    @property
    def restart_wanted(self) -> bool:
        """Whether no further job should begin now."""
        ...

    def busy(self, job: str = "") -> AbstractAsyncContextManager[None]:
        """A job."""
        ...


class Worker(worker.Worker):
    """`arq.Worker` for a daemon with a `newleaf.Updater`.

    `name` must be the same after a restart, and no other worker's of this queue: the host's name, for
    one worker a host. All else is as arq has it.
    """

    def __init__(self, updater: Knows, name: str, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._updater = updater
        self._notes = f"{self.queue_name}:newleaf:{name}"
        self.on_startup = self._after_requeueing(self.on_startup)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Takes jobs, unless a restart is wanted."""
        if not job_ids or self._updater.restart_wanted:
            return
        async with self._updater.busy("taking jobs"):
            await super().start_jobs(job_ids)
            # Every job holds the lock itself with its first step, which all have done after this.
            await asyncio.sleep(0)

    async def run_job(self, job_id: str, score: int) -> None:
        """Runs a job to its end, result included."""
        # Told to end, arq cancels this too, and would fail of a task that is cancelled outside of the job.
        with contextlib.suppress(asyncio.CancelledError):
            await self._run_noted(job_id, score)

    async def _run_noted(self, job_id: str, score: int) -> None:
        async with self._updater.busy(job_id):
            await self._script(NOTE, job_id)
            await super().run_job(job_id, score)
            # Killed before this, the note is of a mark that is gone, or was set later: then it says nothing.
            await self._ask("HDEL", self._notes, job_id)

    def _after_requeueing(self, startup: StartupShutdown | None) -> StartupShutdown:
        async def start(ctx: dict[Any, Any]) -> None:
            await self._requeue()
            if startup:
                await startup(ctx)

        return start

    async def _requeue(self) -> None:
        """Has arq take again what the last process of this name was cut off from."""
        for job in await self._ask("HKEYS", self._notes):
            job_id = job.decode()
            if await self._script(UNMARK, job_id):
                worker.logger.warning("job %s was cut off and is done again", job_id)

    async def _script(self, text: str, job_id: str) -> Any:
        return await self._ask("EVAL", text, 2, in_progress_key_prefix + job_id, self._notes, job_id)

    async def _ask(self, *words: str | int) -> Any:
        answer: Any = await self.pool.execute_command(*words)  # type: ignore[no-untyped-call]
        return answer
