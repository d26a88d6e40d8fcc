"""A verdict whose program found the update lock held is said later, if it still holds (lessons.md L1)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from newleaf.core.launch.counters import Counters
from newleaf.core.launch.plan import Post
from newleaf.core.launch.supervision import Supervision
from newleaf.launcher.launcher import LOCKED, Launcher
from newleaf.launcher.state_files import StateFiles


class Started:
    """Stands in for the launcher's processes: notes what would be started."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def start(self, _program: object, known: Any) -> int:
        self.kinds.append(known.kind)
        return 1


@pytest.mark.parametrize(
    ("word", "is_tried", "is_said"),
    [("confirmed", False, True), ("confirmed", True, False), ("failed", True, True), ("left", True, True)],
)
def test_a_word_is_late_and_a_release_is_on_trial_then_it_is_not_said(
    tmp_path: Path, word: str, is_tried: bool, is_said: bool
) -> None:
    started, kind = Started(), f"settle:{word}:why"
    opened: Any = SimpleNamespace(processes=started, loop=None, daemon=None, log=None, control=None)
    post = Post(("newleaf",), str(tmp_path))
    launcher = Launcher(StateFiles(tmp_path), post, Supervision(Counters()), opened, print)
    launcher._settle_ended(kind, LOCKED)
    if is_tried:
        launcher.supervision.counters.begin_trial("a-2", "c" * 40)
    for _, act in launcher._later:
        act()
    assert started.kinds == ([kind] if is_said else [])
