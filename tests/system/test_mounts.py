"""A state directory on a network file system is refused, and any local one is let pass."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.core.errors import StateDirectoryOnNetwork
from newleaf.system import locks, mounts

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 27 0:44 / /srv/apps rw,relatime shared:9 master:2 - nfs4 files.example.org:/apps rw,vers=4.2
32 31 0:45 / /srv/apps/local\\040disk rw - xfs /dev/vdb rw
a line that is none
"""
MOUNT_OUTPUT = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
files.example.org:/apps on /Volumes/apps (shared) (nfs, nodev, nosuid)
//me@files.example.org/share on /Volumes/share (smbfs, nodev)
map auto_home on /System/Volumes/Data/home (autofs, automounted)
"""


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    mounts._kind_of_device.cache_clear()
    yield
    mounts._kind_of_device.cache_clear()


@pytest.mark.parametrize(
    ("device", "folder", "kind"),
    [
        ((254, 0), "/home/me/.sessions", "ext4"),
        ((0, 44), "/srv/apps/.sessions", "nfs4"),
        # Mounted a second time, below a link: the device decides.
        ((0, 44), "/home/me/.sessions", "nfs4"),
        # A file system of many devices: none of its lines has this number, so the folder decides.
        ((0, 99), "/srv/apps/.sessions", "nfs4"),
        ((0, 99), "/srv/apps/local disk/.sessions", "xfs"),
        ((0, 99), "/srv/apps2/.sessions", "ext4"),
    ],
)
def test_kind_is_read_from_mountinfo(device: tuple[int, int], folder: str, kind: str) -> None:
    assert mounts.kind_in_mountinfo(MOUNTINFO, os.makedev(*device), folder) == kind


def test_mountinfo_without_a_fitting_line_knows_nothing() -> None:
    assert mounts.kind_in_mountinfo("", os.makedev(0, 1), "/home") is None


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/Users/me/.sessions", "apfs"),
        ("/Volumes/apps (shared)/.sessions", "nfs"),
        ("/Volumes/share", "smbfs"),
        ("/Volumes/shared", "apfs"),
    ],
)
def test_kind_is_read_from_the_output_of_mount(folder: str, kind: str) -> None:
    assert mounts.kind_in_mount_output(MOUNT_OUTPUT, folder) == kind


def test_output_of_mount_that_makes_no_sense_knows_nothing() -> None:
    assert mounts.kind_in_mount_output("what is this\n", "/home") is None


def test_local_folder_is_let_pass(tmp_path: Path) -> None:
    mounts.require_local(tmp_path)


def test_folder_of_which_nothing_is_known_is_let_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "missing")
    mounts.require_local(tmp_path)
    mounts.require_local(tmp_path / "missing")


@pytest.fixture
def on_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory that the system says lies on a network file system."""
    if not mounts.MOUNTINFO.exists():
        pytest.skip("there is no /proc/self/mountinfo")
    state = tmp_path / "state"
    state.mkdir()
    device = state.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = tmp_path / "mountinfo"
    table.write_text(f"31 27 {number} / {tmp_path} rw - nfs4 files.example.org:/apps rw\n")
    monkeypatch.setattr(mounts, "MOUNTINFO", table)
    return state


def test_folder_on_a_network_file_system_is_refused_with_the_cure(on_network: Path) -> None:
    with pytest.raises(StateDirectoryOnNetwork) as refused:
        mounts.require_local(on_network)
    assert str(on_network) in refused.value.message
    assert "nfs4" in refused.value.message
    assert "NEWLEAF_STATE_DIR" in refused.value.advice
    assert refused.value.exit_code == 2


def test_no_lock_is_taken_on_a_network_file_system(on_network: Path) -> None:
    with (
        pytest.raises(StateDirectoryOnNetwork),
        locks.update_lock(on_network, "the command line", "to move to 1.3.0"),
    ):
        pytest.fail("the lock was taken")
