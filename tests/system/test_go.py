"""The launcher's "go": waited for, said once, and not said by a launcher that is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.core.launch.go_errors import GoInvalid, GoOverdue, LauncherGone
from newleaf.system import go
from newleaf.system.go import wait_go
from tests.support.children import read_line
from tests.support.socket_parent import SocketParent

WAITING = """
import newleaf
print("waits", flush=True)
for _ in range(2):
    try:
        newleaf.wait_go()
        print("goes", flush=True)
    except Exception as error:
        print(error.code, flush=True)
"""


@pytest.fixture(autouse=True)
def _unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go has not been said to this process."""
    monkeypatch.setattr(go, "_was_said", None)
    monkeypatch.delenv("NEWLEAF_GO_FD", raising=False)
    monkeypatch.delenv("NEWLEAF_LAUNCHER", raising=False)


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The launcher's end of this process's descriptor."""
    read_end, write_end = os.pipe()
    monkeypatch.setenv("NEWLEAF_GO_FD", str(read_end))
    yield write_end
    for descriptor in (read_end, write_end):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_without_a_descriptor_nobody_waits() -> None:
    wait_go()


def test_a_process_waits_for_the_byte_and_reads_it_once(tmp_path: Path) -> None:
    parent = SocketParent(tmp_path)
    with parent.child(sys.executable, "-c", WAITING, overlap=True) as child:
        assert read_line(child.process.stdout) == "waits"
        child.say_go()
        assert [read_line(child.process.stdout) for _ in range(2)] == ["goes", "goes"]
    parent.close()


def test_a_launcher_that_is_gone_says_no_go(tmp_path: Path) -> None:
    parent = SocketParent(tmp_path)
    with parent.child(sys.executable, "-c", WAITING, overlap=True) as child:
        assert read_line(child.process.stdout) == "waits"
        child.give_up()
        assert [read_line(child.process.stdout) for _ in range(2)] == ["launcher_gone", "launcher_gone"]
    parent.close()


def test_a_go_said_before_the_launcher_went_counts(launcher: int) -> None:
    os.write(launcher, b"1")
    os.close(launcher)
    wait_go()


def test_an_event_loop_goes_on_while_a_thread_waits(launcher: int) -> None:
    async def daemon() -> list[str]:
        waits = asyncio.create_task(asyncio.to_thread(wait_go))
        seen = []
        for _ in range(3):
            await asyncio.sleep(0.001)
            seen.append("done" if waits.done() else "waits")
        os.write(launcher, b"1")
        await waits
        return seen

    assert asyncio.run(daemon()) == ["waits"] * 3


def test_two_threads_that_wait_go_both(launcher: int) -> None:
    went: list[str] = []

    def waits() -> None:
        wait_go()
        went.append("goes")

    threads = [threading.Thread(target=waits) for _ in range(2)]
    for thread in threads:
        thread.start()
    os.write(launcher, b"1")
    for thread in threads:
        thread.join(10)
    assert went == ["goes", "goes"]


def test_an_overdue_go_is_an_error_and_can_be_waited_for_again(launcher: int) -> None:
    before = time.monotonic()
    with pytest.raises(GoOverdue, match=r"has not said go within 0\.02 s"):
        wait_go(0.02)
    assert 0.015 < time.monotonic() - before < 5
    os.write(launcher, b"1")
    wait_go(0)


def test_no_thread_waits_longer_than_it_was_told(launcher: int) -> None:
    """While another one waits for ever."""
    waits = threading.Thread(target=wait_go)
    waits.start()
    while not go._reading.locked():
        time.sleep(0.001)
    with pytest.raises(GoOverdue):
        wait_go(0.01)
    os.write(launcher, b"1")
    waits.join(10)


def test_the_descriptor_is_closed_once_go_is_said(launcher: int) -> None:
    os.write(launcher, b"1")
    wait_go()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(int(os.environ["NEWLEAF_GO_FD"]))


def test_a_socket_does_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.setenv("NEWLEAF_GO_FD", str(ours.detach()))
    theirs.close()
    with pytest.raises(LauncherGone):
        wait_go()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("garbage", "is no open descriptor"),
        ("-1", "is no open descriptor"),
        ("999999", "is no open descriptor"),
        ("9" * 30, "is no open descriptor"),
        ("0", "is no pipe"),
    ],
)
def test_what_is_no_descriptor_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch, value: str, reason: str
) -> None:
    monkeypatch.setenv("NEWLEAF_GO_FD", value)
    with pytest.raises(GoInvalid, match=f"NEWLEAF_GO_FD={value} {reason}"):
        wait_go(1)


def test_neither_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+") as file:
        monkeypatch.setenv("NEWLEAF_GO_FD", str(file.fileno()))
        with pytest.raises(GoInvalid, match="is no pipe"):
            wait_go(1)


def test_a_process_that_the_launcher_did_not_start_leaves_the_byte_to_its_parent(
    monkeypatch: pytest.MonkeyPatch, launcher: int
) -> None:
    monkeypatch.setenv("NEWLEAF_LAUNCHER", str(os.getpid()))  # alive, and not the parent
    os.write(launcher, b"1")
    with pytest.raises(GoInvalid, match="not for this one"):
        wait_go()
    monkeypatch.setenv("NEWLEAF_LAUNCHER", str(os.getppid()))
    wait_go()


@pytest.mark.parametrize("pid", ["4194305", "garbage", "9" * 30])
def test_a_launcher_that_has_ended_is_told_by_its_end_of_the_descriptor(
    monkeypatch: pytest.MonkeyPatch, launcher: int, pid: str
) -> None:
    monkeypatch.setenv("NEWLEAF_LAUNCHER", pid)
    os.close(launcher)
    with pytest.raises(LauncherGone):
        wait_go()
