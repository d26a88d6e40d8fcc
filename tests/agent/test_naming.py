"""The layout with names: what is live carries the version that this host knows it by."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.agent.naming import NamedInPlace
from newleaf.core.release import Release
from newleaf.core.releases.git_errors import Unborn
from newleaf.update.checkout.in_place import InPlace
from tests.support.hosts import Host, make_host
from tests.support.repositories import Remote


@pytest.fixture
def host(tmp_path: Path) -> Host:
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "1\n"})
    return make_host(tmp_path, remote)


def named(host: Host, made: list[str] | None = None) -> NamedInPlace:
    def make() -> InPlace:
        if made is not None:
            made.append("made")
        return host.layout

    return NamedInPlace(host.checkout.path, lambda commit: Release(commit, "1.0.0"), make)


def test_what_is_live_carries_its_version_and_starts_no_git(host: Host) -> None:
    made: list[str] = []
    assert named(host, made).live() == Release(host.checkout.id_of(), "1.0.0")
    assert made == []


def test_where_git_s_files_do_not_say_it_git_is_asked(host: Host) -> None:
    (host.checkout.path / ".git/HEAD").write_text("ref: refs/heads/none\n")
    made: list[str] = []
    with pytest.raises(Unborn):
        named(host, made).live()
    assert made == ["made"]


def test_the_rest_is_the_layout_s_own(host: Host) -> None:
    commit = host.remote.commit({"app.py": "2\n"})
    release = host.fetched()
    host.checkout.write("notes.txt", "mine\n")
    layout = named(host)
    layout.stage(release)
    assert layout.live().commit != commit
    layout.place(release, sideways=False)
    assert layout.activate(release) == []
    assert layout.live().commit == commit
    assert host.checkout.read("app.py") == "2\n"


def test_one_layout_is_made_and_kept(host: Host) -> None:
    """It carries what has to be told from one call to the next."""
    made: list[str] = []
    layout = named(host, made)
    assert layout.in_place is layout.in_place
    assert made == ["made"]
