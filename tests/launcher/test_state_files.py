"""What the launcher reads in the state directory: whole, torn, missing, or from a newer newleaf."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import NewerSchema
from newleaf.core.launch.launcher_errors import LauncherDamaged
from newleaf.core.release import Release
from newleaf.launcher.state_files import StateFiles, utc
from newleaf.system import process_table
from tests.support.launchers import COMMIT, OTHER, make_plan, make_post, write_launcher


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    return StateFiles(tmp_path)


def test_what_is_run_is_read_as_it_was_written(files: StateFiles) -> None:
    plan, post = make_plan(files.folder, "app", listen=("unix:a",)), make_post(files.folder, log_files=True)
    write_launcher(files.folder, plan, post)
    assert files.read_launcher() == (post, plan)


def damaged(**changes: Any) -> str:
    plan, post = make_plan(Path("/"), "app").as_record(), make_post(Path("/")).as_record()
    return json.dumps({"schema": 1, "plan": plan, "post": post, **changes})


DAMAGES = {
    "": "empty",
    "{": "not JSON",
    "[]": "not a JSON object",
    "{}": "it is not what newleaf writes ('post')",
    damaged(post=7): "it is not what newleaf writes",
    damaged(post={}): "it is not what newleaf writes ('program')",
    damaged(plan=None): "it is not what newleaf writes",
    damaged(plan={}): "it is not what newleaf writes ('release')",
    damaged(
        plan=make_plan(Path("/"), "x").as_record() | {"release": {"commit": "; rm"}}
    ): "it names no release",
    damaged(
        plan=make_plan(Path("/"), "x").as_record() | {"command": []}
    ): "it names no release, or no command",
    damaged(plan=make_plan(Path("/"), "x").as_record() | {"health": None}): "it is not what newleaf writes",
    damaged(plan=make_plan(Path("/"), "x").as_record() | {"budget": [1]}): "it is not what newleaf writes",
    damaged(schema="x"): "schema is 'x'",
}


@pytest.mark.parametrize("text", DAMAGES)
def test_a_damaged_record_is_named_with_what_is_wrong(files: StateFiles, text: str) -> None:
    (files.folder / "launcher.json").write_text(text)
    with pytest.raises(LauncherDamaged) as found:
        files.read_launcher()
    assert DAMAGES[text] in str(found.value.facts["reason"])


def test_no_record_or_one_that_is_a_symlink_is_damaged_too(files: StateFiles, tmp_path: Path) -> None:
    """threats.md T20"""
    with pytest.raises(LauncherDamaged, match="it is missing"):
        files.read_launcher()
    (tmp_path / "other").write_text(damaged())
    (tmp_path / "launcher.json").symlink_to(tmp_path / "other")
    with pytest.raises(LauncherDamaged, match="symlink"):
        files.read_launcher()


def test_a_newer_newleafs_records_are_left_as_they_are(files: StateFiles) -> None:
    newer = damaged(schema=2)
    for name in ("launcher.json", "launcher-state.json", "daemon.pid"):
        (files.folder / name).write_text(newer)
    with pytest.raises(NewerSchema):
        files.read_launcher()
    with pytest.raises(NewerSchema):
        files.read_counters()
    with pytest.raises(NewerSchema):
        files.write_state({})
    with pytest.raises(NewerSchema):
        files.write_daemon(os.getpid(), make_plan(files.folder))
    assert (files.folder / "launcher-state.json").read_text() == newer


def test_counters_and_processes_come_back(files: StateFiles) -> None:
    files.write_state(
        {"counters": {"starts": 2, "crashes": [1.5]}, "processes": [{"pid": 7, "started": "b/1"}]}
    )
    counters = files.read_counters()
    assert (counters.starts, counters.crashes) == (2, [1.5])
    assert files.left_running() == [(7, "b/1")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{torn",
        '{"schema": 1, "counters": [], "processes": 7}',
        '{"schema": 1, "counters": {"starts": "x"}, "processes": {"pid": 1}}',
        '{"schema": 1, "processes": [null, 7, [], {}, {"pid": 7}, {"pid": "x", "started": "y"}]}',
        '{"schema": 1, "counters": null, "processes": null}',
    ],
)
def test_what_cannot_be_read_counts_as_nothing(files: StateFiles, text: str) -> None:
    (files.folder / "launcher-state.json").write_text(text)
    assert files.read_counters().as_record() == StateFiles(files.folder / "none").read_counters().as_record()
    assert files.left_running() == []
    files.write_state({"processes": [{"pid": 7, "started": "b/1"}]})
    assert files.left_running() == [(7, "b/1")]


def test_the_daemon_is_recorded_by_number_and_start(files: StateFiles) -> None:
    files.write_daemon(os.getpid(), make_plan(files.folder))
    record = json.loads((files.folder / "daemon.pid").read_text())
    assert (record["pid"], record["started"]) == (os.getpid(), process_table.start_time(os.getpid()))
    assert (record["commit"], record["version"], record["launcher"]) == (COMMIT, "1.0.0", os.getpid())


def test_one_that_has_ended_is_not_recorded(files: StateFiles) -> None:
    files.write_daemon(-1, make_plan(files.folder))
    assert list(files.folder.iterdir()) == []


# --- the journal --------------------------------------------------------------------------------


def journal(files: StateFiles, *states: str, torn: str = "", commit: str = COMMIT) -> None:
    lines = [
        json.dumps(
            {
                "schema": 1,
                "attempt": "a1",
                "at": "2026-01-01T00:00:00.000Z",
                "state": state,
                "from": Release(OTHER).as_record(),
                "to": {"commit": commit, "version": None},
                "detail": {},
            }
        )
        for state in states
    ]
    (files.folder / "journal.jsonl").write_text("".join(f"{line}\n" for line in lines) + torn)


@pytest.mark.parametrize(
    ("states", "awaited", "changing"),
    [
        ((), None, None),
        (("fetch",), None, None),
        (("fetch", "install"), None, "a1"),
        (("migrate",), None, "a1"),
        (("activate",), None, "a1"),
        (("revert",), None, "a1"),
        (("activate", "restart"), "a1", None),
        (("restart", "confirm"), "a1", None),
        (("confirm", "done"), None, None),
    ],
)
def test_the_last_line_says_who_waits_and_who_changes(
    files: StateFiles, states: tuple[str, ...], awaited: str | None, changing: str | None
) -> None:
    journal(files, *states)
    assert (files.attempt_of(COMMIT), files.changing()) == (awaited, changing)
    assert files.attempt_of(OTHER) is None


@pytest.mark.parametrize("torn", ['{"schema": 1, "attem', "\xff\0", "x" * 200_000])
def test_a_torn_last_line_is_passed_over(files: StateFiles, torn: str) -> None:
    journal(files, "install", torn=torn)
    assert files.changing() == "a1"


@pytest.mark.parametrize("line", ["{}", "[]", "junk", '{"state": "nonesuch"}', '{"attempt": 7}', " "])
def test_a_last_line_of_another_kind_says_nothing(files: StateFiles, line: str) -> None:
    journal(files, "install", torn=f"{line}\n")
    assert (files.changing(), files.attempt_of(COMMIT)) == (None, None)


@pytest.mark.timeout(10)
def test_a_journal_that_is_no_file_says_nothing_and_is_not_waited_for(files: StateFiles) -> None:
    os.mkfifo(files.folder / "journal.jsonl")
    assert files.changing() is None
    os.unlink(files.folder / "journal.jsonl")
    journal(files, "install")
    (files.folder / "journal.jsonl").rename(files.folder / "other")
    (files.folder / "journal.jsonl").symlink_to("other")
    assert files.changing() is None


def test_a_time_is_utc() -> None:
    assert utc(0.0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_last_line_longer_than_any_is_read_whole(files: StateFiles) -> None:
    journal(files, "fetch", "install")
    path = files.folder / "journal.jsonl"
    record = json.loads(path.read_text().splitlines()[-1]) | {"detail": {"errors": "x" * 300_000}}
    path.write_text(path.read_text() + json.dumps(record) + "\n" + "torn" * 50_000)
    assert files.changing() == "a1"
