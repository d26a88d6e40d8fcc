"""Child processes: ended in time with all they started, heard to the end, and never quoted with a secret."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import CommandFailed, CommandTimedOut, ProgramMissing
from newleaf.system.commands import KEPT_LINES, LINE_BYTES, Channel, Command, Runner, _Gathered

CANARY = "canary-5e1f77d2"
Make = Callable[..., Command]


@pytest.fixture
def shell(tmp_path: Path) -> Make:
    """A command that a shell runs in an empty folder."""

    def make(script: str, **more: Any) -> Command:
        return command(tmp_path, "sh", "-c", script, **more)

    return make


@pytest.fixture
def python(tmp_path: Path) -> Make:
    """A command that Python runs in an empty folder."""

    def make(code: str, **more: Any) -> Command:
        return command(tmp_path, sys.executable, "-c", code, **more)

    return make


def command(cwd: Path, *argv: str, **more: Any) -> Command:
    facts: dict[str, Any] = {
        "what": "the child",
        "cwd": cwd,
        "env": {"PATH": os.environ["PATH"]},
        "timeout_seconds": 20.0,
    }
    return Command(argv, **(facts | more))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- what comes back --------------------------------------------------------------------


def test_a_child_ends_and_what_it_said_comes_back(shell: Make) -> None:
    finished = Runner().run(shell("echo out; echo err >&2; exit 3"))
    assert (finished.status, finished.stdout, finished.text) == (3, b"out\n", "out\n")
    assert sorted(finished.tail) == ["err", "out"]
    assert 0 < finished.seconds < 20


def test_check_makes_a_failure_an_error_with_the_childs_words(shell: Make) -> None:
    assert Runner().check(shell("exit 0")).status == 0
    with pytest.raises(CommandFailed, match=r"the child failed \(exit 4\): no\nway"):
        Runner().check(shell("echo no >&2; echo way >&2; exit 4"))
    with pytest.raises(CommandFailed, match="it said nothing"):
        Runner().check(shell("exit 1"))


def test_a_child_that_was_killed_has_a_negative_status(shell: Make) -> None:
    assert Runner().run(shell("kill -9 $$")).status == -signal.SIGKILL


def test_the_last_lines_are_kept_and_each_is_heard_at_once(shell: Make) -> None:
    heard: list[str] = []
    finished = Runner().run(shell("seq 1 500", on_line=heard.append))
    assert finished.tail == tuple(map(str, range(501 - KEPT_LINES, 501)))
    assert heard == list(map(str, range(1, 501)))


def test_lines_are_heard_while_the_child_runs(shell: Make, tmp_path: Path) -> None:
    """The child goes on only once its line has been heard."""
    go = tmp_path / "go"
    script = "echo ready; while [ ! -e go ]; do sleep 0.01; done; echo gone"
    finished = Runner().run(shell(script, on_line=lambda line: go.touch() if line == "ready" else None))
    assert finished.tail == ("ready", "gone")


def test_progress_that_overwrites_its_line_is_heard_line_by_line(shell: Make) -> None:
    heard: list[str] = []
    Runner().run(shell(r"printf '10%%\r20%%\r\n\n100%%, done'", on_line=heard.append))
    assert heard == ["10%", "20%", "100%, done"]


def test_bytes_that_are_no_text_do_not_disturb(shell: Make) -> None:
    finished = Runner().run(shell(r"printf 'a\377b\n\303'; printf '\244\n'"))
    assert finished.stdout == b"a\xffb\n\xc3\xa4\n"
    assert finished.tail == ("a\ufffdb", "ä")


def test_an_error_of_the_listener_ends_the_child(shell: Make) -> None:
    groups: list[int] = []

    def stop(line: str) -> None:
        raise RuntimeError(line)

    with pytest.raises(RuntimeError, match="one"):
        Runner(on_start=groups.append).run(shell("echo one; sleep 60", on_line=stop))
    wait_until(lambda: not is_alive(groups[0]))


# --- bounds -----------------------------------------------------------------------------


def test_huge_output_is_kept_within_bounds(python: Make) -> None:
    """threats.md T5."""
    code = "import sys\nfor _ in range(64): sys.stdout.write('x' * 65536)"
    finished = Runner(kept_bytes=1000).run(python(code))
    assert 1000 <= len(finished.stdout) <= 1000 + 65536
    assert [len(line) for line in finished.tail] == [LINE_BYTES]


def test_a_long_line_keeps_its_end(python: Make) -> None:
    finished = Runner().run(python("print('a' * 100_000 + 'the end')"))
    assert finished.tail[0].endswith("aaathe end")
    assert len(finished.tail[0]) == LINE_BYTES
    assert finished.stdout.startswith(b"aaa")


def test_a_line_that_never_ends_takes_no_memory() -> None:
    gathered = _Gathered(Runner(), Command(["true"], "nothing", Path(), {}, 1.0))
    for _ in range(8):
        gathered.take("stderr", b"x" * 65536)
    assert len(gathered._unended["stderr"].content) == LINE_BYTES


def test_standard_input_is_fed_whole_and_closed(shell: Make) -> None:
    sent = os.urandom(500_000)
    assert Runner().run(shell("cat", stdin=sent)).stdout == sent


def test_a_child_that_does_not_read_is_not_waited_for(shell: Make) -> None:
    assert Runner().run(shell("exec <&-; echo no thanks", stdin=b"x" * 500_000)).tail == ("no thanks",)
    assert Runner().run(shell("exit 5", stdin=b"x" * 500_000)).status == 5


def test_nothing_is_inherited_on_standard_input(shell: Make) -> None:
    assert Runner().run(shell("cat; echo done")).stdout == b"done\n"


def test_named_descriptors_are_passed_on_and_no_others(python: Make) -> None:
    reads, writes = os.pipe()
    code = f"import os, sys; sys.stdout.write(os.read({reads}, 9).decode())"
    try:
        os.write(writes, b"hello")
        os.set_inheritable(writes, True)
        assert Runner().run(python(code, pass_fds=(reads,))).stdout == b"hello"
        assert "Bad file descriptor" in Runner().run(python(f"import os; os.fstat({writes})")).tail[-1]
    finally:
        os.close(reads)
        os.close(writes)


def test_a_child_is_talked_with_beside_its_output(python: Make) -> None:
    ours, theirs = socket.socketpair()
    said: list[bytes] = []

    def answer(chunk: bytes) -> None:
        said.append(chunk)
        if chunk == b"ready?":
            ours.send(b"go")

    code = (
        "import os, sys\n"
        f"os.write({theirs.fileno()}, b'ready?')\n"
        f"print(os.read({theirs.fileno()}, 9).decode())\n"
    )
    descriptor = theirs.detach()
    with ours:
        finished = Runner().run(python(code, channel=Channel(ours.fileno(), descriptor, answer)))
    assert (finished.tail, said) == (("go",), [b"ready?", b""])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


# --- time -------------------------------------------------------------------------------


def test_past_the_deadline_the_whole_group_ends(shell: Make, tmp_path: Path) -> None:
    """lessons.md L10, L22: a grandchild that ignores the request is killed as well."""
    script = "echo begun; (trap '' TERM; echo $$; exec sleep 61) & echo $! > grandchild; wait"
    began = time.monotonic()
    with pytest.raises(CommandTimedOut, match=r"the child took longer than 0\.8 s and was stopped") as error:
        Runner().run(shell(script, timeout_seconds=0.8))
    assert time.monotonic() - began < 10
    assert "begun" in error.value.facts["lines"]  # type: ignore[operator]
    grandchild = int((tmp_path / "grandchild").read_text())
    wait_until(lambda: not is_alive(grandchild))


def test_a_child_that_ignores_the_request_to_end_is_killed(
    shell: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L22."""
    monkeypatch.setattr("newleaf.system.commands.GRACE_SECONDS", 0.1)
    groups: list[int] = []
    with pytest.raises(CommandTimedOut):
        Runner(on_start=groups.append).run(shell("trap '' TERM; sleep 62 & wait; wait", timeout_seconds=0.2))
    wait_until(lambda: not is_alive(groups[0]))


