"""Redis or Valkey as the bus: streams with a consumer group for each host, and a hash of registrations.

Rules: every host has a group of its own on everybody's stream, so that all means each (lessons.md L37); a
group begins at the stream's end the first time only; what was handed out and not acknowledged is kept, and
handed out again (L39); every failure is one of newleaf's errors, and who calls tries again. Streams are
trimmed as they grow, those that only others publish to by who reads them: of its own stream a host drops
nothing that is not done. Loaded only where a url is configured: redis-py is an extra.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from redis.exceptions import RedisError, ResponseError

from newleaf.core.missions.mission_errors import BusForgot, BusUnreachable
from newleaf.core.missions.ports import Entry
from newleaf.core.missions.registration import MAX_BYTES
from newleaf.core.missions.streams import MAX_ENTRIES, Streams
from newleaf.core.secrets import mask_known, mask_text
from newleaf.system.redis.client import MAX_CONNECTIONS, close, connect, secrets_of

PAGE = 100
BEGINNING, END, NEW = "0", "$", ">"
FORGOT = ("NOGROUP", "UNBLOCKED", "ERR no such key", "no such key")
TAKEN = "BUSYGROUP"

# What may fail comes first: a script is not undone.
_REQUEUE = """
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
"""


class RedisRoom:
    """What everybody may do on the streams of one app: publish, and look. No host's place is touched."""

    def __init__(self, url: str, streams: Streams) -> None:
        """Raises: BusUnreachable for what is no url of a server."""
        self._shown = mask_text(url)
        self._heard: str | None = None
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        self.streams = streams
        try:
            self._client = connect(url)
        except (ValueError, RedisError) as error:
            raise BusUnreachable(url=self._shown, reason=error) from error

    async def close(self) -> None:
        """Lets go of the connections."""
        await close(self._client)

    async def publish(self, stream: str, fields: Mapping[str, str]) -> str:
        """Adds an entry to a stream, which is trimmed; returns the entry's id."""
        words = [word for pair in fields.items() for word in pair]
        return _text(await self._call("XADD", stream, "MAXLEN", "~", MAX_ENTRIES, "*", *words))

    async def last(self, stream: str) -> str:
        """The id of the stream's last entry; of what comes before all entries when there is none."""
        found = _entries(stream, await self._call("XREVRANGE", stream, "+", "-", "COUNT", 1))
        return found[0].id if found else BEGINNING

    async def after(self, stream: str, entry: str, seconds: float) -> list[Entry]:
        """What came to a stream after an entry; waits for something, for so long at most."""
        return await self._wait_for(
            ("XREAD", "COUNT", PAGE), ("STREAMS", stream, entry), {stream: stream}, seconds
        )

    async def page(self, stream: str, start: str = "-") -> list[Entry]:
        """A page of a stream, from an entry on."""
        return _entries(stream, await self._call("XRANGE", stream, start, "+", "COUNT", PAGE))

    async def remove(self, stream: str, entry: str) -> bool:
        """Whether the entry was there, and is no more."""
        return bool(await self._call("XDEL", stream, entry))

    async def requeue(self, letter: str, stream: str, fields: Mapping[str, str]) -> bool:
        """Publishes in the place of a dead letter, in one step; False, and nothing done, where it is gone."""
        words = [word for pair in fields.items() for word in pair]
        said = (self.streams.dead, stream, letter, MAX_ENTRIES, *words)
        return bool(await self._call("EVAL", _REQUEUE, 2, *said))

    async def registrations(self) -> dict[str, bytes]:
        """The registrations of all hosts that are not forgotten, as they wrote them."""
        return await self._whole(self.streams.registrations)

    async def registration(self, name: str) -> bytes | None:
        found: bytes | None = await self._call("HGET", self.streams.registrations, name)
        return found

    async def register(self, name: str, registration: str) -> None:
        if len(registration) <= MAX_BYTES:
            await self._call("HSET", self.streams.registrations, name, registration)

    async def announce(self, fields: Mapping[str, str]) -> None:
        said = {name.encode(): value.encode() for name, value in fields.items()}
        last = _entries("", await self._call("XREVRANGE", self.streams.available, "+", "-", "COUNT", 1))
        if not last or last[0].fields.get(b"commit") != said.get(b"commit"):
            await self.publish(self.streams.available, fields)

    async def announced(self, seconds: float) -> list[Mapping[bytes, bytes]]:
        stream = self.streams.available
        if self._heard is None:
            self._heard = await self.last(stream)
        found = await self.after(stream, self._heard, seconds)
        if found:
            self._heard = found[-1].id
        return [entry.fields for entry in found]

    async def _whole(self, key: str) -> dict[str, bytes]:
        """A hash, page by page: no answer is as long as a fleet is large."""
        found: dict[str, bytes] = {}
        cursor = b"0"
        while True:
            cursor, page = await self._call("HSCAN", key, cursor, "COUNT", PAGE)
            found |= _pairs(page)
            if cursor == b"0":
                return found

    async def _call(self, *words: Any) -> Any:
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        try:
            # Its pool does not wait for a connection that is free: one more at once would be a failure.
            async with self._turns:
                with self._explained():
                    return await self._client.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            # redis-py swallows a cancellation that comes while it connects: the task would live on.
            if task and task.cancelling() > before:
                raise asyncio.CancelledError

    async def _wait_for(
        self, head: Sequence[Any], tail: Sequence[Any], names: Mapping[str, str], seconds: float
    ) -> list[Entry]:
        """Entries of several streams, each under its name."""
        block = ("BLOCK", max(1, int(seconds * 1000))) if seconds > 0 else ()
        found = await self._call(*head, *block, *tail)
        return [entry for key, page in found or () for entry in _entries(names[_text(key)], page)]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            said = str(error) or type(error).__name__
            has_forgot = isinstance(error, ResponseError) and said.startswith(FORGOT)
            kind = BusForgot if has_forgot else BusUnreachable
            # A server may repeat what it did not understand.
            raise kind(url=self._shown, reason=mask_known(said, secrets_of(self._client))) from error


