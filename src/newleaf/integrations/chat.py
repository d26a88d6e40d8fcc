"""`/update` in any chat: a command that the app hands every message to, before it does anything else with it.

Rules:
1. Only configured chats are heard; from another one the command is ignored, and that is logged once
   (threats.md T31). It is never the app's either.
2. A message is an order once, however often it is read (lessons.md L29). It is answered at once that it was
   received, then what came of it; when that is not the end, the final word follows, from the next process
   where a restart is in between (L4).
3. The final word is kept as `telling` before it is sent. Where a kill, or a server that does not answer,
   leaves open whether it arrived, the receipt is changed into it, which can be done twice and is seen once.
   A chat that cannot change a message gets it again: better twice than never.
4. A final word that the chat refuses is sent once more, short: each chat counts characters in its own way.
5. A chat that is slow or away holds up no update; what it has not taken is sent again, later and later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from newleaf.agent.desk import Desk, Doors
from newleaf.agent.pauses import Pauses
from newleaf.core.chat import (
    MAX_CHARACTERS,
    RECEIPT,
    SHORT_CHARACTERS,
    STATUS,
    UPDATE,
    WHY,
    outcome_text,
    read_command,
    status_text,
    why_text,
)
from newleaf.core.errors import NewleafError
from newleaf.core.orders import ACCEPTED, TELLING, Order, is_final
from newleaf.core.secrets import mask_text

__all__ = ["ChatCommand", "NotSent", "Refused"]

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
MAX_TRIES = 3
"""Of what is no final word."""

Send = Callable[[str, str], Awaitable[str | int | None]]
"""Sends a text to a chat; returns what names the message, if anything does."""
Edit = Callable[[str, str, str], Awaitable[object]]
"""Changes a message of a chat into a text."""

_log = logging.getLogger("newleaf")


class NotSent(Exception):
    """The chat has certainly not taken a message: it may be sent again, after so many seconds."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(f"not sent; again after {seconds:g} s")
        self.seconds = seconds


class Refused(Exception):
    """The chat will never take this message."""


