"""The factory's own missions: `factory:make`, whose context names the thing and the seconds that it takes."""

import asyncio

from factory.things import describe
from factory.versions import VERSION
from newleaf.integrations.missions import FAILED, SUCCESS, MissionResult


class Making:
    """Makes the thing of an order once, however often it is begun: a crash may cut it off at any moment."""

    mission_kind = "factory:make"

    def __init__(self, ledger):
        self.ledger = ledger

    async def handle(self, envelope, context):
        thing, seconds = context.get("thing"), context.get("seconds", 0)
        if not isinstance(thing, str) or not isinstance(seconds, int | float):
            return MissionResult(FAILED, 'the context must be like {"thing": "crate", "seconds": 10}')
        order = envelope.idempotency_key
        if order not in self.ledger.made:
            self.ledger.note("begun", order, version=VERSION)
            await asyncio.sleep(seconds)  # what it is that takes so long is yours
            self.ledger.note("made", order, version=VERSION, thing=describe(thing))
        return MissionResult(SUCCESS, None, {"thing": describe(thing), "version": VERSION})
