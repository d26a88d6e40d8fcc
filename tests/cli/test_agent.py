"""`newleaf agent` as it is called."""

from __future__ import annotations

import json
import signal

import pytest

from newleaf.cli.main import HIDDEN, VERBS
from tests.support.deployment import Deployment
from tests.support.terminal import Terminal


def test_it_is_called_by_name_and_no_list_names_it(terminal: Terminal) -> None:
    assert not HIDDEN.keys() & VERBS.keys()
    assert "  agent " not in "\n".join(terminal.lines("--help"))
    assert "Usage: newleaf agent" in terminal.lines("agent", "--help")[0]
    assert "did you mean `newleaf agent`" not in terminal.text("agnt")[2]


def test_wrong_settings_then_it_says_so_and_ends(host: Deployment, terminal: Terminal) -> None:
    host.host_settings("[watch]\npoll_seconds = 'often'\n")
    answer = terminal.run("agent")
    assert (answer.code, answer.outcome) == (2, "usage")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_end_then_0_with_one_object_and_its_lines_beside_it(
    host: Deployment, number: signal.Signals
) -> None:
    process = host.start("agent", "--json")
    try:
        assert process.stderr
        assert process.stderr.readline() == "newleaf agent: watches sessions on alpha, every 5m\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(output) == {"schema": 1, "outcome": "ok"}
    assert errors == "newleaf agent: ends\n"
