"""The daemon: takes the next step of every open session, and lets newleaf update it between two steps."""

import asyncio
import logging
import signal

import newleaf
from sessions import config, store
from sessions.versions import VERSION

STEP_SECONDS = 0.05
IDLE_SECONDS = 0.05


async def run():
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = config.settings()
    store.prepare()
    async with newleaf.Updater(settings=settings) as updater:
        newleaf.ready(settings)
        print("sessions", VERSION, "serves", flush=True)
        # A group: work that fails ends the daemon, which would do nothing and look well otherwise.
        async with asyncio.TaskGroup() as group:
            working = group.create_task(work(updater))
            await stop.wait()
            working.cancel()


async def work(updater):
    while True:
        if not updater.restart_wanted:
            for name, done, goal in store.all_sessions():
                if done < goal and not updater.restart_wanted:
                    async with updater.busy(f"session {name}"):
                        await asyncio.sleep(STEP_SECONDS)  # what a step does, and how long it takes, is yours
                        store.take_step(name, done + 1, VERSION)
        await asyncio.sleep(IDLE_SECONDS)
