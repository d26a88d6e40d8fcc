"""Verdicts of the launcher that no attempt waits for any more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.system.locks import update_lock
from newleaf.system.restarts import write_daemon
from tests.support.deployment import SlotDeployment


@pytest.fixture
def deployment(tmp_path: Path) -> SlotDeployment:
    """A host whose update has come to its restart, and was left there."""
    made = SlotDeployment.make(tmp_path, restart={"mode": "exit"}, app={"command": ["sleep", "9"]})
    write_daemon(made.state, os.getpid(), made.head(), "1.0.0")
    made.release("1.1.0")
    assert made.run("update").code == 4
    assert made.states()[-1] == "restart"
    return made


def serve(deployment: SlotDeployment, commit: str, version: str) -> None:
    """The launcher's record of the process that serves."""
    write_daemon(deployment.state, os.getpid(), commit, version)


def settle(deployment: SlotDeployment, word: str, reason: str = "") -> int:
    return deployment.run("settle", word, "--reason", reason).code


def test_a_good_release_is_recorded_as_confirmed(deployment: SlotDeployment) -> None:
    serve(deployment, deployment.head(), "1.1.0")
    assert settle(deployment, "confirmed") == 0
    assert deployment.states()[-1] == "done"
    assert deployment.record("status.json")["status"] == "deployed"
    assert deployment.lines("history.jsonl")[-1]["confirmed"] is True


def test_a_bad_release_is_left_and_denied(deployment: SlotDeployment) -> None:
    """lessons.md L32"""
    bad = deployment.head()
    assert settle(deployment, "failed", "it died") == 6
    assert deployment.states()[-1] == "rolled_back"
    assert deployment.head() != bad
    assert "it died" in deployment.record("denied.json")[bad]["why"]
    assert settle(deployment, "failed", "it died") == 0


def test_a_start_that_no_attempt_brought_is_told_all_the_same(deployment: SlotDeployment) -> None:
    """lessons.md L3"""
    settle(deployment, "failed", "it died")
    serve(deployment, deployment.head(), "1.0.0")
    assert settle(deployment, "confirmed") == 0
    assert deployment.lines("history.jsonl")[-1]["confirmed"] is True


def test_what_is_owed_is_left_to_the_launcher(deployment: SlotDeployment) -> None:
    assert settle(deployment, "left") == 0
    assert deployment.states()[-1] == "restart"


def test_an_update_that_runs_is_waited_for_without_a_word(deployment: SlotDeployment) -> None:
    with update_lock(deployment.state, "somebody", "to update"):
        process = deployment.start("settle", "failed")
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (3, "", "")


def test_an_alarm_says_that_a_person_is_needed(deployment: SlotDeployment) -> None:
    assert settle(deployment, "alarm", "it crashed again and again") == 0
    status = deployment.record("status.json")
    assert (status["status"], status["error"]) == ("inconsistent", "it crashed again and again")
