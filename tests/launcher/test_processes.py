"""Programs as the launcher starts them: what they get, what they never get, and that none is forgotten."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from newleaf.launcher.loop import SIGNALS
from newleaf.launcher.processes import Known, NotStarted, Processes, Program, signal_group
from newleaf.system import process_table
from tests.support.deployment import wait_until
from tests.support.kills import run_in_child

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

REPORT = """
import json, os
listed = os.listdir("/dev/fd")
held = {}
for name in map(int, listed):
    try:
        held[name] = os.readlink(f"/proc/self/fd/{name}") if os.path.exists("/proc/self/fd") else "?"
    except OSError:
        pass
print(json.dumps({
    "pid": os.getpid(), "session": os.getsid(0), "folder": os.getcwd(), "held": held,
    "env": {os.fsencode(k).hex(): os.fsencode(v).hex() for k, v in os.environ.items()},
}), flush=True)
"""
KNOWN = Known("daemon", 1)
IGNORED = ("SigIgn", "SigCgt")


def nothing() -> None:
    """Where nothing is written down."""


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes(nothing)
    yield made
    for pid in made.running:
        signal_group(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def python(code: str, folder: Path, **facts: Any) -> Program:
    argv = (sys.executable, "-I", "-S", "-c", code)
    return Program(argv, str(folder), **{"env": dict(os.environ), **facts})


def await_end(processes: Processes) -> tuple[Known, int, int]:
    (ended,) = wait_until(processes.ended)
    return ended


def run(processes: Processes, folder: Path, code: str = REPORT, **facts: Any) -> str:
    """What a program says, and that it ends well."""
    source, sink = os.pipe()
    pid = processes.start(python(code, folder, output=sink, **facts), KNOWN)
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        said = file.read().decode(errors="replace")
    assert await_end(processes) == (KNOWN, pid, 0), said
    return said


def report(processes: Processes, folder: Path, **facts: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(processes, folder, **facts))
    found["env"] = {bytes.fromhex(name): bytes.fromhex(value) for name, value in found["env"].items()}
    return found


def test_a_program_leads_its_own_session_in_its_folder(processes: Processes, tmp_path: Path) -> None:
    found = report(processes, tmp_path)
    assert (found["session"], found["folder"]) == (found["pid"], os.path.realpath(tmp_path))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are told by /proc")
def test_it_has_the_descriptors_that_are_named_and_no_other(processes: Processes, tmp_path: Path) -> None:
    leaks = [*os.pipe(), os.open(tmp_path, os.O_RDONLY)]
    named = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("one", "two")]
    for descriptor in leaks:
        os.set_inheritable(descriptor, True)
    try:
        held = report(processes, tmp_path, passed=tuple(named))["held"]
    finally:
        for descriptor in (*leaks, *named):
            os.close(descriptor)
    assert sorted(map(int, held)) == [0, 1, 2, 3, 4]
    assert (held["0"], held["3"], held["4"]) == ("/dev/null", f"{tmp_path}/one", f"{tmp_path}/two")


def test_descriptors_out_of_order_get_their_places(tmp_path: Path) -> None:
    """Those that are passed may lie where others of them go."""
    said = tmp_path / "said"

    def start() -> None:
        for place, name in ((3, "c"), (4, "a"), (5, "b"), (1, "out")):
            source = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)
            os.write(source, name.encode())
            os.lseek(source, 0, os.SEEK_SET)
            os.dup2(source, place)
        code = "import os, sys; print(*(os.read(n, 9).decode() for n in (3, 4, 5, 6)))"
        sink = os.open(said, os.O_WRONLY | os.O_CREAT)
        made = Processes(nothing)
        made.start(python(code, tmp_path, passed=(4, 5, 3, 1), output=sink), KNOWN)
        await_end(made)

    assert run_in_child(start) == 0
    assert said.read_text() == "a b c out\n"


def test_its_own_number_stands_in_the_variables_that_ask_for_it_alone(
    processes: Processes, tmp_path: Path
) -> None:
    odd = os.fsdecode(b"\xff\xfe =\n")
    env = {"LISTEN_PID": "1", "FORMAT": "{pid} {message}", "ODD": odd, odd.replace("=", ""): "x"}
    found = report(processes, tmp_path, env=env, numbered=("LISTEN_PID",))
    kept = {name: value for name, value in found["env"].items() if name != b"LC_CTYPE"}
    assert kept == {
        b"LISTEN_PID": str(found["pid"]).encode(),
        b"FORMAT": b"{pid} {message}",
        b"ODD": b"\xff\xfe =\n",
        b"\xff\xfe \n": b"x",
    }


def test_signals_are_as_a_program_expects_them(processes: Processes, tmp_path: Path) -> None:
    """Python ignores two of them, and would hand that on."""
    if not Path("/proc/self/status").exists():
        pytest.skip("signals are told by /proc")
    shell = Program(("cat", "/proc/self/status"), str(tmp_path), dict(os.environ))
    source, sink = os.pipe()
    processes.start(shell._replace(output=sink), KNOWN)
    os.close(sink)
    with os.fdopen(source) as file:
        masks = {line.split()[0]: int(line.split()[1], 16) for line in file if line[:6] in IGNORED}
    await_end(processes)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, *SIGNALS):
        bit = 1 << (number - 1)
        assert not masks["SigIgn:"] & bit, number
        assert not masks["SigCgt:"] & bit, number


def test_a_relative_path_begins_at_the_folder(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "app"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    processes.start(Program(("bin/app",), str(tmp_path), {}), KNOWN)
    assert await_end(processes)[2] == 7


def test_a_bare_name_is_looked_for_on_its_own_path(processes: Processes, tmp_path: Path) -> None:
    program = tmp_path / "app"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    processes.start(Program(("app",), "/", {"PATH": str(tmp_path)}), KNOWN)
    assert await_end(processes)[2] == 7


def not_executable(folder: Path) -> Program:
    (folder / "app").write_text("#!/bin/sh\n")
    return Program((str(folder / "app"),), str(folder), {})


REFUSED: dict[str, tuple[Callable[[Path], Program], str]] = {
    "missing": (lambda f: Program(("/no/such/program",), str(f), {}), "/no/such/program: No such file"),
    "not on the path": (lambda f: Program(("nonesuch",), str(f), {"PATH": "/"}), "nonesuch: No such file"),
    "a folder": (lambda f: Program((str(f),), str(f), {}), ": Permission denied"),
    "not executable": (not_executable, "/app: Permission denied"),
    "no folder to run in": (lambda f: Program(("true",), f"{f}/gone", {}), "/gone: No such file"),
    "a zero byte": (lambda f: Program(("true", "a\0b"), str(f), {}), "it cannot be called: embedded null"),
    "no text": (lambda f: Program(("true", "\ud800"), str(f), {}), "it cannot be called: 'utf-8' codec"),
    "a bad variable": (lambda f: Program(("true",), str(f), {"A=B": "c"}), "it cannot be called: illegal"),
    "nothing": (lambda f: Program((), str(f), {}), "it cannot be called"),
    "too long": (lambda f: Program(("true", "x" * 5_000_000), str(f), {"PATH": "/bin:/usr/bin"}), "too long"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_started_says_why_and_leaves_nothing(
    processes: Processes, tmp_path: Path, case: str
) -> None:
    make, reason = REFUSED[case]
    with pytest.raises(NotStarted, match=re.escape(reason)):
        processes.start(make(tmp_path), KNOWN)
    assert processes.running == {}
    assert processes.ended() == []


def test_no_descriptor_left_then_it_is_not_started_and_none_is_lost(tmp_path: Path) -> None:
    def start() -> None:
        made, program = Processes(nothing), python("", tmp_path)
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        # Room for the first pipe alone.
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 3, free + 3))
        for _ in range(3):
            with pytest.raises(NotStarted, match="Too many open files"):
                made.start(program, KNOWN)
        assert os.open(os.devnull, os.O_RDONLY) == free

    assert run_in_child(start) == 0


def test_room_for_few_descriptors_then_it_is_started_all_the_same(tmp_path: Path) -> None:
    """macOS gives 256 to whoever asks for no more."""

    def start() -> None:
        made, held = Processes(nothing), os.open(tmp_path, os.O_RDONLY)
        # What the test runner has open there would take the room.
        os.closerange(held + 1, os.sysconf("SC_OPEN_MAX"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (held + 16, held + 16))
        made.start(python("import os; os.fstat(3)", tmp_path, passed=(held,)), KNOWN)
        assert await_end(made)[2] == 0

    assert run_in_child(start) == 0


def test_what_a_leader_leaves_goes_when_it_ends(processes: Processes, tmp_path: Path) -> None:
    code = """
