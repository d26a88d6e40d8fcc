"""docs/tutorial/first-update.md, typed as it stands there: it works, and says what the page says.

After a change of what newleaf says, `WRITE_TUTORIAL=1 pytest tests/docs/test_first_update.py` writes it anew.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

import newleaf
from newleaf.cli.demo.sandbox import Sandbox, program_path
from newleaf.cli.demo.wheels import fill_index, write_library
from tests.support.tutorials import Step, fill, read_steps, run_steps

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-update.md"
PORT = "8765"
HUMANIZE = "def apnumber(value):\n    return ['zero', 'one', 'two', 'three', 'four'][value]\n"
"""What the tutorial uses of a library that would come from a registry."""

STEPS = read_steps(PAGE.read_text())


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """What the page's commands really say, typed in a home of their own."""
    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("the tutorial is typed with bash and curl")
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "tmp").mkdir()
    index, port = folder / "index", free_port()
    fill_index(index, Path(newleaf.__file__).parent)
    write_library(index, "humanize", "4.0.0", HUMANIZE)
    sandbox = Sandbox(folder, program_path(os.environ))
    environment = {**sandbox.environment, "UV_FIND_LINKS": str(index), "UV_NO_INDEX": "1"}
    steps = [Step(step.command.replace(PORT, port), step.in_second_terminal) for step in STEPS]
    said = run_steps(steps, folder, environment, f"curl --silent 127.0.0.1:{port} > {folder}/tmp/up")
    for step in said:
        for real, shown in (
            (str(folder), "~"),
            (port, PORT),
            (f"notes on {socket.gethostname()}:", "notes on mini-1:"),
        ):
            step.output = [line.replace(real, shown) for line in step.output]
    if os.environ.get("WRITE_TUTORIAL"):
        PAGE.write_text(fill(PAGE.read_text(), said))
    return said


@pytest.mark.timeout(120)
def test_last_release_serves_in_the_end_with_all_notes(real: list[Step]) -> None:
    served = [step.output for step in real if step.command.startswith("curl --silent 127")]
    assert served[-1] == ['{"version": "1.2.1", "notes": ["buy milk (two words)", "call Ada (two words)"]}']


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: STEPS[number].command[:40])
def test_page_says_what_is_said(number: int, real: list[Step]) -> None:
    if not STEPS[number].in_second_terminal:
        assert STEPS[number].is_said_by(real[number].output), "\n".join(real[number].output)


def test_page_has_commands_for_both_terminals() -> None:
    assert {step.in_second_terminal for step in STEPS} == {True, False}
    assert sum(step.command.startswith("newleaf ") for step in STEPS) > 10
