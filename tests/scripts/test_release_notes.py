"""Release notes are made from real repositories, whose history each test draws.

v1.0.0 ── … ── v1.1.0-rc.1 ── … ── v1.1.0        (main)
   └── … ── v1.0.1                               (maintenance)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repositories import Remote, git_environment

SCRIPT = Path(__file__).parents[2] / "scripts" / "release_notes.py"


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote.make(tmp_path)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        env=git_environment(folder.parent),
        capture_output=True,
        text=True,
        check=False,
    )


def notes(remote: Remote, tag: str) -> str:
    done = run(remote.path, tag)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_commits_since_the_previous_version_are_grouped_newest_first(remote: Remote) -> None:
    remote.commit(message="Add the beginning")
    remote.tag("v1.0.0")
    added = remote.commit(message="Add a window gate")
    fixed = remote.commit(message="Fix: a torn last line is cut off")
    changed = remote.commit(message="Poll with jitter")
    later = remote.commit(message="Wait between polls")
    removed = remote.commit(message="Drop the old signal")
    remote.tag("v1.1.0", message="1.1.0")
    remote.commit(message="Add what comes later")

    assert notes(remote, "v1.1.0") == (
        "Changes since v1.0.0.\n"
        f"\n## Added\n\n- Add a window gate ({added[:7]})\n"
        f"\n## Changed\n\n- Wait between polls ({later[:7]})\n- Poll with jitter ({changed[:7]})\n"
        f"\n## Fixed\n\n- Fix: a torn last line is cut off ({fixed[:7]})\n"
        f"\n## Removed\n\n- Drop the old signal ({removed[:7]})\n"
        "\n## Migrations\n\nNone: data and configuration stay as they are.\n"
    )


def test_first_version_tells_everything(remote: Remote) -> None:
    remote.commit({"migrations/v0.1.0/001_start.py": '"""Makes the first table."""\n'}, "Begin")
    remote.tag("v0.1.0")

    text = notes(remote, "v0.1.0")

    assert text.startswith("The first version.\n")
    assert "- Begin (" in text
    assert "- `migrations/v0.1.0/001_start.py`: Makes the first table.\n" in text


def test_migrations_are_listed_in_the_order_in_which_hosts_run_them(remote: Remote) -> None:
    remote.commit({"migrations/v1.0.0/001_old.py": '"""Old."""\n'})
    remote.tag("v1.0.0")
    remote.commit(
        {
            "migrations/v1.10.0/001_move_files.py": "",
            "migrations/v1.9.0/010_last.py": '"""Comes last.\n\nAnd says why.\n"""\n',
            "migrations/v1.9.0/002_first.py": '"""Comes first."""\n',
            "migrations/v1.0.0/001_old.py": '"""Old, reworded."""\n',
            "migrations/README.md": "no migration",
            "elsewhere/migrations/v1.9.0/001_no.py": "",
        }
    )
    remote.tag("v1.10.0")

    assert notes(remote, "v1.10.0").partition("## Migrations\n\n")[2] == (
        "- `migrations/v1.9.0/002_first.py`: Comes first.\n"
        "- `migrations/v1.9.0/010_last.py`: Comes last.\n"
        "- `migrations/v1.10.0/001_move_files.py`\n"
    )


def test_full_release_tells_again_what_its_candidates_brought(remote: Remote) -> None:
    remote.commit(message="Begin")
    remote.tag("v1.0.0")
    remote.commit(message="Add a new gate")
    remote.tag("v1.1.0-rc.1")
    remote.commit(message="Fix the new gate")
    remote.tag("v1.1.0-rc.2")
    remote.commit(message="Polish the new gate")
    remote.tag("v1.1.0")

    candidate, full = notes(remote, "v1.1.0-rc.2"), notes(remote, "v1.1.0")

    assert candidate.startswith("Changes since v1.1.0-rc.1.\n")
    assert "Add a new gate" not in candidate
    assert full.startswith("Changes since v1.0.0.\n")
    assert "Add a new gate" in full


def test_maintenance_release_is_compared_with_its_own_line(remote: Remote) -> None:
    first = remote.commit(message="Begin")
    remote.tag("v1.0.0")
    remote.commit(message="Add the next minor")
    remote.tag("v1.1.0")
    patch = remote.commit(message="Fix the old line", branch="maintenance", parent=first)
    remote.tag("v1.0.1", patch)

    text = notes(remote, "v1.0.1")

    assert text.startswith("Changes since v1.0.0.\n")
    assert "Add the next minor" not in text


def test_other_tags_are_no_versions(remote: Remote) -> None:
    remote.commit(message="Begin")
    remote.tag("v1.0.0")
    remote.commit(message="Add one")
    remote.tag("nightly")
    remote.tag("vendor-import")
    remote.commit(message="Add two")
    remote.tag("v1.1.0")

    assert notes(remote, "v1.1.0").startswith("Changes since v1.0.0.\n")


def test_breaking_changes_come_first(remote: Remote) -> None:
    remote.commit(message="Begin")
    remote.tag("v1.0.0")
    remote.commit(
        message="Rename a key\n\nIt was unclear.\n\nBreaking: `watch.poll` is `watch.poll_seconds`\n"
    )
    remote.tag("v2.0.0")

    text = notes(remote, "v2.0.0")

    assert text.index("## Breaking\n\n- `watch.poll` is `watch.poll_seconds`\n") < text.index("## Changed")


def test_merges_are_left_out(remote: Remote, tmp_path: Path) -> None:
    remote.commit({"a": "a"}, message="Begin")
    remote.tag("v1.0.0")
    checkout = remote.clone(tmp_path / "checkout")
    remote.commit({"b": "b"}, message="Add a side line", branch="side")
    checkout.git("fetch", "-q")
    checkout.git("commit", "-q", "--allow-empty", "-m", "Add a main line")
    checkout.git("merge", "-q", "--no-ff", "--allow-unrelated-histories", "-m", "Merge side", "origin/side")
    checkout.git("tag", "v1.1.0")
    checkout.git("push", "-q", "origin", "main", "v1.1.0")

    text = notes(remote, "v1.1.0")

    assert "Add a side line" in text
    assert "Add a main line" in text
    assert "Merge side" not in text


@pytest.mark.parametrize("arguments", [[], ["1.0.0"], ["--output=x"], ["v1.0.0", "v1.1.0"], ["v1"]])
def test_wrong_use_says_how(remote: Remote, arguments: list[str]) -> None:
    done = run(remote.path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: release_notes.py TAG" in done.stderr


def test_unknown_tag_is_named_with_its_cure(remote: Remote) -> None:
    remote.commit()
    done = run(remote.path, "v9.9.9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no notes for v9.9.9: no such tag here: git fetch --tags\n"


def test_shallow_clone_is_refused_rather_than_half_told(remote: Remote, tmp_path: Path) -> None:
    remote.commit(message="Begin")
    remote.tag("v1.0.0")
    remote.commit(message="Add one")
    remote.tag("v1.1.0")
    shallow = remote.clone(tmp_path / "shallow", "--depth=1", url=remote.path.as_uri())
    done = run(shallow.path, "v1.1.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "this clone is shallow" in done.stderr


def test_outside_a_repository_git_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "v1.0.0")
    assert done.returncode == 1
    assert "not a git repository" in done.stderr
