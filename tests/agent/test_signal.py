"""The signal file's whole life, with what other programs may put in its place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from newleaf.agent.signal import MAX_BYTES, SIGNAL, SignalFile
from newleaf.core.release import Release
from newleaf.core.releases.signals import Ignored, Signal
from tests.support.permissions import binding_permissions
from tests.support.simulated_host import commit_of
from tests.support.written_files import written

SAID = Signal("1.2.0", "1.3.0", "beta", "b" * 40)


@pytest.fixture
def signal(tmp_path: Path) -> SignalFile:
    return SignalFile(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / SIGNAL


def test_written_then_exactly_the_contract_s_keys(signal: SignalFile, path: Path) -> None:
    signal.write(SAID)
    assert json.loads(path.read_text()) == {
        "current": "1.2.0",
        "available": "1.3.0",
        "channel": "beta",
        "commit": "b" * 40,
    }
    assert path.name == "update_available.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [SIGNAL]


def test_written_then_read(signal: SignalFile) -> None:
    signal.write(SAID)
    assert signal.read() == SAID


def test_unchanged_then_not_written_again(signal: SignalFile) -> None:
    signal.write(SAID)
    before = signal.trace()
    signal.write(SAID)
    assert signal.trace() == before


def test_somebody_writes_it_then_its_trace_changes(signal: SignalFile, path: Path) -> None:
    traces = [signal.trace()]
    path.write_text("{}")
    traces.append(signal.trace())
    path.write_text('{"a": 1}')
    traces.append(signal.trace())
    path.unlink()
    traces.append(signal.trace())
    assert traces[0] is traces[3] is None
    assert len(set(traces)) == 3


def test_absent_then_none_and_removing_is_fine(signal: SignalFile) -> None:
    assert signal.read() is None
    signal.remove()


def test_removed_then_absent(signal: SignalFile, path: Path) -> None:
    signal.write(SAID)
    signal.remove()
    assert not path.exists()


def test_symlink_in_its_place_then_the_other_file_is_neither_read_nor_touched(
    signal: SignalFile, path: Path, tmp_path: Path
) -> None:
    """threats.md T20."""
    other = tmp_path / "elsewhere" / "precious"
    other.parent.mkdir()
    other.write_text(SAID.as_text())
    before = written(other)
    path.symlink_to(other)
    assert signal.read() == Ignored("it is a symlink")
    signal.write(SAID)
    assert not path.is_symlink()
    path.unlink()
    path.symlink_to(other)
    signal.remove()
    assert not path.is_symlink()
    assert other.read_text() == SAID.as_text()
    assert written(other) == before


def test_dangling_symlink_then_ignored_and_nothing_is_made_there(
    signal: SignalFile, path: Path, tmp_path: Path
) -> None:
    """threats.md T20."""
    path.symlink_to(tmp_path / "made-by-newleaf")
    assert isinstance(signal.read(), Ignored)
    signal.write(SAID)
    assert not (tmp_path / "made-by-newleaf").exists()
    assert signal.read() == SAID


def test_pipe_in_its_place_then_ignored_without_waiting(signal: SignalFile, path: Path) -> None:
    os.mkfifo(path)
    assert signal.read() == Ignored("it is no plain file")
    signal.write(SAID)
    assert signal.read() == SAID


def test_folder_in_its_place_then_ignored_and_left(signal: SignalFile, path: Path) -> None:
    path.mkdir()
    assert isinstance(signal.read(), Ignored)
    signal.remove()
    assert path.is_dir()


@pytest.mark.parametrize("content", [b"", b"{", b'{"current": "1.2.0"', b"\x00" * 10])
def test_half_written_then_ignored_and_replaced(content: bytes, signal: SignalFile, path: Path) -> None:
    path.write_bytes(content)
    assert isinstance(signal.read(), Ignored)
    signal.write(SAID)
    assert signal.read() == SAID


def test_too_large_then_ignored(signal: SignalFile, path: Path) -> None:
    path.write_text(SAID.as_text() + " " * MAX_BYTES)
    found = signal.read()
    assert isinstance(found, Ignored)
    assert "larger" in found.reason


def test_unreadable_then_ignored(signal: SignalFile, path: Path) -> None:
    signal.write(SAID)
    path.chmod(0)
    with binding_permissions():
        assert isinstance(signal.read(), Ignored)


@pytest.mark.parametrize(
    ("letter", "version", "is_removed"),
    [
        ("a", SAID.available, True),
        ("a", "9.9.9", False),
        ("a", None, False),
        ("c", None, True),
    ],
)
def test_it_goes_with_the_release_that_it_is_for_and_with_no_other(
    letter: str, version: str | None, is_removed: bool, signal: SignalFile, path: Path
) -> None:
    signal.write(replace(SAID, commit=commit_of("c")))
    signal.remove_of(Release(commit_of(letter), version))
    assert path.exists() is not is_removed


def test_what_says_nothing_is_no_release_s(signal: SignalFile, path: Path) -> None:
    signal.write(replace(SAID, commit=None))
    signal.remove_of(Release(commit_of("a"), None))
    path.write_text("{")
    signal.remove_of(Release(commit_of("a"), None))
    assert path.exists()
