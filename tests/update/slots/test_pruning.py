"""Room is made: what stays on the disk, and what an app wrote (lessons.md L24). Real git, real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import CorruptFile
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.retention import Claims
from newleaf.system import occupants
from newleaf.update.slots import pruning
from newleaf.update.slots.pruning import Pruning, kept_note
from tests.support.slot_layouts import SlotHost, make_slot_host, picture

SLEEP = "import sys; print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def host(tmp_path: Path) -> SlotHost:
    made = make_slot_host(tmp_path)
    made.keep = 1
    return made


def add(host: SlotHost, number: int) -> Release:
    """A release that is staged, made live, and has an environment of its own."""
    release, _ = host.update({"app.py": f"{number}\n"})
    environment = host.places.environments / f"env{number}"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (host.folder(release) / ".venv").symlink_to(f"../../envs/{environment.name}")
    return release


def add_many(host: SlotHost, count: int) -> list[Release]:
    """Releases, of which none is removed meanwhile."""
    host.keep = 1000
    made = [add(host, number) for number in range(count)]
    host.keep = 1
    return made


def left(host: SlotHost, releases: list[Release]) -> tuple[list[int], list[int]]:
    """By number, which releases and which environments are left."""
    environments = os.listdir(host.places.environments)
    return (
        [number for number, release in enumerate(releases) if release.commit in host.names()],
        sorted(int(name.removeprefix("env")) for name in environments),
    )


def prune(host: SlotHost, wanted: Release) -> list[str]:
    return host.pruning.prune(wanted.commit)


@contextmanager
def process(*arguments: str, cwd: Path, program: Path, env: dict[str, str]) -> Iterator[None]:
    child = subprocess.Popen(
        [str(program), "-c", SLEEP, *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield
    finally:
        child.communicate()


# --- the rules, on disk -----------------------------------------------------------------


def test_current_previous_and_the_newest_good_ones_stay(host: SlotHost) -> None:
    releases = add_many(host, 6)
    host.keep = 3
    assert prune(host, releases[5]) == []
    assert left(host, releases) == ([3, 4, 5], [3, 4, 5])


def test_current_and_previous_stay_though_they_were_never_good(host: SlotHost) -> None:
    releases = add_many(host, 4)
    host.good = [releases[0].commit]
    prune(host, releases[3])
    assert left(host, releases) == ([0, 2, 3], [0, 2, 3])


def test_what_is_wanted_and_both_ends_of_the_open_attempt_stay(host: SlotHost) -> None:
    releases = add_many(host, 6)
    host.good = []
    host.pinned = {releases[1].commit}
    prune(host, releases[2])
    assert left(host, releases) == ([1, 2, 4, 5], [1, 2, 4, 5])


def test_what_the_daemon_has_reported_stays(host: SlotHost) -> None:
    releases = add_many(host, 4)
    host.used = {releases[0].commit}
    prune(host, releases[3])
    assert left(host, releases) == ([0, 2, 3], [0, 2, 3])


def test_an_environment_stays_as_long_as_a_release_links_to_it(host: SlotHost) -> None:
    """What its link says counts: a kill may come between the link and the record."""
    releases = add_many(host, 4)
    (host.folder(releases[3]) / ".venv").unlink()
    (host.folder(releases[3]) / ".venv").symlink_to("../../envs/env0")
    (host.folder(releases[3]) / ".newleaf-release.json").write_text("torn")
    prune(host, releases[3])
    assert left(host, releases) == ([2, 3], [0, 2])


def test_in_a_monorepo_the_link_lies_in_the_apps_folder(host: SlotHost) -> None:
    releases = add_many(host, 4)
    host.inner = "app"
    for release in releases:
        (host.folder(release) / "app").mkdir()
        (host.folder(release) / ".venv").rename(host.folder(release) / "app" / ".venv")
    prune(host, releases[3])
    assert left(host, releases) == ([2, 3], [2, 3])


def test_staging_makes_room_and_so_does_tidying_up(host: SlotHost) -> None:
    releases = [add(host, number) for number in range(5)]
    assert left(host, releases) == ([2, 3, 4], [2, 3, 4]), "activating does not: the daemon waits for it"
    host.layout.tidy()
    assert left(host, releases) == ([3, 4], [3, 4])


def test_tidying_up_removes_what_a_kill_left(host: SlotHost) -> None:
    releases = add_many(host, 2)
    (host.places.releases / f".old-{'b' * 40}" / "x").mkdir(parents=True)
    assert host.layout.tidy() == []
    assert host.names() == {release.commit for release in releases}


def test_leftovers_of_a_kill_go(host: SlotHost) -> None:
    releases = add_many(host, 2)
    for name in (f".old-{'b' * 40}", f".new-{'c' * 40}"):
        (host.places.releases / name / "x").mkdir(parents=True)
        (host.places.environments / name / "x").mkdir(parents=True)
    host.layout.stage(releases[1])
    assert host.names() == {release.commit for release in releases}
    assert sorted(os.listdir(host.places.environments)) == ["env0", "env1"]


def test_processes_are_looked_at_only_when_something_would_go(
    host: SlotHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = add_many(host, 2)
    looked: list[object] = []

    def look(folders: list[Path]) -> set[Path]:
        looked.append(folders)
        return set()

    monkeypatch.setattr(occupants, "used", look)
    prune(host, releases[1])
    assert looked == []
    (host.places.environments / "env9").mkdir()
    prune(host, releases[1])
    assert looked == [[host.places.environments / "env9"]]


# --- what is used -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", ["stands in it", "started from its environment", "named in its arguments", "variable"]
)
def test_a_release_that_a_process_uses_goes_once_the_process_has_ended(host: SlotHost, how: str) -> None:
    """lessons.md L24: nothing is taken from under a daemon, nor is its environment."""
    releases = add_many(host, 4)
    folder = host.folder(releases[0])
    python, cwd, arguments, env = Path(sys.executable), Path("/"), [], {"PATH": os.environ["PATH"]}
    if how == "stands in it":
        cwd = folder
    elif how == "started from its environment":
        python = folder / ".venv" / "bin" / "python"
    elif how == "named in its arguments":
        arguments = [str(folder / "app.py")]
    else:
        env["PYTHONPATH"] = f"{folder}:/elsewhere"
    with process(*arguments, cwd=cwd, program=python, env=env):
        assert prune(host, releases[3]) == []
        assert left(host, releases) == ([0, 2, 3], [0, 2, 3])
    prune(host, releases[3])
    assert left(host, releases) == ([2, 3], [2, 3])


def test_a_file_of_a_release_that_is_open_keeps_it(host: SlotHost) -> None:
    releases = add_many(host, 4)
    with (host.folder(releases[0]) / "app.py").open():
        prune(host, releases[3])
        assert left(host, releases) == ([0, 2, 3], [0, 2, 3])
    prune(host, releases[3])
    assert left(host, releases) == ([2, 3], [2, 3])


def test_an_environment_that_a_process_uses_stays_without_its_release(host: SlotHost) -> None:
    releases = add_many(host, 4)
    program = host.places.environments / "env0" / "bin" / "python"
    with process(cwd=Path("/"), program=program, env={}):
        prune(host, releases[3])
        assert left(host, releases) == ([2, 3], [0, 2, 3])
    prune(host, releases[3])
    assert left(host, releases) == ([2, 3], [2, 3])


# --- what an app wrote ------------------------------------------------------------------


def test_what_an_app_wrote_into_its_release_is_kept_and_named(host: SlotHost) -> None:
    """design.md promise 2."""
    host.shared = ("data",)
    releases = add_many(host, 4)
    folder = host.folder(releases[0])
    (folder / "uploads" / "deep").mkdir(parents=True)
    (folder / "uploads" / "deep" / "a.bin").write_bytes(b"\0mine")
    (folder / "new\nline").write_text("x")
    (folder / os.fsdecode(b"caf\xe9")).write_text("y")
    (folder / "app.py").write_text("edited\n")
    (folder / "way").symlink_to("/etc")
    (folder / "loop").symlink_to("loop-of-mine/../../../../../..")
    (folder / "data" / "shared.txt").write_text("shared")

    notes = prune(host, releases[3])

    kept = host.places.left / releases[0].commit
    assert {name for name, what in picture(kept).items() if what is not None} == {
        "uploads/deep/a.bin",
        "new\nline",
        os.fsdecode(b"caf\xe9"),
        "app.py",
        "way",
        "loop",
    }
    assert (kept / "app.py").read_text() == "edited\n"
    assert (kept / "uploads" / "deep" / "a.bin").read_bytes() == b"\0mine"
    assert len(notes) == 1
    assert str(kept) in notes[0]
    assert releases[0].commit[:9] in notes[0]
    assert "and 1 more" in notes[0]
    assert not folder.exists()
    assert (host.places.shared / "data" / "shared.txt").read_text() == "shared"
    assert kept.stat().st_mode & 0o777 == 0o700


def test_what_python_its_installers_and_newleaf_made_is_not_kept(host: SlotHost) -> None:
    releases = add_many(host, 4)
    folder = host.folder(releases[0])
    for name in (
        "__pycache__/app.cpython-311.pyc",
        "old.pyc",
        ".newleaf/mark.json",
        "src/app.egg-info/PKG-INFO",
        ".newleaf-release.json.12.3.tmp",
        "deep/__pycache__/x",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / ".venv").unlink()
    (folder / ".venv" / "lib").mkdir(parents=True)
    (folder / ".venv" / "lib" / "x.py").write_text("")

    assert prune(host, releases[3]) == []
    assert not host.places.left.exists()
    assert not folder.exists()


def test_files_of_the_app_are_kept_twice_when_a_release_goes_twice(host: SlotHost) -> None:
    releases = add_many(host, 4)
    for text in ("first", "second"):
        host.layout.stage(releases[0])
        (host.folder(releases[0]) / "log").write_text(text)
        prune(host, releases[3])
    kept = host.places.left / releases[0].commit
    assert (kept / "log").read_text() == "first"
    assert (kept / "log.2").read_text() == "second"


def test_nothing_that_goes_leads_to_what_is_not_its_own(host: SlotHost, tmp_path: Path) -> None:
    """threats.md T20: links are removed, never followed."""
    releases = add_many(host, 4)
    other = tmp_path / "other"
    other.mkdir()
    (other / "theirs").write_text("theirs")
    (host.folder(releases[0]) / "way").symlink_to(other)
    prune(host, releases[3])
    assert (other / "theirs").read_text() == "theirs"


# --- failures ---------------------------------------------------------------------------


def test_a_release_that_cannot_be_removed_is_named_and_fails_nothing(
    host: SlotHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon in a container leaves files that are another user's."""
    releases = add_many(host, 5)
    remove = shutil.rmtree

    def refuse(path: Path, **options: Any) -> None:
        if releases[0].commit in path.name:
            raise PermissionError(13, "Permission denied", str(path / "theirs"))
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    (note,) = prune(host, releases[4])
    assert f"{host.folder(releases[0])} is not needed, and cannot be removed" in note
    assert left(host, releases) == ([3, 4], [3, 4])
    release, notes = host.update({"app.py": "next\n"})
    assert host.layout.live() == release
    assert len(notes) == len(set(notes))