import os, time
pid = os.fork()
if pid == 0:
    os.closerange(0, 3)
    time.sleep(600)
print(pid, flush=True)
os._exit(3)
"""
    source, sink = os.pipe()
    processes.start(python(code, tmp_path, output=sink), KNOWN)
    os.close(sink)
    with os.fdopen(source) as file:
        left = int(file.readline())
    assert await_end(processes)[2] == 3
    wait_until(lambda: (found := process_table.find(left)) is None or found.is_zombie)


def test_ends_are_told_by_code_or_signal(processes: Processes, tmp_path: Path) -> None:
    pid = processes.start(python("import time; time.sleep(600)", tmp_path), Known("agent", 0))
    assert processes.ended() == []
    assert (processes.find("agent"), processes.find("daemon", 1)) == (pid, None)
    os.kill(pid, signal.SIGKILL)
    assert await_end(processes) == (Known("agent", 0), pid, -signal.SIGKILL)


def test_killed_before_it_was_written_down_then_nothing_runs(tmp_path: Path) -> None:
    """lessons.md L35"""
    noted, mark = tmp_path / "noted", tmp_path / "mark"

    def start() -> None:
        def die() -> None:
            noted.write_text(str(next(iter(made.running))))
            os.kill(os.getpid(), signal.SIGKILL)

        made = Processes(die)
        made.start(python(f"open({str(mark)!r}, 'w')", tmp_path), KNOWN)

    assert run_in_child(start) == -signal.SIGKILL
    pid = int(noted.read_text())
    wait_until(lambda: (found := process_table.find(pid)) is None or found.is_zombie)
    assert not mark.exists()


def test_it_runs_only_after_it_was_written_down(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    seen: list[bool] = []
    made = Processes(lambda: seen.append(mark.exists()))
    made.start(python(f"open({str(mark)!r}, 'w')", tmp_path), KNOWN)
    await_end(made)
    assert (seen, mark.exists()) == ([False], True)


def test_cannot_be_written_down_then_it_does_not_run(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError

    mark = tmp_path / "mark"
    made = Processes(fail)
    with pytest.raises(RuntimeError):
        made.start(python(f"open({str(mark)!r}, 'w')", tmp_path), KNOWN)
    assert await_end(made)[2] == 1
    assert not mark.exists()
