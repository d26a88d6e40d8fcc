"""`/update` in Telegram, by the real library, against a server that speaks the Bot API."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters

from newleaf.core.chat import MAX_CHARACTERS, RECEIPT
from newleaf.integrations.chat import NotSent
from newleaf.integrations.telegram import UpdateHandler, install
from tests.support.bot_api import TOKEN, BotApi, bot_api
from tests.support.http_server import Answer
from tests.support.pretended_host import PretendedHost, until


@pytest.fixture
def api() -> Iterator[BotApi]:
    with bot_api() as made:
        yield made


class App:
    """A bot with a handler of its own, which sees what newleaf leaves."""

    def __init__(self, api: BotApi, host: PretendedHost, *, lives: bool = True) -> None:
        builder = Application.builder().token(TOKEN).base_url(api.url).read_timeout(1.0)
        self.application = builder.build()
        self.heard: list[str] = []
        self.application.add_handler(MessageHandler(filters.ALL, self._hear))
        self.handler: UpdateHandler = install(self.application, host.doors(lives=lives))

    async def _hear(self, update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.effective_message
        self.heard.append(update.effective_message.text or "")

    @contextlib.asynccontextmanager
    async def runs(self) -> AsyncIterator[App]:
        application = self.application
        async with application:
            assert application.post_init
            assert application.post_stop
            assert application.updater
            await application.post_init(application)
            await application.start()
            await application.updater.start_polling(timeout=1)
            try:
                yield self
            finally:
                await application.updater.stop()
                await application.stop()
                await application.post_stop(application)

    async def rests(self) -> None:
        await until(lambda: not self.handler.command._tasks)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(30):
            return await work()

    return asyncio.run(bounded())


def test_update_status_and_why_then_each_is_answered_and_nobody_else_hears_it(
    api: BotApi, host: PretendedHost
) -> None:
    host.updates.confirmed, host.updates.seconds = True, 0.3
    for text in ("/update status", "/Update why", "/update@bridge_bot", "/update@other_bot", "hello"):
        api.write(text)

    async def work() -> None:
        async with App(api, host).runs() as app:
            await until(lambda: RECEIPT in api.texts)
            assert not any("Updated" in text for text in api.texts), "the receipt comes at once"
            await until(lambda: len(app.heard) == 2)
            await app.rests()
            assert app.heard == ["/update@other_bot", "hello"]

    run(work)
    heads = sorted(text.splitlines()[0] for text in api.texts)
    assert heads == ["Received. What comes of it follows.", "Updated to 1.1.0 (bbbbbbbbb).",
                     "bridge on mini-1: deployed", "nothing is owed"]  # fmt: skip
    assert {chat for chat, _ in api.messages.values()} == {1}


def test_t31_another_chat_then_ignored_logged_once_and_not_the_apps(
    api: BotApi, host: PretendedHost, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("/update", "/update status", "hello"):
        api.write(text, chat=666)

    async def work() -> None:
        async with App(api, host).runs() as app:
            await until(lambda: app.heard)
            await app.rests()
            assert app.heard == ["hello"]

    with caplog.at_level(logging.WARNING, "newleaf"):
        run(work)
    assert (api.texts, host.updates.asked) == ([], [])
    assert len([record for record in caplog.records if "is ignored" in record.getMessage()]) == 1


def test_l29_a_message_is_read_twice_then_one_update(api: BotApi, host: PretendedHost) -> None:
    """By the next process too; a message that was edited is the app's."""
    host.updates.confirmed = True
    api.write("/update", message=7)
    api.write("/update", message=7)
    api.write("/update", message=7, kind="edited_message")

    async def work() -> None:
        for _ in range(2):
            api.offsets.clear()  # what was read was not acknowledged
            async with App(api, host).runs() as app:
                await until(lambda: app.heard == ["/update"])
                await app.rests()

    run(work)
    assert (len(api.texts), host.updates.asked) == (2, ["chat"])


def test_l4_a_restart_in_the_middle_then_the_final_word_comes_from_the_next_process(
    api: BotApi, host: PretendedHost
) -> None:
    api.write("/update")

    async def first() -> None:
        async with App(api, host, lives=False).runs():
            await until(lambda: len(api.texts) == 2)

    async def second() -> None:
        host.updates.tell_end()
        async with App(api, host).runs() as app:
            await until(lambda: len(api.texts) == 3)
            await app.rests()

    run(first)
    assert "not yet confirmed" in api.texts[1]
    run(second)
    assert "The new process has reported it." in api.texts[2]


# The library warns of itself.
@pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")
def test_rate_limited_slow_and_too_long_then_all_words_arrive_in_order(
    api: BotApi, host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.updates.confirmed, host.updates.outcome = None, "failed"
    api.slow_seconds = 0.1
    api.instead["sendMessage"] = [api.rate_limit(1)]
    long = {"schema": 1, "outcome": "failed", "errors": [{"code": "x", "message": "y" * 20_000}]}

    async def request(_: object) -> dict[str, Any]:
        return long

    monkeypatch.setattr(host.updates, "request", request)
    api.write("/update")

    async def work() -> None:
        async with App(api, host).runs() as app:
            await until(lambda: len(api.texts) == 2)
            await app.rests()

    run(work)
    assert api.texts[0] == RECEIPT
    assert len(api.texts[1]) <= MAX_CHARACTERS
    assert api.texts[1].startswith("The update to")


def test_the_server_takes_the_final_word_and_goes_away_then_it_is_not_told_twice(
    api: BotApi, host: PretendedHost
) -> None:
    host.updates.confirmed, host.updates.seconds = True, 0.2
    api.write("/update")

    async def work() -> None:
        async with App(api, host).runs() as app:
            await until(lambda: api.texts)
            api.lost["sendMessage"] = 1
            api.instead["editMessageText"] = [Answer(502, {"Connection": "close"}, b"<html>")]
            await until(lambda: api.sent == 2)
            await app.rests()

    run(work)
    assert api.sent == 2
    assert all("The new process has reported it" in text for text in api.texts), "the receipt was changed"


def test_the_chat_has_blocked_the_bot_then_it_is_left(api: BotApi, host: PretendedHost) -> None:
    host.updates.confirmed = True
    blocked = api._failed(403, "Forbidden: bot was blocked by the user")
    api.instead["sendMessage"] = [blocked] * 3
    api.write("/update")

    async def work() -> None:
        async with App(api, host).runs() as app:
            await until(lambda: host.updates.made)
            await app.rests()

    run(work)
    assert api.texts == []


def test_nobody_listens_any_more_then_nothing_was_sent_and_it_may_be_sent_again(host: PretendedHost) -> None:
    async def work() -> None:
        handler = App(_nowhere(), host).handler
        with pytest.raises(NotSent):
            await handler._send("1", "a word")

    run(work)


def _nowhere() -> BotApi:
    """Where nobody listens."""
    with bot_api() as gone:
        pass
    return gone
