"""newleaf's own programs, run for the launcher: what they say is read as it comes, and none is too slow."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.core.launch import events as e
from newleaf.core.launch.plan import Health
from newleaf.launcher.loop import Loop
from newleaf.launcher.processes import Known, NotStarted, Processes, signal_group
from newleaf.launcher.programs import AGENT, CHECK, LAUNCHER, MAX_SAID_BYTES, PLAN, Programs
from tests.support.deployment import wait_until
from tests.support.http_server import Answer, serving
from tests.support.launchers import COMMIT, make_plan

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PYTHON = (sys.executable, "-I", "-S", "-c")


class Run:
    """Programs with the loop that hears them."""

    def __init__(self, folder: Path, loop: Loop, program: tuple[str, ...]) -> None:
        self.folder = folder
        self.loop = loop
        self.processes = Processes(lambda: None)
        self.programs = Programs(program, folder, self.processes, loop)

    def end(self) -> tuple[Known, int, str]:
        """The next end: what it was, its status, what it said."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self.loop.wait(0.05)
            for known, pid, status in self.processes.ended():
                return known, status, self.programs.ended(pid)
        raise AssertionError("it did not end")

    def check(self, *command: str, url: str | None = None, private: bool = False) -> str | None:
        """What a look at a child's health finds."""
        plan = make_plan(self.folder, health=Health(url=url, command=command))
        path = str(self.folder / "health.sock") if private else None
        self.programs.check(e.Ask(1, plan, private), path, time.monotonic())
        known, status, said = self.end()
        assert known == Known(CHECK, 1)
        return self.programs.fault_of_check(status, said)


@pytest.fixture
def run(state: Path, loop: Loop) -> Iterator[Run]:
    made = Run(state, loop, (*PYTHON, "import os, sys; print(os.getcwd(), *sys.argv[1:]); sys.exit(3)"))
    yield made
    for pid in made.processes.running:
        signal_group(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        made.programs.ended(pid)


def test_a_verb_is_called_in_the_state_directory(run: Run) -> None:
    run.programs.make_plan(time.monotonic())
    assert run.end() == (Known(PLAN, 0), 3, f"{run.folder} launch-plan")


def test_a_verb_whose_words_nobody_needs_is_not_listened_to(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run.programs.call(AGENT, "agent", "--x")
    assert run.end() == (Known(AGENT, 0), 3, "")
    assert capfd.readouterr().out == f"{run.folder} agent --x\n"


def test_of_a_flood_the_end_is_kept_and_who_floods_does_not_wait(run: Run) -> None:
    """A pipe alone holds 64 KiB."""
    flood = "import sys; sys.stdout.write('x' * 3_000_000 + '\\nthe\\nend \\xff'); sys.exit(1)"
    fault = run.check(*PYTHON, flood)
    assert fault is not None
    assert fault.endswith("x the end ÿ")
    assert len(fault) <= MAX_SAID_BYTES
    assert run.check(*PYTHON, "print('x' * 3_000_000)") is None


def test_who_shuts_its_output_costs_no_turns(run: Run) -> None:
    code = "import os, time; os.closerange(0, 3); time.sleep(0.5)"
    run.programs.check(
        e.Ask(1, make_plan(run.folder, health=Health(command=(*PYTHON, code))), False), None, 0.0
    )
    turns, deadline = 0, time.monotonic() + 0.3
    while time.monotonic() < deadline:
        run.loop.wait(0.05)
        turns += 1
    assert turns < 50


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("pass", None),
        ("print('late\\n  and slow'); raise SystemExit(4)", "late and slow"),
        ("raise SystemExit(4)", "it ended with exit code 4"),
        ("print('three'); raise SystemExit(3)", "three"),
        ("raise SystemExit(3)", "it ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", e.UNANSWERED),
        ("import os; print(os.environ['NEWLEAF_COMMIT']); raise SystemExit(1)", COMMIT),
    ],
)
def test_a_command_is_judged_by_its_end(run: Run, code: str, fault: str | None) -> None:
    assert run.check(*PYTHON, code) == fault


def test_what_takes_too_long_is_ended_with_all_it_has_started(run: Run) -> None:
    code = "import os, time; os.fork(); print(1, flush=True); time.sleep(600)"
    plan = make_plan(run.folder, health=Health(command=(*PYTHON, code)))
    run.programs.check(e.Ask(1, plan, False), None, 100.0)
    run.programs.end_overdue(110.0)
    assert run.processes.ended() == []
    run.programs.end_overdue(110.1)
    assert run.end()[1] == -signal.SIGKILL


def test_the_address_is_asked_then_the_command(run: Run) -> None:
    answers = [Answer(), Answer(), Answer(status=500)]
    with serving(lambda _: answers.pop(0)) as server:
        assert run.check(url=f"{server.url}/up") is None
        assert run.check(*PYTHON, "print('bad'); raise SystemExit(1)", url=server.url) == "bad"
        assert run.check(*PYTHON, "pass", url=server.url) == "it answers 500"
        assert (
            run.check(url=server.url, private=True)
            == "FileNotFoundError: [Errno 2] No such file or directory"
        )
    assert answers == []


def test_what_cannot_be_started_leaves_nothing_open(run: Run) -> None:
    before = len(os.listdir("/dev/fd"))
    plan = make_plan(run.folder, health=Health(command=("/no/such/program",)))
    with pytest.raises(NotStarted, match="No such file"):
        run.programs.check(e.Ask(1, plan, False), None, 0.0)
    assert len(os.listdir("/dev/fd")) == before
    assert run.programs.as_record() == {}


def test_loaded_anew_they_are_heard_on_and_ended_in_time(run: Run) -> None:
    code = "import time; print('said', flush=True); time.sleep(600)"
    plan = make_plan(run.folder, health=Health(command=(*PYTHON, code)))
    run.programs.check(e.Ask(1, plan, False), None, 100.0)
    record = run.programs.as_record()
    again = Programs((), run.folder, run.processes, run.loop)
    again.resume(record)
    run.programs = again
    again.end_overdue(111.0)
    assert run.end()[1] == -signal.SIGKILL


def test_loaded_anew_then_what_it_had_said_is_not_lost(run: Run) -> None:
    """One that says why and takes its time to end: the reason may be read before, and the end come after."""
    code = "import os, time; os.write(1, b'no answer'); time.sleep(0.3); os._exit(3)"
    run.programs.check(
        e.Ask(1, make_plan(run.folder, health=Health(command=(*PYTHON, code))), False), None, 0.0
    )
    (pid,) = run.processes.running
    wait_until(lambda: run.loop.wait(0.05) or run.programs.as_record()[str(pid)][2])
    record = json.loads(json.dumps(run.programs.as_record()))
    run.programs = Programs((), run.folder, run.processes, run.loop)
    run.programs.resume(record)
    _, status, said = run.end()
    assert run.programs.fault_of_check(status, said) == e.SILENT


def test_the_launcher_is_proved_by_itself(run: Run) -> None:
    run.programs.prove_launcher()
    assert run.end()[1] == 0
    assert LAUNCHER[1:3] == ("-I", "-S")
