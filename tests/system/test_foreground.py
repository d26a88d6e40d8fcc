"""A job's command in the foreground: its descriptor, its signals, its exit status, its terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from newleaf.core.job_errors import JobNotExecutable, JobNotFound
from newleaf.system.foreground import FORWARDED, run_job
from tests.support.children import python, read_line
from tests.support.kills import PATIENCE_SECONDS

RUNNER = """
import os, sys
from newleaf.system.foreground import run_job
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
sys.exit(run_job(sys.argv[2:], descriptor))
"""
COUNT_SIGNALS = """
import signal, sys, time
seen = []
for number in map(int, sys.argv[1:]):
    signal.signal(number, lambda n, _: seen.append(n))
print("ready", flush=True)
end = time.monotonic() + 20
while not seen and time.monotonic() < end:
    time.sleep(0.005)
time.sleep(0.2)
print("seen", *seen, flush=True)
"""


@pytest.fixture
def lock(tmp_path: Path) -> str:
    return str(tmp_path / "busy.lock")


def status(lock: str, *argv: str) -> int:
    """The exit status of the process that runs the job."""
    return subprocess.run([sys.executable, "-c", RUNNER, lock, *argv], check=False, timeout=60).returncode


@pytest.mark.parametrize("expected", [0, 1, 75, 255])
def test_exit_status_is_the_commands_own(lock: str, expected: int) -> None:
    assert status(lock, "sh", "-c", f"exit {expected}") == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_command_that_a_signal_ended_gives_128_and_its_number(lock: str, number: signal.Signals) -> None:
    assert status(lock, "sh", "-c", f"kill -{int(number)} $$") == 128 + number


def test_missing_program_is_127(tmp_path: Path) -> None:
    with pytest.raises(JobNotFound) as missing:
        run_job([str(tmp_path / "nothing")], 0)
    assert missing.value.exit_code == 127
    with pytest.raises(JobNotFound):
        run_job(["/etc/passwd/nothing"], 0)


def test_program_without_permission_or_interpreter_is_126(tmp_path: Path) -> None:
    program = tmp_path / "job"
    program.write_text("#!/no/such/interpreter\n")
    with pytest.raises(JobNotExecutable) as forbidden:
        run_job([str(program)], 0)
    assert forbidden.value.exit_code == 126
    program.chmod(0o755)
    with pytest.raises(JobNotExecutable) as broken:
        run_job([str(program)], 0)
    assert "interpreter" in broken.value.message


def test_argument_with_a_nul_byte_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(JobNotExecutable):
        run_job(["echo", "a\0b"], 0)


def test_signal_handlers_are_as_before_when_the_job_has_ended(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in FORWARDED]
    descriptor = os.open(tmp_path / "busy.lock", os.O_RDWR | os.O_CREAT)
    try:
        assert run_job(["true"], descriptor) == 0
    finally:
        os.close(descriptor)
    assert [signal.getsignal(number) for number in FORWARDED] == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signal_is_passed_on_once(lock: str, number: signal.Signals) -> None:
    """lessons.md L26: a stopped service lets its job end in its own way."""
    job = [sys.executable, "-c", COUNT_SIGNALS, str(int(number))]
    with python(RUNNER, lock, *job) as runner:
        os.kill(runner.pid, number)
        assert read_line(runner.stdout) == f"seen {int(number)}"
        assert runner.wait(timeout=PATIENCE_SECONDS) == 0


def test_signal_that_is_ignored_is_ignored_by_the_job_too(lock: str) -> None:
    """As under nohup."""
    code = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{RUNNER}"
    job = "import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    argv = [sys.executable, "-c", code, lock, sys.executable, "-c", job]
    assert subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout == "True\n"


def read_until(terminal: int, word: bytes) -> bytes:
    text, deadline = b"", time.monotonic() + PATIENCE_SECONDS
    while word not in text and time.monotonic() < deadline:
        try:
            text += os.read(terminal, 1024)
        except OSError:
            break
    return text


def test_interrupt_typed_at_a_terminal_reaches_the_job_once(lock: str) -> None:
    """The terminal tells every process in front; passing it on as well would interrupt twice."""
    job = [sys.executable, "-c", COUNT_SIGNALS, str(int(signal.SIGINT))]
    argv = [sys.executable, "-c", RUNNER, lock, *job]
    terminal, other_end = pty.openpty()
    # The session's first process takes the terminal as its own when it opens it.
    take = "import os, sys; os.close(os.open(sys.argv[1], os.O_RDWR)); os.execv(sys.argv[2], sys.argv[2:])"
    child = subprocess.Popen(
        [sys.executable, "-c", take, os.ttyname(other_end), *argv],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
    )
    os.close(other_end)
    try:
        assert b"ready" in read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        assert b"seen 2\r\n" in read_until(terminal, b"seen 2\r\n")
        assert child.wait(timeout=PATIENCE_SECONDS) == 0
    finally:
        child.kill()
        child.wait()
        os.close(terminal)
