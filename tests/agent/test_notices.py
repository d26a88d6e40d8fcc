"""Outcomes posted to servers on this machine that behave, misbehave, or lead astray."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newleaf.agent import notices as notices_module
from newleaf.agent.notices import Notices
from newleaf.agent.watch_file import WatchFile
from newleaf.core.records import Status
from newleaf.core.release import CommitId, Release
from newleaf.system.http import HttpClient
from tests.support.http_server import Answer, Received, serving

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GOOD = Release(CommitId("a" * 40), "1.3.0")
BAD = Release(CommitId("b" * 40), "1.4.0")
DEPLOYED = Status("deployed", NOW, "mini-1", "sessions", "beta", running=GOOD)
FAILED = Status("update_failed", NOW, "mini-1", "sessions", "beta", target=BAD, error="git fetch failed")
STALE = FAILED._replace(status="stale", target=None, error="not reached for 7d")
HERE = frozenset({"127.0.0.1"})


class Host:
    """Notices of one host, and what it said of them."""

    def __init__(self, state: Path, *urls: str, allowed: frozenset[str] = HERE) -> None:
        self.state, self.urls, self.allowed = state, urls, allowed
        self.said: list[str] = []

    def post(self, *statuses: Status) -> None:
        """Posts as a fresh process would, each time."""
        for status in statuses:
            Notices(self.urls, self.allowed, HttpClient(), WatchFile(self.state), self.said.append).post(
                status
            )


def always(answer: Answer) -> Callable[[Received], Answer]:
    return lambda _: answer


def test_outcome_then_posted_as_json_with_a_text(tmp_path: Path) -> None:
    with serving(always(Answer(204))) as server:
        host = Host(tmp_path, server.url + "/hook")
        host.post(DEPLOYED)
    (received,) = server.received
    assert (received.method, received.target) == ("POST", "/hook")
    assert received.headers["content-type"] == "application/json"
    body = json.loads(received.body)
    assert body["text"] == "sessions on mini-1 runs 1.3.0 (aaaaaaaaa)"
    assert body["newleaf"]["running"] == {"commit": GOOD.commit, "version": "1.3.0"}
    assert host.said == []


def test_chat_that_refuses_unknown_keys_then_the_text_alone(tmp_path: Path) -> None:
    def picky(request: Received) -> Answer:
        return Answer(200 if set(json.loads(request.body)) == {"text"} else 400)

    with serving(picky) as server:
        host = Host(tmp_path, server.url)
        host.post(DEPLOYED)
    assert len(server.received) == 2
    assert host.said == []


# --- once -----------------------------------------------------------------------------


def test_same_alarm_again_and_again_then_posted_once(tmp_path: Path) -> None:
    """lessons.md L5: 48 identical alarms a day."""
    with serving(always(Answer())) as server:
        host = Host(tmp_path, server.url)
        for number in range(48):
            host.post(FAILED._replace(error=f"git fetch took {number} s", attempt=f"attempt-{number}"))
    assert len(server.received) == 1


def test_two_alarms_that_alternate_then_each_once(tmp_path: Path) -> None:
    """lessons.md L5."""
    with serving(always(Answer())) as server:
        Host(tmp_path, server.url).post(FAILED, STALE, FAILED, STALE)
    assert len(server.received) == 2


def test_alarm_changes_then_posted(tmp_path: Path) -> None:
    with serving(always(Answer())) as server:
        Host(tmp_path, server.url).post(FAILED, FAILED._replace(error="no space left"))
    assert len(server.received) == 2


def test_same_alarm_after_a_success_then_news(tmp_path: Path) -> None:
    with serving(always(Answer())) as server:
        Host(tmp_path, server.url).post(FAILED, DEPLOYED, FAILED)
    assert len(server.received) == 3


def test_memory_cannot_be_written_then_posted_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text('{"schema": 2}')
    with serving(always(Answer())) as server:
        host = Host(tmp_path, server.url)
        host.post(FAILED)
    assert len(server.received) == 1
    assert "newer newleaf" in host.said[0]


# --- failures fail nothing ------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(404), Answer(raw=b""), Answer(raw=b"hello\r\n\r\n"), Answer(302)]
)
def test_server_fails_then_a_line_without_the_address_and_no_exception(
    answer: Answer, tmp_path: Path
) -> None:
    """threats.md T29: a webhook's path is its secret."""
    with serving(always(answer)) as server:
        host = Host(tmp_path, server.url + "/services/canary")
        host.post(FAILED)
    (said,) = host.said
    assert said.startswith("notify.urls: 127.0.0.1 ")
    assert "canary" not in said


def test_one_server_fails_then_the_others_are_called(tmp_path: Path) -> None:
    with serving(always(Answer(500))) as broken, serving(always(Answer())) as working:
        host = Host(tmp_path, broken.url, "http://127.0.0.1:1/", "no address", working.url)
        host.post(FAILED)
    assert len(working.received) == 1
    assert len(host.said) == 3


def test_servers_that_hang_then_all_together_take_a_few_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """threats.md T5."""
    monkeypatch.setattr(notices_module, "POST_SECONDS", 0.3)
    monkeypatch.setattr(notices_module, "ALL_POSTS_SECONDS", 0.5)
    with serving(always(Answer(body=b"x" * 100, drip_seconds=0.05))) as server:
        host = Host(tmp_path, *[server.url] * 5)
        began = time.monotonic()
        host.post(FAILED)
        assert time.monotonic() - began < 6
    assert len(host.said) == 5
    assert "no time left" in host.said[-1]


def test_no_addresses_then_nothing_is_remembered(tmp_path: Path) -> None:
    Host(tmp_path).post(FAILED)
    assert list(tmp_path.iterdir()) == []


# --- where it leads -------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.1", "2130706433", "127.0.0.1", "localhost"])
def test_address_leads_to_this_machine_then_refused(host: str, tmp_path: Path) -> None:
    """threats.md T28."""
    with serving(always(Answer())) as server:
        found = Host(tmp_path, f"http://{host}:{server.port}/hook", allowed=frozenset())
        found.post(FAILED)
    assert server.connections == 0
    assert f"{host} leads to 127.0.0.1 (loopback)" in found.said[0]


@pytest.mark.parametrize("host", ["169.254.169.254", "[64:ff9b::7f00:1]"])
def test_address_leads_to_the_cloud_or_around_then_refused(host: str, tmp_path: Path) -> None:
    """threats.md T28."""
    found = Host(tmp_path, f"http://{host}/latest/meta-data", allowed=frozenset())
    found.post(FAILED)
    assert "leads to" in found.said[0]


@pytest.mark.parametrize(
    "to",
    [
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://169.254.169.254/",
        "http://[64:ff9b::7f00:1]/",
    ],
)
@pytest.mark.parametrize("status", [302, 307])
def test_server_redirects_there_then_refused(to: str, status: int, tmp_path: Path) -> None:
    """threats.md T28."""
    with serving(always(Answer())) as inner:
        answer = Answer(status, {"Location": to.format(port=inner.port)})
        with serving(always(answer)) as server:
            host = Host(tmp_path, server.url)
            host.post(FAILED)
    assert inner.connections == 0
    assert "leads to" in host.said[0]


def test_private_host_allowed_by_name_then_posted(tmp_path: Path) -> None:
    """threats.md T28."""
    with serving(always(Answer())) as server:
        host = Host(tmp_path, f"http://localhost:{server.port}/", allowed=frozenset({"localhost"}))
        host.post(FAILED)
    assert len(server.received) == 1
    assert host.said == []
