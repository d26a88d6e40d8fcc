from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from newleaf.core.errors import SettingsFileUnreadable, SettingsInvalid, SettingsUnreadable
from newleaf.core.settings.fragments import Fragment, load
from newleaf.system.configuration import read_file, read_sources, write_app_file, write_host_file
from tests.support.permissions import binding_permissions

ROOT = os.geteuid() == 0


@pytest.fixture
def app_file(tmp_path: Path) -> Path:
    path = tmp_path / "newleaf.toml"
    path.write_text('[app]\nname = "sessions"\n[watch]\njitter = 0.3\n')
    return path


@pytest.fixture
def host_file(tmp_path: Path) -> Path:
    path = tmp_path / "host.toml"
    path.write_text('[deployment]\nchannel = "beta"\n[watch]\njitter = 0.4\n')
    return path


def test_files_and_environment_give_settings_with_their_origins(app_file: Path, host_file: Path) -> None:
    environ = {"NEWLEAF_WATCH__POLL_SECONDS": "1m", "NEWLEAF_STATE_DIR": "/x", "PATH": "/bin"}
    loaded = load(read_sources(app_file, host_file, environ))
    assert loaded.settings.app.name == "sessions"
    assert loaded.settings.deployment.channel == "beta"
    assert loaded.settings.watch.jitter == 0.4
    assert loaded.settings.watch.poll_seconds == 60.0
    assert loaded.origins["app.name"] == str(app_file)
    assert loaded.origins["watch.jitter"] == str(host_file)
    assert loaded.origins["watch.poll_seconds"] == "NEWLEAF_WATCH__POLL_SECONDS"


def test_files_that_are_not_there_say_nothing(tmp_path: Path, host_file: Path) -> None:
    loaded = load(read_sources(tmp_path / "newleaf.toml", host_file, {"NEWLEAF_APP__NAME": "sessions"}))
    assert loaded.settings.deployment.channel == "beta"
    assert read_sources(None, None, {}).app == Fragment()


def test_folder_that_is_not_there_says_nothing(app_file: Path) -> None:
    assert read_file(app_file / "host.toml", tracked=False) == Fragment()


def test_hosts_key_in_the_app_file_is_an_error_that_names_file_and_key(
    app_file: Path, host_file: Path
) -> None:
    app_file.write_text('[app]\nname = "sessions"\n[source]\nurl = "https://evil.example.org/app"\n')
    with pytest.raises(SettingsInvalid) as raised:
        load(read_sources(app_file, host_file, {}))
    assert raised.value.message.startswith(f"{app_file}: source.url is for the host alone")


def test_file_that_is_no_toml_is_said_with_path_and_line(app_file: Path) -> None:
    app_file.write_text('[app]\nname = "sessions\n')
    with pytest.raises(SettingsUnreadable) as raised:
        read_sources(app_file, None, {})
    assert raised.value.message.startswith(f"{app_file}, line 2: ")
    assert raised.value.advice


def test_file_that_is_not_utf_8_is_said_with_path_and_line(host_file: Path) -> None:
    host_file.write_bytes('[app]\nname = "é"\n'.encode("latin-1"))
    with pytest.raises(SettingsUnreadable, match="line 2: it is not UTF-8"):
        read_sources(None, host_file, {})


def test_folder_in_a_files_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsFileUnreadable, match=r"it is not a file|directory") as raised:
        read_file(tmp_path, tracked=False)
    assert raised.value.exit_code == 2


def test_pipe_in_a_files_place_does_not_hold_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "host.toml")
    with pytest.raises(SettingsFileUnreadable, match="it is not a file"):
        read_file(tmp_path / "host.toml", tracked=False)


def test_link_that_leads_in_a_circle_is_said(tmp_path: Path) -> None:
    path = tmp_path / "host.toml"
    path.symlink_to(path)
    with pytest.raises(SettingsFileUnreadable, match="cannot be read"):
        read_file(path, tracked=False)


def test_file_that_this_user_may_not_read_is_said_with_the_cure(host_file: Path) -> None:
    host_file.chmod(0)
    with binding_permissions(), pytest.raises(SettingsFileUnreadable, match="Permission denied") as raised:
        read_file(host_file, tracked=False)
    assert f"ls -l {host_file}" in raised.value.advice


def test_file_without_end_is_not_read_to_its_end(host_file: Path) -> None:
    host_file.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(SettingsFileUnreadable, match="larger than 1 MiB"):
        read_file(host_file, tracked=False)


def test_hosts_file_is_written_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "host.toml"
    write_host_file(path, '[deployment]\nchannel = "beta"\n')
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_file(path, tracked=False).inputs["deployment.channel"].value == "beta"


def test_app_file_is_written_for_everybody_to_read(tmp_path: Path) -> None:
    path = tmp_path / "newleaf.toml"
    previous = os.umask(0o022)
    try:
        write_app_file(path, '[app]\nname = "sessions"\n')
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_link_in_the_files_place_is_replaced_and_its_goal_untouched(tmp_path: Path) -> None:
    """threats.md T20."""
    other = tmp_path / "other"
    other.write_text("precious")
    path = tmp_path / "host.toml"
    path.symlink_to(other)
    write_host_file(path, "")
    assert other.read_text() == "precious"
    assert not path.is_symlink()
