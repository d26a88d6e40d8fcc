"""The daemon's processes: what they are handed, the word "go", what they say, and what is left of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.launch import events as e
from newleaf.core.launch.plan import OVERLAP
from newleaf.launcher.daemon_processes import LONGEST_NAME, DaemonProcesses
from newleaf.launcher.loop import Loop
from newleaf.launcher.processes import Processes, signal_group
from newleaf.launcher.sockets import Listening
from tests.support.deployment import wait_until
from tests.support.launchers import COMMIT, make_plan

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

DAEMON = """
import json, os, socket, sys
def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(os.environ["NOTIFY_SOCKET"])
        one.send(text.encode())
def tell(what):
    with open("said.tmp", "w") as file:
        json.dump(what, file)
    os.rename("said.tmp", "said")
"""
TELL = """
names = {}
for place, name in enumerate(filter(None, os.environ.get("LISTEN_FDNAMES", "").split(":")), 3):
    names[name] = socket.socket(fileno=place).getsockname()
tell({"pid": os.getpid(), "env": dict(os.environ), "names": names})
"""
GO = "tell(os.read(int(os.environ['NEWLEAF_GO_FD']), 1).decode())\n"
WAIT = "import time\nnotify('READY=1')\ntime.sleep(600)\n"


class Daemons:
    """The processes of one daemon, and what was fed back."""

    def __init__(self, state: Path, loop: Loop) -> None:
        self.state = state
        self.loop = loop
        self.fed: list[e.Event] = []
        self.listening: list[socket.socket] = []
        self.processes = Processes(lambda: None)
        self.all = DaemonProcesses(
            state, self.processes, loop, self.fed.append, Listening(state, {}, self.listening)
        )

    def start(self, code: str, *, gated: bool = False, health: bool = False, **facts: Any) -> int | None:
        command = facts.pop("command", (sys.executable, "-I", "-S", "-c", DAEMON + code))
        plan = make_plan(self.state, *command, handover=OVERLAP, **facts)
        self.all.start(e.Start(1, plan, gated, health), None)
        return self.all.pid_of(1)

    def said(self) -> Any:
        wait_until((self.state / "said").exists)
        return json.loads((self.state / "said").read_text())

    def await_fed(self, event: e.Event) -> None:
        wait_until(lambda: self.loop.wait(0.02) or event in self.fed)

    def await_end(self) -> int:
        ((_, pid, status),) = wait_until(self.processes.ended)
        self.all.last_words(1, pid)
        self.all.forget(1)
        return int(status)

    def left(self) -> list[str]:
        return [path.name for path in self.state.iterdir() if path.name.startswith(".")]


@pytest.fixture
def daemons(state: Path, loop: Loop) -> Iterator[Daemons]:
    made = Daemons(state, loop)
    yield made
    for pid in made.processes.running:
        signal_group(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for number in list(made.all.ends):
        made.all.forget(number)
    for one in made.listening:
        one.close()


def test_it_gets_its_sockets_by_name_and_its_release(
    daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.sock", "b.sock"):
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(daemons.state / name))
        daemons.listening.append(one)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "MAINPID", "NEWLEAF_LAUNCHER_RESUME"):
        monkeypatch.setenv(name, "the launcher's own")
    monkeypatch.setenv("FORMAT", "{pid}")
    pid = daemons.start(TELL, health=True, variables={"APP": "ours", "NEWLEAF_COMMIT": "overruled"})
    said = daemons.said()
    health = daemons.all.health_path(1)
    assert said["names"] == {
        "listen0": str(daemons.state / "a.sock"),
        "listen1": str(daemons.state / "b.sock"),
        "health": health,
    }
    env = said["env"]
    assert {name: env.get(name) for name in ("APP", "FORMAT", "MAINPID", "NEWLEAF_LAUNCHER_RESUME")} == {
        "APP": "ours",
        "FORMAT": "{pid}",
        "MAINPID": None,
        "NEWLEAF_LAUNCHER_RESUME": None,
    }
    assert (env["LISTEN_FDS"], env["LISTEN_PID"], env["WATCHDOG_PID"]) == ("3", str(pid), str(pid))
    assert (env["NEWLEAF_GO_FD"], env["NEWLEAF_LAUNCHER"]) == ("6", str(os.getpid()))
    assert (env["NEWLEAF_COMMIT"], env["NEWLEAF_VERSION"]) == (COMMIT, "1.0.0")
    assert daemons.await_end() == 0
    assert daemons.left() == []


def test_no_sockets_then_no_word_of_them(daemons: Daemons, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    daemons.start(TELL)
    env = daemons.said()["env"]
    assert not [name for name in env if name.startswith("LISTEN_")]
    assert env["NEWLEAF_GO_FD"] == "3"


@pytest.mark.parametrize("gated", [True, False])
def test_go_is_said_at_once_or_when_it_is_its_turn(daemons: Daemons, gated: bool) -> None:
    daemons.start(GO, gated=gated)
    if gated:
        time.sleep(0.1)
        assert not (daemons.state / "said").exists()
        daemons.all.go(1)
        daemons.all.go(1)
    assert daemons.said() == "!"


def test_one_that_never_reads_its_go_is_no_harm(daemons: Daemons) -> None:
    daemons.start("os.close(int(os.environ['NEWLEAF_GO_FD']))\n" + WAIT, gated=True)
    daemons.await_fed(e.Notified(1, {"READY": "1"}))
    daemons.all.go(1)


def test_dismissed_before_its_turn_then_it_sees_that_go_does_not_come(daemons: Daemons) -> None:
    daemons.start("import signal; signal.signal(15, signal.SIG_IGN); notify('READY=1')\n" + GO, gated=True)
    daemons.await_fed(e.Notified(1, {"READY": "1"}))
    daemons.all.terminate(1)
    assert daemons.said() == ""


def test_what_it_says_is_fed_back_its_last_words_too(daemons: Daemons) -> None:
    daemons.start("notify('READY=1')\nnotify('STATUS=I go')\nsys.exit(42)")
    assert daemons.await_end() == 42
    assert daemons.fed == [e.Notified(1, {"READY": "1"}), e.Notified(1, {"STATUS": "I go"})]


def test_what_its_children_say_is_not_heard(daemons: Daemons) -> None:
    """threats.md T30"""
    daemons.start(
        "if os.fork() == 0:\n    notify('READY=1')\n    os._exit(0)\nos.wait()\nnotify('STATUS=mine')\n"
    )
    daemons.await_end()
    expected: list[e.Event] = [e.Notified(1, {"STATUS": "mine"})]
    assert daemons.fed == (
        expected if sys.platform == "linux" else [e.Notified(1, {"READY": "1"}), *expected]
    )


def test_it_is_asked_to_end_alone_and_killed_with_its_children(daemons: Daemons) -> None:
    code = """
