"""The doors of a real host: settings that open them, and real updates behind them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import pytest

import newleaf
from newleaf import compose
from newleaf.agent.asking import ByUpdater
from newleaf.core.errors import UsageError
from newleaf.core.orders import BY_ANOTHER
from newleaf.core.releases.channels import Rule
from newleaf.core.requests import Request
from tests.support.deployment import Deployment, wait_until


@pytest.fixture(autouse=True)
def stands_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of the tests was started from newleaf's own tree."""
    monkeypatch.setattr(compose, "own_tree", lambda: None)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await work()

    return asyncio.run(bounded())


def test_nothing_is_configured_then_every_door_is_shut(deployment: Deployment) -> None:
    """lessons.md L40"""
    made = newleaf.doors()
    assert (made.chats, made.token(), made.webhook_secret()) == (frozenset(), None, None)
    assert (made.state, made.rule) == (deployment.state, Rule())


def test_developed_and_not_deployed_here_then_doors_make_no_state_directory(deployment: Deployment) -> None:
    """One that is there would have the next `Updater` move a developer's checkout."""
    newleaf.doors()
    assert not deployment.state.exists()


def test_first_release_is_tried_then_there_are_doors_although_nothing_is_live(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app may have them when it is imported, as docs/how-to/update-by-http.md has it."""
    release = deployment.state / "releases" / ("a" * 40)
    release.mkdir(parents=True)
    deployment.state.chmod(0o700)
    identity = {"schema": 1, "app": "sessions", "layout": "slots", "folder": "."}
    (deployment.state / "identity.json").write_text(json.dumps(identity))
    (release / ".newleaf-release.json").write_text(json.dumps({"commit": "a" * 40}))
    (release / "newleaf.toml").write_text('[app]\nname = "sessions"\n')
    monkeypatch.chdir(release)
    assert newleaf.doors().state == deployment.state


def test_configured_then_open_and_a_secret_is_read_when_it_is_needed(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    token, secret = deployment.home / "token", deployment.home / "secret"
    deployment.host_settings(
        "[deployment]\nchannel = 'stable'\npinned_minor = '1.2'\n[chat]\nchats = [1, -100200]\n"
        "telegram_token_file = '~/token'\n[http]\ntoken_file = '~/token'\nwebhook_secret_file = '~/secret'\n"
    )
    made = newleaf.doors("sessions")
    assert made.chats == {"1", "-100200"}
    assert (made.rule.channel, made.rule.pinned_minor) == ("stable", "1.2")
    with caplog.at_level(logging.WARNING, "newleaf"):
        assert [made.token(), made.token()] == [None, None]
    assert len(caplog.records) == 1, "a file that is missing is told once"
    for path in (token, secret):
        path.write_text("one\n")
        path.chmod(0o600)
    assert (made.token(), made.webhook_secret(), made.telegram_token()) == ("one", "one", "one")
    token.write_text("two\n")
    assert made.token() == "two"
    token.chmod(0o644)
    assert made.token() is None, "others can read it"


def test_settings_in_code_then_they_open_doors_too(deployment: Deployment) -> None:
    assert newleaf.doors(settings=newleaf.Settings(chat={"chats": [7]})).chats == {"7"}


def test_started_from_anywhere_then_the_app_is_found_by_the_program_s_tree(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(deployment.home)
    monkeypatch.setattr(compose, "own_tree", lambda: deployment.checkout.path)
    assert newleaf.doors().state == deployment.state


def test_settings_are_wrong_then_an_error_at_once(deployment: Deployment) -> None:
    deployment.host_settings("[chat]\nchats = ['x']\n")
    with pytest.raises(UsageError):
        newleaf.doors()


def test_an_updater_is_given_then_it_makes_the_updates(deployment: Deployment) -> None:
    class Updater:
        restart_wanted = False

        def submit(self, request: Request) -> Future[Any]:
            raise NotImplementedError

    updater = Updater()
    made = newleaf.doors(updater=updater)
    assert isinstance(made.updates, ByUpdater)
    assert made.restarts is updater


def test_asked_for_then_a_real_update_its_status_and_why(deployment: Deployment) -> None:
    commit = deployment.release("1.1.0")

    async def work() -> None:
        updates = newleaf.doors().updates
        assert (await updates.status())["status"] == "checking"
        record = await updates.request(Request("chat"))
        assert (record["outcome"], record["to"]["commit"]) == ("updated", commit)
        assert (await updates.request(Request("http")))["outcome"] == "up_to_date"
        assert (await updates.status())["status"] == "restarting"
        assert "nothing" in (await updates.why())["summary"]

    run(work)
    (line,) = deployment.lines("history.jsonl")
    assert (line["origin"], newleaf.doors().lines()) == ("chat", [line])


def test_an_updater_lives_here_then_a_real_update_by_it(deployment: Deployment) -> None:
    deployment.run("check")
    commit = deployment.release("1.1.0")

    async def work() -> Any:
        async with newleaf.Updater("sessions") as updater:
            return await newleaf.doors(updater=updater).updates.request(Request("chat"))

    record = run(work)
    assert (record["outcome"], record["to"]["commit"]) == ("updated", commit)
    assert deployment.lines("history.jsonl")[0]["origin"] == "chat"


def test_l36_a_timer_and_a_chat_at_the_same_moment_then_one_update_and_two_answers(
    deployment: Deployment,
) -> None:
    deployment.release("1.2.0", {"newleaf.toml": _slow(deployment)})
    timer = deployment.start("update", "--json")
    wait_until((deployment.state / "installing").exists)
    record = run(lambda: newleaf.doors().updates.request(Request("chat")))
    output, _ = timer.communicate(timeout=60)
    assert json.loads(output)["outcome"] == "updated"
    assert (record["outcome"], record["notes"]) == ("updated", [BY_ANOTHER])
    assert record["to"] == json.loads(output)["to"]
    assert len(deployment.lines("history.jsonl")) == 1


def _slow(deployment: Deployment) -> str:
    """Settings whose installation takes its time, and says that it has begun."""
    text = (deployment.checkout.path / "newleaf.toml").read_text()
    install = json.dumps(["sh", "-c", f"touch {deployment.state}/installing; sleep 1"])
    return text.replace('install = "none"', f"install = {install}")
