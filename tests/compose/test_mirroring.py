"""The status in a Redis, put together: whose mirror a host has, and what is loaded for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from newleaf import compose
from newleaf.agent.status_mirror import Manner
from newleaf.compose.host import Host
from newleaf.compose.mirroring import Following, attempt_mirror, daemon_mirror, redis_line
from newleaf.core.redis_errors import RedisSilent
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment, wait_until
from tests.support.redis_trouble import answering

CANARY = "hunter2canary"


def host(deployment: Deployment, url: str | None = None) -> Host:
    where = f'redis_url = "{url}"\n' if url else ""
    deployment.host_settings(f'[app]\ncomputer_name = "mini-1"\n[status]\n{where}')
    return compose.host(Unnamed())


def test_host_without_a_redis_has_no_mirror(deployment: Deployment) -> None:
    made = host(deployment)
    state, status = made.state, made.settings.status
    assert attempt_mirror(state, status, print) is None
    assert daemon_mirror(state, status, print) is None
    assert made.mirror is None


def test_word_is_set_at_the_computer_s_key(deployment: Deployment) -> None:
    with answering(b"+OK\r\n") as other:
        made = host(deployment, other.url)
        made.reporter.publish(made.unknown_status())
        assert made.mirror
        assert made.mirror.finish(5)
    (command,) = other.told
    assert command.startswith(b"*3\r\n$3\r\nSET\r\n$27\r\nsystem_status:mini-1:deploy\r\n")


def test_attempt_waits_for_its_last_word_at_its_end(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[object] = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    made = host(deployment, "redis://r")
    assert made.mirror
    assert at_exit == [made.mirror.finish]


def test_agent_s_host_publishes_through_the_agent_s_mirror_alone(
    deployment: Deployment,
) -> None:
    said: list[str] = []
    with answering(b"+OK\r\n") as other:
        made = host(deployment, other.url)
        following = Following(said.append)
        first = made.mirror = following.follow(made.state, made.settings.status)
        assert first
        assert first._manner is Manner.AGENT
        assert following.follow(made.state, host(deployment, other.url).settings.status) is first
        made.reporter.publish(made.unknown_status())
        wait_until(lambda: other.told, 5)
        assert following.follow(made.state, host(deployment).settings.status) is None
        wait_until(lambda: first._thread is None, 5)
        following.stop(1)
    assert said == []


@pytest.mark.parametrize("url", [f"redis://:{CANARY}/x@r", f"redis://r?{CANARY}=1"])
def test_address_that_cannot_be_used_is_told_and_harms_nothing(deployment: Deployment, url: str) -> None:
    """threats.md T29."""
    said: list[str] = []
    made = host(deployment, url)
    assert daemon_mirror(made.state, made.settings.status, said.append) is None
    assert "does not arrive" in said[0]
    with pytest.raises(RedisSilent):
        redis_line(url)
    assert f":{CANARY}" not in said[0]


@pytest.mark.parametrize(("url", "loads"), [("redis://r", False), ("rediss://r", True)])
def test_ssl_is_loaded_for_an_encrypted_connection_alone(url: str, loads: bool) -> None:
    code = "from newleaf.compose.mirroring import redis_line; redis_line(sys.argv[1]); print(*sys.modules)"
    argv = [sys.executable, "-c", f"import sys; {code}", url]
    seen = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    modules = set(seen.stdout.split())
    assert ("ssl" in modules) is loads
    assert "redis" not in modules
