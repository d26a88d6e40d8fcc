"""What a launcher weighs: it is there for every daemon, for as long as the machine runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.launcher.__main__ import PROVE
from newleaf.launcher.programs import LAUNCHER
from tests.support.launchers import line_to, make_plan, running, serving, write_launcher

MOST_KIB = 14 * 1024
"""contracts.md: 14 MiB, measured with CPython 3.11 on Linux."""
SPARE_KIB = 256

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info[:2] != (3, 11),
    reason="it is measured with CPython 3.11 on Linux",
)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """As `newleaf run` has it done: one that compiles itself keeps what that took."""
    subprocess.run([*LAUNCHER, PROVE], check=True, timeout=30)


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.fixture
def launcher(state: Path) -> Iterator[subprocess.Popen[str]]:
    write_launcher(state, make_plan(state, listen=("unix:app.sock",)))
    with running(state) as made:
        yield made


def test_a_launcher_is_small_and_stays_so(launcher: subprocess.Popen[str], state: Path) -> None:
    seen = {"started": resident_kib(launcher.pid)}
    with line_to(state) as line:
        for _ in range(4):
            line.ask()
            line.say(do="reload")
            assert line.hear_until("running", "failed")["event"] == "running"
    seen["after four handovers"] = resident_kib(launcher.pid)
    launcher.send_signal(signal.SIGHUP)
    assert launcher.stderr is not None
    while "loaded anew" not in launcher.stderr.readline():
        pass
    assert serving(state)
    seen["loaded anew"] = resident_kib(launcher.pid)
    assert max(seen.values()) <= MOST_KIB - SPARE_KIB, seen


UNWANTED = frozenset(
    """argparse asyncio concurrent ctypes dataclasses email http inspect logging msgspec platform
    random shutil sqlite3 ssl subprocess tempfile threading tomllib traceback uuid""".split()
)


def test_it_loads_nothing_that_it_does_not_need() -> None:
    code = "import sys; sys.path.append(sys.argv[1]); import newleaf.launcher.__main__; print(*sys.modules)"
    done = subprocess.run(
        [*LAUNCHER[:4], code, LAUNCHER[-1]], capture_output=True, text=True, check=True, timeout=30
    )
    assert set(done.stdout.split()) & UNWANTED == set()
