"""The status at a key of a real Redis: every word, from whoever publishes it, and never at anybody's cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from newleaf.compose.mirroring import redis_line
from newleaf.core.redis_errors import RedisRefuses, RedisSilent
from tests.support.deployment import DAEMON, Deployment, wait_until
from tests.support.launched import launched
from tests.support.redis_server import ENGINES, RedisServer, serve_redis
from tests.support.redis_trouble import HANG, answering
from tests.support.small_keeper import SmallKeeper

KEY = "system_status:mini-1:deploy"
CANARY = "hunter2canary"
UPDATING = """\
import asyncio, signal
import newleaf

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with newleaf.Updater():
        newleaf.ready()
        print("serves")
        await stop.wait()

asyncio.run(main())
"""


def make(folder: Path, url: str, more: str = "", daemon: str = DAEMON, **tables: Any) -> Deployment:
    made = Deployment.make(folder, {"daemon.py": daemon}, **tables)
    made.host_settings(f'[app]\ncomputer_name = "mini-1"\n[status]\nredis_url = "{url}"\n{more}')
    return made


def word(url: str) -> dict[str, Any]:
    """What stands at the key; nothing when nobody answers."""
    with contextlib.suppress(RedisSilent, RedisRefuses):
        found: dict[str, Any] = json.loads(redis_line(url).get(KEY) or "{}")
        return found
    return {}


def says(url: str, status: str) -> dict[str, Any]:
    """The word, as soon as it is this one."""
    wait_until(lambda: word(url).get("status") == status, 20)
    return word(url)


def await_same(url: str, deployment: Deployment) -> None:
    """Until the word is that of the status file, to the letter."""
    wait_until(lambda: word(url) == deployment.record("status.json"), 20)


@contextlib.contextmanager
def agent(deployment: Deployment) -> Iterator[None]:
    """`newleaf agent` beside the daemon, looking around often."""
    quick = (sys.executable, str(Path(__file__).parents[1] / "support/quick_agent.py"))
    with deployment.start("agent", program=quick) as process:
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.communicate(timeout=20)


@pytest.fixture(params=sorted(ENGINES))
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with serve_redis(request.param) as made:
        yield made


def test_every_word_of_an_update_is_set(tmp_path: Path) -> None:
    with answering(b"+OK\r\n") as other:
        deployment = make(tmp_path, other.url, update={"install": "true"})
        deployment.release("1.1.0")
        assert deployment.run("update").code == 0
    said = [json.loads(each.split(b"\r\n")[-2]) for each in other.told]
    assert list(dict.fromkeys(each["status"] for each in said)) == ["updating", "installing", "restarting"]
    assert {each.split(b"\r\n")[4].decode() for each in other.told} == {KEY}
    assert said[-1] == deployment.record("status.json")


def test_restarting_becomes_deployed_by_the_new_process(tmp_path: Path, server: RedisServer) -> None:
    """lessons.md L3; by an update of one command, beside a daemon that reports itself."""
    deployment = make(tmp_path, server.url)
    commit = deployment.release("1.1.0")
    assert deployment.run("update").code == 0
    assert word(server.url)["status"] == "restarting"
    daemon = deployment.start_daemon()
    try:
        assert says(server.url, "deployed")["running"] == {"commit": commit, "version": "1.1.0"}
        await_same(server.url, deployment)
    finally:
        daemon.kill()
        daemon.wait()


def test_agent_inside_a_daemon_brings_each_word_through_its_own_restart(
    tmp_path: Path, server: RedisServer
) -> None:
    often = "[watch]\npoll_seconds = 0.2\n"
    deployment = make(tmp_path, server.url, often, UPDATING, restart={"mode": "exit"})
    with SmallKeeper(deployment).kept() as keeper:
        says(server.url, "deployed")
        commit = deployment.release("1.1.0")
        wait_until(lambda: (word(server.url).get("running") or {}).get("commit") == commit, 30)
        says(server.url, "deployed")
        await_same(server.url, deployment)
        assert keeper.ends == [42]


@pytest.mark.parametrize("run", [(), ("--no-agent",)])
def test_under_a_launcher_the_word_is_set_too(run: tuple[str, ...]) -> None:
    with (
        serve_redis() as server,
        launched(run=run, start=False, watch={"poll_seconds": 0.2}) as one,
    ):
        with (one.state / "host.toml").open("a") as file:
            file.write(f'[status]\nredis_url = "{server.url}"\nredis_key = "{KEY}"\n')
        one.launch(*run)
        one.await_confirmed()
        says(server.url, "deployed")
        commit = one.release("1.1.0")
        if run:
            assert one.verb("update").outcome == "updated"
        one.await_history("updated", "1.1.0")
        wait_until(lambda: (word(server.url)["running"] or {}).get("commit") == commit)
        says(server.url, "deployed")
        await_same(server.url, one.deployment)


def test_redis_that_was_away_gets_the_latest_word_from_an_agent(tmp_path: Path, server: RedisServer) -> None:
    server.kill()
    deployment = make(tmp_path, server.url, "[watch]\npoll_seconds = 3600\n")
    with agent(deployment):
        deployment.release("1.1.0")
        assert deployment.run("update").code == 0
        server.start()
        says(server.url, "restarting")
        server.kill()
        (server.folder / "appendonlydir").rename(server.folder / "gone")
        server.start()
        says(server.url, "restarting")


def test_redis_that_was_away_gets_the_word_from_the_next_update_by_hand(tmp_path: Path) -> None:
    with serve_redis() as server:
        server.kill()
        deployment = make(tmp_path, server.url)
        deployment.release("1.1.0")
        assert deployment.run("update").code == 0
        server.start()
        assert deployment.run("update").outcome == "up_to_date"
        assert word(server.url)["status"] == "restarting"


@pytest.mark.parametrize("answer", [HANG, b"-LOADING\r\n"])
def test_redis_in_trouble_delays_and_fails_nothing(tmp_path: Path, answer: bytes | None) -> None:
    with answering(answer) as other:
        deployment = make(tmp_path, other.url)
        deployment.release("1.1.0")
        answered = deployment.run("update")
        assert other.told
        assert (answered.code, answered.record["errors"]) == (0, [])
        began = time.monotonic()
        assert deployment.run("update").outcome == "up_to_date"
        with_redis = time.monotonic() - began
    (deployment.state / "host.toml").unlink()
    began = time.monotonic()
    assert deployment.run("update").outcome == "up_to_date"
    assert with_redis - (time.monotonic() - began) < 1.0


def test_password_is_nowhere(tmp_path: Path) -> None:
    """threats.md T29: wrong, it is refused; and no output, record or log holds it."""
    with serve_redis(requirepass="another") as server:
        url = f"unix://ada:{CANARY}@{server.socket}"
        deployment = make(tmp_path, url, "[watch]\npoll_seconds = 0.2\n", UPDATING, restart={"mode": "exit"})
        with SmallKeeper(deployment).kept() as keeper:
            keeper.says("WRONGPASS")
            commit = deployment.release("1.1.0")
            wait_until(lambda: deployment.head() == commit, 30)
            keeper.says("serves", 2)
            shown = keeper.output
        for verb in ("update", "doctor", "status", "why", "history", "config"):
            answer = deployment.run(verb)
            shown += json.dumps(answer.record) + answer.errors + "".join(deployment.text(verb)[1:])
    assert "WRONGPASS" in shown
    assert CANARY not in shown
    kept = [path for path in deployment.home.rglob("*") if path.is_file() and path.name != "host.toml"]
    assert len(kept) > 5
    assert [path for path in kept if CANARY.encode() in path.read_bytes()] == []


def test_doctor_says_whether_it_answers_and_what_it_has(tmp_path: Path) -> None:
    def finding() -> dict[str, Any]:
        found = deployment.run("doctor").record["findings"]
        (one,) = (each for each in found if each["check"] == "redis")
        return dict(one)

    with serve_redis() as server:
        deployment = make(tmp_path, server.url)
        deployment.release("1.1.0")
        assert finding()["level"] == "ok"
        deployment.run("update")
        assert "has restarting of" in finding()["text"]
        redis_line(server.url).set(KEY, '{"status": "deployed", "timestamp": "then"}')
        assert (finding()["level"], "deployed of then" in finding()["text"]) == ("warning", True)
        server.kill()
        assert (finding()["level"], "cannot be reached" in finding()["text"]) == ("warning", True)
    assert deployment.run("config", "--check").code == 0
