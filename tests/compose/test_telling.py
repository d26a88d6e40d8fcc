"""Who is told of an outcome: the file, the log, whoever watches, and the addresses of the settings."""

from __future__ import annotations

import pytest

from newleaf import compose
from newleaf.compose.host import now
from newleaf.compose.telling import Ears, reporter
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment
from tests.support.http_server import Answer, serving


@pytest.mark.parametrize(("word", "posts"), [("deployed", 1), ("installing", 0)])
def test_outcome_is_posted_and_a_word_on_the_way_is_not(
    deployment: Deployment, word: str, posts: int
) -> None:
    with serving(lambda _: Answer()) as server:
        deployment.host_settings(f'[notify]\nurls = ["{server.url}/hook"]\nallow_private = ["127.0.0.1"]\n')
        host = compose.host(Unnamed())
        seen: list[str] = []
        ears = Ears(host.state, host.status_file, host.settings.notify, lambda: host.http, seen.append)
        reporter(ears, now).publish(host.unknown_status()._replace(status=word))
        assert len(server.received) == posts
    assert deployment.record("status.json")["status"] == word
    assert seen == [word]
    assert word in (deployment.state / "logs/update.log").read_text()
