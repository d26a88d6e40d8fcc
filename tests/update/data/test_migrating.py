"""Migrations by a person's order: which range is meant, what is run, what is said."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newleaf.core.data.data_errors import (
    MigrationFailed,
    MigrationIrreversible,
    MigrationNumberTwice,
    NotAVersion,
)
from newleaf.core.data.migration import Plan
from newleaf.core.records import Waiting
from newleaf.system.commands import Runner
from newleaf.update.data.migrating import MigrationOrder, MigrationResult, Workplace, migrate
from newleaf.update.data.migrations import Done, Ground, child_environment
from tests.support.migrations import LEAVES_A_MARK, App

A, B, C = "1.1.0/001_a.py", "1.2.0/001_b.py", "1.3.0/001_c.py"


@pytest.fixture
def app(tmp_path: Path) -> App:
    app = App(tmp_path)
    app.write_marking(A, B, C)
    return app


def run(
    app: App,
    order: MigrationOrder,
    own: str | None = "1.1.0",
    tree: str | None = "1.2.0",
    held: Sequence[Waiting] = (),
) -> MigrationResult:
    @contextmanager
    def hold(_: Plan) -> Iterator[Sequence[Waiting]]:
        yield held

    ground = Ground(
        app.folder, "migrations", Path(app.python), child_environment(os.environ, app.folder, (), {}), 60
    )
    return migrate(order, Workplace(app.state, ground, Runner(), own, tree, hold), app.said.append)


@pytest.mark.parametrize(
    ("own", "tree", "start", "end", "expected"),
    [
        ("1.1.0", "1.2.0", None, None, [B]),
        ("1.1.0", "1.2.0", None, "1.3.0", [B, C]),
        ("1.1.0", "1.2.0", "1.0.0", None, [A, B]),
        ("1.1.0", "1.2.0", "v1.2.0", "v1.3.0", [C]),
        ("1.2.0", "1.2.0", None, None, []),
        (None, "1.2.0", None, None, [A, B]),
        (None, None, None, None, [A, B, C]),
        ("1.3.0", "1.2.0", None, None, []),
        ("1.3.0", "1.2.0", None, "1.0.0", []),
        ("1.1.0", "1.2.0", "1.3.0", None, []),
    ],
)
def test_the_range_is_this_hosts_own_unless_named(
    app: App, own: str | None, tree: str | None, start: str | None, end: str | None, expected: list[str]
) -> None:
    """lessons.md L21."""
    result = run(app, MigrationOrder(start, end), own, tree)
    assert result.plan.names == tuple(expected)
    assert result.done == tuple(Done(name, ran=True) for name in expected)
    assert (result.outcome, result.exit_code) == ("ok" if expected else "up_to_date", 0)
    assert set(result.left) == {A, B, C} - set(expected)


def test_a_dry_run_names_them_and_runs_nothing_at_all(app: App) -> None:
    app.write(f"v{B}", "open('loaded', 'w')\ndef check(): return False\ndef migrate(): return True\n")
    result = run(app, MigrationOrder(dry_run=True))
    assert result.as_record() == {
        "outcome": "ok",
        "from": "1.1.0",
        "to": "1.2.0",
        "backward": False,
        "dry_run": True,
        "scripts": [B],
        "done": [],
        "waiting_for": [],
        "left": [A, C],
    }
    assert sorted(os.listdir(app.folder)) == ["migrations"]
    assert os.listdir(app.state) == []


def test_what_holds_a_plan_is_said_and_nothing_runs(app: App) -> None:
    held = Waiting("restart", "the daemon runs", datetime(2026, 1, 1, tzinfo=UTC))
    result = run(app, MigrationOrder(), held=[held])
    assert (result.outcome, result.exit_code) == ("waiting", 4)
    assert result.as_record()["waiting_for"][0]["gate"] == "restart"
    assert app.ran == []


def test_backward_goes_only_where_both_ends_are_named(app: App) -> None:
    run(app, MigrationOrder("1.0.0", "1.3.0"))
    result = run(app, MigrationOrder("1.3.0", "1.1.0"))
    assert [done.name for done in result.done] == [C, B]
    assert result.plan.backward
    assert result.left == ()
    assert app.recorded["applied"] == [A]


def test_backward_past_one_without_revert_runs_nothing(app: App) -> None:
    app.write(f"v{A}", LEAVES_A_MARK.replace("revert", "other").format(name="a"))
    run(app, MigrationOrder("1.0.0", "1.3.0"))
    with pytest.raises(MigrationIrreversible, match=r"v1\.1\.0/001_a\.py"):
        run(app, MigrationOrder("1.3.0", "1.0.0"))
    assert len(app.ran) == 3


def test_two_files_with_one_number_are_an_error_before_anything_runs(app: App) -> None:
    app.write_marking("1.3.0/001_other.py")
    for dry_run in (True, False):
        with pytest.raises(MigrationNumberTwice, match=r"001_c\.py and v1\.3\.0/001_other\.py"):
            run(app, MigrationOrder(dry_run=dry_run))
    assert app.ran == []


def test_an_interrupted_run_is_finished_whatever_version_the_tree_has(app: App) -> None:
    """lessons.md L19."""
    app.write(f"v{B}", "def check(): return False\ndef migrate(): return False\n")
    with pytest.raises(MigrationFailed):
        run(app, MigrationOrder(), own="1.0.0", tree="1.3.0")
    app.write_marking(B)
    result = run(app, MigrationOrder(), own="1.3.0", tree="1.3.0")
    assert [done.name for done in result.done] == [B, C]


def test_a_range_by_hand_leaves_the_rest_of_an_interrupted_run_owed(app: App) -> None:
    """lessons.md L19."""
    app.write(f"v{B}", "def check(): return False\ndef migrate(): return False\n")
    with pytest.raises(MigrationFailed):
        run(app, MigrationOrder(), own="1.0.0", tree="1.3.0")
    app.write_marking(B)
    assert [d.name for d in run(app, MigrationOrder("1.2.0", "1.3.0")).done] == [C]
    assert [d.name for d in run(app, MigrationOrder(), own="1.3.0", tree="1.3.0").done] == [B]
    assert app.recorded == {"schema": 1, "applied": [A, C, B]}


def test_what_is_no_version_is_wrong_use(app: App) -> None:
    for order in (MigrationOrder("latest"), MigrationOrder(end="1.x")):
        with pytest.raises(NotAVersion):
            run(app, order)
