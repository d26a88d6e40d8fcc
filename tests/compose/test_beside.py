"""The agent put together: what it loads, where it looks, and how its attempts are called."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from newleaf.agent.attempt_process import AttemptProcess
from newleaf.agent.beside import Beside
from newleaf.agent.children import Children
from newleaf.agent.outlook import Outlook
from newleaf.cli.invocation import Invocation
from newleaf.compose.beside import beside
from newleaf.compose.host import Host
from newleaf.compose.mirroring import Following
from newleaf.core.errors import SettingsInvalid
from newleaf.core.requests import Request
from tests.support.deployment import Deployment

LOADED = """
import asyncio, sys
from newleaf.agent.children import Children
from newleaf.cli.invocation import Invocation
from newleaf.compose.beside import beside
from newleaf.compose.mirroring import Following

made = beside(Invocation().host, (), Children(), Following(print), print)
assert made.parts.watcher.check.look().available is not None
assert not made.parts.sees.owes()
print(*sys.modules)
"""
FOR_ATTEMPTS_ONLY = (
    *("newleaf.update.transaction", "newleaf.update.attempt", "newleaf.update.data", "newleaf.compose.parts"),
    *("newleaf.update.dependencies", "newleaf.agent.gatekeeper", "newleaf.agent.notices", "sqlite3"),
)


def sit_at(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in deployment.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(deployment.checkout.path)


def make(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, *words: str) -> Beside:
    sit_at(deployment, monkeypatch)
    return beside(Invocation().host, words, Children(), Following(print), print)


def attempts(made: Beside) -> AttemptProcess:
    assert isinstance(made.parts.attempts, AttemptProcess)
    return made.parts.attempts


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.make(tmp_path)


def test_it_looks_at_the_remote_then_nothing_is_loaded_that_only_an_attempt_needs(
    deployment: Deployment,
) -> None:
    """lessons.md L30: it stays small."""
    deployment.release("1.1.0")
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=deployment.app,
        env=deployment.variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert not [name for name in loaded if name.startswith(FOR_ATTEMPTS_ONLY)]


def test_an_attempt_never_takes_a_part_of_newleaf_from_the_apps_folder(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(deployment, monkeypatch)
    for name in ("newleaf", "json", "click"):
        (deployment.app / f"{name}.py").write_text("raise SystemExit('taken from the checkout')\n")
    ended = asyncio.run(attempts(made).run(Request("poll")))
    assert (ended.outcome, ended.lines) == ("up_to_date", ended.lines[:1])


def test_an_attempt_is_told_which_app_is_meant(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    ended = asyncio.run(
        attempts(make(deployment, monkeypatch, "--state-dir", str(other))).run(Request("signal"))
    )
    assert ended.outcome == "up_to_date"
    assert (other / "update.lock").exists()
    assert not (deployment.state / "update.lock").exists()


def test_the_limit_of_an_attempt_is_longer_than_all_limits_in_it(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L22"""
    deployment.host_settings(
        '[update]\ninstall_timeout = "3d"\nmigrate_timeout = "2d"\n[health]\nprobation = "1d"\n'
    )
    assert attempts(make(deployment, monkeypatch)).timeout_seconds > 6 * 24 * 3600


def test_files_that_mean_something_are_seen_to_change(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees = make(deployment, monkeypatch).parts.sees
    assert isinstance(sees, Outlook)
    kinds = {
        "newleaf.toml": {"settings"},
        "host.toml": {"settings", "decisions"},
        "decisions.json": {"decisions"},
        "journal.jsonl": {"journal"},
        "daemon.pid": {"daemon"},
        "denied.json": set(),
    }
    for name, expected in kinds.items():
        before = {what: sees.trace(what) for what in sees.files}
        folder = deployment.app if name == "newleaf.toml" else deployment.state
        with open(folder / name, "a") as file:
            file.write("\n")
            os.fsync(file.fileno())
        assert {what for what in sees.files if sees.trace(what) != before[what]} == expected, name


def test_settings_are_read_again_and_again_then_the_hosts_of_before_are_gone(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: weakref.WeakSet[Host] = weakref.WeakSet()

    def make_host() -> Host:
        host = Invocation().host()
        hosts.add(host)
        return host

    sit_at(deployment, monkeypatch)
    made = beside(make_host, (), Children(), Following(print), print)
    for _ in range(5):
        made.read()
    assert len(hosts) <= 2


def test_settings_are_wrong_at_the_start_then_it_does_not_begin(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.host_settings("[watch]\npoll_seconds = -1\n")
    with pytest.raises(SettingsInvalid):
        make(deployment, monkeypatch)
