"""docs/how-to/tell-a-watchdog.md: its watchdogs hold still while a restart is under way, and only then."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.system.planned_restart import announce

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/tell-a-watchdog.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def looks(home: Path, language: str) -> bool:
    """Whether the watchdog goes on to look at the daemon."""
    script, shell = block(language), ["sh", "-eu", "-c"]
    if language == "sh":
        script = re.sub(r"^curl.*$", "exit 9", script, flags=re.MULTILINE)
    else:
        script, shell = script + "raise SystemExit(9)\n", [sys.executable, "-c"]
    done = subprocess.run([*shell, script], env={**os.environ, "HOME": str(home)}, check=False, timeout=20)
    return {0: False, 9: True}[done.returncode]


@pytest.mark.parametrize("language", ["sh", "python"])
def test_a_watchdog_holds_still_while_a_restart_is_under_way_and_only_then(
    tmp_path: Path, language: str
) -> None:
    """lessons.md L31"""
    now = datetime.now(UTC)
    state = tmp_path / ".bridge"
    state.mkdir()
    assert looks(tmp_path, language), "nothing is announced"
    announce(state, 'from 1.0.0 to "since"', now, 60)
    assert not looks(tmp_path, language)
    announce(state, "update", now - timedelta(seconds=61), 60)
    assert looks(tmp_path, language), "it is over"
    announce(state, "update", now + timedelta(seconds=30), 60)
    assert looks(tmp_path, language), "it is from the future"
    (state / "planned-restart").write_text("broken")
    assert looks(tmp_path, language)
