"""A few words with a Redis: one connection for each call, under one deadline.

Rules: nothing is tried twice here; what goes wrong is one of two errors, and neither holds a part of the
password, whatever the server repeats of it (threats.md T29). An answer is never longer than a limit. RESP 2,
as Redis and Valkey have always spoken it (redis.io, "Redis serialization protocol specification").
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from newleaf.core.redis_address import RedisAddress
from newleaf.core.redis_errors import RedisRefuses, RedisSilent
from newleaf.core.secrets import mask_known

SECONDS = 2.0
MAX_ANSWER_BYTES = 256 * 1024
MAX_REASON = 200
_CHUNK_BYTES = 16 * 1024

Wrap = Callable[[socket.socket], socket.socket]
"""Makes a connection an encrypted one."""
Reply = bytes | None


class _Refusal(Struct, frozen=True):
    text: str


class RedisLine(Struct, frozen=True):
    """How to reach one Redis. `shown` names it in messages; `wrap` is there when it is to be encrypted."""

    address: RedisAddress
    shown: str
    wrap: Wrap | None = None
    seconds: float = SECONDS

    def set(self, key: str, text: str) -> None:
        """Sets a key.

        Raises: RedisSilent, RedisRefuses.
        """
        self.ask(("SET", key, text))

    def get(self, key: str) -> str | None:
        """What stands at a key.

        Raises: RedisSilent, RedisRefuses.
        """
        found = self.ask(("GET", key))
        return None if found is None else found.decode(errors="replace")

    def ask(self, words: Sequence[str]) -> Reply:
        """The answer to one command.

        Raises: RedisSilent, RedisRefuses.
        """
        deadline = time.monotonic() + self.seconds
        commands = [*self._greeting(), words]
        try:
            with self._connect(deadline) as connection:
                talk = _Talk(connection, deadline)
                talk.send(b"".join(map(_encode, commands)))
                return self._last([talk.receive for _ in commands])
        except TimeoutError:
            raise RedisSilent(url=self.shown, reason=f"does not answer within {self.seconds:g} s") from None
        except OSError as error:
            reason = f"cannot be reached: {error.strerror or type(error).__name__}"
            raise RedisSilent(url=self.shown, reason=reason) from None
        except ValueError as error:
            raise RedisSilent(url=self.shown, reason=str(error)) from None

    def _last(self, receiving: Sequence[Callable[[], Reply | _Refusal]]) -> Reply:
        """The last reply; the first refusal is the reason of those after it."""
        last: Reply = None
        for receive in receiving:
            reply = receive()
            if isinstance(reply, _Refusal):
                raise RedisRefuses(url=self.shown, reason=self._without_secret(reply.text))
            last = reply
        return last

    def _greeting(self) -> list[Sequence[str]]:
        address = self.address
        words: list[Sequence[str]] = []
        if address.password is not None:
            words.append(("AUTH", *([address.user] if address.user else []), address.password))
        if address.database:
            words.append(("SELECT", str(address.database)))
        return words

    def _connect(self, deadline: float) -> socket.socket:
        if self.address.path is None:
            place = (self.address.host, self.address.port)
            connection = socket.create_connection(place, _left(deadline))
        else:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(_left(deadline))
            try:
                connection.connect(self.address.path)
            except BaseException:
                connection.close()
                raise
        if self.wrap is None:
            return connection
        try:
            connection.settimeout(_left(deadline))
            return self.wrap(connection)
        except BaseException:
            connection.close()
            raise

    def _without_secret(self, text: str) -> str:
        """A server may repeat what it did not understand."""
        return mask_known(text, (self.address.password, self.address.user))[:MAX_REASON]


class _Talk:
    """What goes over one connection."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._received = b""

    def send(self, content: bytes) -> None:
        self._connection.settimeout(_left(self._deadline))
        self._connection.sendall(content)

    def receive(self) -> Reply | _Refusal:
        """One reply. Raises: OSError, ValueError when it is none."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind in {b"+", b":"}:
            return rest
        if kind == b"-":
            return _Refusal(rest.decode(errors="replace"))
        if kind != b"$" or not rest.lstrip(b"-").isdigit():
            raise ValueError(_NOT_REDIS)
        length = int(rest)
        return None if length < 0 else self._take(length + 2)[:-2]

    def _line(self) -> bytes:
        while b"\r\n" not in self._received:
            self._more()
        line, _, self._received = self._received.partition(b"\r\n")
        return line

    def _take(self, count: int) -> bytes:
        if count > MAX_ANSWER_BYTES:
            raise ValueError(_NOT_REDIS)
        while len(self._received) < count:
            self._more()
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _more(self) -> None:
        if len(self._received) > MAX_ANSWER_BYTES:
            raise ValueError(_NOT_REDIS)
        self._connection.settimeout(_left(self._deadline))
        chunk = self._connection.recv(_CHUNK_BYTES)
        if not chunk:
            raise ValueError("hangs up")
        self._received += chunk


_NOT_REDIS = "does not answer as a Redis does"


def _encode(words: Sequence[str]) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
