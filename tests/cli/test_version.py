"""`newleaf version`: newleaf's own anywhere, and the app's where there is one."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from tests.support.deployment import Deployment
from tests.support.terminal import Terminal

OWN = version("newleaf")


def test_the_apps_version_channel_and_commit_follow_newleafs(host: Deployment, terminal: Terminal) -> None:
    assert terminal.lines("version") == [f"newleaf {OWN}", f"sessions 1.0.0 (alpha, {host.head()})"]
    answer = terminal.run("version")
    assert answer.code == 0
    assert answer.record == {
        "schema": 1,
        "outcome": "ok",
        "newleaf": OWN,
        "app": {"name": "sessions", "channel": "alpha", "commit": host.head(), "version": "1.0.0"},
    }


def test_the_channel_is_the_one_that_is_set(host: Deployment, terminal: Terminal) -> None:
    host.host_settings('[deployment]\nchannel = "beta"\n')
    assert terminal.run("version").record["app"]["channel"] == "beta"


def test_a_commit_without_a_version_says_so(host: Deployment, terminal: Terminal) -> None:
    commit = host.remote.commit({"pyproject.toml": None}, "No version")
    terminal.run("update")
    assert terminal.lines("version")[1] == f"sessions unknown version (alpha, {commit})"


def test_away_from_every_app_newleafs_own_is_all(terminal: Terminal, tmp_path: Path) -> None:
    terminal.monkeypatch.chdir(tmp_path)
    assert terminal.lines("version") == [f"newleaf {OWN}"]
    assert terminal.run("version").record == {"schema": 1, "outcome": "ok", "newleaf": OWN, "app": None}


def test_an_app_that_was_named_and_is_not_there_is_an_error(terminal: Terminal, tmp_path: Path) -> None:
    answer = terminal.run("version", "--app", "nowhere")
    assert (answer.code, answer.outcome) == (2, "usage")
    terminal.monkeypatch.chdir(tmp_path)
    assert terminal.run("version", "--state-dir", str(tmp_path / "state")).code == 2
