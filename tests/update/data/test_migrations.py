"""The running of migrations: recorded one by one, resumed after any kill, never passed over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from newleaf.core.data.data_errors import CorruptMigrationState, MigrationBadlyNamed, MigrationFailed
from newleaf.core.errors import NewerSchema, ProgramMissing
from newleaf.update.data.migrations import Done, child_environment, find_python, read_folder, read_state
from tests.support.kills import run_in_child, run_killed_at, wait_for_end_of_group, wait_until
from tests.support.migrations import LEAVES_A_MARK, App

A, B, C = "1.1.0/001_a.py", "1.1.0/002_b.py", "1.2.0/001_c.py"
MARKS = [name.replace("/", "-") for name in (A, B, C)]


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def fail(app: App, *versions: str) -> MigrationFailed:
    with pytest.raises(MigrationFailed) as caught:
        app.run(*versions)
    return caught.value


# --- what runs, and what is recorded ----------------------------------------------------


def test_what_is_due_runs_in_order_and_is_recorded(app: App) -> None:
    app.write_marking(C, B, A)
    assert app.run("1.0.0", "1.2.0") == [Done(A, ran=True), Done(B, ran=True), Done(C, ran=True)]
    assert app.ran == MARKS
    assert app.recorded == {"schema": 1, "applied": [A, B, C]}


def test_a_second_run_does_nothing(app: App) -> None:
    app.write_marking(A)
    app.run()
    assert app.run() == []
    assert app.ran == MARKS[:1]


def test_nothing_due_writes_nothing(app: App) -> None:
    assert app.run() == []
    assert list(app.state.iterdir()) == []


def test_what_is_applied_already_is_recorded_without_being_run(app: App) -> None:
    app.write_marking(A, B)
    (app.folder / f"{MARKS[0]}.mark").touch()
    assert app.run() == [Done(A, ran=False), Done(B, ran=True)]
    assert app.ran == MARKS[1:2]
    assert app.recorded["applied"] == [A, B]
    assert f"{A}: nothing left to do" in app.said


def test_each_is_recorded_before_the_next_one_runs(app: App) -> None:
    app.write_marking(A)
    app.write(
        f"v{B}",
        """
        import json, os
        done = []
        def check(): return bool(done)
        def migrate():
            done.extend(json.load(open(os.environ["NEWLEAF_STATE_DIR"] + "/migration_state.json"))["applied"])
            return done == ["1.1.0/001_a.py"]
        """,
    )
    assert [done.name for done in app.run()] == [A, B]


def test_unknown_fields_of_the_state_stay(app: App) -> None:
    app.write_marking(A)
    (app.state / "migration_state.json").write_text('{"schema": 1, "applied": [], "note": {"by": "hand"}}')
    app.run()
    assert app.recorded == {"schema": 1, "applied": [A], "note": {"by": "hand"}}


def test_backward_reverts_newest_first_and_forgets_each(app: App) -> None:
    app.write_marking(A, B, C)
    app.run("1.0.0", "1.2.0")
    assert [done.name for done in app.run("1.2.0", "1.0.0")] == [C, B, A]
    assert app.ran[3:] == [f"back {mark}" for mark in reversed(MARKS)]
    assert app.recorded == {"schema": 1, "applied": []}


def test_backward_what_is_reverted_already_is_only_forgotten(app: App) -> None:
    app.write_marking(A)
    app.run()
    (app.folder / f"{MARKS[0]}.mark").unlink()
    assert app.run("1.1.0", "1.0.0") == [Done(A, ran=False)]
    assert app.recorded["applied"] == []


# --- failures ---------------------------------------------------------------------------

FAILURES = {
    "migrate says False": ("def migrate(): return False", "migrate() returned False"),
    "check says 1": ("def check(): return 1", "check() returned 1, neither True nor False"),
    "check says nothing": ("def check(): pass", "check() returned None, neither True nor False"),
    "migrate says yes": ("def migrate(): return 'yes'", "migrate() returned 'yes', neither True nor False"),
    "migrate says 1": ("def migrate(): return 1", "migrate() returned 1, neither True nor False"),
    "migrate says nothing": ("def migrate(): pass", "migrate() returned None, neither True nor False"),
    "migrate did nothing": (
        "def migrate(): return True",
        "migrate() returned True, yet check() says that it is not applied",
    ),
    "migrate raises": ("def migrate(): raise KeyError('port')", "migrate() raised KeyError: 'port'"),
    "check raises": ("def check(): 1 / 0", "check() raised ZeroDivisionError: division by zero"),
    "migrate leaves": ("def migrate(): raise SystemExit(0)", "migrate() raised SystemExit: 0"),
    "loading raises": ("import nowhere_at_all", "load() raised ModuleNotFoundError: No module named"),
    "the process leaves": ("import os\ndef migrate(): os._exit(0)", "its process ended with status 0 during"),
    "the process is killed": (
        "import os, signal\ndef migrate(): os.kill(os.getpid(), signal.SIGKILL)",
        "its process ended by SIGKILL during migrate()",
    ),
    "no function": ("check = 3", "it has no check()"),
    "not this Python": ("match = 1 ?? 2", "cannot read it: SyntaxError"),
}


@pytest.mark.parametrize("situation", FAILURES)
def test_a_failure_halts_names_the_script_and_keeps_what_is_done(app: App, situation: str) -> None:
    """lessons.md L19: strict answers; nothing is recorded that did nothing, nothing is passed over."""
    source, reason = FAILURES[situation]
    before = [] if situation == "not this Python" else [A]
    app.write_marking(A, C)
    app.write(f"v{B}", f"def check(): return False\ndef migrate(): return True\n{source}\n")
    error = fail(app)
    assert "migration v1.1.0/002_b.py failed: " in error.message
    assert reason in error.message
    assert app.recorded["applied"] == before
    assert len(app.ran) == len(before)
    app.write_marking(B)
    assert [done.name for done in app.run("9.0.0")] == [name for name in (A, B, C) if name not in before]
    assert app.ran == MARKS
    assert app.recorded == {"schema": 1, "applied": [A, B, C]}


def test_a_failed_first_script_is_due_again_although_the_tree_is_at_its_version(app: App) -> None:
    """lessons.md L19: in place the tree stays at the target when its migration fails."""
    app.write(f"v{A}", "def check(): return False\ndef migrate(): return False\n")
    fail(app, "1.0.0", "1.1.0")
    assert app.plan("1.1.0", "1.1.0").names == (A,)


def test_what_was_owed_and_left_the_tree_is_owed_no_more(app: App) -> None:
    script = app.write(f"v{A}", "def check(): return False\ndef migrate(): return False\n")
    fail(app, "1.0.0", "1.1.0")
    script.unlink()
    app.run("1.1.0", "1.2.0")
    assert app.recorded == {"schema": 1, "applied": []}


def test_the_traceback_and_the_output_are_kept_within_bounds(app: App) -> None:
    app.write(
        f"v{A}",
        """
        def check():
            print("\\n".join(f"row {i}" for i in range(1000)), flush=True)
            return False
        def migrate():
            raise ValueError("first line\\nsecond line")
        """,
    )
    error = fail(app)
    assert "ValueError: first line" in error.message
    assert "second line" not in error.message
    assert len(error.lines) == 200
    assert "row 999" in error.lines
    assert error.lines[-2:] == ("ValueError: first line", "second line")
    assert not any("migration_child" in line for line in error.lines)
    assert any("v1.1.0/001_a.py" in line for line in error.lines)
    assert error.as_record()["lines"] == list(error.lines)


def test_a_secret_in_a_failure_is_masked(app: App) -> None:
    """threats.md T29."""
    app.secrets = ("hunter2",)
    app.write(
        f"v{A}", "def check():\n    print('hunter2')\n    raise ValueError('hunter2')\ndef migrate(): ..."
    )
    error = fail(app)
    assert "hunter2" not in json.dumps([error.as_record(), app.said])
    assert "ValueError: ****" in error.message


def test_a_migration_that_takes_too_long_is_ended_with_all_that_it_started(app: App) -> None:
    """lessons.md L22."""
    app.timeout_seconds = 0.6
    app.write_marking(A)
    app.write(
        f"v{B}",
        """
        import subprocess, time
        def check(): return False
        def migrate():
            print("begun", flush=True)
            subprocess.Popen(["sleep", "60"])
            time.sleep(60)
        """,
    )
    error = fail(app)
    assert "migration v1.1.0/002_b.py failed: took longer than 0.6 s" in error.message
    assert "update.migrate_timeout" in error.message
    assert "begun" in error.lines
    assert app.recorded["applied"] == [A]
    wait_for_end_of_group(app.group)


@pytest.mark.parametrize("folder", [".venv", ""])
def test_an_interpreter_that_is_gone_is_named(app: App, folder: str) -> None:
    app.write_marking(A)
    app.python = str(app.folder / folder / "bin" / "python")
    with pytest.raises(ProgramMissing, match="bin/python"):
        app.run()


def test_an_interpreter_that_does_not_start_is_a_failure_with_what_it_said(app: App) -> None:
    app.write_marking(A)
    broken = app.folder / "python"
    broken.write_text("#!/bin/sh\necho cannot start >&2\nexit 3\n")
    broken.chmod(0o755)
    app.python = str(broken)
    error = fail(app)
    assert "its process ended with status 3" in error.message
    assert error.lines == ("cannot start",)


# --- kills ------------------------------------------------------------------------------


def test_killed_at_every_write_each_migration_still_runs_exactly_once(tmp_path: Path) -> None:
    """lessons.md L19: a resume skips what is complete."""
    for event in range(1, 100):
        folder = tmp_path / str(event)
        folder.mkdir()
        app = App(folder)
        app.write_marking(A, B, C)
        if not run_killed_at(event, app.runner_of("1.0.0", "1.2.0")):
            break
        wait_for_end_of_group(app.group)
        # The tree has its new version by now: what is owed is remembered, not computed from it.
        start = "1.2.0" if (app.state / "migration_state.json").exists() else "1.0.0"
        app.run(start, "1.2.0")
        assert app.ran == MARKS
        assert app.recorded == {"schema": 1, "applied": [A, B, C]}
    assert event > 12, "four writes of the state, each with a write, an fsync and a rename"


KILL = """
import os, signal
def kill():
    if not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
