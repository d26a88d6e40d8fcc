"""examples/chat_bridge: its story, with shorter jobs, from `git push` to the last word in the chat."""

from __future__ import annotations

import pytest

from examples.chat_bridge.story import NEEDS, tell
from examples.stage.stage import set_stage

SECONDS = 4.0
"""Of the long job: longer than an update takes to come to where it waits for it."""


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("own_temporary_folder")
def test_pushed_and_asked_for_while_jobs_run_and_killed_then_each_job_is_done_once_and_the_last_word_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Promise 2; lessons.md L4, L26, L27, L29, L36"""
    said: list[str] = []
    with set_stage("bridge", *NEEDS, write=said.append) as stage:
        tell(stage, SECONDS)
    failed = [str(check) for check in stage.checks if not check.holds]
    assert not failed, "\n".join(said)
    assert len(stage.checks) > 20
