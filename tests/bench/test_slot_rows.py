from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import run
from bench.ground import Ground
from bench.measure import DidNotWork
from bench.slot_rows import FEW, INSIDE_BUILD, INSIDE_SLOTS, PLAIN_SLOT, UV_SYNC
from bench.slots_hosts import FETCH_AND_TREE, LINK, REMOVE_OLD, SYNC, ShellHost, SlotsHost

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground.make(tmp_path, tmp_path / "cache")
    yield made
    made.end()


def test_a_host_by_hand_has_a_worktree_and_an_environment_for_each_commit(ground: Ground) -> None:
    app = ground.packaged(2)
    host = ShellHost.make(ground, "some", app.remote)
    script = host.program("by hand", FETCH_AND_TREE + SYNC + LINK)
    script.run()
    app.publish_code()
    with pytest.raises(DidNotWork, match="is live, the remote is at"):
        host.arrived()
    script.run()
    assert (host.folder / "current" / "release.txt").read_text() == "1\n"
    assert len(os.listdir(host.folder / "releases")) == 2
    app.installed(host.folder / "current" / ".venv")()


def test_a_host_with_slots_builds_an_environment_only_when_the_lock_changes(ground: Ground) -> None:
    app = ground.packaged(2)
    host = SlotsHost.make(ground, "some", app.remote)
    app.publish_code()
    host.newleaf("update").run()
    assert len(os.listdir(host.environments)) == 1
    app.publish_dependency()
    host.newleaf("update").run()
    assert len(os.listdir(host.environments)) == 2


def test_both_remove_what_is_old_where_they_are_told_to(ground: Ground) -> None:
    app = ground.packaged(2)
    host, by_hand = (
        SlotsHost.make(ground, "some", app.remote, keep=1),
        ShellHost.make(ground, "some", app.remote),
    )
    script = by_hand.program("by hand", FETCH_AND_TREE + LINK + REMOVE_OLD)
    for _ in range(4):
        app.publish_code()
        host.newleaf("update").run()
        script.run()
    assert len(os.listdir(host.state / "releases")) <= 3
    assert len(os.listdir(by_hand.folder / "releases")) == 2


def test_an_environment_without_a_package_is_no_proof(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(DidNotWork, match="0 of 2 packages"):
        ground.packaged(2).installed(tmp_path / "nowhere")()


def test_the_rows_of_slots_measure_newleaf_beside_git_and_uv(tmp_path: Path) -> None:
    output = tmp_path / "numbers.json"
    rows = ["--row", "slots-attempt", "--row", f"environment-{FEW}"]
    arguments = [sys.executable, "bench/run.py", "--quick", *rows, "--output", str(output)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    attempt, building = json.loads(output.read_text())["rows"]
    assert [each["name"] for each in attempt["measured"]] == [INSIDE_SLOTS, PLAIN_SLOT]
    assert [each["name"] for each in building["measured"]] == [INSIDE_BUILD, UV_SYNC]
    for each in (*attempt["measured"], *building["measured"]):
        assert each["runs"] == run.QUICK_ROUNDS
