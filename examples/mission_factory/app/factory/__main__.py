"""The daemon: takes missions from the bus that ~/.factory/host.toml names, until SIGTERM or an update."""

import asyncio
import logging
import signal

import newleaf
from factory.ledger import Ledger
from factory.making import Making
from newleaf.integrations.missions import MissionConsumer


async def main():
    logging.basicConfig(level=logging.WARNING)
    async with newleaf.Updater() as updater:
        # newleaf's own missions are handled beside the factory's; the updater restarts between two of them.
        consumer = MissionConsumer(newleaf.doors(updater=updater), [Making(Ledger())])
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, consumer.stop)
        newleaf.ready()
        await consumer.run()


asyncio.run(main())
