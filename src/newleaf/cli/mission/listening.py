"""`newleaf mission listen`: a host's missions, taken by a process of its own until a signal ends it."""

from __future__ import annotations

import asyncio
import os
import signal

from newleaf.agent.missions.consumer import Leave, Missions
from newleaf.cli.invocation import Invocation
from newleaf.core.secrets import mask_text

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def listen_until_told(invocation: Invocation) -> None:
    """Takes missions until SIGTERM. Raises: BusUnconfigured, RedisMissing, UsageError and its kin."""
    from newleaf.compose.doors import doors_of
    from newleaf.compose.missions import mission_door

    host = invocation.host()
    # It stands in no release slot, so that none is kept for its sake.
    os.chdir(host.state if host.place.has_slots else host.place.folder)

    def say(text: str) -> None:
        invocation.say(f"newleaf mission listen: {mask_text(text)}")

    door = mission_door(host)
    asyncio.run(_listen(Missions(doors_of(host), door, (), Leave(by_flag=False), say)))
    say("ends")


async def _listen(missions: Missions) -> None:
    for number in STOPPING:
        # Ignored signals stay ignored: that is how `nohup` works.
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, missions.stop)
    await missions.run()
