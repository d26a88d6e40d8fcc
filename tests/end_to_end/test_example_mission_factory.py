"""examples/mission_factory: its story with shorter work, from orders by HTTP to what the ledgers say."""

from __future__ import annotations

import pytest

from examples.mission_factory.story import EXAMPLE, NEEDS, tell
from examples.stage.stage import set_stage

ROOT = EXAMPLE.parents[1]
SECONDS = 1.5
"""Of the long work: longer than it takes to give an order meanwhile."""


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("own_temporary_folder")
def test_ordered_while_one_works_one_is_killed_and_one_is_away_then_each_order_is_done_once_by_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """lessons.md L1, L4, L26, L29, L36 to L39; threats.md T23, T24."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    said: list[str] = []
    with set_stage("factory", *NEEDS, write=said.append) as stage:
        tell(stage, SECONDS)
    failed = [str(check) for check in stage.checks if not check.holds]
    assert not failed, "\n".join(said)
    assert len(stage.checks) > 40


def test_it_has_one_command_and_says_so() -> None:
    assert "make mission-factory" in (EXAMPLE / "README.md").read_text()
    assert "\nmission-factory: setup" in (ROOT / "Makefile").read_text()
