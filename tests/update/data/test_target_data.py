"""An app's data on its way to a target: planned from the commit, run from the tree, put back."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.core.data.data_errors import (
    CorruptMigrationState,
    MigrationFailed,
    MigrationNumberTwice,
    MigrationUnclear,
)
from newleaf.core.ports import Pending
from newleaf.core.records import stamp
from newleaf.core.release import Release
from newleaf.core.settings.model import Settings
from newleaf.core.settings.sections import App, Update
from newleaf.system.commands import Runner
from newleaf.system.files import append_line
from newleaf.update.data.target_data import Surface, TargetData
from tests.support.hosts import Host, make_host
from tests.support.repositories import Link, Remote

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WRITES = """
from pathlib import Path
import os
data = Path("data.txt")
def check(): return {name!r} in data.read_text()
def migrate():
    data.write_text(data.read_text() + {name!r} + os.environ["NEWLEAF_VERSION"])
    {end}
"""


def script(name: str, end: str = "return True") -> str:
    return WRITES.format(name=name, end=end)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "", "migrations/v1.0.0/001_old.py": script("old")})
    host = make_host(tmp_path, remote)
    (host.checkout.path / "data.txt").write_text("start ")
    return host


def data_of(host: Host, attempt: str = "one", inner: str = ".") -> TargetData:
    """What is needed for the remote's newest commit as a target: its objects fetched, its tree not here."""
    fetched = host.fetched()
    update = Update(state_paths=("data.txt",), keep_releases=2)
    day = timedelta(days=len(list((host.state / "snapshots").glob("*"))))
    surface = Surface(
        host.state,
        host.checkout.path / inner,
        host.checkout.path / inner,
        inner,
        os.environ,
        host.git,
        Runner(),
        lambda: NOW + day,
    )
    start = Release(host.checkout.id_of(), "1.0.0")
    target = Release(fetched.commit, "1.1.0")
    return TargetData(
        surface, Settings(app=App(name="sessions"), update=update), start, target, attempt, attempt
    )


def commit(host: Host, **scripts: str) -> None:
    host.remote.commit({f"migrations/v1.1.0/{name}.py": text for name, text in scripts.items()})


def check_out(host: Host) -> None:
    host.layout.place(host.fetched(), sideways=False)


def test_pending_names_what_the_target_brings(host: Host) -> None:
    commit(
        host,
        **{
            "001_a": script("alpha"),
            "002_b": "OFFLINE = True\n" + script("beta"),
            "_helper": "no python at all",
        },
    )
    pending = data_of(host).pending()
    assert pending == Pending(("1.1.0/001_a.py", "1.1.0/002_b.py"), ("1.1.0/002_b.py",), declared=True)
    assert not (host.checkout.path / "migrations/v1.1.0").exists()


def test_where_nothing_is_due_nothing_is_pending(host: Host) -> None:
    assert data_of(host).pending() == Pending((), (), declared=True, is_online=True)


def test_a_plan_that_cannot_be_made_stops_before_the_tree_has_moved(host: Host) -> None:
    commit(host, **{"001_a": script("alpha"), "001_b": script("beta")})
    with pytest.raises(MigrationNumberTwice):
        data_of(host).pending()


def test_a_link_among_the_scripts_is_not_followed(host: Host) -> None:
    host.remote.commit({"migrations/v1.1.0/001_a.py": Link("../v1.0.0/001_old.py")})
    with pytest.raises(MigrationUnclear, match=r"v1\.1\.0/001_a\.py"):
        data_of(host).pending()


def test_migrating_runs_what_is_pending_in_the_new_tree(host: Host) -> None:
    """lessons.md L18."""
    commit(host, **{"001_a": script("alpha")})
    data = data_of(host)
    check_out(host)
    assert data.migrate(lambda _: None) == ("1.1.0/001_a.py",)
    assert (host.checkout.path / "data.txt").read_text() == "start alpha1.1.0"
    assert data.pending().names == ()


def test_in_a_monorepo_the_apps_own_folder_counts(host: Host) -> None:
    host.remote.commit({"apps/one/migrations/v1.1.0/001_a.py": script("alpha"), "apps/one/app.py": ""})
    data = data_of(host, inner="apps/one")
    assert data.pending().names == ("1.1.0/001_a.py",)
    check_out(host)
    (host.checkout.path / "apps/one/data.txt").write_text("inner ")
    data.migrate(lambda _: None)
    assert (host.checkout.path / "apps/one/data.txt").read_text() == "inner alpha1.1.0"


def test_what_a_failed_migration_did_is_taken_back_and_kept(host: Host) -> None:
    commit(host, **{"001_a": script("alpha"), "002_b": script("beta", "return False")})
    data = data_of(host)
    told = data.snapshot()
    assert told == f"data kept in {host.state}/snapshots/one"
    check_out(host)
    with pytest.raises(MigrationFailed, match=r"002_b\.py failed: migrate\(\) returned False"):
        data.migrate(lambda _: None)
    told = data.restore()
    assert (host.checkout.path / "data.txt").read_text() == "start "
    aside = host.state / "snapshots/one/aside"
    assert (
        aside / (host.checkout.path / "data.txt").relative_to("/")
    ).read_text() == "start alpha1.1.0beta1.1.0"
    assert str(aside) in told
    assert data.pending().names == ("1.1.0/001_a.py", "1.1.0/002_b.py"), "its record went back too"


def test_a_corrupt_record_stops_the_attempt_before_anything(host: Host) -> None:
    """lessons.md L20."""
    host.state.mkdir(exist_ok=True)
    (host.state / "migration_state.json").write_text("{")
    with pytest.raises(CorruptMigrationState):
        data_of(host).pending()


def test_old_snapshots_go_before_a_new_one_is_taken(host: Host) -> None:
    """lessons.md L24."""
    for attempt in ("one", "two", "three", "four", "five"):
        data_of(host, attempt).snapshot()
        outcome = "failed" if attempt == "four" else "updated"
        append_line(host.state / "history.jsonl", {"attempt": attempt, "at": stamp(NOW), "outcome": outcome})
    data_of(host, "six").snapshot()
    kept = sorted(path.name for path in (host.state / "snapshots").iterdir())
    assert kept == ["five", "six", "three"]
    assert json.loads((host.state / "snapshots/six/manifest.json").read_text())["attempt"] == "six"
