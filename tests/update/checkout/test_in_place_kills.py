"""A move that is killed anywhere, and made again: the right tree, and nothing lost."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from newleaf.core.release import Release
from newleaf.core.releases.git_errors import MoveFailed
from newleaf.system import files
from newleaf.system.commands import Command, Finished, Runner
from tests.support.hosts import Host, make_host
from tests.support.kills import run_in_child, run_killed_at
from tests.support.repositories import Checkout, Remote

MANY = 500
LARGE = 16 * 1024 * 1024
FIRST = {
    "app.py": "one\n2\n3\n4\n5\n",
    "config.toml": "a = 1\nb = 2\nc = 3\nd = 4\n",
    "secret.toml": "s = 1\n",
    "gone.py": "g\n",
    "thing/a.py": "a\n",
    ".gitignore": ".env\n",
}
SECOND = {
    "app.py": "two\n2\n3\n4\n5\n",
    "config.toml": "a = new\nb = 2\nc = 3\nd = 4\n",
    "secret.toml": "s = 2\n",
    "gone.py": None,
    "fresh.py": "f\n",
    "thing/a.py": None,
    "thing": "a file\n",
}
UNTRACKED = {".env": b"KEY=\x00\r\n", "notes.txt": b"mine"}


CHANGING = {f"git {name}" for name in ("update-ref", "read-tree", "update-index", "checkout-index", "reflog")}
"""A kill before any other command is the same as one before the next of these."""


class ObservedRunner(Runner):
    """Tells `files.observe` before each command that changes something, as every write does."""

    def run(self, command: Command) -> Finished:
        if command.what in CHANGING:
            files.observe(command.what, command.cwd)
        return super().run(command)


def copy_of(host: Host, folder: Path) -> Host:
    """The same host at another place, with a runner that can be killed at each command."""
    shutil.copytree(host.checkout.path.parent, folder, symlinks=True)
    moved = Checkout(folder / host.checkout.path.name)
    return Host(host.remote, moved, folder / "state", host.branch, runner=ObservedRunner())


def prepare(tmp_path: Path, local: dict[str, str]) -> tuple[Host, Release]:
    remote = Remote.make(tmp_path)
    remote.commit(FIRST)
    host = make_host(tmp_path / "host", remote)
    for name, body in UNTRACKED.items():
        host.checkout.write(name, body)
    for name, text in local.items():
        host.checkout.write(name, text)
    remote.commit(SECOND)
    return host, host.fetched()


def killed_in_place(number: int, host: Host, release: Release) -> bool:
    return run_killed_at(number, lambda: host.layout.place(release, sideways=False))


def picture(host: Host) -> object:
    """All that must be the same however often the move was killed."""
    top = host.checkout.path
    found = {str(file.relative_to(top)): file.read_bytes() for file in top.rglob("*") if file.is_file()}
    shown = {name: body for name, body in found.items() if not name.startswith(".git/")}
    stashed = [
        host.checkout.git("diff", f"{line.split()[0]}^", line.split()[0]) for line in host.checkout.stashes()
    ]
    return (
        shown,
        host.checkout.changes(),
        host.checkout.id_of(),
        host.checkout.git("rev-parse", "main"),
        stashed,
    )


LOCAL = {
    "clean": {},
    "fitting": {"config.toml": "a = 1\nb = 2\nc = 3\nd = local\n"},
    "conflicting": {"secret.toml": "s = mine\n", "config.toml": "a = 1\nb = 2\nc = 3\nd = local\n"},
}


@pytest.mark.parametrize("case", LOCAL)
def test_killed_before_any_write_or_command_then_placed_again(tmp_path: Path, case: str) -> None:
    """design.md promise 5; lessons.md L7, L23."""
    original, release = prepare(tmp_path, LOCAL[case])
    straight = copy_of(original, tmp_path / "straight")
    straight.layout.place(release, sideways=False)
    straight.layout.activate(release)
    expected = picture(straight)

    number, killed = 0, True
    while killed:
        number += 1
        host = copy_of(original, tmp_path / str(number))

        def place_and_activate(host: Host = host) -> None:
            host.layout.place(release, sideways=False)
            host.layout.activate(release)

        killed = run_killed_at(number, place_and_activate)
        place_and_activate()
        assert picture(host) == expected, f"killed at {number}"
        shutil.rmtree(tmp_path / str(number))

    assert number > 8


@pytest.mark.parametrize("case", ["fitting", "conflicting"])
def test_killed_anywhere_then_reverted(tmp_path: Path, case: str) -> None:
    """lessons.md L7: going back to the start brings every local change back where it was."""
    original, release = prepare(tmp_path, LOCAL[case])
    start = original.layout.live()
    expected = picture(original)

    number, killed = 0, True
    while killed:
        number += 1
        host = copy_of(original, tmp_path / str(number))
        killed = killed_in_place(number, host, release)
        host.layout.place(start, sideways=True)
        host.layout.activate(start)
        assert picture(host) == expected, f"killed at {number}"
        shutil.rmtree(tmp_path / str(number))


def test_an_edit_made_between_kill_and_resume_is_not_lost(tmp_path: Path) -> None:
    """lessons.md L7: what differs from anything the move knew is a local change like any other."""
    original, release = prepare(tmp_path, LOCAL["fitting"])
    number, killed = 0, True
    while killed:
        number += 1
        host = copy_of(original, tmp_path / str(number))
        killed = killed_in_place(number, host, release)
        host.checkout.write("app.py", host.checkout.read("app.py") + "edited in between\n")

        host.layout.place(release, sideways=False)
        host.layout.activate(release)

        assert host.checkout.read("app.py") == "two\n2\n3\n4\n5\nedited in between\n", number
        assert host.checkout.read("config.toml") == "a = new\nb = 2\nc = 3\nd = local\n"
        assert host.checkout.id_of() == release.commit
        assert host.checkout.stashes() == []
        shutil.rmtree(tmp_path / str(number))


def prepare_many(tmp_path: Path) -> tuple[Host, Release]:
    remote = Remote.make(tmp_path)
    remote.commit({f"many/{number:04}.txt": f"{number} old\n" for number in range(MANY)} | {"zz.bin": b"old"})
    host = make_host(tmp_path / "host", remote)
    host.checkout.write(".env", "KEY\n")
    host.checkout.write("many/0001.txt", "1 old\nlocal\n")
    changed: dict[str, bytes | str | None] = {
        f"many/{number:04}.txt": f"{number} new\n" for number in range(MANY)
    }
    changed |= {f"new/{number:04}.txt": "n\n" for number in range(200)}
    remote.commit({**changed, "many/0002.txt": None, "zz.bin": os.urandom(LARGE)})
    return host, host.fetched()


def killed_when(host: Host, release: Release, reached: Callable[[], bool], *, git_too: bool) -> None:
    """Places in a process that is killed as soon as `reached()`, its git with it or left behind."""
    groups: list[int] = []

    def watch() -> None:
        while not reached():
            time.sleep(0.0005)
        if git_too:
            os.killpg(groups[-1], signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def place() -> None:
        host.runner = Runner(on_start=groups.append)
        threading.Thread(target=watch, daemon=True).start()
        host.layout.place(release, sideways=False)
        time.sleep(5)

    assert run_in_child(place) == -signal.SIGKILL


def is_written(file: Path, before: bytes) -> bool:
    """Whether git has begun to write the new file."""
    try:
        with file.open("rb") as opened:
            found = opened.read(16)
    except FileNotFoundError:
        return False
    return bool(found) and not before.startswith(found)


def check_many(host: Host, release: Release) -> None:
    top = host.checkout.path
    assert host.checkout.id_of() == release.commit
    assert host.checkout.changes() == ["?? .env"]
    assert (top / "zz.bin").stat().st_size == LARGE
    assert host.checkout.read(f"many/{MANY - 1:04}.txt") == f"{MANY - 1} new\n"
    assert host.checkout.read(".env") == "KEY\n"
    assert host.checkout.git("show", "stash@{0}:many/0001.txt") == "1 old\nlocal"
    assert len(host.checkout.stashes()) == 1


@pytest.mark.parametrize("git_too", [True, False])
@pytest.mark.parametrize("name", [f"many/{MANY // 2:04}.txt", "new/0100.txt", "zz.bin"])
def test_killed_while_git_writes_the_files(tmp_path: Path, name: str, git_too: bool) -> None:
    """design.md promise 5: half of the files new, one half written; also with git itself still at work."""
    host, release = prepare_many(tmp_path)
    file = host.checkout.path / name
    before = file.read_bytes() if file.exists() else b""
    killed_when(host, release, lambda: is_written(file, before), git_too=git_too)
    if git_too:
        assert host.layout.live() != release

    host.layout.place(release, sideways=False)
    host.layout.activate(release)

    check_many(host, release)


def test_killed_half_way_then_reverted_with_an_edit_made_meanwhile(tmp_path: Path) -> None:
    host, release = prepare_many(tmp_path)
    start = host.layout.live()
    file = host.checkout.path / "new/0100.txt"
    killed_when(host, release, file.exists, git_too=True)
    host.checkout.write("many/0400.txt", "edited in between\n")

    host.layout.place(start, sideways=True)
    host.layout.activate(start)

    assert host.checkout.id_of() == start.commit
    assert host.checkout.read("many/0400.txt") == "edited in between\n"
    assert host.checkout.read("many/0001.txt") == "1 old\nlocal\n"
    assert host.checkout.changes() == ["M many/0001.txt", " M many/0400.txt", "?? .env"]
    assert host.checkout.stashes() == []


def test_a_file_that_cannot_be_written_half_way_leaves_the_start(tmp_path: Path) -> None:
    """A full disk in the middle of the move: everything is put back as it was, and the failure told."""
    host, release = prepare_many(tmp_path)
    start = host.layout.live()

    def place() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, LARGE // 2))
        with pytest.raises(MoveFailed):
            host.layout.place(release, sideways=False)

    assert run_in_child(place) == 0

    assert host.layout.live() == start
    assert host.checkout.changes() == ["M many/0001.txt", "?? .env"]
    assert host.checkout.read("many/0001.txt") == "1 old\nlocal\n"
    assert host.checkout.stashes() == []
    assert not (host.checkout.path / ".git" / "index.lock").exists()
