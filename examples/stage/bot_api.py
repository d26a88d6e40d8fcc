"""A server on this machine that speaks Telegram's Bot API to bots in common chats, and behaves as one says.

What people write reaches every bot, as in a group, unless the chat is private; what a bot answers reaches no
other bot.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from examples.stage.http_server import Answer, LocalServer, Received, serving

TOKEN = "4242424242:canary-3f9a1c-canary-3f9a1c-canary"  # noqa: S105 - nobody's
BOT = "bridge_bot"
POLL_SECONDS = 0.2
LONGEST_CHARACTERS = 4096


@dataclass
class BotApi:
    """What people wrote, and what bots have answered. `instead` are answers to give first, by method."""

    bots: Mapping[str, str] = field(default_factory=lambda: {TOKEN: BOT})
    """Their names, by their tokens."""
    private: Mapping[int, str] = field(default_factory=dict)
    """The bot that alone is in a chat."""
    hears: Callable[[str, str], object] = lambda _bot, _text: None
    """Is told of every message that a bot sends, or changes."""
    instead: dict[str, list[Answer]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    """How many calls of a method are carried out and not answered."""
    slow_seconds: float = 0.0
    """Before a message is taken."""
    messages: dict[int, tuple[int, str]] = field(default_factory=dict)
    """What the bots' messages say now: their chat, their text."""
    senders: dict[int, str] = field(default_factory=dict)
    """Which bot a message is of."""
    sent: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    """Every update below was acknowledged, by each bot."""
    server: LocalServer | None = None
    _updates: list[dict[str, Any]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        assert self.server
        return f"{self.server.url}/bot"

    @property
    def texts(self) -> list[str]:
        with self._changed:
            return [text for _, text in self.messages.values()]

    def texts_of(self, bot: str) -> list[str]:
        """What this bot's messages say now."""
        with self._changed:
            return [text for number, (_, text) in self.messages.items() if self.senders[number] == bot]

    def write(self, text: str, chat: int = 1, message: int | None = None, kind: str = "message") -> None:
        """Somebody writes in a chat; `message` is its number, where a test cares."""
        with self._changed:
            number = 100 + len(self._updates)
            document = {
                "message_id": message or 1000 + number,
                "date": 1_790_000_000,
                "chat": {"id": chat, "type": "private"},
                "from": {"id": 5, "is_bot": False, "first_name": "Ada"},
                "text": text,
            }
            self._updates.append({"update_id": number, kind: document})
            self._changed.notify_all()

    def answer(self, request: Received) -> Answer:
        path, _, method = request.target.rpartition("/")
        given = dict(parse_qsl(request.body.decode()))
        bot = self.bots.get(path.removeprefix("/bot"))
        if bot is None:
            return self._failed(401, "Unauthorized")
        if self.instead.get(method):
            return self.instead[method].pop(0)
        said: Answer = getattr(self, f"_{method}", self._nothing)(bot, given)
        if self.lost.get(method, 0) > 0:
            self.lost[method] -= 1
            return Answer(raw=b"")
        return said

    @staticmethod
    def rate_limit(seconds: int) -> Answer:
        """Too many messages: again after so many seconds."""
        return BotApi._failed(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds})

    @staticmethod
    def _failed(status: int, description: str, parameters: dict[str, Any] | None = None) -> Answer:
        said = {"ok": False, "error_code": status, "description": description, "parameters": parameters or {}}
        return Answer(status, _HEADERS, json.dumps(said).encode())

    @staticmethod
    def _done(result: Any) -> Answer:
        return Answer(200, _HEADERS, json.dumps({"ok": True, "result": result}).encode())

    def _nothing(self, _bot: str, _: dict[str, str]) -> Answer:
        return self._done(True)

    def _getMe(self, bot: str, _: dict[str, str]) -> Answer:  # noqa: N802 - the API's names
        return self._done({"id": 42, "is_bot": True, "first_name": "Bridge", "username": bot})

    def _getUpdates(self, bot: str, given: dict[str, str]) -> Answer:  # noqa: N802
        offset = int(given.get("offset", "0"))
        with self._changed:
            self.offsets[bot] = offset = max(self.offsets.get(bot, 0), offset)
            deadline = time.monotonic() + (POLL_SECONDS if int(given.get("timeout", "0")) else 0)
            while True:
                found = [
                    update
                    for update in self._updates
                    if update["update_id"] >= offset and self._concerns(bot, update)
                ]
                seconds_left = deadline - time.monotonic()
                if found or seconds_left <= 0:
                    return self._done(found)
                self._changed.wait(seconds_left)

    def _concerns(self, bot: str, update: dict[str, Any]) -> bool:
        _, message = update.values()
        return self.private.get(message["chat"]["id"], bot) == bot

    def _sendMessage(self, bot: str, given: dict[str, str]) -> Answer:  # noqa: N802
        time.sleep(self.slow_seconds)
        if len(given["text"].encode("utf-16-le")) > 2 * LONGEST_CHARACTERS:
            return self._failed(400, "Bad Request: message is too long")
        with self._changed:
            self.sent += 1
            self.senders[self.sent] = bot
            return self._put(self.sent, int(given["chat_id"]), given["text"])

    def _editMessageText(self, _bot: str, given: dict[str, str]) -> Answer:  # noqa: N802
        number = int(given["message_id"])
        if self.messages[number][1] == given["text"]:
            return self._failed(400, "Bad Request: message is not modified: it says so already")
        with self._changed:
            return self._put(number, int(given["chat_id"]), given["text"])

    def _put(self, number: int, chat: int, text: str) -> Answer:
        self.messages[number] = (chat, text)
        self.hears(self.senders[number], text)
        shown = {"id": chat, "type": "private"}
        return self._done({"message_id": number, "date": 1_790_000_000, "chat": shown, "text": text})


_HEADERS = {"Content-Type": "application/json", "Connection": "close"}


@contextlib.contextmanager
def bot_api(**fields: Any) -> Iterator[BotApi]:
    """Serves the API until the block ends."""
    api = BotApi(**fields)
    with serving(api.answer) as server:
        api.server = server
        yield api