def test_a_child_that_drips_is_stopped_at_the_deadline(shell: Make) -> None:
    """threats.md T5: one byte at a time puts no deadline off."""
    with pytest.raises(CommandTimedOut):
        Runner().run(shell("while :; do printf x; sleep 0.02; done", timeout_seconds=0.3))


def test_a_child_that_closed_its_output_is_still_under_the_deadline(shell: Make) -> None:
    with pytest.raises(CommandTimedOut):
        Runner().run(shell("exec >&- 2>&-; sleep 63", timeout_seconds=0.3))


def test_what_a_child_leaves_running_is_not_waited_for_and_ended(shell: Make, tmp_path: Path) -> None:
    """Whoever holds the output open would otherwise hold the update until its deadline."""
    began = time.monotonic()
    finished = Runner().run(shell("sleep 64 & echo $! > left; echo done"))
    assert (finished.status, finished.tail) == (0, ("done",))
    assert time.monotonic() - began < 5
    wait_until(lambda: not is_alive(int((tmp_path / "left").read_text())))


def test_what_a_child_leaves_talking_is_not_waited_for(shell: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newleaf.system.commands.GRACE_SECONDS", 0.2)
    finished = Runner().run(shell("(while :; do echo more; sleep 0.01; done) & echo done"))
    assert finished.status == 0
    assert "done" in finished.tail
    assert finished.seconds < 5


def test_an_interrupt_ends_the_group(shell: Make) -> None:
    """Ctrl-C reaches newleaf alone: its children are in groups of their own."""
    groups: list[int] = []

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(on_start=groups.append).run(shell("echo now; sleep 65", on_line=interrupt))
    wait_until(lambda: not is_alive(groups[0]))


def test_an_interrupt_just_when_the_child_begins_ends_it(
    shell: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[subprocess.Popen[bytes]] = []

    class Begun(subprocess.Popen[bytes]):
        def __init__(self, *words: Any, **more: Any) -> None:
            super().__init__(*words, **more)
            begun.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Begun)
    with pytest.raises(KeyboardInterrupt):
        Runner().run(shell("exec sleep 60"))
    assert begun[0].returncode == -signal.SIGTERM


def test_the_group_that_is_told_is_the_childs_own(shell: Make) -> None:
    groups: list[int] = []
    finished = Runner(on_start=groups.append).run(shell("ps -o pgid= -p $$"))
    assert int(finished.text) == groups[0] != os.getpgid(0)


# --- what cannot be started -------------------------------------------------------------


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match="no-such-program is not installed") as error:
        Runner().run(command(tmp_path, "no-such-program"))
    assert "install no-such-program" in error.value.advice


