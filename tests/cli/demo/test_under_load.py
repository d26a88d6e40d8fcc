"""The act under the launcher, in a sandbox of its own; that it proves its claims is seen in test_demo.py."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from newleaf.cli.demo.load import Answer
from newleaf.cli.demo.proofs import Check
from newleaf.cli.demo.sandbox import Sandbox, program_path
from newleaf.cli.demo.screen import LiveLine, Screen
from newleaf.cli.demo.service import Service
from newleaf.cli.demo.under_load import BAD, FIRST, GOOD, UnderLoad
from newleaf.core.errors import DemoStuck
from newleaf.system import process_table
from tests.support.kills import wait_until


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def act(lines: list[str]) -> Iterator[UnderLoad]:
    """In a folder with a short path, or the launcher's sockets would not fit."""
    with tempfile.TemporaryDirectory(prefix="nl-") as folder:
        sandbox = Sandbox(Path(folder).resolve(), program_path(os.environ))
        (sandbox.folder / "tmp").mkdir()
        yield UnderLoad.make(sandbox, Screen(lines.append, str(sandbox.folder)), defaultdict(list))


def test_releases_are_good_but_for_the_bad_one(act: UnderLoad) -> None:
    act.maintainer.set_up()
    for version in (FIRST, BAD):
        act._publish(version)
    show = [
        act.host.sandbox.run("git", "show", f"v{version}:serve.py", cwd=act.maintainer.remote).text
        for version in (FIRST, BAD)
    ]
    for version, text in zip((FIRST, BAD), show, strict=True):
        compile(text, version, "exec")
        assert f'VERSION = "{version}"' in text
    assert ["raise " in text for text in show] == [False, True]
    settings = tomllib.loads((act.maintainer.clone / "newleaf.toml").read_text())
    assert settings["app"]["listen"] == [f"127.0.0.1:{act.load.port}"]


def test_trouble_on_the_stage_leaves_neither_launcher_nor_daemon(act: UnderLoad) -> None:
    class Trouble(Exception):
        """Something went wrong on the stage."""

    act._deploy()
    pids: list[int] = []
    with pytest.raises(Trouble), act._launched(), act.load.running():  # noqa: PT012
        wait_until(lambda: act.load.served > 0, "an answer")
        pids += {each["pid"] for each in act._answers()}
        pids += Service(act.host.checkout, act.host.sandbox.folder / "web.jsonl").running()
        raise Trouble
    assert len(pids) == 2
    assert [process_table.find(pid) for pid in pids] == [None, None]
    assert act.host.sandbox.left_running() == []
    assert act.load.failed == 0


def test_launcher_that_cannot_start_is_told_at_once(act: UnderLoad) -> None:
    act.host.checkout.mkdir(parents=True)
    with pytest.raises(DemoStuck, match="the launcher does not start"), act._launched():
        raise AssertionError


@pytest.mark.parametrize(
    ("versions", "failures", "longest", "holds"),
    [
        ([FIRST, *GOOD], 0, 0.01, True),
        ([FIRST, *GOOD], 1, 0.01, False),
        ([FIRST, *GOOD], 0, 6.0, False),
        ([FIRST, *GOOD, BAD], 0, 0.01, False),
        ([FIRST, *GOOD[:-1]], 0, 0.01, False),
        ([], 0, 0.0, False),
    ],
)
def test_no_request_is_lost_only_if_none_failed_waited_long_or_met_the_bad_release(
    versions: list[str], failures: int, longest: float, *, holds: bool, act: UnderLoad
) -> None:
    for version in versions:
        act.load.answers.append(Answer(json.dumps({"version": version, "pid": 7}).encode(), longest, 0.0))
    act.load.failures.update({"ConnectionResetError": failures})
    act._check_requests()
    assert all(check.holds for check in act.checks["kept"]) is holds


def test_count_is_shown_after_each_update_where_no_line_is_drawn(
    act: UnderLoad, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        UnderLoad, "_update", lambda self, version, **_: self.check("kept", version, 1, 1) or "c"
    )
    monkeypatch.setattr(UnderLoad, "_check_bad_release", lambda *_: None)
    monkeypatch.setattr(UnderLoad, "_check_stories", lambda *_: None)
    live = LiveLine(lines.append)
    live.is_drawn = False
    act.perform(live)
    counts = [line for line in map(click.unstyle, lines) if "requests served, 0 failed, longest wait" in line]
    assert len(counts) == len(GOOD) + 1
    assert Check("failed", 0, 0) in act.checks["kept"]
