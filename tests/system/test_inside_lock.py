"""The lock of the one updater that watches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.core.errors import StateDirectoryUnsafe
from newleaf.core.inside_errors import StandsBy
from newleaf.core.missions.mission_errors import MissionsTaken
from newleaf.system.inside_lock import INSIDE_LOCK, MISSIONS_LOCK, alone, is_held
from tests.support.children import python

HOLDER = """
import sys, time
from pathlib import Path
from newleaf.system.inside_lock import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_holds_it_then_it_is_named_and_killed_the_lock_is_free(tmp_path: Path) -> None:
    """lessons.md L35"""
    tmp_path.chmod(0o700)
    with python(HOLDER, str(tmp_path)) as holder:
        assert is_held(tmp_path)
        with pytest.raises(StandsBy, match=rf"pid {holder.pid}"), alone(tmp_path):
            pass
        holder.kill()
        holder.wait()
        assert not is_held(tmp_path)
        with alone(tmp_path):
            pass


def test_a_symlink_lies_in_its_place_then_refused_and_the_other_file_untouched(tmp_path: Path) -> None:
    """threats.md T20"""
    other = tmp_path / "other"
    other.write_text("mine")
    os.symlink(other, tmp_path / INSIDE_LOCK)
    with pytest.raises(StateDirectoryUnsafe), alone(tmp_path):
        pass
    assert other.read_text() == "mine"


def test_who_takes_the_missions_has_a_lock_of_its_own(tmp_path: Path) -> None:
    """lessons.md L39"""
    tmp_path.chmod(0o700)
    with alone(tmp_path), alone(tmp_path, MISSIONS_LOCK):
        assert is_held(tmp_path, MISSIONS_LOCK)
        with pytest.raises(MissionsTaken), alone(tmp_path, MISSIONS_LOCK):
            pass
    assert not is_held(tmp_path, MISSIONS_LOCK)
