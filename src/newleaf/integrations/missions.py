"""Missions in a daemon: `MissionConsumer(newleaf.doors(), [handlers…])`, run as a task of the daemon's loop.

Rules: newleaf's own kinds are handled beside the app's. Where a `newleaf.Updater` lives in the daemon,
`newleaf.doors(updater=updater)` lets it make the updates, and restart the daemon between two missions.
Without one `run()` returns when a restart is wanted, and the daemon leaves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from newleaf.agent.desk import Doors
from newleaf.agent.missions.consumer import Leave, Missions
from newleaf.core.missions.envelope import Envelope
from newleaf.core.missions.mission_errors import BusUnconfigured
from newleaf.core.missions.ports import Handler
from newleaf.core.missions.results import FAILED, SUCCESS, MissionResult
from newleaf.core.secrets import mask_text

__all__ = ["FAILED", "SUCCESS", "Envelope", "Handler", "MissionConsumer", "MissionResult"]


class MissionConsumer(Missions):
    """Takes the missions of this host. `handlers` are the app's.

    `await consumer.run()` goes on until `consumer.stop()`, or until a restart is wanted.

    Raises: BusUnconfigured, RedisMissing where there can be no bus; ValueError for two handlers of a kind.
    """

    def __init__(self, doors: Doors, handlers: Iterable[Handler] = ()) -> None:
        if doors.missions is None:
            raise BusUnconfigured
        super().__init__(doors, doors.missions(), handlers, Leave(doors.restarts), _warn)


def _warn(text: str) -> None:
    logging.getLogger("newleaf").warning("%s", mask_text(text))
