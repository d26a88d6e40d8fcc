"""`newleaf demo`, for real: a remote, a daemon, updates, a failing migration, kills."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from newleaf.cli.demo import conclude
from newleaf.cli.demo.proofs import CLAIMS, Check, exit_code, judge
from newleaf.system import process_table
from tests.support.kills import PATIENCE_SECONDS, wait_until

DEMO = [sys.executable, "-c", "from newleaf.cli.main import main; main()", "demo"]


def environment(folder: Path) -> dict[str, str]:
    """The environment of somebody whose temporary files go to `folder`."""
    return {**os.environ, "TMPDIR": str(folder)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def finished(folder: Path) -> subprocess.CompletedProcess[str]:
    """The whole demo, once."""
    env = environment(folder)
    return subprocess.run(
        [*DEMO, "--json"], env=env, capture_output=True, text=True, check=False, timeout=110
    )


@pytest.fixture(scope="module")
def record(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(finished.stdout)
    return answer


@pytest.mark.timeout(120)
def test_everything_is_proved_and_the_demo_exits_0(
    finished: subprocess.CompletedProcess[str], record: dict[str, Any]
) -> None:
    assert [proof["evidence"] for proof in record["proofs"] if not proof["holds"]] == []
    assert record["errors"] == []
    assert finished.returncode == 0


def test_json_is_one_object_with_a_row_for_every_claim(
    finished: subprocess.CompletedProcess[str], record: dict[str, Any]
) -> None:
    assert finished.stdout.count("\n") == 1
    assert finished.stderr == ""
    assert set(record) == {"schema", "outcome", "proofs", "seconds", "folder", "errors"}
    assert (record["schema"], record["outcome"], record["folder"]) == (1, "ok", None)
    assert {proof["key"]: proof["claim"] for proof in record["proofs"]} == CLAIMS
    assert all(set(proof) == {"key", "claim", "holds", "evidence", "checks"} for proof in record["proofs"])


def test_it_takes_less_than_a_minute(record: dict[str, Any]) -> None:
    assert 0 < record["seconds"] < 60


@pytest.mark.usefixtures("finished")
def test_nothing_is_left_on_the_disk_nor_running(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    assert processes_in(folder) == []


def test_one_broken_observation_is_enough_to_exit_1(record: dict[str, Any]) -> None:
    seen = {
        proof["key"]: [Check(c["what"], c["expected"], c["seen"]) for c in proof["checks"]]
        for proof in record["proofs"]
    }
    assert exit_code(judge(seen)) == 0
    for key, checks in seen.items():
        for number, check in enumerate(checks):
            broken = deepcopy(seen)
            broken[key][number] = Check(check.what, check.expected, "something else")
            proofs = judge(broken)
            assert [proof.key for proof in proofs if not proof.holds] == [key]
            assert exit_code(proofs) == 1


def test_end_for_people_has_the_table_the_sum_and_what_went_wrong() -> None:
    seen = {key: [Check("exit", 0, 0)] for key in CLAIMS}
    proofs = judge({**seen, "held": [Check("exit", 0, 6)]})
    error = {"message": "the demo cannot go on: no daemon", "cure": "look into the log"}
    lines = list(conclude({"seconds": 9.5, "folder": "/somewhere", "errors": [error]}, proofs))
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))
    assert "✓ an update waits for a running job           exit 0" in text
    assert "✗ the denied release is not tried again       exit 6, expected 0" in text
    assert "the demo stopped: the demo cannot go on: no daemon\n  look into the log" in text
    assert f"{len(CLAIMS) - 1} of {len(CLAIMS)} held, in 9.5 s" in text
    assert "left in /somewhere" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    with interruptible(tmp_path) as demo:
        wait_until(lambda: bool(list(tmp_path.glob("*/service.jsonl"))), "the daemon to be started")
        running = processes_in(tmp_path)
        demo.send_signal(number)
        output, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    assert running or not process_table.HAS_PROC
    assert demo.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []
    assert output.startswith("\n1. An app is deployed from git\n")
    assert "  $ newleaf init --channel beta --yes\n" in output
    assert "\x1b" not in output


def test_killed_it_leaves_no_process_behind(tmp_path: Path) -> None:
    with interruptible(tmp_path) as demo:
        wait_until(lambda: bool(list(tmp_path.glob("*/notes/data/address.json"))), "the daemon to be ready")
        demo.kill()
        demo.communicate(timeout=PATIENCE_SECONDS)
    wait_until(lambda: not processes_in(tmp_path), "the daemon and its service manager to end")


def interruptible(folder: Path) -> subprocess.Popen[str]:
    """The demo, as it runs on a terminal that is then closed, or at which Ctrl-C is pressed."""
    env = {**environment(folder), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        DEMO, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )


def processes_in(folder: Path) -> list[str]:
    """The commands of the processes that work in `folder`, as far as the system tells."""
    return sorted(_working_in(folder))


def _working_in(folder: Path) -> Iterator[str]:
    if not process_table.HAS_PROC:
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink().is_relative_to(folder):
                    yield (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
