"""Putting parts together: the app that is meant, who says its settings, and a daemon's report."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newleaf import compose
from newleaf.core.errors import SettingsInvalid, UsageError
from newleaf.core.place_errors import AppUnknown
from newleaf.core.releases.slot_errors import CurrentLost, NothingDeployed
from newleaf.core.settings.fragments import GivenSettings
from newleaf.system.place import Unnamed
from newleaf.system.restarts import raise_flag
from tests.support.deployment import Deployment

REPORTING = """\
import sys
import newleaf

newleaf.ready()
print(*sys.modules)
"""


def program(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this process counts as the program that was started from `path`."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(path), raising=False)


def loaded_by(deployment: Deployment, text: str) -> set[str]:
    """The modules that a fresh interpreter, standing in the checkout, has loaded after `text`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{text}\nimport sys\nprint(*sys.modules)"],
        cwd=deployment.checkout.path,
        env=deployment.variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return {name for name in done.stdout.split() if name.startswith("newleaf.")}


# --- the host ---------------------------------------------------------------------------


def test_the_host_is_that_of_the_current_folder(deployment: Deployment) -> None:
    host = compose.host(Unnamed())
    assert (host.name, host.state) == ("sessions", deployment.state)
    assert host.place.top == deployment.checkout.path
    assert deployment.state.stat().st_mode & 0o777 == 0o700


