"""The daemon. What it needs of its host comes from there: host.toml, REDIS_URL, TELEGRAM_API, BRIDGE_HOST."""

import asyncio
import logging
import os
import signal
import socket
from datetime import timedelta

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAway
from telegram.error import BadRequest, Forbidden, RetryAfter, TelegramError
from telegram.ext import Application, MessageHandler, filters

import newleaf
from bridge.jobs import Jobs
from bridge.words import done, failed
from bridge.work import read_request, work
from newleaf.integrations.telegram import install

LOOK_SECONDS = 0.05
PAUSE_SECONDS = 1.0


class Bridge:
    """The bot and those who work for it; `chats` are heard, and no others."""

    def __init__(self, updater, doors, jobs):
        self.updater, self.jobs, self.chats = updater, jobs, doors.chats
        api = os.environ.get("TELEGRAM_API", "https://api.telegram.org/bot")
        self.application = Application.builder().token(doors.telegram_token() or "").base_url(api).build()
        # Before everything: no other handler sees /update, and it is never a job.
        self.command = install(self.application, doors).command
        self.application.add_handler(MessageHandler(filters.TEXT, self.hear))

    async def hear(self, update, _):
        """A message that is not newleaf's."""
        message = update.effective_message
        job = read_request(message.text)
        if job is None or str(message.chat_id) not in self.chats:
            return
        name = f"{message.chat_id}/{message.message_id}"
        try:
            waiting = await self.jobs.add(name, {**job, "chat": message.chat_id})
        except RedisAway:
            await message.reply_text(f"{job['project']}: not taken, the queue is away")
            return
        if waiting > 1:
            await message.reply_text(f"{job['project']}: {waiting - 1} to be done first")

    async def work_on(self, project):
        """The jobs of a project, one after another; no new one while a restart is wanted."""
        while True:
            job = None
            try:
                if not self.updater.restart_wanted and await self.jobs.has_work(project):
                    # Taken inside: a job that is taken runs, and no restart comes before its end.
                    async with self.updater.busy(project):
                        job = await self.jobs.take(project)
                        if job:
                            await self.jobs.finish(project, job["chat"], await carry_out(job))
            except RedisAway:
                await asyncio.sleep(PAUSE_SECONDS)
            if job is None:
                await asyncio.sleep(LOOK_SECONDS)

    async def tell(self):
        """What was done, until the chat has taken it; the next process goes on with what is left."""
        while True:
            seconds = LOOK_SECONDS
            try:
                if waits := await self.jobs.to_tell():
                    async with self.updater.busy("telling"):
                        await self.send(*waits)
                        await self.jobs.has_told()
                    continue
            except RetryAfter as error:
                asked = error.retry_after  # a number, or a timedelta: as the library is told
                seconds = asked.total_seconds() if isinstance(asked, timedelta) else asked
            except (TelegramError, RedisAway):
                seconds = PAUSE_SECONDS
            await asyncio.sleep(seconds)

    async def send(self, chat, words):
        """Says something; a chat that will never take it is left alone."""
        try:
            await self.application.bot.send_message(chat, words)
        except (BadRequest, Forbidden) as error:
            logging.getLogger("bridge").warning("the chat %s does not take an answer: %s", chat, error)

    async def run(self, stop):
        """Until it is told to end."""
        application = self.application
        async with application, asyncio.TaskGroup() as group:
            await self.command.begin()
            await application.start()
            await application.updater.start_polling()
            # Which messages were dealt with is said before the process leaves.
            self.updater.on_restart(application.updater.stop, stage="acknowledge")
            newleaf.ready()
            tasks = {None: group.create_task(self.tell())}
            while not stop.is_set():
                try:
                    for project in await self.jobs.projects() - tasks.keys():
                        tasks[project] = group.create_task(self.work_on(project))
                except RedisAway:
                    pass
                await asyncio.sleep(LOOK_SECONDS)
            for task in tasks.values():
                task.cancel()
            await self.command.end()
            await application.updater.stop()
            await application.stop()


async def carry_out(job):
    """What is to be told of a job that was done, or failed; a failure ends no other job."""
    try:
        await work(job)
    except Exception as error:  # noqa: BLE001
        return failed(job, error)
    return done(job)


async def main():
    """Until SIGTERM, or until the updater leaves."""
    logging.basicConfig(level=logging.WARNING)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost"))
    async with newleaf.Updater() as updater:
        jobs = Jobs(redis, os.environ.get("BRIDGE_HOST", socket.gethostname()))
        await Bridge(updater, newleaf.doors(updater=updater), jobs).run(stop)
    await redis.aclose()


asyncio.run(main())