import signal
signal.signal(signal.SIGTERM, lambda *_: tell("asked"))
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: os.abort())
"""
    daemons.start(
        code + "if os.getppid() == int(os.environ['NEWLEAF_LAUNCHER']):\n    notify('READY=1')\n" + WAIT
    )
    daemons.await_fed(e.Notified(1, {"READY": "1"}))
    daemons.all.terminate(1)
    assert daemons.said() == "asked"
    assert daemons.processes.ended() == []
    daemons.all.kill(1)
    assert daemons.await_end() == -signal.SIGKILL


def test_what_is_gone_can_be_told_anything(daemons: Daemons) -> None:
    for act in (daemons.all.go, daemons.all.terminate, daemons.all.kill, daemons.all.forget):
        act(7)
    daemons.all.last_words(7, 1)
    assert (daemons.all.pid_of(7), daemons.all.health_path(7)) == (None, None)


def test_a_program_that_cannot_be_started_is_fed_back_and_leaves_nothing(daemons: Daemons) -> None:
    before = len(os.listdir("/dev/fd"))
    assert daemons.start("", health=True, command=("bin/app",)) is None
    assert daemons.fed == [e.StartFailed(1, "bin/app: No such file or directory")]
    assert (daemons.left(), len(os.listdir("/dev/fd"))) == ([], before)


def test_no_room_for_its_sockets_is_fed_back_too(daemons: Daemons) -> None:
    """As when the disk is full: the launcher has to live on."""
    before = len(os.listdir("/dev/fd"))
    daemons.all.state = daemons.state / "gone"
    assert daemons.start(WAIT) is None
    daemons.all.state = daemons.state
    (daemons.state / f".health-{os.getpid()}-1").mkdir()
    assert daemons.start(WAIT, health=True) is None
    first, second = daemons.fed
    assert isinstance(first, e.StartFailed)
    assert "No such file" in first.reason
    assert isinstance(second, e.StartFailed)
    assert "no socket" in second.reason
    assert daemons.left() == [f".health-{os.getpid()}-1"]
    assert len(os.listdir("/dev/fd")) == before


def test_loaded_anew_its_descriptors_go_on(daemons: Daemons) -> None:
    daemons.start(GO + WAIT, gated=True, health=True)
    record = json.loads(json.dumps(daemons.all.as_record()))
    again = DaemonProcesses(
        daemons.state, daemons.processes, daemons.loop, daemons.fed.append, daemons.all.listening
    )
    again.resume(record)
    assert again.health_path(1) == daemons.all.health_path(1)
    again.go(1)
    daemons.all.ends[1].go = None
    assert daemons.said() == "!"
    daemons.await_fed(e.Notified(1, {"READY": "1"}))
    # The same descriptors, held twice here alone.
    for held in (daemons.all.ends[1].notify.socket, daemons.all.ends[1].health):
        assert held is not None
        held.detach()
    daemons.all.ends.clear()
    again.forget(1)
    assert daemons.left() == []


def test_what_is_asked_on_its_own_socket_is_taken_or_waits(daemons: Daemons) -> None:
    """Whoever asked may have gone by then."""
    code = "one = socket.socket(fileno=3)\nsys.stdin = open(os.environ['GATE'])\none.accept()[0].close()\n"
    gate = daemons.state / "gate"
    os.mkfifo(gate)
    daemons.start(code + WAIT, health=True, variables={"GATE": str(gate)})
    assert daemons.all.has_taken(1)
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(daemons.all.health_path(1)))
    assert not daemons.all.has_taken(1)
    gate.write_text("")
    wait_until(lambda: daemons.all.has_taken(1))
    assert not daemons.all.has_taken(2)


def test_no_name_is_longer_than_the_room_that_is_asked_for(daemons: Daemons) -> None:
    daemons.start(WAIT, health=True)
    assert all(len(name) <= len(LONGEST_NAME) for name in daemons.left())