def test_records_that_cannot_be_read_keep_everything(host: SlotHost) -> None:
    releases = add_many(host, 4)

    def fail() -> Claims:
        raise CorruptFile(path="history.jsonl", reason="not JSON")

    broken = Pruning(host.places, ".", fail, 1, lambda _commit, _folder: ())
    (note,) = broken.prune(releases[3].commit)
    assert note.startswith("no room was made: history.jsonl cannot be read")
    assert left(host, releases) == ([0, 1, 2, 3], [0, 1, 2, 3])


def test_a_release_whose_commit_is_not_here_any_more_stays_and_is_named(host: SlotHost) -> None:
    """Nobody could tell what of it the app wrote."""
    releases = add_many(host, 4)
    unknown = CommitId("1" * 40)
    host.folder(releases[0]).rename(host.places.folder(unknown))
    (note,) = prune(host, releases[3])
    assert str(host.places.folder(unknown)) in note
    assert unknown in host.names()


def test_of_a_long_list_the_first_are_shown() -> None:
    commit, place = CommitId("a" * 40), Path("/state/left/a")
    assert kept_note(commit, place, []) == []
    (note,) = kept_note(commit, place, ["b", "a"])
    assert (
        note == "what the app wrote into aaaaaaaaa is kept in /state/left/a: a, b; app.shared would share it"
    )
    (note,) = kept_note(commit, place, (f"{number}" for number in range(pruning.SHOWN + 2)))
    assert "0, 1, 2, 3, 4 and 2 more" in note