def test_a_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"gone is missing"):
        Runner().run(command(tmp_path / "gone", "true"))


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandFailed, match="Not a directory"):
        Runner().run(command(tmp_path / "file", "true"))


def test_what_cannot_be_executed_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("words")
    with pytest.raises(CommandFailed, match="Permission denied"):
        Runner().run(command(tmp_path, str(tmp_path / "text")))


def test_a_zero_byte_in_a_word_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="null byte"):
        Runner().run(command(tmp_path, "echo", "a\0b"))


def test_nothing_of_the_parents_environment_is_added(shell: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """threats.md T19."""
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    assert b"GIT_DIR" not in Runner().run(shell("env")).stdout


# --- secrets ----------------------------------------------------------------------------


def spoken(finished_or_error: object, heard: list[str]) -> str:
    return "\n".join([*heard, *getattr(finished_or_error, "tail", ()), str(finished_or_error)])


def test_a_secret_is_masked_wherever_people_look(shell: Make) -> None:
    """threats.md T29."""
    heard: list[str] = []
    runner = Runner(secrets=(CANARY,))
    with pytest.raises(CommandFailed) as error:
        runner.check(shell(f"echo '{CANARY} a{CANARY}b'; echo {CANARY} >&2; exit 1", on_line=heard.append))
    assert sorted(heard) == ["****", "**** a****b"]
    assert CANARY not in str(error.value) + error.value.advice


def test_a_secret_split_over_chunks_is_masked(python: Make) -> None:
    """threats.md T29."""
    half = len(CANARY) // 2
    code = (
        "import sys, time\n"
        f"sys.stdout.write('x {CANARY[:half]}'); sys.stdout.flush(); time.sleep(0.05)\n"
        f"sys.stdout.write('{CANARY[half:]} y\\n')"
    )
    heard: list[str] = []
    assert Runner(secrets=(CANARY,)).run(python(code, on_line=heard.append)).tail == ("x **** y",)
    assert heard == ["x **** y"]


@pytest.mark.parametrize("left", [0, 1, 6, len(CANARY) - 1, len(CANARY)])
@pytest.mark.parametrize("pause", ["", "sys.stdout.flush(); time.sleep(0.02)"])
def test_a_secret_where_a_long_line_is_cut_leaves_no_rest(python: Make, left: int, pause: str) -> None:
    """threats.md T29: what is kept of a line may begin in the middle of a secret."""
    code = (
        f"import sys, time\nsys.stdout.write('a' * 20000 + '{CANARY}' + 'b' * {LINE_BYTES - left})\n{pause}"
    )
    (line,) = Runner(secrets=(CANARY,)).run(python(code)).tail
    assert len(line) >= LINE_BYTES - 2 * len(CANARY)
    assert not set(line) - set("ab*")


def test_the_longest_secret_is_masked_first() -> None:
    """Else the rest of the longer one would stay."""
    assert Runner(secrets=("", "abc", "abcdef")).mask("abcdef abc") == "**** ****"


def test_what_looks_like_a_secret_is_masked_unasked(shell: Make) -> None:
    """threats.md T29."""
    script = "echo 'fatal: https://ada:hunter2@example.org/app.git not found' >&2; exit 128"
    with pytest.raises(CommandFailed) as error:
        Runner().check(shell(script))
    assert "hunter2" not in error.value.message
    assert "example.org" in error.value.message


def test_a_timeout_tells_no_secret(shell: Make) -> None:
    """threats.md T29."""
    with pytest.raises(CommandTimedOut) as error:
        Runner(secrets=(CANARY,)).run(shell(f"echo {CANARY}; sleep 66", timeout_seconds=0.8))
    assert error.value.facts["lines"] == ("****",)


def test_where_the_kernel_tells_of_no_end_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, shell: Make
) -> None:
    """Kernels before 5.3, and some containers, refuse the call."""

    def refused(_: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", refused, raising=False)
    # Its output is closed before it ends, so that its end is waited for.
    assert Runner().run(shell("exec >&- 2>&-; sleep 0.05; exit 3")).status == 3


def test_a_child_that_closed_its_output_is_waited_for_no_longer_than_its_limit(shell: Make) -> None:
    """lessons.md L10"""
    began = time.monotonic()
    with pytest.raises(CommandTimedOut):
        Runner().run(shell("exec >&- 2>&-; sleep 60", timeout_seconds=0.3))
    assert time.monotonic() - began < 5
