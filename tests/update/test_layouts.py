"""What every layout does, whoever asks: one suite for both (core.ports.Layout)."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from newleaf.core.release import Release
from tests.support.kills import run_killed_at
from tests.support.layouts import HOSTS, LayoutHost
from tests.support.repositories import Content, Link, Script

FIRST: dict[str, Content] = {"app.py": "one\n", "old/gone.py": "x\n", ".gitignore": ".env\n*.db\n"}
SECOND: dict[str, Content] = {
    "app.py": "two\n",
    "old/gone.py": None,
    "run.sh": Script("#!/bin/sh\n"),
    "link": Link("app.py"),
    "a folder/ä file": "ä\n",
}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> LayoutHost:
    made: LayoutHost = HOSTS[request.param](tmp_path, FIRST)
    return made


def has_first(host: LayoutHost) -> bool:
    return host.text("app.py") == "one\n" and host.text("old/gone.py") == "x\n" and not host.text("run.sh")


def has_second(host: LayoutHost) -> bool:
    is_script = os.access(host.app / "run.sh", os.X_OK)
    is_link = (host.app / "link").is_symlink() and os.readlink(host.app / "link") == "app.py"
    texts = host.text("app.py"), host.text("old/gone.py"), host.text("a folder/ä file")
    return is_script and is_link and texts == ("two\n", None, "ä\n")


def test_what_is_live_is_told_by_its_commit(host: LayoutHost) -> None:
    assert host.layout().live().commit == host.remote.heads()["main"]


def test_a_move_brings_exactly_what_the_commit_has(host: LayoutHost) -> None:
    """threats.md § How: files, modes and links, and nothing that is not in the commit."""
    target = host.push(SECOND)
    host.move(target)
    assert has_second(host)
    assert host.layout().live().commit == target.commit


def test_making_ready_touches_nothing_live(host: LayoutHost) -> None:
    """design.md: beside the live release"""
    start = host.layout().live()
    target = host.push(SECOND)
    before = {path: written(path) for path in host.app.rglob("*")}
    host.layout().stage(target)
    assert {path: written(path) for path in before} == before
    assert has_first(host)
    assert host.layout().live() == start


def test_every_method_may_be_called_again(host: LayoutHost) -> None:
    """Promise 5"""
    target = host.push(SECOND)
    for _ in range(2):
        layout = host.layout()
        for _ in range(2):
            layout.stage(target)
        for _ in range(2):
            layout.place(target, sideways=False)
        for _ in range(2):
            layout.activate(target)
    assert has_second(host)


def test_the_way_back_leads_to_what_was_there(host: LayoutHost) -> None:
    """Promise 4"""
    start = host.layout().live()
    host.move(host.push(SECOND))
    layout = host.layout()
    layout.place(start, sideways=True)
    layout.activate(start)
    assert has_first(host)
    assert host.layout().live().commit == start.commit


def test_what_was_made_ready_and_not_taken_is_in_nobodys_way(host: LayoutHost) -> None:
    host.layout().stage(host.push(SECOND))
    third = host.push({"app.py": "three\n"})
    host.move(third)
    assert host.text("app.py") == "three\n"
    assert host.layout().live().commit == third.commit


def test_a_release_that_was_left_can_be_taken_again(host: LayoutHost) -> None:
    start, target = host.layout().live(), host.push(SECOND)
    host.move(target)
    host.move(start, sideways=True)
    host.move(target)
    assert has_second(host)


def test_objects_are_taken_by_id_whatever_the_remote_does_meanwhile(host: LayoutHost) -> None:
    """threats.md T22, lessons.md L9"""
    target = host.push(SECOND)
    host.layout().stage(target)
    host.remote.commit({"app.py": "other\n"}, parent="")
    host.move(target)
    assert has_second(host)


def test_attributes_of_the_tree_rewrite_nothing(host: LayoutHost) -> None:
    """threats.md T18: what `git archive` would drop or rewrite arrives as it is."""
    attributes = "left.py export-ignore\nid.py export-subst\n*.py filter=evil\n"
    host.move(host.push({".gitattributes": attributes, "left.py": "x\n", "id.py": "$Format:%H$\n"}))
    assert (host.text("left.py"), host.text("id.py")) == ("x\n", "$Format:%H$\n")


def written(path: Path) -> tuple[int, ...]:
    """All that a write would change of a file; reading it may change when it was read."""
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def leftovers(host: LayoutHost) -> list[str]:
    """What a move leaves that ended well has none of these, but for the kernel lock of the fetch."""
    names = (path.name for path in host.folder.rglob("*") if ".git" not in path.parts)
    return [
        name
        for name in names
        if (name.endswith((".tmp", ".lock")) and name != "incoming.lock")
        or name.startswith((".new-", ".old-"))
    ]


@pytest.mark.parametrize("layout", HOSTS)
def test_killed_anywhere_a_move_is_made_by_the_next_process(tmp_path: Path, layout: str) -> None:
    """Promise 5: what is live is the old release or the new one at any moment, and a second try arrives."""
    number, died = 0, True
    while died:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        host = HOSTS[layout](folder, FIRST)
        start, target = host.layout().live(), host.push(SECOND)
        died = run_killed_at(number, partial(host.move, target))
        assert host.layout().live().commit in {start.commit, target.commit}
        if layout == "slots":
            assert has_second(host) if host.layout().live().commit == target.commit else has_first(host)
        host.move(target)
        assert has_second(host)
        assert host.layout().live().commit == target.commit
        assert leftovers(host) == []
    assert number > 4, "there was something to kill"


def test_a_release_unknown_to_the_layout_is_none(host: LayoutHost) -> None:
    assert isinstance(host.layout().live(), Release)
