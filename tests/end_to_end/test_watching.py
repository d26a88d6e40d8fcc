"""`newleaf check` and `update` as programs: every channel and source, failures, and who is told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from newleaf import compose
from newleaf.agent.check import Checked
from newleaf.agent.watcher import Watcher
from newleaf.cli.invocation import Invocation
from newleaf.compose.watching import watcher
from newleaf.core.release import CommitId, Release
from tests.support.deployment import Deployment, wait_until
from tests.support.github_server import github_api
from tests.support.http_server import Answer, LocalServer, Received, serving

BETA = '[deployment]\nchannel = "beta"\n'
STABLE = '[deployment]\nchannel = "stable"\npinned_minor = "1.2"\n'


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.make(tmp_path)


@contextmanager
def chat() -> Iterator[LocalServer]:
    with serving(lambda _: Answer(204)) as server:
        yield server


def texts(received: list[Received]) -> list[str]:
    return [json.loads(request.body)["text"] for request in received]


def everything(state: Path) -> str:
    """All that newleaf has written down."""
    found = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    return b"\n".join(found).decode(errors="replace")


# --- check ----------------------------------------------------------------------------


def test_check_then_signal_and_exit_code_only_when_asked_for(deployment: Deployment) -> None:
    assert deployment.run("check").outcome == "up_to_date"
    commit = deployment.release("1.1.0")
    answer = deployment.run("check")
    assert (answer.code, answer.outcome) == (0, "available")
    assert (answer.record["channel"], answer.record["available"]) == ("alpha", commit)
    assert deployment.record("update_available.json")["available"] == commit
    assert deployment.run("check", "--exit-code").code == 10
    assert deployment.head() != commit


def test_updated_then_the_signal_is_gone(deployment: Deployment) -> None:
    deployment.release("1.1.0")
    deployment.run("check")
    assert deployment.run("update").outcome == "updated"
    assert deployment.run("check", "--exit-code").code == 0
    assert not (deployment.state / "update_available.json").exists()


def test_signal_made_by_a_stranger_then_the_remote_decides(deployment: Deployment) -> None:
    """A hint, never the truth."""
    deployment.run("check")
    (deployment.state / "update_available.json").write_text(
        '{"current": "1.0.0", "available": "9.9.9", "channel": "beta"}'
    )
    answer = deployment.run("check")
    assert answer.outcome == "up_to_date"
    assert "channel beta" in answer.record["notes"][0]


# --- channels -------------------------------------------------------------------------


def test_beta_then_releases_not_commits(deployment: Deployment) -> None:
    deployment.host_settings(BETA)
    commit = deployment.release("1.10.0")
    deployment.remote.commit({"app.py": "print('later')\n"})
    deployment.remote.tag("v1.11.0-rc.1")
    answer = deployment.run("update")
    assert answer.record["to"] == {"commit": commit, "version": "1.10.0", "tag": "v1.10.0"}
    assert deployment.head() == commit
    assert deployment.run("update").outcome == "up_to_date"


def test_stable_then_the_newest_patch_of_its_minor(deployment: Deployment) -> None:
    """lessons.md L15."""
    deployment.host_settings(STABLE)
    for version in ("1.2.1", "1.2.10", "1.3.0", "1.20.0"):
        deployment.release(version)
    assert deployment.run("update").record["to"]["version"] == "1.2.10"


def test_renumbered_then_stays_with_clear_words_and_the_cure_works(deployment: Deployment) -> None:
    """lessons.md L14."""
    deployment.host_settings(BETA)
    deployment.remote.git("update-ref", "-d", "refs/tags/v1.0.0")
    commit = deployment.release("0.2.0")
    for verb in ("check", "update", "check"):
        answer = deployment.run(verb)
        assert (answer.code, answer.outcome) == (0, "up_to_date")
        assert "0.2.0, is older than 1.0.0" in answer.record["notes"][0]
    assert deployment.run("pin", "0.2.0").code == 0
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == commit
    assert deployment.run("unpin").code == 0
    newer = deployment.release("0.3.0")
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == newer


def test_pinned_version_missing_then_failed_and_named(deployment: Deployment) -> None:
    """lessons.md L2."""
    deployment.run("pin", "7.7.7")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (1, "failed")
    assert answer.record["errors"][0]["code"] == "pin_missing"


def test_moved_tag_then_refused(deployment: Deployment) -> None:
    """threats.md T9."""
    deployment.host_settings(BETA)
    deployment.release("1.1.0")
    assert deployment.run("check").outcome == "available"
    before = deployment.head()
    deployment.remote.commit({"app.py": "print('other')\n"})
    deployment.remote.tag("v1.1.0")
    for verb in ("update", "check", "update"):
        answer = deployment.run(verb)
        assert (answer.code, answer.outcome) == (5, "refused")
        assert answer.record["errors"][0]["code"] == "tag_moved"
    assert deployment.head() == before


def test_watch_paths_then_other_commits_are_no_targets(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path, watch={"paths": ["src"]})
    deployment.remote.commit({"README.md": "Sessions\n"})
    assert deployment.run("update").outcome == "up_to_date"
    commit = deployment.remote.commit({"src/app.py": "print()\n"})
    deployment.remote.commit({"README.md": "Sessions.\n"})
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == commit


# --- GitHub ---------------------------------------------------------------------------


def test_releases_on_an_api_of_one_s_own_then_those_count(deployment: Deployment) -> None:
    commit = deployment.release("1.1.0")
    deployment.release("1.2.0")
    folder = deployment.folder.name
    with github_api(repository=f"{folder}/remote") as api:
        api.publish("v1.1.0")
        deployment.host_settings(f'{BETA}[source]\napi_url = "{api.url}"\n')
        answer = deployment.run("update")
        assert (answer.outcome, deployment.head()) == ("updated", commit)
        api.instead.append(Answer(429, {"Retry-After": "600"}))
        limited = [deployment.run("check") for _ in range(3)]
    assert [answer.record["errors"][0]["code"] for answer in limited] == ["api_limited"] * 3
    assert [answer.code for answer in limited] == [1] * 3
    assert not api.instead


def test_token_then_sent_to_the_api_and_nowhere_written(deployment: Deployment) -> None:
    """threats.md T29."""
    deployment.release("1.1.0")
    token = deployment.folder / "token"
    token.write_text("ghp_canary0123456789\n")
    token.chmod(0o600)
    with github_api(repository=f"{deployment.folder.name}/remote", token="ghp_canary0123456789") as api:
        deployment.host_settings(f'{BETA}[source]\napi_url = "{api.url}"\ntoken_file = "{token}"\n')
        api.publish("v1.1.0")
        answers = [deployment.run("update")]
        assert answers[0].outcome == "updated"
        api.token = "another"
        answers.append(deployment.run("check"))
    assert answers[1].record["errors"][0]["code"] == "api_denied"
    said = everything(deployment.state) + "".join(json.dumps(a.record) + a.errors for a in answers)
    assert "canary" not in said


# --- out of reach ---------------------------------------------------------------------


def test_remote_out_of_reach_then_failed_and_stale_said_once(tmp_path: Path) -> None:
    """threats.md T2, lessons.md L2 and L5."""
    deployment = Deployment.make(tmp_path)
    with chat() as server:
        settings = f'[watch]\nstale_after = 0.05\n[notify]\nurls = ["{server.url}/hook/canary"]\n'
        deployment.host_settings(settings + 'allow_private = ["127.0.0.1"]\n')
        assert deployment.run("check").outcome == "up_to_date"
        deployment.remote.path.rename(tmp_path / "elsewhere.git")
        answers = [deployment.run("check") for _ in range(3)]
        assert [answer.code for answer in answers] == [1, 1, 1]
        assert deployment.run("status").record["status"] == "stale"
        (tmp_path / "elsewhere.git").rename(deployment.remote.path)
        assert deployment.run("check").outcome == "up_to_date"
        assert deployment.run("status").record["status"] != "stale"
    stale = [text for text in texts(server.received) if "cannot reach its remote" in text]
    assert len(stale) == 1


# --- notices --------------------------------------------------------------------------


def failing_update(deployment: Deployment) -> Any:
    """An update that is refused, whatever is tried."""
    deployment.run("pin", "7.7.7")
    return deployment.run("update")


def test_same_failure_again_and_again_then_one_notice(deployment: Deployment) -> None:
    """lessons.md L5."""
    with chat() as server:
        urls = f'[notify]\nurls = ["{server.url}"]\nallow_private = ["127.0.0.1"]\n'
        deployment.host_settings(urls)
        for _ in range(3):
            assert failing_update(deployment).outcome == "failed"
    assert len(server.received) == 1
    assert "7.7.7" in texts(server.received)[0]


def test_notice_to_a_private_address_then_not_sent_and_the_update_goes_on(deployment: Deployment) -> None:
    """threats.md T28, T29: failures fail nothing, and say no address."""
    with chat() as server:
        deployment.host_settings(f'[notify]\nurls = ["{server.url}/hook/canary"]\n')
        answer = failing_update(deployment)
        assert answer.record["errors"][0]["code"] == "pin_missing"
    assert server.connections == 0
    log = (deployment.state / "logs" / "update.log").read_text()
    assert "127.0.0.1 leads to 127.0.0.1 (loopback)" in log
    assert "canary" not in everything(deployment.state).replace('/hook/canary"]', "")


# --- the loop -------------------------------------------------------------------------


def watched(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    """The polling loop of a daemon of this deployment, made as a daemon makes it."""
    for name, value in deployment.variables.items():
        monkeypatch.setenv(name, value)
    return watcher(compose.host(Invocation(), folder=deployment.checkout.path), print)


def test_daemon_watches_then_commits_pins_and_signals_are_noticed(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.host_settings("[watch]\npoll_seconds = 0.05\n")
    found: list[Checked] = []

    async def until(condition: Callable[[], bool]) -> None:
        await asyncio.to_thread(wait_until, condition)

    async def main() -> None:
        watch = watched(deployment, monkeypatch)
        task = asyncio.ensure_future(watch.run(found.append))
        commit = deployment.release("1.1.0")
        await until(lambda: bool(found) and found[-1].available == Release(CommitId(commit)))
        assert deployment.record("update_available.json")["available"] == commit
        # A decision that is made while it watches counts from the next look on.
        assert deployment.run("pin", "1.0.0").code == 0
        await until(lambda: not (deployment.state / "update_available.json").exists())
        assert deployment.run("unpin").code == 0
        found.clear()
        await until(lambda: bool(found))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_signal_written_beside_a_daemon_then_a_look_within_two_seconds(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.run("check")
    deployment.host_settings(BETA + "[watch]\npoll_seconds = 3600\n")
    found: list[float] = []

    async def main() -> None:
        watch = watched(deployment, monkeypatch)
        watch.chance = lambda: 0.9
        task = asyncio.ensure_future(watch.run(lambda _: found.append(time.monotonic())))
        await asyncio.sleep(0.05)
        deployment.release("1.1.0")
        text = '{"current": "1.0.0", "available": "1.1.0", "channel": "beta"}'
        (deployment.state / "update_available.json").write_text(text)
        began = time.monotonic()
        await asyncio.to_thread(wait_until, lambda: found)
        assert found[0] - began < 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
