"""`/update` in any chat: heard, received, told; once, whatever the chat and the process do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from newleaf.agent import desk
from newleaf.core.chat import RECEIPT, SHORT_CHARACTERS
from newleaf.core.errors import DiskFull
from newleaf.core.orders import OVER
from newleaf.integrations.chat import ChatCommand, NotSent, Refused
from newleaf.system.orders import Orders
from tests.support.pretended_host import Killed, PretendedHost, until


class Chat:
    """A chat service: what was sent, as it stands now. `fails` are the answers to come, None for taken."""

    def __init__(self, host: PretendedHost) -> None:
        self.messages: list[str] = []
        self.sent = 0
        self.fails: list[Exception | None] = []
        self._steps = host.steps

    async def send(self, chat: str, text: str) -> str:
        assert chat == "1"
        self._steps.take("before send")
        error = self.fails.pop(0) if self.fails else None
        # A service that does not answer may have taken it all the same.
        if not isinstance(error, NotSent | Refused):
            self.messages.append(text)
            self.sent += 1
        await asyncio.sleep(0)
        if error:
            raise error
        self._steps.take("after send")
        return str(len(self.messages) - 1)

    async def edit(self, chat: str, message: str, text: str) -> None:
        self._steps.take("before edit")
        self.messages[int(message)] = text
        self._steps.take("after edit")


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(bounded())


async def asked(command: ChatCommand, *, message: int = 7, text: str = "/update", chat: int = 1) -> None:
    assert await command.handle(chat, message, text)
    await until(lambda: not command._tasks)


def test_an_update_then_a_receipt_at_once_and_the_outcome_later(host: PretendedHost) -> None:
    chat = Chat(host)
    host.updates.confirmed, host.updates.seconds = True, 0.05

    async def work() -> None:
        command = ChatCommand(host.doors(), chat.send, chat.edit)
        assert await command.handle(1, 7, "/update")
        await until(lambda: chat.messages == [RECEIPT])
        assert not host.updates.made, "the receipt comes at once"
        await until(lambda: not command._tasks)

    run(work)
    assert len(chat.messages) == 2
    assert chat.messages[1].startswith(
        "Updated to 1.1.0 (bbbbbbbbb).\nThe new process has reported it.\n1 commit:"
    )


def test_the_receipt_cannot_be_kept_then_the_outcome_is_told_all_the_same(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, host.updates.confirmed = Chat(host), True

    def full(*_: object) -> None:
        raise DiskFull(path="state", free="0", needed="1")

    monkeypatch.setattr(Orders, "note_receipt", full)
    run(lambda: asked(ChatCommand(host.doors(), chat.send, chat.edit)))
    assert [text.partition(" ")[0] for text in chat.messages[1:]] == ["Updated"]


def test_not_newleafs_then_it_is_the_apps(host: PretendedHost) -> None:
    chat = Chat(host)
    command = ChatCommand(host.doors(), chat.send)
    assert run(lambda: command.handle(1, 7, "hello /update")) is False
    assert (chat.messages, host.updates.asked) == ([], [])


def test_status_and_why_then_they_are_told_and_are_no_orders(host: PretendedHost) -> None:
    chat = Chat(host)

    async def work() -> None:
        command = ChatCommand(host.doors(), chat.send)
        await asked(command, text="/update status")
        await asked(command, text="/update why")

    run(work)
    assert chat.messages[0].startswith("bridge on mini-1: deployed")
    assert chat.messages[1] == "nothing is owed"
    assert host.updates.asked == []


def test_t31_a_chat_that_is_not_configured_then_ignored_and_logged_once(
    host: PretendedHost, caplog: pytest.LogCaptureFixture
) -> None:
    chat = Chat(host)

    async def work() -> None:
        command = ChatCommand(host.doors(), chat.send)
        for message in range(3):
            for text in ("/update", "/update status"):
                await asked(command, message=message, text=text, chat=666)

    with caplog.at_level(logging.WARNING, "newleaf"):
        run(work)
    assert (chat.messages, host.updates.asked) == ([], [])
    assert [record.getMessage() for record in caplog.records] == [
        "/update from the chat 666 is ignored: chat.chats does not name it"
    ]


def test_no_chat_is_configured_then_none_is_heard(host: PretendedHost) -> None:
    """lessons.md L40"""
    host.chats = frozenset()
    chat = Chat(host)
    run(lambda: asked(ChatCommand(host.doors(), chat.send)))
    assert (chat.messages, host.updates.asked) == ([], [])


def test_l29_the_same_message_again_then_nothing_is_done(host: PretendedHost) -> None:
    chat = Chat(host)
    host.updates.confirmed = True

    async def work() -> None:
        for _ in range(2):
            command = ChatCommand(host.doors(), chat.send, chat.edit)
            await asked(command)
            await asked(command)

    run(work)
    assert (len(chat.messages), host.updates.asked) == (2, ["chat"])


def test_it_waits_then_that_is_told_and_the_final_word_follows(host: PretendedHost) -> None:
    chat = Chat(host)
    host.updates.outcome = "waiting"

    async def work() -> None:
        command = ChatCommand(host.doors(), chat.send, chat.edit)
        await command.handle(1, 7, "/update")
        await until(lambda: len(chat.messages) == 2)
        assert chat.messages[1].startswith("1.1.0 (bbbbbbbbb) is owed; it waits.")
        host.updates.tell_end("rolled_back", None)
        await until(lambda: not command._tasks)

    run(work)
    assert chat.messages[2].startswith("1.1.0 (bbbbbbbbb) failed; back at 1.0.0")


def test_l4_a_restart_in_the_middle_then_the_next_process_tells_the_final_word_once(
    host: PretendedHost,
) -> None:
    chat = Chat(host)

    async def first_life() -> None:
        command = ChatCommand(host.doors(lives=False), chat.send, chat.edit)
        await command.handle(1, 7, "/update")
        await until(lambda: len(chat.messages) == 2)
        await command.end()

    async def next_life() -> None:
        host.updates.tell_end()
        command = ChatCommand(host.doors(), chat.send, chat.edit)
        await command.begin()
        await until(lambda: not command._tasks)

    run(first_life)
    assert "not yet confirmed" in chat.messages[1]
    run(next_life)
    run(next_life)
    assert len(chat.messages) == 3
    assert "The new process has reported it.\n1 commit:\n  ccccccccc Better" in chat.messages[2]


def life(host: PretendedHost, chat: Chat, *, lives: bool) -> None:
    """A process that is told the message (perhaps again), and ends when all is done or it is killed."""

    async def work() -> None:
        command = ChatCommand(host.doors(lives=lives), chat.send, chat.edit)
        try:
            await command.begin()
            if host.updates.made:
                host.updates.tell_end()
            await command.handle(1, 7, "/update")
            while command._tasks:
                await asyncio.wait(command._tasks, return_when=asyncio.FIRST_COMPLETED, timeout=0.005)
                if host.updates.made:
                    host.updates.tell_end()
        finally:
            await command.end()

    try:
        run(work)
    except Killed:
        assert host.steps.kill_at is not None


FINAL = "The new process has reported it"
STEPS = 26
"""At most; a life that took fewer was not killed."""


@pytest.mark.parametrize("kill_at", range(1, STEPS))
def test_l4_killed_before_any_step_then_the_word_is_neither_lost_nor_doubled(
    host: PretendedHost, kill_at: int
) -> None:
    chat = Chat(host)
    host.steps.kill_at = kill_at
    life(host, chat, lives=False)
    host.steps.kill_at = None
    life(host, chat, lives=True)
    final = [text for text in chat.messages if FINAL in text]
    assert host.updates.made == 1
    assert final, (host.steps.names, chat.messages)
    new = [text for text in chat.messages[1:] if FINAL in text]
    assert len(new) <= 1, (host.steps.names, chat.messages)
    assert all(order.stage == OVER for order in host.doors().orders.claim("chat", host.doors().now()))


def test_the_steps_are_all_there_are(host: PretendedHost) -> None:
    chat = Chat(host)
    life(host, chat, lives=True)
    assert 15 < host.steps.count < STEPS, host.steps.names


def test_rate_limited_then_sent_again_as_late_as_it_says(host: PretendedHost) -> None:
    chat = Chat(host)
    host.updates.confirmed = True
    chat.fails = [NotSent(0.05), NotSent(0.02), None, NotSent(0.03)]
    run(lambda: asked(ChatCommand(host.doors(), chat.send, chat.edit)))
    assert [text.split()[0] for text in chat.messages] == ["Received.", "Updated"]


def test_the_chat_does_not_answer_then_the_receipt_becomes_the_final_word(host: PretendedHost) -> None:
    """Whether it arrived is not known: here it did."""
    chat = Chat(host)
    host.updates.confirmed = True
    chat.fails = [None, TimeoutError()]
    run(lambda: asked(ChatCommand(host.doors(), chat.send, chat.edit)))
    assert [text.split()[0] for text in chat.messages] == ["Updated", "Updated"]
    assert chat.sent == 2


def test_messages_cannot_be_changed_then_the_final_word_rather_twice_than_never(host: PretendedHost) -> None:
    chat = Chat(host)
    host.updates.confirmed = True
    chat.fails = [None, TimeoutError()]
    run(lambda: asked(ChatCommand(host.doors(), chat.send)))
    assert [text.split()[0] for text in chat.messages] == ["Received.", "Updated", "Updated"]


def test_the_chat_refuses_for_good_then_it_is_logged_and_over(
    host: PretendedHost, caplog: pytest.LogCaptureFixture
) -> None:
    chat = Chat(host)
    host.updates.confirmed = True
    chat.fails = [Refused("blocked, token=canary-3f9a1c")] * 3

    async def lives() -> None:
        await asked(ChatCommand(host.doors(lives=False), chat.send, chat.edit))
        await ChatCommand(host.doors(), chat.send, chat.edit).begin()

    run(lives)
    assert (chat.messages, host.updates.made) == ([], 1)
    assert "does not take the outcome: blocked" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("doubt", [None, TimeoutError()], ids=["sent", "perhaps sent before"])
def test_the_chat_refuses_long_messages_then_the_final_word_comes_short(
    host: PretendedHost, doubt: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = {"outcome": "failed", "errors": [{"code": "x", "message": "y" * 20_000}]}
    chat, refused = Chat(host), Refused("too long")
    chat.fails = [None, *([doubt] if doubt else []), refused]

    async def request(_: object) -> dict[str, Any]:
        return long

    monkeypatch.setattr(host.updates, "request", request)
    run(lambda: asked(ChatCommand(host.doors(), chat.send)))
    last = chat.messages[-1]
    assert last.startswith("The update to")
    assert len(last) <= SHORT_CHARACTERS


def test_a_slow_chat_then_the_update_does_not_wait_for_it(host: PretendedHost) -> None:
    let = asyncio.Event()
    sent: list[str] = []

    async def send(chat: str, text: str) -> None:
        await let.wait()
        sent.append(text)

    async def work() -> None:
        host.updates.confirmed = True
        command = ChatCommand(host.doors(), send)
        await command.handle(1, 7, "/update")
        await until(lambda: host.updates.made)
        let.set()
        await until(lambda: not command._tasks)

    run(work)
    assert [text.split()[0] for text in sent] == ["Received.", "Updated"], "and the words keep their order"


def test_orders_cannot_be_kept_then_that_is_told_and_nothing_is_done(host: PretendedHost) -> None:
    """What would be done again at each restart is not begun: lessons.md L29."""
    (host.state / "orders.sqlite").write_bytes(b"broken" * 1000)
    chat = Chat(host)
    run(lambda: asked(ChatCommand(host.doors(), chat.send)))
    assert len(chat.messages) == 1
    assert "corrupt_file" in chat.messages[0]
    assert host.updates.asked == []


def test_the_chat_never_comes_back_then_it_is_left_one_day(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = Chat(host)
    host.updates.confirmed = True
    chat.fails = [NotSent()] * 1000
    monkeypatch.setattr(desk, "FOLLOWED", timedelta(seconds=0.3))
    run(lambda: asked(ChatCommand(host.doors(), chat.send, chat.edit)))
    assert chat.messages == []
    assert host.doors().orders.claim("chat", host.doors().now()) == []
