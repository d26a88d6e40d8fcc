"""`python -m newleaf`: the same program as `newleaf`."""

from __future__ import annotations

import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.cli import main


def call(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*words, "bogus", "--json"], capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def _signals() -> Iterator[None]:
    """The program takes signals over; this process wants its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_module_is_the_program_with_its_answer_and_exit_code() -> None:
    by_module = call(sys.executable, "-m", "newleaf")
    assert by_module[0] == 2
    assert by_module[1].startswith('{"schema": 1, "outcome": "usage"')
    assert by_module == call(str(Path(sys.executable).with_name("newleaf")))


@pytest.mark.usefixtures("_signals")
def test_it_exits_with_the_code_of_the_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["newleaf", "bogus"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module("newleaf", run_name="__main__")
    assert left.value.code == 2
    assert "there is no verb 'bogus'" in capsys.readouterr().err


def test_importing_it_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    found = runpy.run_module("newleaf.__main__", run_name="newleaf.__main__")
    assert found["main"] is main.main
    assert capsys.readouterr() == ("", "")
