"""From a push to the last word in the chat: a bot that updates itself, restarted by a keeper, and killed."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.core.chat import RECEIPT
from tests.support.bot_api import TOKEN, BotApi, bot_api
from tests.support.deployment import Deployment, migration, wait_until

FINAL = "The new process has reported it."
BOT = """\
import asyncio, os, threading, time
import newleaf
from newleaf.integrations.telegram import install
from telegram.ext import Application

def leave_at_once():
    # The harshest restart: whatever is under way is cut off where it stands.
    while not os.path.exists(os.path.join(os.environ["NEWLEAF_STATE_DIR"], "restart-requested")):
        time.sleep(0.01)
    os._exit(42)

async def main():
    application = Application.builder().token(os.environ["TOKEN"]).base_url(os.environ["API"]).build()
    handler = install(application, newleaf.doors())
    async with application:
        await handler.command.begin()
        await application.start()
        await application.updater.start_polling(timeout=1)
        newleaf.ready()
        threading.Thread(target=leave_at_once, daemon=True).start()
        await asyncio.Event().wait()

asyncio.run(main())
"""


class Keeper:
    """Starts the bot again whenever it ends, until the test does."""

    def __init__(self, deployment: Deployment, api: BotApi) -> None:
        self.starts = 0
        self.codes: list[int] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._deployment = deployment
        variables = {"TOKEN": TOKEN, "API": api.url, "NEWLEAF_STATE_DIR": str(deployment.state)}
        self._env = deployment.variables | variables
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep)

    def _keep(self) -> None:
        while not self._ending.is_set():
            self.process = subprocess.Popen(
                [sys.executable, "bot.py"], cwd=self._deployment.app, env=self._env
            )
            self.starts += 1
            self.codes.append(self.process.wait())

    @contextlib.contextmanager
    def keeps(self) -> Iterator[Keeper]:
        self._thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            self.kill()
            self._thread.join(20)

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment.make(tmp_path, {"bot.py": BOT}, restart={"mode": "exit"})
    made.host_settings("[chat]\nchats = [1]\n")
    return made


def test_pushed_and_asked_for_then_a_restart_and_the_final_word_once_whatever_is_killed(
    deployment: Deployment,
) -> None:
    """lessons.md L4, L29"""
    commit = deployment.release("1.1.0")
    with bot_api() as api, Keeper(deployment, api).keeps() as keeper:
        wait_until((deployment.state / "daemon.pid").exists)
        api.write("/update")
        wait_until(lambda: any(FINAL in text for text in api.texts), 40)
        assert (deployment.head(), keeper.codes) == (commit, [42])
        keeper.kill()
        wait_until(lambda: keeper.starts == 3)
        api.write("/update status")
        wait_until(lambda: any("deployed" in text for text in api.texts))
    texts = api.texts
    # Killed just after it was sent, the next process changes the receipt into it, and sends nothing again.
    assert texts[0] == RECEIPT or FINAL in texts[0], texts
    assert len([text for text in texts[1:] if FINAL in text]) == 1, texts
    assert RECEIPT not in texts[1:], texts
    attempts = {line["attempt"] for line in deployment.lines("history.jsonl")} - {None}
    assert len(attempts) == 1, "one update was made"
    held = [
        path for path in deployment.state.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    assert not held, "the bot's token is in no file of newleaf's: threats.md T29"


def test_l42_a_commit_that_failed_is_asked_for_again_then_it_stays_denied(tmp_path: Path) -> None:
    """lessons.md L42"""
    kept = {"state_paths": ["data"]}
    deployment = Deployment.make(tmp_path, {"bot.py": BOT}, restart={"mode": "exit"}, update=kept)
    deployment.host_settings("[chat]\nchats = [1]\n")
    (deployment.app / "data").mkdir()
    before = deployment.head()
    failing = migration("raise RuntimeError('no')")
    deployment.release("1.1.0", {"migrations/v1.1.0/001_fails.py": failing})
    with bot_api() as api, Keeper(deployment, api).keeps() as keeper:
        wait_until((deployment.state / "daemon.pid").exists)
        api.write("/update")
        wait_until(lambda: any("001_fails.py" in text for text in api.texts), 40)
        api.write("/update")
        wait_until(lambda: any(text.startswith("Held at 1.0.0") for text in api.texts), 40)
        assert (deployment.head(), keeper.codes) == (before, [])


SLOW_INSTALL = 'touch "$HOME/begun"; while [ ! -e "$HOME/may-end" ]; do sleep 0.02; done'


def start_timer(deployment: Deployment) -> subprocess.Popen[str]:
    """What the unit of the timer that newleaf installs would start."""
    shown = deployment.run("service", "show", "--systemd", "--user", "--timer", "12h").record["files"]
    (unit,) = (file["content"] for file in shown if file["path"].endswith("-update.service"))
    (line,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    _, *words = shlex.split(line.partition("=")[2])
    return deployment.start(*words, "--json", folder=deployment.state)


@pytest.mark.parametrize("first", ["the timer", "the chat"])
def test_l36_a_timer_and_a_chat_at_the_same_moment_then_one_update_and_two_answers(
    first: str, tmp_path: Path
) -> None:
    """lessons.md L36"""
    install = {"install": ["sh", "-c", SLOW_INSTALL]}
    app = {"command": [".venv/bin/python", "bot.py"]}
    deployment = Deployment.make(tmp_path, {"bot.py": BOT}, restart={"mode": "exit"}, update=install, app=app)
    assert deployment.run("init", "--yes").code == 0
    deployment.host_settings("[chat]\nchats = [1]\n")
    commit = deployment.release("1.1.0")
    with bot_api() as api, Keeper(deployment, api).keeps() as keeper:
        wait_until((deployment.state / "daemon.pid").exists)
        if first == "the chat":
            api.write("/update")
            wait_until((deployment.home / "begun").exists)
        timer = start_timer(deployment)
        if first == "the timer":
            wait_until((deployment.home / "begun").exists)
            api.write("/update")
            wait_until(lambda: api.texts)
        else:
            timer.wait(20)
        (deployment.home / "may-end").touch()
        wait_until(lambda: any(FINAL in text for text in api.texts), 40)
        answer = json.loads(timer.communicate(timeout=20)[0])
        assert (deployment.head(), keeper.codes) == (commit, [42])
    attempts = {line["attempt"] for line in deployment.lines("history.jsonl")} - {None}
    assert len(attempts) == 1, "one update was made"
    assert answer["outcome"] == ("locked" if first == "the chat" else "waiting"), answer
    assert len([text for text in api.texts if FINAL in text]) == 1, api.texts
