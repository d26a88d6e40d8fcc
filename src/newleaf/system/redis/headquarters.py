"""What headquarters does on the bus besides publishing: it keeps each target's last order, and forgets hosts.

Rules: an order is published and kept in one step of the server, and only where what is kept is what was
judged: of two processes that order at once, one does (lessons.md L43), and nothing is kept that was not
published. Loaded only where a url is configured: redis-py is an extra.
"""

from __future__ import annotations

from newleaf.core.missions.publishing import Order
from newleaf.core.missions.streams import MAX_ENTRIES
from newleaf.core.missions.update_orders import Ordered
from newleaf.system.redis.bus import RedisRoom

# What may fail comes first: a script is not undone.
_PLACE = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', unpack(ARGV, 5))
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
_FORGET = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
"""


class RedisHeadquarters(RedisRoom):
    """The streams of one app, as headquarters uses them."""

    async def ping(self) -> None:
        """Raises: BusUnreachable."""
        await self._call("PING")

    async def orders(self) -> dict[str, bytes]:
        """The last order of each target, as it was kept."""
        return await self._whole(self.streams.orders)

    async def forget(self, name: str, registration: bytes) -> None:
        """Forgets a host that is gone; one that has said something since is kept."""
        await self._call("EVAL", _FORGET, 1, self.streams.registrations, name, registration)

    async def place(self, order: Order, ordered: Ordered, was: bytes) -> bool:
        """Publishes an order and keeps it; False, and nothing is done, where it is not `was` that is kept."""
        words = [word for pair in order.fields.items() for word in pair]
        keys = (2, self.streams.orders, self.streams.towards(order.envelope.target))
        said = (ordered.target, was, ordered.as_json(), MAX_ENTRIES, *words)
        return bool(await self._call("EVAL", _PLACE, *keys, *said))
