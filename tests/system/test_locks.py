"""One update at a time: the kernel decides, the text names, and what the dead have left fools nobody."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import (
    LockedError,
    NewerSchema,
    StateDirectoryUnsafe,
    StateDirectoryUnwritable,
)
from newleaf.system import locks, mounts, process_table
from newleaf.system.locks import is_update_running, update_lock, update_owner
from tests.support.children import python, read_line, started
from tests.support.kills import run_in_child, wait_until
from tests.support.permissions import binding_permissions

HOLDER = """
import sys
from pathlib import Path
from newleaf.system.locks import update_lock
with update_lock(Path(sys.argv[1]), "hourly timer", "to move to 1.3.0"):
    print("ready", flush=True)
    sys.stdin.read()
"""
UPDATER_WITH_A_CHILD = """
import sys
from pathlib import Path
from newleaf.system.commands import Command, Runner
from newleaf.system.locks import update_lock
with update_lock(Path(sys.argv[1]), "hourly timer", "to move to 1.3.0") as lock:
    runner = Runner(on_start=lambda group: (lock.note_child(group), print(group, flush=True)))
    runner.run(Command(["sh", "-c", sys.argv[2]], "a step", Path("/"), {"PATH": "/usr/bin:/bin"}, 60))
"""
COUNTER = """
import sys
from pathlib import Path
from newleaf.core.errors import LockedError
from newleaf.system.locks import update_lock
state, count, taken = Path(sys.argv[1]), Path(sys.argv[1]) / "count", 0
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    try:
        with update_lock(state, "test", "to count"):
            number = int(count.read_text())
            count.write_text(str(number + 1))
            taken += 1
    except LockedError:
        pass
print(taken, flush=True)
"""
FORKING = """
import os, sys, time
from pathlib import Path
from newleaf.system.locks import update_lock
with update_lock(Path(sys.argv[1]), "embedded agent", "to move to 1.3.0"):
    if os.fork() == 0:
        print("ready", flush=True)
        time.sleep(60)
        os._exit(0)
sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def holder(state: Path) -> Iterator[subprocess.Popen[str]]:
    with python(HOLDER, str(state)) as child:
        yield child


def take(state: Path) -> None:
    """Takes the lock for a moment, as the next update would."""
    with update_lock(state, "the command line", "to move to 1.4.0"):
        pass


def refusal(state: Path) -> str:
    with pytest.raises(LockedError) as locked:
        take(state)
    assert locked.value.exit_code == 3
    return locked.value.message


def text_of(state: Path) -> dict[str, Any]:
    text: dict[str, Any] = json.loads((state / "update.lock").read_text())
    return text


def claim(state: Path, **fields: object) -> None:
    """Writes the text of an owner, as one who holds the lock would."""
    me = os.getpid()
    owner = {"schema": 1, "who": "hourly timer", "pid": me, "started": process_table.start_time(me)}
    owner |= {"since": "2026-11-20T12:00:00Z", "why": "to move to 1.3.0", "children": []}
    (state / "update.lock").write_text(json.dumps(owner | fields) + "\n")


# --- one at a time ----------------------------------------------------------------------


def test_second_update_is_told_who_runs_since_when_and_why(
    state: Path, holder: subprocess.Popen[str]
) -> None:
    """lessons.md L35, L36: the lock names its owner."""
    message = refusal(state)
    assert f"hourly timer (pid {holder.pid}) since 20" in message
    assert "to move to 1.3.0" in message


def test_second_update_in_the_same_process_is_refused(state: Path) -> None:
    """lessons.md L36"""
    with update_lock(state, "chat", "to move to 1.3.0"):
        assert f"chat (pid {os.getpid()})" in refusal(state)
    take(state)


def test_lock_is_free_at_once_when_its_owner_is_killed(state: Path, holder: subprocess.Popen[str]) -> None:
    """lessons.md L35: the lock goes with the process, its text stays and fools nobody."""
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert text_of(state)["pid"] == holder.pid
    take(state)


def test_text_is_gone_when_the_update_has_ended(state: Path) -> None:
    with update_lock(state, "chat", "to move to 1.3.0"):
        assert text_of(state)["who"] == "chat"
    assert (state / "update.lock").read_bytes() == b""