class RedisBus(RedisRoom):
    """Implements `core.missions.ports.Bus` for one host. `consumer` is who reads in its place."""

    def __init__(self, url: str, streams: Streams, host: str, consumer: str) -> None:
        super().__init__(url, streams)
        self._group = f"host:{host}"
        self._consumer = consumer
        self._own = streams.host(host)
        # Its own stream first: what is for this host alone is read before what is for everybody.
        self._names = {self._own: self._own, streams.all: streams.all}
        self._peeked: dict[str, str] = {}

    # --- the inbox ------------------------------------------------------------------------

    async def enroll(self, *, is_known: bool) -> None:
        # Its own stream may hold what was published before it came; everybody's is not for newcomers.
        begins = {self._own: BEGINNING, self.streams.all: BEGINNING if is_known else END}
        for stream, begin in begins.items():
            try:
                await self._call("XGROUP", "CREATE", stream, self._group, begin, "MKSTREAM")
            except BusUnreachable as error:
                if not str(error.facts.get("reason")).startswith(TAKEN):
                    raise

    async def read(self, count: int, seconds: float) -> list[Entry]:
        head = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count)
        places = [NEW] * len(self._names)
        return await self._wait_for(head, ("STREAMS", *self._names, *places), self._names, seconds)

    async def retake(self, idle_seconds: float) -> list[Entry]:
        await self._trim()
        found = []
        for stream in self._names:
            count, *_ = await self._call("XPENDING", stream, self._group)
            if not count:
                continue
            own = {entry.id for entry in await self._own_pending(stream)}
            await self._claim(stream, int(idle_seconds * 1000))
            # What this consumer has left itself, paused or about to restart, is no failed delivery.
            found += [
                replace(entry, deliveries=1) if entry.id in own else entry
                for entry in await self._own_pending(stream)
            ]
        return found

    async def acknowledge(self, entry: Entry) -> None:
        await self._call("XACK", entry.stream, self._group, entry.id)

    async def _trim(self) -> None:
        await self._call("XTRIM", self.streams.all, "MAXLEN", "~", MAX_ENTRIES)
        if await self._call("XLEN", self._own) > MAX_ENTRIES:
            count, oldest, *_ = await self._call("XPENDING", self._own, self._group)
            first = _text(oldest) if count else await self._last_delivered(self._own)
            await self._call("XTRIM", self._own, "MINID", "~", first)

    async def _claim(self, stream: str, idle_milliseconds: int) -> None:
        """Makes this consumer's what others were handed out long ago, and counts the delivery."""
        start = b"0-0"
        claim = ("XAUTOCLAIM", stream, self._group, self._consumer, idle_milliseconds)
        while True:
            start, *_ = await self._call(*claim, start, "COUNT", PAGE)
            if start == b"0-0":
                return

    async def _own_pending(self, stream: str) -> list[Entry]:
        pending = await self._call("XPENDING", stream, self._group, "-", "+", PAGE, self._consumer)
        found = []
        for identity, _, _, deliveries in pending:
            name = _text(identity)
            page = _entries(stream, await self._call("XRANGE", stream, name, name))
            if page:
                found.append(Entry(stream, name, page[0].fields, int(deliveries)))
            else:  # trimmed meanwhile
                await self._call("XACK", stream, self._group, name)
        return found

    # --- the outbox -----------------------------------------------------------------------

    async def report(self, fields: Mapping[str, str]) -> None:
        await self.publish(self.streams.results, fields)

    async def bury(self, fields: Mapping[str, str]) -> None:
        await self.publish(self.streams.dead, fields)

    # --- the lookout ----------------------------------------------------------------------

    async def peek(self, count: int, seconds: float) -> list[Entry]:
        if not self._peeked:
            for stream in self._names:
                self._peeked[stream] = await self._last_delivered(stream)
        head = ("XREAD", "COUNT", count)
        tail = ("STREAMS", *self._peeked, *self._peeked.values())
        found = await self._wait_for(head, tail, self._names, seconds)
        for entry in found:
            self._peeked[entry.stream] = entry.id
        return [Entry(entry.stream, entry.id, entry.fields, 0, is_peeked=True) for entry in found]

    def forget_peeks(self) -> None:
        self._peeked.clear()

    async def _last_delivered(self, stream: str) -> str:
        for flat in await self._call("XINFO", "GROUPS", stream):
            group = _pairs(flat)
            if _text(group["name"]) == self._group:
                return _text(group["last-delivered-id"])
        raise BusForgot(url=self._shown, reason="the group is not there")


def _entries(stream: str, page: Any) -> list[Entry]:
    """Entries as the server lists them; those that were trimmed have no fields."""
    return [
        Entry(stream, _text(identity), dict(zip(fields[::2], fields[1::2], strict=True)))
        for identity, fields in page or ()
        if fields is not None
    ]


def _pairs(flat: Sequence[Any]) -> dict[str, Any]:
    return {_text(name): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _text(word: Any) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
