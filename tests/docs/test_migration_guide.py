"""The examples of docs/how-to/write-a-migration.md as they stand there: run, killed, resumed, taken back."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from newleaf.core.data.migration import read_scripts
from newleaf.update.data.migrations import Done
from tests.support.data import dump, run_sql
from tests.support.migrations import App

PAGE = Path(__file__).parents[2] / "docs/how-to/write-a-migration.md"
SCRIPTS = dict(
    re.findall(r"^```python migrations/(\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
)


@dataclass(frozen=True)
class Example:
    """One script of the page: the data before it, and what must be there after it."""

    path: str
    make: Callable[[Path], None]
    look: Callable[[Path], object]
    before: object
    after: object
    steps: int
    """How often it can be killed at least."""

    @property
    def name(self) -> str:
        return self.path.removeprefix("v")


def make_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"port": 80, "timeout": 5}')


def look_at_config(folder: Path) -> object:
    return json.loads((folder / "config.json").read_text())


def make_orders(folder: Path) -> None:
    (folder / "data").mkdir()
    create = "CREATE TABLE orders (amount INTEGER)"
    run_sql(folder / "data/orders.db", create, "INSERT INTO orders VALUES (1), (2)")


def look_at_orders(folder: Path) -> object:
    with closing(sqlite3.connect(folder / "data/orders.db")) as database:
        return database.execute("SELECT * FROM orders").fetchall()


def make_reports(folder: Path) -> None:
    (folder / "reports").mkdir()
    for day in ("2025-12-31", "2026-01-01", "2026-01-02"):
        (folder / f"reports/{day}.txt").write_text(day)
    (folder / "reports/summary.txt").write_text("stays")


def look_at_reports(folder: Path) -> object:
    files = sorted(path for path in (folder / "reports").rglob("*") if path.is_file())
    return {str(path.relative_to(folder / "reports")): path.read_text() for path in files}


EXAMPLES = [
    Example(
        "v1.1.0/001_rename_key.py",
        make_config,
        look_at_config,
        {"port": 80, "timeout": 5},
        {"port": 80, "timeout_seconds": 5},
        steps=3,
    ),
    Example(
        "v1.2.0/001_add_currency.py",
        make_orders,
        look_at_orders,
        [(1,), (2,)],
        [(1, "EUR"), (2, "EUR")],
        steps=6,
    ),
    Example(
        "v1.3.0/001_reports_by_year.py",
        make_reports,
        look_at_reports,
        {
            "2025-12-31.txt": "2025-12-31",
            "2026-01-01.txt": "2026-01-01",
            "2026-01-02.txt": "2026-01-02",
            "summary.txt": "stays",
        },
        {
            "2025/12-31.txt": "2025-12-31",
            "2026/01-01.txt": "2026-01-01",
            "2026/01-02.txt": "2026-01-02",
            "summary.txt": "stays",
        },
        steps=7,
    ),
]
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path)


def prepare(folder: Path, example: Example) -> App:
    folder.mkdir(exist_ok=True)
    app = App(folder)
    app.write(example.path, SCRIPTS[example.path])
    example.make(app.folder)
    return app


def test_every_example_of_the_page_is_tried_here() -> None:
    assert sorted(SCRIPTS) == [example.path for example in EXAMPLES]
    scripts = {script.path: script for script in read_scripts({k: v.encode() for k, v in SCRIPTS.items()})}
    assert [scripts[e.path].online for e in EXAMPLES] == [False, True, False]
    assert [scripts[e.path].offline for e in EXAMPLES] == [False, False, True]


@each_example
def test_it_does_what_it_says_once(tmp_path: Path, example: Example) -> None:
    app = prepare(tmp_path, example)
    assert example.look(app.folder) == example.before
    assert app.run() == [Done(example.name, ran=True)]
    assert example.look(app.folder) == example.after
    assert app.run() == []


@each_example
def test_where_the_data_is_new_already_it_is_recorded_and_not_run(tmp_path: Path, example: Example) -> None:
    app = prepare(tmp_path, example)
    app.run()
    (app.state / "migration_state.json").unlink()
    assert app.run() == [Done(example.name, ran=False)]
    assert example.look(app.folder) == example.after


@each_example
def test_where_there_is_no_data_there_is_nothing_to_do(tmp_path: Path, example: Example) -> None:
    app = App(tmp_path)
    app.write(example.path, SCRIPTS[example.path])
    assert app.run() == [Done(example.name, ran=False)]
    assert [path.name for path in app.folder.iterdir()] == ["migrations"]


@each_example
def test_killed_at_every_step_it_is_resumed_and_comes_to_the_same(tmp_path: Path, example: Example) -> None:
    """lessons.md L19."""
    for step in range(1, 50):
        app = prepare(tmp_path / str(step), example)
        script = app.migrations / example.path
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, script, str(step)],
            cwd=app.folder,
            capture_output=True,
            check=False,
        ).returncode
        assert killed in (0, -9)
        (done,) = app.run()
        assert example.look(app.folder) == example.after
        assert app.recorded["applied"] == [example.name]
        if killed == 0:
            assert not done.ran
            break
    assert step > example.steps


@pytest.mark.parametrize("example", EXAMPLES[:2], ids=lambda example: example.path)
def test_it_is_taken_back(tmp_path: Path, example: Example) -> None:
    app = prepare(tmp_path, example)
    app.run()
    assert app.run("9.0.0", "1.0.0") == [Done(example.name, ran=True)]
    assert example.look(app.folder) == example.before
    assert app.recorded["applied"] == []


def test_all_three_follow_one_another(tmp_path: Path) -> None:
    app = App(tmp_path)
    for example in EXAMPLES:
        app.write(example.path, SCRIPTS[example.path])
        example.make(app.folder)
    assert [done.name for done in app.run("1.0.0", "1.2.0")] == [e.name for e in EXAMPLES[:2]]
    assert [done.name for done in app.run("1.2.0", "1.3.0")] == [EXAMPLES[2].name]
    assert "EUR" in "".join(dump(app.folder / "data/orders.db"))


KILLED = """
import os, signal, sqlite3, sys

script, last = sys.argv[1], int(sys.argv[2])
seen = 0

def step(*_):
    global seen
    seen += 1
    if seen == last:
        os.kill(os.getpid(), signal.SIGKILL)

class Connection(sqlite3.Connection):
    def execute(self, *arguments):
        step()
        return super().execute(*arguments)

connect = sqlite3.connect
sqlite3.connect = lambda *a, **k: connect(*a, factory=Connection, **k)
module = {"__file__": script, "__name__": "migration"}
exec(compile(open(script).read(), script, "exec"), module)
CHANGES = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir")
sys.addaudithook(lambda event, arguments: event in CHANGES and step())
assert module["check"]() is False
assert module["migrate"]() is True
step()
"""
