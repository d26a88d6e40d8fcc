"""What is run, as `launcher.json` carries it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from newleaf.core.durations import Rate
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL, Health, Plan, Post
from newleaf.core.release import Release
from tests.support.fake_daemon import commit_of, plan_of

FULL = Plan(
    "app",
    Release(commit_of("A"), "1.2.3", "v1.2.3"),
    (".venv/bin/python", "-m", "app"),
    "/app",
    {"PYTHONPATH": "src"},
    ("127.0.0.1:8080", "unix:run/app.sock"),
    OVERLAP,
    5.0,
    75,
    Rate(2, 60.0),
    Health(1.0, 2.0, "http://localhost/", ("check", "it"), 7),
    "x",
)


@pytest.mark.parametrize("plan", [FULL, plan_of()])
def test_written_down_and_read_again_then_it_is_the_same(plan: Plan) -> None:
    again = Plan.read(json.loads(json.dumps(plan.as_record())))
    assert again == plan
    assert isinstance(again.command, tuple)
    assert isinstance(again.health.command, tuple)


@pytest.mark.parametrize(
    "changes",
    [
        {"release": None},
        {"release": {"commit": "HEAD"}},
        {"command": []},
        {"command": None},
        {"listen": None},
        {"budget": [1]},
        {"budget": [1, 2, 3]},
        {"health": {"command": [], "of_nobody": 1}},
        {"health": {}},
    ],
)
def test_what_no_newleaf_wrote_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Plan.read({**FULL.as_record(), **changes})


@pytest.mark.parametrize("missing", ["release", "command", "listen", "budget", "health", "app", "folder"])
def test_a_part_is_missing_then_it_is_refused(missing: str) -> None:
    record = FULL.as_record()
    del record[missing]
    with pytest.raises((KeyError, TypeError, ValueError)):
        Plan.read(record)


def test_what_a_newer_newleaf_knows_is_left_out() -> None:
    assert Plan.read({**FULL.as_record(), "of_a_newer_newleaf": 1}) == FULL


def test_an_overlap_has_one_start_and_what_is_exclusive_as_many_as_its_settings_say() -> None:
    assert FULL.max_starts == 1
    assert FULL._replace(handover=SEQUENTIAL).max_starts == 7


@pytest.mark.parametrize(
    ("health", "asked"),
    [(Health(), False), (Health(url="http://localhost/"), True), (Health(command=("check",)), True)],
)
def test_there_is_something_to_ask_where_an_address_or_a_command_is(health: Health, asked: bool) -> None:
    assert health.is_asked is asked


def test_a_post_is_written_down_and_read_again() -> None:
    post = Post(("python", "-m", "newleaf"), "/app/current", ("serve",), log_files=True, agent=False)
    assert Post.read(json.loads(json.dumps(post.as_record()))) == post


@pytest.mark.parametrize("record", [{}, {"program": None}, {**Post(("a",), "b").as_record(), "override": 1}])
def test_a_post_that_no_newleaf_wrote_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Post.read(record)
