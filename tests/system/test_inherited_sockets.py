"""Inherited sockets: whose they are, what they are, and what is no socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.system.inherited_sockets import listen_fds
from tests.support.socket_parent import SocketParent

TELLING = """
import json, os, subprocess, sys, newleaf
from newleaf.system.inherited_sockets import listen_fds
told = lambda found: [[s.fileno(), s.family.name, s.type.name, s.get_inheritable()] for s in found]
print(json.dumps({
    "all": told(newleaf.listen_fds()),
    "health": [s.fileno() for s in listen_fds(health=True)],
    "others": [s.fileno() for s in listen_fds(health=False)],
    "same": all(a is b for a, b in zip(listen_fds(), listen_fds())),
    "own child": subprocess.run([sys.executable, "-c", "import newleaf; print(newleaf.listen_fds())"],
                                stdout=-1, text=True, timeout=30).stdout.strip(),
    "fork": [] if (pid := os.fork()) else (os._exit(len(listen_fds()))),
    "forked": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),
}))
"""
"""Prints what a process has inherited, and what its children have of it."""

ASKING = """
import json, os, socket, sys
from newleaf.core.launch.go_errors import ListenersInvalid
from newleaf.system.inherited_sockets import listen_fds
os.dup2(socket.socket().detach(), 50)
os.dup2(os.open(os.devnull, os.O_RDONLY), 51)
os.dup2(50, 3)
os.dup2(51, 4)
os.closerange(5, 60)
os.environ["LISTEN_PID"] = str(os.getpid())
for variables in json.loads(sys.argv[1]):
    os.environ.update({"LISTEN_FDS": "", "LISTEN_FDNAMES": "", **variables})
    try:
        print(json.dumps([s.fileno() for s in listen_fds()]))
    except ListenersInvalid as error:
        print(json.dumps(error.facts["reason"]))
"""
"""A socket at 3, a file at 4, nothing at 5; an answer a line, so that the table costs one process."""

ANSWERS: dict[str, tuple[dict[str, str], object]] = {
    "a word": ({"LISTEN_FDS": "garbage"}, "LISTEN_FDS=garbage is no number of descriptors"),
    "nothing": ({"LISTEN_FDS": ""}, "LISTEN_FDS= is no number of descriptors"),
    "negative": ({"LISTEN_FDS": "-1"}, "LISTEN_FDS=-1 is no number of descriptors"),
    "other digits": ({"LISTEN_FDS": "\u0661"}, "LISTEN_FDS=\u0661 is no number of descriptors"),
    "a milliard": ({"LISTEN_FDS": "1000000000"}, "LISTEN_FDS=1000000000 is no number of descriptors"),
    "a file": ({"LISTEN_FDS": "2"}, "descriptor 4: Socket operation on non-socket"),
    "too many": ({"LISTEN_FDS": "999999999"}, "descriptor 4: Socket operation on non-socket"),
    "fewer names": ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"}, "LISTEN_FDS=2, but LISTEN_FDNAMES=a names 1"),
    "more names": (
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"},
        "LISTEN_FDS=1, but LISTEN_FDNAMES=a:b names 2",
    ),
    "a good one, left open by all before": ({"LISTEN_FDS": "1"}, [3]),
}


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[SocketParent]:
    parent = SocketParent(tmp_path)
    yield parent
    parent.close()


def answer_of(parent: SocketParent, *, overlap: bool) -> dict:
    with parent.child(sys.executable, "-c", TELLING, overlap=overlap) as child:
        return json.loads(child.process.communicate(timeout=30)[0])


def test_in_an_overlap_the_sockets_come_in_order_with_health_last(parent: SocketParent) -> None:
    told = answer_of(parent, overlap=True)
    assert told["all"] == [
        [3, "AF_INET", "SOCK_STREAM", False],
        [4, "AF_UNIX", "SOCK_STREAM", False],
        [5, "AF_UNIX", "SOCK_STREAM", False],
    ]
    assert (told["health"], told["others"]) == ([5], [3, 4])
    assert told["same"], "called twice, the same objects"


def test_otherwise_there_is_no_health(parent: SocketParent) -> None:
    told = answer_of(parent, overlap=False)
    assert (told["health"], told["others"]) == ([], [3, 4])


def test_a_child_of_the_process_takes_nothing_for_its_own(parent: SocketParent) -> None:
    told = answer_of(parent, overlap=False)
    assert told["own child"] == "[]", "the variables are inherited, the sockets are not"
    assert told["forked"] == 0, "a forked one has the descriptors, and another number"


def test_wrong_variables_are_an_error_that_says_what_is_wrong() -> None:
    cases = [variables for variables, _ in ANSWERS.values()]
    done = subprocess.run(
        [sys.executable, "-c", ASKING, json.dumps(cases)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    answers = dict(zip(ANSWERS, map(json.loads, done.stdout.splitlines()), strict=True))
    assert answers == {case: expected for case, (_, expected) in ANSWERS.items()}


@pytest.mark.parametrize("pid", ["1", "", "garbage", "-1", "10" * 400])
def test_sockets_that_are_meant_for_another_process_are_not_taken(
    monkeypatch: pytest.MonkeyPatch, pid: str
) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", pid)
    assert listen_fds() == []


def test_without_variables_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)
    assert listen_fds() == []
