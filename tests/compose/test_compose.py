"""Which app is meant, and a daemon that reports itself."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from newleaf import compose
from newleaf.core.errors import AppUnknown, StateDirectoryUnsafe
from newleaf.core.settings.fragments import GivenSettings
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment


def test_standing_in_the_checkout_its_app_is_meant(deployment: Deployment) -> None:
    host = compose.host(Unnamed())
    assert (host.name, host.state) == ("sessions", deployment.state)
    assert host.folder == deployment.checkout.path


def test_standing_nowhere_with_no_app_noted_says_so(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AppUnknown):
        compose.host(Unnamed())


def test_a_state_directory_that_others_may_write_is_refused(deployment: Deployment) -> None:
    """threats.md T21"""
    deployment.state.mkdir(mode=0o777)
    deployment.state.chmod(0o777)
    with pytest.raises(StateDirectoryUnsafe) as raised:
        compose.host(Unnamed())
    assert f"chmod 700 {deployment.state}" in raised.value.advice


def test_settings_given_in_code_rank_as_the_host_s(deployment: Deployment) -> None:
    deployment.host_settings('[deployment]\nchannel = "alpha"\n')
    given = GivenSettings(deployment={"channel": "beta"})
    assert compose.host(Unnamed(), given.fragment).settings.deployment.channel == "beta"


def test_a_daemon_on_a_machine_without_a_deployment_reports_nothing(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    compose.ready()
    assert not deployment.state.exists()
    assert not caplog.records


def test_a_daemon_is_recorded_with_the_commit_that_it_has_loaded(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L1"""
    monkeypatch.setattr("__main__.__file__", str(deployment.checkout.path / "app.py"), raising=False)
    deployment.state.mkdir(mode=0o700)
    compose.ready()
    record = deployment.record("daemon.pid")
    assert (record["pid"], record["commit"]) == (os.getpid(), deployment.head())
    assert deployment.record("status.json")["status"] == "deployed"


def test_a_report_that_cannot_be_made_is_logged_and_never_raised(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("__main__.__file__", str(deployment.checkout.path / "app.py"), raising=False)
    deployment.host_settings("no toml")
    with caplog.at_level(logging.WARNING, "newleaf"):
        compose.ready()
    assert "host.toml" in caplog.text