def test_lock_is_free_after_a_failure_inside(state: Path) -> None:
    with pytest.raises(ZeroDivisionError), update_lock(state, "chat", "to fail"):
        raise ZeroDivisionError
    take(state)


def test_text_says_who_pid_since_and_why(state: Path) -> None:
    with update_lock(state, "chat", "to move to 1.3.0"):
        text = text_of(state)
    assert text["schema"] == 1
    assert text["pid"] == os.getpid()
    assert text["why"] == "to move to 1.3.0"
    assert text["since"].endswith("Z")


def test_many_contenders_never_hold_it_together(state: Path) -> None:
    """lessons.md L36: two triggers at once, one update."""
    (state / "count").write_text("0")
    with (
        python(COUNTER, str(state)) as one,
        python(COUNTER, str(state)) as two,
        python(COUNTER, str(state)) as three,
    ):
        contenders = (one, two, three)
        for child in contenders:
            assert child.stdin
            child.stdin.write("go\n")
            child.stdin.flush()
        taken = [int(read_line(child.stdout)) for child in contenders]
    assert sum(taken) == int((state / "count").read_text())
    assert sum(taken) >= 1


def test_threads_of_one_process_exclude_each_other(state: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def contend(_: int) -> None:
        try:
            with update_lock(state, "a thread", "to count"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
        except LockedError:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(contend, range(60)))
    assert set(most) == {1}


def test_asking_who_runs_never_makes_an_update_fail(state: Path) -> None:
    """lessons.md L36: `why` looks at the lock, and is no update."""
    take(state)
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            update_owner(state)
            is_update_running(state)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(100):
            take(state)
    finally:
        stop.set()
        asking.join()


def test_who_holds_it_for_a_moment_then_one_waits_for_that(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L36: `newleaf update` right after the daemon came up, while that is recorded."""
    brief = HOLDER.replace('"to move to 1.3.0"', '"to record a verdict", is_brief=True')
    slow = brief.replace("import sys", "import sys, time").replace("is_brief=True)", "is_brief=True) as lock")
    with python(slow + "    lock.end()\n    time.sleep(0.1)\n", str(state)) as child:
        threading.Timer(0.3, child.stdin.close).start()  # type: ignore[union-attr]
        take(state)
    with python(brief, str(state)):
        monkeypatch.setattr(locks, "BRIEF_SECONDS", 0.1)
        assert "to record a verdict" in refusal(state)


def test_one_who_looks_for_a_moment_is_not_taken_for_an_update(state: Path) -> None:
    """lessons.md L36: who only asks holds the lock shared for a moment, and has no name in it."""
    path = state / "update.lock"
    path.touch()
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        looking = threading.Timer(0.05, fcntl.flock, (file, fcntl.LOCK_UN))
        looking.start()
        take(state)
        looking.join()


def test_flock_program_and_newleaf_exclude_each_other(state: Path) -> None:
    if not shutil.which("flock"):
        pytest.skip("there is no flock program")
    with started("flock", str(state / "update.lock"), "sh", "-c", "echo ready; read line"):
        assert "flock" in refusal(state) or "sh (pid" in refusal(state)
    wait_until(lambda: update_owner(state) is None, "the lock to be free")
    with update_lock(state, "chat", "to move to 1.3.0"):
        assert (
            subprocess.run(["flock", "--nonblock", state / "update.lock", "true"], check=False).returncode
            == 1
        )


# --- who it is --------------------------------------------------------------------------


def test_owner_is_named_while_an_update_runs_and_nobody_otherwise(
    state: Path, holder: subprocess.Popen[str]
) -> None:
    """lessons.md L6"""
    assert f"pid {holder.pid}" in str(update_owner(state))
    assert is_update_running(state)
    holder.kill()
    holder.wait()
    assert update_owner(state) is None
    assert not is_update_running(state)


def test_nobody_is_named_where_no_update_ever_ran(state: Path) -> None:
    assert update_owner(state) is None
    assert not is_update_running(state)
    assert not (state / "update.lock").exists()


def test_text_of_a_living_process_that_does_not_hold_the_lock_fools_nobody(state: Path) -> None:
    """lessons.md L35: only the kernel says who holds it."""
    claim(state)
    assert update_owner(state) is None
    take(state)


@pytest.mark.skipif(not process_table.HAS_PROC, reason="only /proc says for sure who holds a lock")
def test_text_of_a_living_process_is_not_believed_when_another_holds_the_lock(state: Path) -> None:
    """lessons.md L35"""
    locker = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print('ready', flush=True)"
    )
    (state / "update.lock").touch()
    with python(f"{locker}; time.sleep(60)", str(state / "update.lock")) as other:
        claim(state)
        message = refusal(state)
        assert f"pid {other.pid}" in message
        assert "hourly timer" not in message


def test_number_used_again_fools_nobody(state: Path) -> None:
    """lessons.md L35: the text names a number that is another process's now."""
    locker = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print('ready', flush=True)"
    )
    (state / "update.lock").touch()
    with python(f"{locker}; time.sleep(60)", str(state / "update.lock")) as other:
        claim(state, pid=other.pid, started="another-boot/17")
        assert "hourly timer" not in refusal(state)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null\n",
        b"\xff\xfe\n",
        b'{"schema": 1}\n',
        b'{"schema": 1, "who": 1, "pid": "x", "started": [], "since": 7, "why": null, "children": 3}\n',
        b'{"schema": "x", "children": [1, {"group": true, "started": "a"}, {"group": 5}]}\n',
        b"[" * 60000,
    ],
)
def test_damaged_text_stops_no_update(state: Path, text: bytes) -> None:
    (state / "update.lock").write_bytes(text)
    take(state)


