"""Untracked files that a release brings just as they lie there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from newleaf.core.errors import CorruptFile
from newleaf.core.release import Release
from newleaf.core.releases.git_errors import UntrackedInTheWay
from newleaf.update.checkout.adopted_files import AdoptedFiles
from tests.support.hosts import Host
from tests.support.repositories import Remote, Script


@pytest.fixture
def host(tmp_path: Path) -> Host:
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "1\n"})
    (tmp_path / "state").mkdir()
    return Host(remote, remote.clone(tmp_path / "app"), tmp_path / "state")


def place(host: Host, commit: str) -> None:
    if not host.git.has(commit):  # type: ignore[arg-type]
        host.git.fetch({"refs/heads/main": commit})  # type: ignore[dict-item]
    host.layout.place(Release(commit), sideways=True)  # type: ignore[arg-type]


def test_the_same_file_is_taken_over(host: Host) -> None:
    file = host.checkout.write("newleaf.toml", "same\n")
    before = file.stat().st_mtime_ns
    commit = host.remote.commit({"newleaf.toml": "same\n", "app.py": "2\n"})
    place(host, commit)
    assert host.checkout.id_of() == commit
    assert host.checkout.changes() == []
    assert file.stat().st_mtime_ns == before, "it was not even written again"


def test_another_content_or_mode_is_in_the_way(host: Host) -> None:
    """lessons.md L23"""
    host.checkout.write("newleaf.toml", "same\n")
    for content in ("other\n", Script("same\n")):
        commit = host.remote.commit({"newleaf.toml": content})
        with pytest.raises(UntrackedInTheWay):
            place(host, commit)
    assert host.checkout.read("newleaf.toml") == "same\n"


def test_on_the_way_back_it_is_left_where_it_lay(host: Host) -> None:
    """lessons.md L23"""
    start = host.checkout.id_of()
    host.checkout.write("newleaf.toml", "same\n")
    commit = host.remote.commit({"newleaf.toml": "same\n", "new.py": "new\n"})
    place(host, commit)
    place(host, start)
    assert host.checkout.id_of() == start
    assert host.checkout.changes() == ["?? newleaf.toml"]
    place(host, commit)
    assert host.checkout.changes() == []


def test_a_later_version_of_it_goes_like_any_other_file(host: Host) -> None:
    host.checkout.write("newleaf.toml", "same\n")
    place(host, host.remote.commit({"newleaf.toml": "same\n"}))
    place(host, host.remote.commit({"newleaf.toml": "newer\n"}))
    assert host.checkout.read("newleaf.toml") == "newer\n"
    place(host, host.remote.commit({"newleaf.toml": None}))
    assert host.checkout.changes() == ["?? newleaf.toml"]


def test_killed_before_the_files_moved_nothing_of_it_is_lost(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.checkout.write("newleaf.toml", "same\n")
    commit = host.remote.commit({"newleaf.toml": "same\n", "app.py": "2\n"})
    host.git.fetch({"refs/heads/main": commit})
    child = os.fork()
    if child == 0:
        layout = host.layout
        monkeypatch.setattr(layout.tree, "read_tree", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        layout.place(Release(commit), sideways=False)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    host.layout.place(Release(commit), sideways=False)
    assert host.checkout.read("newleaf.toml") == "same\n"
    assert host.checkout.changes() == []


def test_a_damaged_record_fails_closed(tmp_path: Path) -> None:
    (tmp_path / "adopted.json").write_text('{"schema": 1, "paths": [1]}')
    with pytest.raises(CorruptFile):
        AdoptedFiles(tmp_path / "adopted.json").read()
