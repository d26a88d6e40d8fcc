"""Dead letters: listed, ordered once more, forgotten."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from newleaf.core.missions.dead_letters import DeadLetter
from newleaf.core.missions.mission_errors import MalformedMission, NoDeadLetter
from newleaf.core.missions.publishing import Order, Wish, wish_again

if TYPE_CHECKING:
    from newleaf.system.redis.bus import RedisRoom

MAX_LETTERS = 10_000
_ENTRY = r"[0-9]{1,20}-[0-9]{1,20}"
Answer = TypeVar("Answer")


def list_letters(room: RedisRoom) -> list[dict[str, Any]]:
    """All of them, oldest first. Raises: BusUnreachable."""
    return run_in(room, lambda: _list(room))


def requeue_letter(room: RedisRoom, entry: str, make: Callable[[Wish], Order]) -> Order:
    """Publishes the mission of a dead letter as an order of its own, and forgets the letter.

    Raises: NoDeadLetter, MalformedMission where it never was a mission, BusUnreachable.
    """

    async def requeue() -> Order:
        envelope = (await _find(room, entry)).envelope
        if envelope is None:
            raise MalformedMission(rule="dead_letter", reason="it never was one; it can be dropped")
        made = make(wish_again(envelope))
        # Another person may requeue it at the same moment: it is ordered once.
        if not await room.requeue(entry, room.streams.towards(made.envelope.target), made.fields):
            raise NoDeadLetter(entry=entry)
        return made

    return run_in(room, requeue)


def drop_letter(room: RedisRoom, entry: str) -> None:
    """Forgets one. Raises: NoDeadLetter, BusUnreachable."""

    async def drop() -> None:
        await _find(room, entry)
        await room.remove(room.streams.dead, entry)

    run_in(room, drop)


def run_in(room: RedisRoom, work: Callable[[], Awaitable[Answer]]) -> Answer:
    """What comes of some work on the bus, which is let go of afterwards."""

    async def run() -> Answer:
        try:
            return await work()
        finally:
            await room.close()

    return asyncio.run(run())


async def _list(room: RedisRoom) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = []
    start = "-"
    while len(letters) < MAX_LETTERS:
        page = await room.page(room.streams.dead, start)
        for entry in page:
            letter = DeadLetter.read(entry.fields)
            if letter:
                letters.append(_shown(entry.id, letter))
        if not page:
            break
        start = f"({page[-1].id}"
    return letters


async def _find(room: RedisRoom, entry: str) -> DeadLetter:
    page = await room.page(room.streams.dead, entry) if re.fullmatch(_ENTRY, entry) else []
    letter = DeadLetter.read(page[0].fields) if page and page[0].id == entry else None
    if letter is None:
        raise NoDeadLetter(entry=entry)
    return letter


def _shown(entry: str, letter: DeadLetter) -> dict[str, Any]:
    names = letter.names
    return {
        "id": entry,
        "at": letter.at,
        "host": letter.host,
        "rule": letter.rule,
        "reason": letter.reason,
        "stream": letter.stream,
        "entry": letter.entry,
        "job_id": names["job_id"] or None,
        "kind": names["mission_kind"] or None,
        "target": names["target"] or None,
    }
