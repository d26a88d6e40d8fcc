"""The session daemon's story: from `git push` to the last word in Redis, with a power cut on the way."""

from __future__ import annotations

import os
import shutil

import pytest

from examples.session_daemon.show import EXAMPLE, Story
from examples.stage.stage import set_stage
from tests.support.redis_server import serve_redis

ROOT = EXAMPLE.parents[1]


@pytest.mark.skipif(not shutil.which("make"), reason="the app is installed by make")
@pytest.mark.usefixtures("own_temporary_folder")
def test_pushed_then_each_word_is_in_redis_and_no_step_is_lost_not_even_by_a_power_cut() -> None:
    """lessons.md L3, L18, L29; every act but the one that pins a version."""
    lines: list[str] = []
    with serve_redis() as server, set_stage("t", write=lines.append) as stage:
        story = Story.make(stage, server.url)
        with story.words.watched():
            story.deploy()
            with story.keeping() as service:
                story.update(service)
                story.survive(service)
            story.look_back()
    failed = [str(check) for check in stage.checks if not check.holds]
    assert failed == [], "\n".join(lines)
    assert len(stage.checks) >= 9
    assert story.words.seen[-1]["status"] == "deployed"
    assert story.words.seen[-1]["computer"] == f"example-{os.getpid()}"


def test_it_has_one_command_and_says_so() -> None:
    assert "make session-daemon" in (EXAMPLE / "README.md").read_text()
    assert "\nsession-daemon: setup" in (ROOT / "Makefile").read_text()