def test_or_of_the_folder_that_is_given(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(deployment.folder)
    assert compose.host(Unnamed(), folder=deployment.checkout.path).name == "sessions"
    with pytest.raises(AppUnknown):
        compose.host(Unnamed())


def test_later_sources_outrank_earlier_ones(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def poll() -> float:
        return compose.host(Unnamed(), given).settings.watch.poll_seconds

    given = None
    assert poll() == 300
    file = deployment.checkout.path / "newleaf.toml"
    file.write_text(file.read_text() + "[watch]\npoll_seconds = 10\n")
    assert poll() == 10
    deployment.host_settings("[watch]\npoll_seconds = 20\n")
    assert poll() == 20
    given = GivenSettings(watch={"poll_seconds": 30}).fragment
    assert poll() == 30
    monkeypatch.setenv("NEWLEAF_WATCH__POLL_SECONDS", "40")
    assert poll() == 40


def test_slots_have_no_release_yet_or_lost_it_then_that_is_said_unless_the_host_says_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first release that was refused leaves it so; and so does who removes the live one."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "identity.json").write_text('{"schema": 1, "app": "notes", "layout": "slots", "folder": "."}')
    with pytest.raises(NothingDeployed, match=r"no release lies in .*state yet"):
        compose.host(Unnamed(state_dir=state))
    (state / "current").symlink_to("releases/gone")
    with pytest.raises(CurrentLost, match=r"current leads to no release: .*gone holds none"):
        compose.host(Unnamed(state_dir=state))
    monkeypatch.setenv("NEWLEAF_APP__NAME", "notes")
    assert compose.host(Unnamed(state_dir=state)).name == "notes"


def test_settings_given_in_code_rank_as_the_hosts(deployment: Deployment) -> None:
    given = GivenSettings(deployment={"channel": "beta"}).fragment
    assert compose.host(Unnamed(), given).settings.deployment.channel == "beta"


def test_the_apps_tracked_file_cannot_choose_for_the_host(deployment: Deployment) -> None:
    file = deployment.checkout.path / "newleaf.toml"
    file.write_text(file.read_text() + '[deployment]\nchannel = "beta"\n')
    with pytest.raises(SettingsInvalid, match=r"deployment\.channel"):
        _ = compose.host(Unnamed()).settings


def test_an_unsafe_state_directory_is_refused_before_anything_is_read(deployment: Deployment) -> None:
    deployment.state.mkdir()
    deployment.state.chmod(0o777)
    with pytest.raises(UsageError, match="state directory"):
        compose.host(Unnamed())


def test_making_a_host_loads_no_tool_of_the_outside(deployment: Deployment) -> None:
    deployment.host_settings("")
    loaded = loaded_by(
        deployment,
        "from newleaf import compose; from newleaf.system.place import Unnamed; compose.host(Unnamed())",
    )
    assert "newleaf.compose.host" in loaded
    tools = (
        *("newleaf.system.git.directory", "newleaf.system.git.worktree"),
        *("newleaf.system.http", "newleaf.system.github"),
    )
    assert not loaded & {*tools, "newleaf.system.known_apps"}
    assert not any(name.startswith(("newleaf.agent.", "newleaf.update.")) for name in loaded)


# --- ready ------------------------------------------------------------------------------


def test_a_daemon_reports_its_pid_and_the_commit_it_has_loaded(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.host_settings("")
    program(deployment.checkout.path / "app.py", monkeypatch)
    compose.ready()
    assert deployment.record("daemon.pid")["pid"] == os.getpid()
    assert deployment.record("status.json")["running"]["commit"] == deployment.head()


def test_the_tree_is_the_programs_not_the_current_folders(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.host_settings("")
    program(deployment.checkout.path / "app.py", monkeypatch)
    monkeypatch.chdir(deployment.folder)
    compose.ready()
    assert deployment.record("status.json")["running"]["commit"] == deployment.head()


def test_a_program_from_elsewhere_reports_the_tree_it_stands_in(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.host_settings("")
    program(deployment.folder / "bin" / "daemon", monkeypatch)
    compose.ready()
    assert deployment.record("daemon.pid")["pid"] == os.getpid()


def test_where_newleaf_deploys_nothing_it_does_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program(deployment.checkout.path / "app.py", monkeypatch)
    compose.ready()
    assert not deployment.state.exists()
    program(deployment.folder / "daemon.py", monkeypatch)
    monkeypatch.chdir(deployment.folder)
    compose.ready()
    assert list(deployment.home.iterdir()) == []
    assert caplog.records == []


def test_a_named_state_directory_says_that_newleaf_deploys_it(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = deployment.folder / "state"
    monkeypatch.setenv("NEWLEAF_STATE_DIR", str(state))
    program(deployment.checkout.path / "app.py", monkeypatch)
    compose.ready()
    assert (state / "daemon.pid").exists()


def test_settings_of_the_daemons_own_count_in_its_report(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.host_settings("")
    program(deployment.checkout.path / "app.py", monkeypatch)
    compose.ready(GivenSettings(deployment={"channel": "beta"}))
    assert deployment.record("status.json")["channel"] == "beta"


@pytest.mark.parametrize("text", ["[app\n", '[app]\nname = "sessions"\ncolor = 1\n'])
def test_broken_settings_are_logged_and_never_raised(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    deployment.host_settings("")
    monkeypatch.setenv("NEWLEAF_STATE_DIR", str(deployment.state))
    (deployment.checkout.path / "newleaf.toml").write_text(text)
    program(deployment.checkout.path / "app.py", monkeypatch)
    with caplog.at_level(logging.WARNING, logger="newleaf"):
        compose.ready()
    (record,) = caplog.records
    assert record.name == "newleaf"
    assert record.getMessage().startswith("not reported as ready: ")


def test_a_state_directory_that_cannot_be_written_is_logged_and_never_raised(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = deployment.folder / "file"
    file.write_text("")
    monkeypatch.setenv("NEWLEAF_STATE_DIR", str(file / "state"))
    program(deployment.checkout.path / "app.py", monkeypatch)
    with caplog.at_level(logging.WARNING, logger="newleaf"):
        compose.ready()
    assert len(caplog.records) == 1


def test_what_the_system_refuses_is_logged_and_never_raised(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.host_settings("")
    program(deployment.checkout.path / ("x" * 300) / "app.py", monkeypatch)
    with caplog.at_level(logging.WARNING, logger="newleaf"):
        compose.ready()
    (record,) = caplog.records
    assert "File name too long" in record.getMessage()


@pytest.fixture
def manager(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of whoever started this process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(str(deployment.folder / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
        yield manager


def test_a_service_manager_is_told(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, manager: socket.socket
) -> None:
    """As `Type=notify` asks: after everything is recorded, and by a program that nobody deploys too."""
    program(deployment.checkout.path / "app.py", monkeypatch)
    compose.ready()
    assert manager.recv(4096) == b"READY=1"
    deployment.host_settings("")
    compose.ready()
    assert manager.recv(4096) == b"READY=1"
    assert (deployment.state / "daemon.pid").exists()


def test_a_launcher_is_told_the_commit_and_records_by_itself(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, manager: socket.socket
) -> None:
    """lessons.md L1: from the tree, never from a variable; and it is the launcher who confirms."""
    deployment.host_settings("")
    program(deployment.checkout.path / "app.py", monkeypatch)
    monkeypatch.setenv("NEWLEAF_LAUNCHER", str(os.getppid()))
    monkeypatch.setenv("NEWLEAF_COMMIT", "f" * 40)
    raise_flag(deployment.state, 1, datetime(2026, 1, 1, tzinfo=UTC))
    compose.ready()
    assert manager.recv(4096) == f"READY=1\nX_NEWLEAF_COMMIT={deployment.head()}".encode()
    kept = {path.name for path in deployment.state.iterdir()}
    assert not kept & {"daemon.pid", "status.json", "history.jsonl", "restart-requested"}


def test_a_launcher_of_somebody_elses_is_not_believed(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, manager: socket.socket
) -> None:
    """The variable is inherited by what the daemon starts: only a parent is a launcher."""
    deployment.host_settings("")
    program(deployment.checkout.path / "app.py", monkeypatch)
    monkeypatch.setenv("NEWLEAF_LAUNCHER", str(os.getpid()))
    compose.ready()
    assert manager.recv(4096) == b"READY=1"
    assert deployment.record("daemon.pid")["pid"] == os.getpid()


@pytest.mark.parametrize("broken", ["[app\n", ""])
def test_a_launcher_is_told_all_the_same_when_the_commit_is_unknown(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, manager: socket.socket, broken: str
) -> None:
    deployment.host_settings("")
    monkeypatch.setenv("NEWLEAF_STATE_DIR", str(deployment.state))
    monkeypatch.setenv("NEWLEAF_LAUNCHER", str(os.getppid()))
    program(deployment.checkout.path / "app.py", monkeypatch)
    if broken:
        (deployment.checkout.path / "newleaf.toml").write_text(broken)
    else:
        (deployment.checkout.path / ".git/HEAD").write_text("ref: refs/heads/none\n")
    compose.ready()
    assert manager.recv(4096) == b"READY=1"


@pytest.mark.parametrize("named", ["/no/such/socket", "/" + "x" * 200, "nonsense"])
def test_a_service_manager_that_is_not_there_hurts_nobody(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    deployment.host_settings("")
    program(deployment.checkout.path / "app.py", monkeypatch)
    monkeypatch.setenv("NOTIFY_SOCKET", named)
    compose.ready()
    assert deployment.record("daemon.pid")["pid"] == os.getpid()


def test_a_report_loads_what_it_needs_alone(deployment: Deployment) -> None:
    deployment.host_settings("")
    path = deployment.checkout.path / "reporting.py"
    path.write_text(REPORTING)
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=deployment.folder,
        env=deployment.variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    loaded = set(done.stdout.split())
    assert "newleaf.agent.readiness" in loaded
    assert deployment.record("daemon.pid")["pid"]
    assert not loaded & {
        "click",
        "newleaf.update.transaction",
        "newleaf.system.http",
        "newleaf.agent.watcher",
    }