"""
MOMENTS = {
    "loading": ("mark = ", "kill()\nmark = "),
    "asked before": ("return mark.exists()", "mark.exists() or kill()\n    return mark.exists()"),
    "before the change": ("with log", "kill()\n    with log"),
    "after the change": ("mark.touch()", "mark.touch()\n    kill()"),
    "asked after": ("return mark.exists()", "mark.exists() and kill()\n    return mark.exists()"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_when_the_parent_is_killed_the_migration_ends_and_is_resumed(app: App, moment: str) -> None:
    """lessons.md L19, L22."""
    app.write_marking(A, C)
    source = KILL + LEAVES_A_MARK.format(name=MARKS[1]).replace(*MOMENTS[moment], 1)
    app.write(f"v{B}", source)
    assert run_in_child(app.runner_of()) == -9
    wait_for_end_of_group(app.group)
    assert app.recorded["applied"] == [A]
    app.run("9.0.0")
    assert app.ran == MARKS
    assert app.recorded == {"schema": 1, "applied": [A, B, C]}


def test_a_migration_that_is_stuck_in_another_program_ends_with_its_parent(app: App) -> None:
    """lessons.md L22: children do not survive."""
    app.write(
        f"v{A}",
        """
        import subprocess, os
        def check(): return False
        def migrate():
            subprocess.run(["sh", "-c", "trap '' TERM HUP; touch stuck; sleep 60; sleep 60"])
        """,
    )

    def killed_when_stuck() -> None:
        pid = os.fork()
        if pid == 0:
            app.run()
        wait_until((app.folder / "stuck").exists, "the migration")
        os.kill(pid, 9)
        os.waitpid(pid, 0)

    assert run_in_child(killed_when_stuck) == 0
    wait_for_end_of_group(app.group)


def test_backward_killed_at_every_write_each_is_reverted_exactly_once(tmp_path: Path) -> None:
    for event in range(1, 100):
        folder = tmp_path / str(event)
        folder.mkdir()
        app = App(folder)
        app.write_marking(A, B)
        app.run()
        if not run_killed_at(event, app.runner_of("9.0.0", "1.0.0")):
            break
        wait_for_end_of_group(app.group)
        app.run("9.0.0", "1.0.0")
        assert app.ran[2:] == [f"back {MARKS[1]}", f"back {MARKS[0]}"]
        assert app.recorded == {"schema": 1, "applied": []}
    assert event > 6


# --- the state on the disk --------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"schema": 1, "appl',
        b"[]",
        b"{}",
        b'{"schema": 1, "applied": "all"}',
        b'{"schema": 1, "applied": ["v1.1.0"]}',
        b'{"schema": "one", "applied": []}',
        b"\xff\xfe\x00",
    ],
)
def test_a_corrupt_state_stops_everything_and_says_the_way_out(app: App, content: bytes) -> None:
    """lessons.md L20."""
    path = app.state / "migration_state.json"
    path.write_bytes(content)
    app.write_marking(A)
    with pytest.raises(CorruptMigrationState) as caught:
        app.run()
    assert str(path) in caught.value.message
    assert f"mv {path}" in caught.value.advice
    assert str(app.state / "snapshots") in caught.value.advice
    assert '{"schema": 1, "applied": ["1.1.0/001_name.py"]}' in caught.value.advice
    assert caught.value.exit_code == 7
    assert app.ran == []
    assert path.read_bytes() == content


def test_a_state_of_a_newer_newleaf_stops_everything(app: App) -> None:
    (app.state / "migration_state.json").write_text('{"schema": 2, "applied": []}')
    with pytest.raises(NewerSchema):
        read_state(app.state)


def test_a_state_that_is_a_symlink_is_not_followed(app: App, tmp_path: Path) -> None:
    """threats.md T20."""
    other = tmp_path / "other.json"
    other.write_text('{"schema": 1, "applied": []}')
    (app.state / "migration_state.json").symlink_to(other)
    app.write_marking(A)
    with pytest.raises(CorruptMigrationState, match="it is a symlink"):
        app.run()
    assert other.read_text() == '{"schema": 1, "applied": []}'


# --- what lies in the folder ------------------------------------------------------------


def test_files_are_read_as_they_lie_there(app: App) -> None:
    app.write("v1.1.0/001_a.py", "one")
    app.write("v1.1.0/_helper.py", "two")
    app.write("v1.1.0/README.md", "three")
    app.write("env.py", "four")
    assert read_folder(app.migrations) == {"v1.1.0/001_a.py": b"one", "env.py": b"four"}


def test_no_folder_is_no_migrations(app: App) -> None:
    assert read_folder(app.migrations) == {}


def test_a_link_to_a_version_is_not_passed_over(app: App) -> None:
    """lessons.md L19."""
    app.write("v1.1.0/001_a.py", "one")
    (app.migrations / "v1.2.0").symlink_to("v1.1.0")
    with pytest.raises(MigrationBadlyNamed, match=r"v1\.2\.0: it is a symlink"):
        read_folder(app.migrations)


def test_a_link_to_a_script_and_a_pipe_are_not_read(app: App) -> None:
    app.write("v1.1.0/_a.py", "one")
    (app.migrations / "v1.1.0/001_a.py").symlink_to("_a.py")
    with pytest.raises(MigrationBadlyNamed, match=r"001_a\.py: it is no plain file"):
        read_folder(app.migrations)
    (app.migrations / "v1.1.0/001_a.py").unlink()
    os.mkfifo(app.migrations / "v1.1.0/001_a.py")
    with pytest.raises(MigrationBadlyNamed, match=r"001_a\.py: it is no plain file"):
        read_folder(app.migrations)


# --- the process ------------------------------------------------------------------------


def test_the_apps_own_interpreter_is_taken(app: App) -> None:
    """lessons.md L18."""
    assert find_python(app.folder).name in ("python3", "python")
    (app.folder / ".venv").mkdir()
    assert find_python(app.folder) == app.folder / ".venv/bin/python", "a broken one is not passed over"


def test_no_interpreter_at_all_is_named(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(app.folder))
    with pytest.raises(ProgramMissing, match="python3"):
        find_python(app.folder)


def test_the_environment_is_the_releases_and_not_newleafs(app: App) -> None:
    base = {"PATH": "/bin", "PYTHONPATH": "/newleaf", "PYTHONHOME": "/newleaf"}
    env = child_environment(base, app.folder, (), {"NEWLEAF_COMMIT": "c", "NEWLEAF_VERSION": None})
    assert env == {"PATH": "/bin", "PYTHONPATH": str(app.folder), "NEWLEAF_COMMIT": "c"}
    (app.folder / "src").mkdir()
    assert child_environment({}, app.folder, (), {})["PYTHONPATH"] == str(app.folder / "src")
    paths = child_environment({}, app.folder, ("lib", "."), {})["PYTHONPATH"]
    assert paths == f"{app.folder}/lib:{app.folder}"
