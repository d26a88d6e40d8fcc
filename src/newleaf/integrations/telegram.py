"""`/update` in Telegram, for python-telegram-bot: `install(application, newleaf.doors())`.

Rules: the command is seen before any other handler, and by none of them; what Telegram says about a message
that was not taken tells whether it may be sent again, or has perhaps arrived.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from telegram import Bot, Message, Update
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, NetworkError, RetryAfter
from telegram.ext import Application, ApplicationHandlerStop, BaseHandler, CallbackContext

from newleaf.agent.desk import Doors
from newleaf.core.chat import read_command
from newleaf.integrations.chat import ChatCommand, NotSent, Refused

__all__ = ["GROUP", "UpdateHandler", "install"]

GROUP = -1000
"""Before every other group of handlers."""

NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")
"""Failures of the connection, by name, after which nothing has been sent."""
NOT_MODIFIED = "not modified"
"""Telegram's word for a message that says already what it is to say."""


class UpdateHandler(BaseHandler[Update, CallbackContext[Any, Any, Any, Any], None]):
    """Takes newleaf's commands out of what the bot is told. `begin` is called when the bot can speak."""

    def __init__(self, doors: Doors, bot: Bot) -> None:
        super().__init__(_nothing, block=True)
        self._bot = bot
        self.command = ChatCommand(doors, self._send, self._edit, name="telegram")

    def check_update(self, update: object) -> str | None:
        """The text, where it is newleaf's. A message that was edited is none, and neither is a caption."""
        message = _message(update)
        text = message.text if message else None
        return text if text and read_command(text, self._bot_name()) else None

    async def handle_update(
        self,
        update: Update,
        application: Application[Any, Any, Any, Any, Any, Any],  # noqa: ARG002 - the library's names
        check_result: object,
        context: CallbackContext[Any, Any, Any, Any],  # noqa: ARG002
    ) -> None:
        """Takes the order; no other handler sees the message."""
        message = _message(update)
        if message:
            self.command.bot = self._bot_name()
            await self.command.handle(message.chat_id, message.message_id, str(check_result))
        raise ApplicationHandlerStop

    def _bot_name(self) -> str | None:
        try:
            return self._bot.username
        except RuntimeError:  # not asked yet
            return None

    async def _send(self, chat: str, text: str) -> int:
        sent: Message = await _called(self._bot.send_message(chat_id=int(chat), text=text))
        return sent.message_id

    async def _edit(self, chat: str, message: str, text: str) -> None:
        try:
            await _called(self._bot.edit_message_text(text, chat_id=int(chat), message_id=int(message)))
        except Refused as error:
            if NOT_MODIFIED not in str(error):
                raise


def install(application: Application[Any, Any, Any, Any, Any, Any], doors: Doors) -> UpdateHandler:
    """Adds the command to an application, before it is run; the final word of the last process is told then.

    An application that is not run by `run_polling` or `run_webhook` awaits `handler.command.begin()` after
    `application.initialize()`, and `handler.command.end()` before `application.shutdown()`.
    """
    handler = UpdateHandler(doors, application.bot)
    application.add_handler(handler, group=GROUP)
    application.post_init = _after(application.post_init, handler.command.begin)
    application.post_stop = _after(application.post_stop, handler.command.end)
    return handler


Hook = Callable[[Any], Coroutine[Any, Any, None]]


def _after(first: Hook | None, then: Callable[[], Awaitable[None]]) -> Hook:
    async def hook(application: Any) -> None:
        if first:
            await first(application)
        await then()

    return hook


def _message(update: object) -> Message | None:
    return (update.message or update.channel_post) if isinstance(update, Update) else None


async def _called(call: Coroutine[Any, Any, Any]) -> Any:
    """What the Bot API answers. Raises: NotSent, Refused, and what leaves open whether the call arrived."""
    try:
        return await call
    except RetryAfter as error:
        raise NotSent(_retry_seconds(error)) from error
    except (BadRequest, Forbidden, ChatMigrated, InvalidToken) as error:
        raise Refused(error.message) from error
    except NetworkError as error:
        if type(error.__cause__).__name__ in NOT_SENT:
            raise NotSent from error
        raise


def _retry_seconds(error: RetryAfter) -> float:
    """How long Telegram wants to be left alone; the library is about to say it in another type, and warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = error.retry_after
    return said.total_seconds() if isinstance(said, timedelta) else float(said)


async def _nothing(*_: object) -> None:
    """What a handler calls by itself."""
