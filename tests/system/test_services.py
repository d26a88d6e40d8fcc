"""Services' files: read, written and removed, and never anybody else's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from newleaf.core.services.service_errors import ServiceFileForeign, ServiceFolderUnwritable
from newleaf.core.services.subject import MARK, Manager
from newleaf.system import services
from tests.support.permissions import binding_permissions

OWN = f"# {MARK}\n[Service]\n".encode()


@pytest.mark.parametrize(
    ("manager", "is_system", "environ", "expected"),
    [
        ("systemd", False, {}, "/home/app/.config/systemd/user"),
        ("systemd", False, {"XDG_CONFIG_HOME": "/cfg"}, "/cfg/systemd/user"),
        ("systemd", False, {"XDG_CONFIG_HOME": ""}, "/home/app/.config/systemd/user"),
        ("systemd", True, {"XDG_CONFIG_HOME": "/cfg"}, "/etc/systemd/system"),
        ("launchd", False, {"XDG_CONFIG_HOME": "/cfg"}, "/home/app/Library/LaunchAgents"),
        ("launchd", True, {}, "/Library/LaunchDaemons"),
    ],
)
def test_folder_is_where_the_manager_looks(
    manager: Manager, is_system: bool, environ: dict[str, str], expected: str
) -> None:
    assert services.folder_of(manager, Path("/home/app"), environ, is_system=is_system) == Path(expected)


def test_file_is_written_whole_replaced_and_removed_with_its_links(tmp_path: Path) -> None:
    path = tmp_path / "systemd" / "user" / "newleaf-a.service"
    services.write(path, OWN)
    services.write(path, OWN + b"Type=notify\n")
    assert path.read_bytes() == OWN + b"Type=notify\n"
    assert services.look(path) == services.Found(path, OWN + b"Type=notify\n")
    wants = path.parent / "default.target.wants"
    wants.mkdir()
    (wants / path.name).symlink_to(path)
    services.remove(path)
    assert list(path.parent.iterdir()) == []
    assert services.look(path) == services.Found(path)
    services.remove(path)


def test_others_that_are_enabled_in_the_same_place_stay(tmp_path: Path) -> None:
    path = tmp_path / "newleaf-a.service"
    services.write(path, OWN)
    other = tmp_path / "default.target.wants" / "other.service"
    other.parent.mkdir()
    other.symlink_to(tmp_path / "other.service")
    services.remove(path)
    assert other.is_symlink()


@pytest.mark.parametrize("content", [b"[Service]\n", b"", b"\xff" * 2000])
def test_file_of_somebody_else_is_neither_replaced_nor_removed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "newleaf-a.service"
    path.write_bytes(content)
    with pytest.raises(ServiceFileForeign):
        services.write(path, OWN)
    with pytest.raises(ServiceFileForeign):
        services.remove(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("target", ["elsewhere", "/dev/null", "missing"])
def test_symlink_in_its_place_is_refused_and_the_other_file_untouched(tmp_path: Path, target: str) -> None:
    """threats.md T20: also one that leads to a file of newleaf's own; a masked unit is such a link."""
    (tmp_path / "elsewhere").write_bytes(OWN)
    path = tmp_path / "newleaf-a.service"
    path.symlink_to(target)
    with pytest.raises(ServiceFileForeign, match="symlink"):
        services.write(path, OWN + b"more")
    with pytest.raises(ServiceFileForeign, match="symlink"):
        services.remove(path)
    assert (tmp_path / "elsewhere").read_bytes() == OWN
    assert path.is_symlink()
    assert not (tmp_path / "missing").exists()


def test_pipe_in_its_place_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "newleaf-a.service"
    os.mkfifo(path)
    with pytest.raises(ServiceFileForeign, match="no file"):
        services.write(path, OWN)


def test_folder_that_may_not_be_written_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "system"
    folder.mkdir(mode=0o500)
    with binding_permissions(), pytest.raises(ServiceFolderUnwritable) as raised:
        services.write(folder / "newleaf-a.service", OWN)
    assert "Permission denied" in raised.value.message
    assert "sudo" in raised.value.advice


def test_newleaf_is_called_by_a_whole_path() -> None:
    words = services.own_newleaf()
    assert Path(words[0]).is_absolute()
    assert Path(words[0]).parent == Path(sys.executable).parent


def test_newleaf_without_a_script_is_called_by_its_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert services.own_newleaf() == (str(tmp_path / "python"), "-m", "newleaf")


def test_path_holds_what_an_update_calls_and_nothing_else_of_the_shells(tmp_path: Path) -> None:
    tools, secret = tmp_path / "tools", tmp_path / "secret"
    for folder, name in ((tools, "uv"), (secret, "unrelated")):
        folder.mkdir()
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    search = f"relative:{secret}:{tools}:"
    path = services.search_path(("/opt/newleaf/bin/newleaf",), search).split(":")
    assert path[:2] == ["/opt/newleaf/bin", str(tools)]
    assert path[2:] == list(services.USUAL_PATH)


def test_program_is_found_as_a_shell_would(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder, mode in ((first, 0o644), (second, 0o755)):
        folder.mkdir()
        (folder / "tool").write_text("")
        (folder / "tool").chmod(mode)
    assert services.find_program("tool", f"{first}:{second}") == str(second / "tool")
    assert services.find_program("tool", str(first)) is None