class ChatCommand:
    """The command in one chat service. `name` tells its orders from those of another service.

    `send` and `edit` raise `NotSent` or `Refused`; whatever else they raise leaves open what became of it.
    `bot` is the bot's own name, where commands may name one.
    """

    def __init__(
        self,
        doors: Doors,
        send: Send,
        edit: Edit | None = None,
        *,
        name: str = "chat",
        bot: str | None = None,
    ) -> None:
        self.bot = bot
        self._doors = doors
        self._send = send
        self._edit = edit
        self._desk = Desk(name, doors)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ignored: set[str] = set()
        self._has_begun = False

    async def handle(self, chat: str | int, message: str | int, text: str) -> bool:
        """Whether the message is newleaf's: then nobody else may see it. Returns before the update is made.

        `message` names the message in its chat, and is the same when it is read again after a restart.
        """
        command = read_command(text, self.bot)
        if command is None:
            return False
        await self.begin()
        if str(chat) not in self._doors.chats:
            self._ignore(str(chat))
        elif command == UPDATE:
            await self._order(str(chat), f"{chat}/{message}")
        else:
            self._go_on(self._tell_state(str(chat), command))
        return True

    async def begin(self) -> None:
        """Takes on what the last process has left: call it when the chat can be spoken to."""
        if self._has_begun:
            return
        self._has_begun = True
        try:
            for order in await self._desk.claim():
                self._go_on(self._take_on(order))
        except NewleafError as error:
            _log.warning("orders by chat are not taken on: %s %s", error.message, error.advice)

    async def end(self) -> None:
        """Leaves what is under way to the next process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ignore(self, chat: str) -> None:
        # More than a few chats are somebody's game.
        if chat not in self._ignored and len(self._ignored) < 100:
            self._ignored.add(chat)
            _log.warning("/update from the chat %s is ignored: chat.chats does not name it", chat[:40])

    def _go_on(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _guarded(work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a chat must not end the app
            _log.warning("an order by chat was left: %s: %s", type(error).__name__, mask_text(str(error)))

    # --- an order -------------------------------------------------------------------------

    async def _order(self, chat: str, name: str) -> None:
        try:
            order = await self._desk.accept(name, "chat", chat)
        except NewleafError as error:
            # What cannot be kept is not begun: it might be done again and again.
            text = outcome_text({"outcome": error.outcome, "errors": [error.as_record()]})
            self._go_on(self._try_to_tell(chat, text))
            return
        if order:
            self._go_on(self._carry_out(order))

    async def _carry_out(self, order: Order) -> None:
        receiving = asyncio.ensure_future(self._receive(order))
        try:
            asked = await self._desk.ask(order)
            # The words come in their order, however slow the chat is.
            receipt = await receiving
        finally:
            receiving.cancel()
        await self._conclude(replace(asked, receipt=receipt))

    async def _receive(self, order: Order) -> str | None:
        receipt = await self._try_to_tell(order.to or "", RECEIPT)
        if receipt:
            # Told by another process, the final word would be a message of its own: no reason not to tell it.
            with contextlib.suppress(NewleafError):
                await self._desk.note_receipt(order, receipt)
        return receipt

    async def _take_on(self, order: Order) -> None:
        if order.stage == TELLING:
            await self._tell_again(order)
        else:
            await self._conclude(await self._desk.take_on(order))

    async def _conclude(self, order: Order) -> None:
        """Tells what came of the update, and, when that is not the end, the final word."""
        if not is_final(order.record or {}):
            if not order.interim:
                order = await self._desk.note(order, interim=True)
                await self._try_to_tell(order.to or "", outcome_text(order.record or {}))
            order = await self._desk.follow(order)
        if is_final(order.record or {}):
            await self._tell(order)
        else:
            await self._desk.end(order)

    async def _tell(self, order: Order) -> None:
        """The final word, until the chat has taken it."""
        pauses, characters = _pauses(), MAX_CHARACTERS
        while not self._desk.is_too_late(order):
            order = await self._desk.note(order, stage=TELLING)
            try:
                await self._send(order.to or "", outcome_text(order.record or {}, characters))
            except NotSent as error:
                order = await self._desk.note(order, stage=ACCEPTED)
                await asyncio.sleep(max(error.seconds, pauses.next()))
            except Refused as error:
                if self._is_refused_short(order, error, characters):
                    break
                characters = SHORT_CHARACTERS
            except Exception:  # noqa: BLE001 - whatever it was, it may have arrived
                await self._tell_again(order)
                return
            else:
                break
        await self._desk.end(order)

    async def _tell_again(self, order: Order) -> None:
        """The final word once more, where it may have arrived already."""
        pauses, characters = _pauses(), MAX_CHARACTERS
        while not self._desk.is_too_late(order):
            try:
                text = outcome_text(order.record or {}, characters)
                if self._edit and order.receipt:
                    await self._edit(order.to or "", order.receipt, text)
                else:
                    await self._send(order.to or "", text)
            except Refused as error:
                if self._is_refused_short(order, error, characters):
                    break
                characters = SHORT_CHARACTERS
            except Exception as error:  # noqa: BLE001 - as above
                await asyncio.sleep(max(error.seconds if isinstance(error, NotSent) else 0.0, pauses.next()))
            else:
                break
        await self._desk.end(order)

    @staticmethod
    def _is_refused_short(order: Order, error: Refused, characters: int) -> bool:
        """Whether the chat takes the outcome in no form; that is said."""
        if characters > SHORT_CHARACTERS:
            return False
        _log.warning("the chat %s does not take the outcome: %s", order.to, mask_text(str(error)))
        return True

    # --- what is no final word ----------------------------------------------------------------

    async def _tell_state(self, chat: str, command: str) -> None:
        updates = self._doors.updates
        texts = {STATUS: (updates.status, status_text), WHY: (updates.why, why_text)}
        ask, describe = texts[command]
        await self._try_to_tell(chat, describe(await ask()))

    async def _try_to_tell(self, chat: str, text: str) -> str | None:
        """Sends what need not arrive; what names the message, where that is known."""
        pauses = _pauses()
        for _ in range(MAX_TRIES):
            try:
                sent = await self._send(chat, text)
            except NotSent as error:
                await asyncio.sleep(max(error.seconds, pauses.next()))
            except Exception as error:  # noqa: BLE001 - as above
                _log.warning("a word to the chat %s is lost: %s", chat, mask_text(str(error)))
                break
            else:
                return None if sent is None else str(sent)
        return None


def _pauses() -> Pauses:
    return Pauses(PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
