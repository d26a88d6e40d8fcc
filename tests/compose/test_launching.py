"""What the launcher runs is made from the settings of the release that a start would load."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from newleaf import compose
from newleaf.compose.host import Host
from newleaf.compose.launching import make_post, require_no_launcher, rewrite_launcher, write_launcher
from newleaf.core.launch.launcher_errors import LauncherRuns, NoCommand
from newleaf.core.launch.plan import Plan, Post
from newleaf.system.control_socket import CONTROL
from newleaf.system.place import Unnamed
from tests.support.answering import Answering
from tests.support.deployment import SlotDeployment

COMMAND = ("sleep", "8")
APP = {"command": COMMAND, "listen": ["127.0.0.1:0"], "stop_seconds": 3}


def host_of(deployment: SlotDeployment) -> Host:
    return compose.host(Unnamed(state_dir=deployment.state), folder=deployment.home)


def test_a_release_is_run_from_its_own_folder_by_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "canary")
    deployment = SlotDeployment.make(tmp_path, app=APP, health={"probation": "2s"})
    host = host_of(deployment)
    plan = write_launcher(host, make_post(host, (), log_files=True, agent=False))
    assert plan.command == COMMAND
    assert plan.folder == str(deployment.slot(deployment.head()))
    assert (plan.release.commit, plan.release.version) == (deployment.head(), "1.0.0")
    assert (plan.handover, plan.listen, plan.stop_seconds) == ("overlap", ("127.0.0.1:0",), 3.0)
    assert plan.health.probation == 2.0
    assert plan.variables["PYTHONPATH"].startswith(plan.folder)
    written = deployment.record("launcher.json")
    assert Plan.read(written["plan"]) == plan
    assert Post.read(written["post"]).log_files
    assert "canary" not in json.dumps(written)


def test_a_command_given_by_hand_stays_when_the_release_changes(tmp_path: Path) -> None:
    deployment = SlotDeployment.make(tmp_path, app=APP)
    host = host_of(deployment)
    write_launcher(host, make_post(host, ("sleep", "9"), log_files=False, agent=True))
    deployment.release("1.1.0")
    assert deployment.run("update").outcome == "updated"
    plan = rewrite_launcher(host_of(deployment))
    assert plan is not None
    assert (plan.command, plan.release.version) == (("sleep", "9"), "1.1.0")


def test_an_app_without_a_command_cannot_be_run(tmp_path: Path) -> None:
    host = host_of(SlotDeployment.make(tmp_path))
    with pytest.raises(NoCommand):
        write_launcher(host, make_post(host, (), log_files=False, agent=True))


def test_without_a_launcher_nothing_is_rewritten(tmp_path: Path) -> None:
    assert rewrite_launcher(host_of(SlotDeployment.make(tmp_path, app=APP))) is None


def test_a_second_launcher_is_refused_by_the_number_of_the_first(tmp_path: Path) -> None:
    require_no_launcher(tmp_path)
    with Answering.at(tmp_path / CONTROL) as first:
        first.answers = [json.dumps({"event": "status", "pid": os.getpid()}).encode() + b"\n"]
        with pytest.raises(LauncherRuns, match=str(os.getpid())):
            require_no_launcher(tmp_path)