def test_damaged_text_of_a_held_lock_still_says_locked(state: Path) -> None:
    path = state / "update.lock"
    path.write_bytes(b"{")
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another update runs" in refusal(state)


def test_longer_text_that_was_half_overwritten_is_read_by_its_first_line(state: Path) -> None:
    with update_lock(state, "chat", "to move to 1.3.0"):
        with open(state / "update.lock", "ab") as file:
            file.write(b'"why": "the tail of an older text"}\n')
        assert "to move to 1.3.0" in str(update_owner(state))


def test_text_of_a_newer_newleaf_is_not_overwritten(state: Path) -> None:
    claim(state, schema=2, pid=2**22 + 5)
    before = (state / "update.lock").read_bytes()
    with pytest.raises(NewerSchema) as newer:
        take(state)
    assert newer.value.exit_code == 7
    assert (state / "update.lock").read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is said in another way elsewhere")
def test_lock_holds_though_the_disk_is_full(state: Path) -> None:
    """The name cannot be written; the lock is the kernel's."""

    def on_a_full_disk() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        with update_lock(state, "chat", "to move to 1.3.0"):
            assert "another update runs" in refusal(state)

    assert run_in_child(on_a_full_disk) == 0


# --- what a killed updater left ---------------------------------------------------------


@pytest.mark.parametrize(
    "script", ["sleep 60", "sleep 60 & sleep 61 & wait", "trap '' TERM; sleep 60 & wait"]
)
def test_children_of_a_killed_updater_are_ended_before_the_next_update_begins(
    state: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L22: a child survives its parent; two installs at once would spoil the tree."""
    monkeypatch.setattr(process_table, "GRACE_SECONDS", 0.1)
    with python(UPDATER_WITH_A_CHILD, str(state), script, ready=False) as updater:
        group = int(read_line(updater.stdout))
        recorded = process_table.start_time(group)
        assert recorded
        os.kill(updater.pid, signal.SIGKILL)
        updater.wait()
        assert process_table.is_alive(group, recorded)
        with update_lock(state, "the command line", "to move to 1.4.0"):
            assert not process_table.group_members(group, recorded)


def test_group_whose_number_was_used_again_is_not_ended(state: Path) -> None:
    """lessons.md L35: an innocent process has the number of a killed updater's child."""
    with started("sh", "-c", "echo ready; read line") as innocent:
        claim(state, children=[{"group": innocent.pid, "started": "another-boot/17"}])
        take(state)
        assert innocent.poll() is None


def test_child_that_cannot_be_ended_keeps_the_next_update_out(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_table, "end_group", lambda _group, _started: False)
    claim(state, children=[{"group": 4711, "started": "boot/1"}])
    assert "4711" in refusal(state)
    assert text_of(state)["children"], "the successor's successor must know of it too"


def test_children_that_have_ended_are_forgotten(state: Path) -> None:
    with update_lock(state, "chat", "to move to 1.3.0") as lock:
        with started("sh", "-c", "echo ready; read line") as first:
            lock.note_child(first.pid)
        with started("sh", "-c", "echo ready; read line") as second:
            lock.note_child(second.pid)
            assert [child["group"] for child in text_of(state)["children"]] == [second.pid]


def test_child_started_after_the_update_is_noted_nowhere(state: Path, tmp_path: Path) -> None:
    """The lock's descriptor is given away by then: the note would go into another file."""
    with update_lock(state, "chat", "to move to 1.3.0") as lock:
        pass
    with contextlib.ExitStack() as stack:
        paths = [tmp_path / f"precious-{number}" for number in range(8)]
        for path in paths:
            stack.enter_context(open(path, "w+b"))
        with started("sh", "-c", "echo ready; read line") as child:
            lock.note_child(child.pid)
        assert [path.stat().st_size for path in paths] == [0] * 8
    assert (state / "update.lock").read_bytes() == b""


def test_child_that_is_gone_already_is_not_noted(state: Path) -> None:
    with update_lock(state, "chat", "to move to 1.3.0") as lock:
        lock.note_child(2**22 + 5)
        assert text_of(state)["children"] == []


def test_forked_child_does_not_keep_the_lock(state: Path) -> None:
    """lessons.md L35: a daemon forks a worker while its agent updates; the worker must not hold the lock."""
    with python(FORKING, str(state)):
        wait_until(lambda: update_owner(state) is None, "the lock to be free while the forked child lives")
        take(state)


def test_started_program_does_not_keep_the_lock(state: Path) -> None:
    """lessons.md L35"""
    with update_lock(state, "chat", "to move to 1.3.0"):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        take(state)
    finally:
        child.kill()
        child.wait()


# --- what lies in the lock's place ------------------------------------------------------


def test_symlink_in_its_place_is_refused_and_the_other_file_untouched(state: Path, tmp_path: Path) -> None:
    """threats.md T20"""
    other = tmp_path / "precious"
    other.write_text("precious")
    (state / "update.lock").symlink_to(other)
    with pytest.raises(StateDirectoryUnsafe) as refused:
        take(state)
    assert refused.value.exit_code == 2
    assert "update.lock is a symlink" in refused.value.message
    assert refused.value.advice == f"rm {state / 'update.lock'}"
    assert other.read_text() == "precious"


def test_dangling_symlink_in_its_place_makes_no_file_elsewhere(state: Path, tmp_path: Path) -> None:
    """threats.md T20"""
    (state / "update.lock").symlink_to(tmp_path / "new")
    with pytest.raises(StateDirectoryUnsafe):
        take(state)
    assert not (tmp_path / "new").exists()


def test_second_name_of_another_file_is_refused_and_that_file_untouched(state: Path, tmp_path: Path) -> None:
    """threats.md T20: the same through a hard link."""
    other = tmp_path / "precious"
    other.write_text("precious")
    os.link(other, state / "update.lock")
    with pytest.raises(StateDirectoryUnsafe):
        take(state)
    assert other.read_text() == "precious"


def test_folder_or_pipe_in_its_place_is_refused(state: Path) -> None:
    path = state / "update.lock"
    path.mkdir()
    with pytest.raises(StateDirectoryUnsafe):
        take(state)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(StateDirectoryUnsafe):
        take(state)


def test_missing_state_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateDirectoryUnwritable) as refused:
        take(tmp_path / "missing")
    assert "missing" in refused.value.message


def test_state_directory_that_cannot_be_written_is_said(state: Path) -> None:
    state.chmod(0o500)
    with binding_permissions(), pytest.raises(StateDirectoryUnwritable):
        take(state)


def test_lock_file_removed_while_it_is_opened_is_opened_anew(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock on a file that has lost its name would exclude nobody."""
    looks: list[int] = []

    def removed_meanwhile(folder: Path) -> None:
        looks.append(1)
        if len(looks) == 1:
            (folder / "update.lock").unlink()

    monkeypatch.setattr(mounts, "require_local", removed_meanwhile)
    with update_lock(state, "chat", "to move to 1.3.0"):
        assert os.stat(state / "update.lock").st_ino in {
            os.fstat(descriptor).st_ino for descriptor in locks._held
        }


def test_lock_file_is_private(state: Path) -> None:
    take(state)
    assert (state / "update.lock").stat().st_mode & 0o777 == 0o600
