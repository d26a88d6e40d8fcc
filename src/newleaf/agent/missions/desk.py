"""Missions as they are read: judged, kept, acknowledged.

Rules: a mission is kept before it is acknowledged, and acknowledged before anything is done for it, so that
what ends this process is not read again (lessons.md L29). One that is known is never done again: its stored
result is told again (threats.md T27). What is refused is told, by the name of the rule, before it is
acknowledged; what is no mission at all is a dead letter, and told too, where it has a `job_id` (T26). What a
paused host may not hear stays where it is (L39).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from newleaf.agent.background import run_in_background
from newleaf.agent.desk import Doors
from newleaf.agent.missions.door import MissionDoor
from newleaf.agent.missions.work import MissionWork
from newleaf.core.missions import judging, kinds
from newleaf.core.missions.dead_letters import DeadLetter
from newleaf.core.missions.envelope import Envelope, read_envelope, read_fields
from newleaf.core.missions.judging import Memory, Receiver, judge
from newleaf.core.missions.kept import DOOR, Kept, kept_of, key_of
from newleaf.core.missions.mission_errors import MalformedMission
from newleaf.core.missions.ports import Bus, Entry
from newleaf.core.missions.results import MissionResult, failed, report, report_malformed
from newleaf.core.missions.signatures import sequence_of
from newleaf.core.orders import OVER, Order
from newleaf.core.records import short_stamp

DELIVERIES, TAKEN = "too_many_deliveries", "job_id_taken"


class MissionDesk:
    """Where one host takes missions from its bus. `kinds_handled` are those of the app."""

    def __init__(
        self,
        doors: Doors,
        door: MissionDoor,
        work: MissionWork,
        kinds_handled: Iterable[str],
        say: Callable[[str], None],
    ) -> None:
        self._doors = doors
        self._door = door
        self._receiver = replace(door.receiver, handled=frozenset(kinds_handled))
        self._work = work
        self._desk = work.desk
        self._say = say

    async def take(self, bus: Bus, entry: Entry) -> None:
        """Does with an entry what is right; begins with the mission, if it is one to be done.

        Raises: BusUnreachable, MissionKeysUnusable, and what keeping it gives reason to.
        """
        try:
            fields = read_fields(entry.fields)
            envelope = read_envelope(fields)
        except MalformedMission as error:
            if not entry.is_peeked:
                await self._give_up(bus, entry, error)
            return
        if entry.is_peeked and envelope.mission_kind not in kinds.HEARD_WHILE_PAUSED:
            return
        receiver = await self._receiver_now()
        known = await self._desk.find(envelope.job_id, key_of(envelope))
        memory = await self._memory(envelope, known)
        judgement = judge(fields, envelope, receiver, memory, self._doors.now())
        if judgement.word == judging.ACCEPT:
            await self._accept(bus, entry, fields, envelope, receiver)
            return
        if judgement.fault:
            await self._refuse(bus, envelope, judgement.fault.rule, judgement.fault.reason)
        if entry.is_peeked or judgement.word == judging.LEAVE:
            return
        if known and judgement.word == judging.KNOWN:
            if known.id != envelope.job_id and known.stage != OVER:
                # Another job of one key, which has no result yet: read again, it will have one.
                return
            await self._tell_again(bus, entry, envelope, known)
        await bus.acknowledge(entry)

    async def _give_up(self, bus: Bus, entry: Entry, error: MalformedMission) -> None:
        await self._bury(bus, entry, str(error.facts["rule"]), error.message)
        at = short_stamp(self._doors.now())
        told = report_malformed(entry.fields, self._receiver.name, at, error)
        if told:
            await bus.report(told.as_fields())
        await bus.acknowledge(entry)

    async def _receiver_now(self) -> Receiver:
        keys = await run_in_background(self._door.keys, "newleaf-mission-keys")
        return replace(self._receiver, keys=keys)

    async def _memory(self, envelope: Envelope, known: Order | None) -> Memory:
        said = await self._desk.fact(_sequence_name(envelope)) if envelope.signature else None
        return Memory(known is not None, int(said or 0), self._work.paused is not None)

    async def _accept(
        self, bus: Bus, entry: Entry, fields: Mapping[str, str], envelope: Envelope, receiver: Receiver
    ) -> None:
        if entry.deliveries > envelope.max_retries + 1:
            reason = f"it was handed out {entry.deliveries} times, and nobody took care of it"
            await self._bury(bus, entry, DELIVERIES, reason)
            await self._refuse(bus, envelope, DELIVERIES, reason)
            await bus.acknowledge(entry)
            return
        kept = Kept(fields, entry.name).as_record()
        now = self._desk.now()
        order = Order(key_of(envelope), envelope.job_id, DOOR, DOOR, now, mission=kept)
        said = sequence_of(envelope) if receiver.keys is not None else None
        is_new = await self._desk.keep(order, {_sequence_name(envelope): str(said[1])} if said else None)
        if not is_new:
            await self._refuse(bus, envelope, TAKEN, "another order of this host has this job_id")
        try:
            # What was peeked at is read when its turn comes, and known then.
            if not entry.is_peeked:
                await bus.acknowledge(entry)
        finally:
            # What is kept is begun, though the bus has gone meanwhile: read again, it is known.
            if is_new:
                await self._work.carry_out(order, envelope)

    async def _tell_again(self, bus: Bus, entry: Entry, envelope: Envelope, known: Order) -> None:
        """The stored result; of what is under way it will be told, and of this very entry it was."""
        kept = kept_of(known)
        if kept.result and known.stage == OVER and kept.entry != entry.name:
            await self._report(bus, envelope, kept.result, kept.rule)

    async def _refuse(self, bus: Bus, envelope: Envelope, rule: str, reason: str) -> None:
        self._say(f"the mission {envelope.job_id} is refused ({rule}): {reason}")
        await self._report(bus, envelope, failed(reason), rule)

    async def _report(self, bus: Bus, envelope: Envelope, result: MissionResult, rule: str) -> None:
        at = short_stamp(self._doors.now())
        await bus.report(report(envelope, self._receiver.name, at, result, rule).as_fields())

    async def _bury(self, bus: Bus, entry: Entry, rule: str, reason: str) -> None:
        self._say(f"the mission {entry.name} is a dead letter ({rule}): {reason}")
        at = short_stamp(self._doors.now())
        letter = DeadLetter(entry.stream, entry.id, self._receiver.name, at, rule, reason, entry.fields)
        await bus.bury(letter.as_fields())


def _sequence_name(envelope: Envelope) -> str:
    """What the last number of a key and a target is kept under: each stream is read in its own order."""
    said = sequence_of(envelope)
    return f"missions.sequence {said[0] if said else ''} {envelope.target.text}"
