"""`update` and `rollback` as they are typed: what they answer, and with which exit code."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import click
import pytest

from newleaf.agent.jobs import busy
from newleaf.cli.update import SHOWN_COMMITS, describe
from newleaf.core.records import EXIT_CODES, Result, StepReport, Waiting
from newleaf.core.release import CommitId, Release
from newleaf.system.locks import update_lock
from tests.support.deployment import DAEMON, Deployment, settings_text
from tests.support.terminal import Terminal

KEYS = [
    *("schema", "outcome", "from", "to", "commits", "steps", "errors"),
    *("waiting_for", "confirmed", "attempt", "notes"),
]
UNCONFIRMED = "  installed, not yet confirmed: no process has reported this release"
HERE = Release(CommitId("a" * 40), "1.0.0")
THERE = Release(CommitId("b" * 40), "1.1.0")


def plain(result: Result) -> list[str]:
    """The lines for people, without colour."""
    return [click.unstyle(line) for line in describe(result)]


# --- update -----------------------------------------------------------------------------


def test_an_update_answers_with_all_that_it_did(host: Deployment, terminal: Terminal) -> None:
    start = host.head()
    middle, end = host.release("1.1.0"), host.release("1.2.0")
    answer = terminal.run("update")
    record = answer.record
    assert (answer.code, answer.outcome, list(record)) == (0, "updated", KEYS)
    assert record["from"] == {"commit": start, "version": "1.0.0"}
    assert record["to"] == {"commit": end, "version": "1.2.0"}
    subjects = [(end, "Version 1.2.0"), (middle, "Version 1.1.0")]
    expected = [{"id": commit, "subject": subject} for commit, subject in subjects]
    assert record["commits"] == {"count": 2, "list": expected}
    assert all(set(step) == {"name", "seconds", "skipped", "detail"} for step in record["steps"])
    assert {step["name"] for step in record["steps"]} >= {
        "fetch",
        "install",
        "migrate",
        "activate",
        "restart",
    }
    assert (record["errors"], record["waiting_for"], record["confirmed"]) == ([], [], None)
    assert record["attempt"] == host.lines("history.jsonl")[-1]["attempt"]
    assert host.head() == end


def test_the_text_says_the_same(host: Deployment, terminal: Terminal) -> None:
    commit = host.release("1.1.0")
    lines = terminal.lines("update")
    sentence = [
        f"updated to 1.1.0 ({commit[:9]})",
        UNCONFIRMED,
        "  1 commit",
        f"    {commit[:9]} Version 1.1.0",
    ]
    assert lines[:4] == sentence
    assert "  migrate    skipped  nothing to migrate" in lines
    assert terminal.lines("update") == [f"up to date at 1.1.0 ({commit[:9]})"]


def test_a_second_update_is_up_to_date_with_every_key(host: Deployment, terminal: Terminal) -> None:
    answer = terminal.run("update")
    assert (answer.code, answer.outcome, list(answer.record)) == (0, "up_to_date", KEYS)
    assert answer.record["attempt"] is None
    assert not (host.state / "history.jsonl").exists()


def test_a_dry_run_changes_nothing_and_takes_no_lock(host: Deployment, terminal: Terminal) -> None:
    before, commit = host.head(), host.release("1.1.0")
    terminal.run("status")
    with update_lock(host.state, "somebody", "to try it"):
        answer = terminal.run("update", "--dry-run")
    assert (answer.code, answer.outcome, list(answer.record)) == (0, "available", KEYS)
    assert answer.record["to"]["commit"] == commit
    assert host.head() == before
    assert not (host.state / "journal.jsonl").exists()


def test_to_names_the_release_of_this_attempt(host: Deployment, terminal: Terminal) -> None:
    middle = host.release("1.1.0")
    host.release("1.2.0")
    assert terminal.run("update", "--to", "1.1.0").record["to"]["commit"] == middle
    start = host.checkout.id_of("HEAD~1")
    assert terminal.run("update", "--to", start).record["to"]["commit"] == start
    answer = terminal.run("update", "--to", "9.9.9")
    assert answer.outcome == "failed"
    (error,) = answer.record["errors"]
    assert "9.9.9" in error["message"]
    assert "pinned" not in error["message"], "nothing is"
    assert "name another version" in error["cure"]


@pytest.mark.parametrize("branch", ["-x", "a..b", "refs/heads/main:evil", "main main", "a~1", ""])
def test_a_branch_that_is_no_plain_name_is_stopped_before_git_runs(
    host: Deployment, terminal: Terminal, branch: str
) -> None:
    """threats.md T15."""
    shutil.rmtree(host.remote.path)
    before = host.head()
    answer = terminal.run("update", f"--branch={branch}")
    assert answer.code in (2, 5), answer.record
    assert answer.outcome in ("usage", "refused")
    assert host.head() == before


def test_a_branch_is_for_one_attempt_and_changes_no_setting(host: Deployment, terminal: Terminal) -> None:
    commit = host.remote.commit({"app.py": "print('side')\n"}, "Side", branch="side")
    assert terminal.run("update", "--branch", "side").record["to"]["commit"] == commit
    shown = terminal.run("config").record
    assert "side" not in str(shown)
    (error,) = terminal.run("update", "--branch", "none").record["errors"]
    assert "--branch" in error["cure"]


@pytest.mark.parametrize("seconds", ["-1", "nan", "soon", "10m", " "])
def test_a_wait_that_is_no_number_of_seconds_is_named_with_one_that_is(
    host: Deployment, terminal: Terminal, seconds: str
) -> None:
    code, _, errors = terminal.text("update", f"--wait={seconds}")
    assert code == 2
    assert "is no number of seconds, such as 30" in errors


def test_a_lock_that_is_held_is_named_and_never_waited_for(host: Deployment, terminal: Terminal) -> None:
    host.release("1.1.0")
    terminal.run("status")
    for verb in ("update", "rollback"):
        with update_lock(host.state, "somebody", "to try it"):
            answer = terminal.run(verb)
            code, output, errors = terminal.text(verb)
        assert (answer.code, answer.outcome, list(answer.record)) == (3, "locked", KEYS)
        (error,) = answer.record["errors"]
        assert "somebody" in error["message"]
        assert "to try it" in error["message"]
        assert (code, output) == (3, "")
        assert error["message"] in errors


def test_the_agent_asks_then_the_history_says_why_and_nobody_is_told_of_the_option(
    host: Deployment, terminal: Terminal
) -> None:
    host.release("1.1.0")
    assert terminal.run("update", "--origin", "signal").outcome == "updated"
    assert host.lines("history.jsonl")[-1]["origin"] == "signal"
    assert host.lines("journal.jsonl")[0]["detail"]["origin"] == "signal"
    assert (answer := terminal.run("update", "--origin", "a friend")).code == 2, answer
    assert "--origin" not in "\n".join(terminal.lines("update", "--help"))


def test_running_jobs_are_waited_for_unless_they_may_be_cut_off(host: Deployment, terminal: Terminal) -> None:
    commit = host.release("1.1.0")
    terminal.run("status")
    with busy("job 17", state_dir=host.state):
        answer = terminal.run("update", "--now")
        assert (answer.code, answer.outcome) == (4, "waiting")
        (waiting,) = answer.record["waiting_for"]
        assert (waiting["gate"], set(waiting)) == ("idle", {"gate", "reason", "since"})
        code, output, _ = terminal.text("update")
        assert code == 4
        assert output.splitlines()[0] == f"1.1.0 ({commit[:9]}) is owed; waiting"
        assert f"  waits for idle: {waiting['reason']}" in output.splitlines()
        assert terminal.run("update", "--force-busy").outcome == "updated"


@pytest.mark.parametrize("gate", ["MIN_AGE=900d", "COOLDOWN=1d", "WINDOW=Mon 00:00-00:01 UTC"])
def test_now_skips_window_age_and_cooldown(host: Deployment, terminal: Terminal, gate: str) -> None:
    host.release("1.1.0")
    assert terminal.run("update").outcome == "updated"
    host.release("1.2.0")
    key, value = gate.split("=")
    if key == "WINDOW":
        weekday = (datetime.now(UTC).isoweekday() + 2) % 7
        value = value.replace("Mon", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[weekday])
    terminal.monkeypatch.setenv(f"NEWLEAF_GATES__{key}", value)
    answer = terminal.run("update")
    assert (answer.code, answer.outcome) == (4, "waiting")
    names = {"MIN_AGE": "age", "COOLDOWN": "cooldown", "WINDOW": "window"}
    assert [waiting["gate"] for waiting in answer.record["waiting_for"]] == [names[key]]
    assert terminal.run("update", "--now").outcome == "updated"


def test_a_failed_step_has_its_errors_and_the_old_release_stays(host: Deployment, terminal: Terminal) -> None:
    before = host.head()
    host.release(
        "1.1.0", {"newleaf.toml": settings_text(update={"install": ["sh", "-c", "echo no; exit 3"]})}
    )
    answer = terminal.run("update")
    assert (answer.code, answer.outcome, list(answer.record)) == (1, "failed", KEYS)
    assert host.head() == before
    error = answer.record["errors"][0]
    assert {"code", "message"} <= set(error)
    host.release("1.1.1")
    code, output, _ = terminal.text("update")
    assert code == 1
    assert output.splitlines()[0].endswith(f"failed; 1.0.0 ({before[:9]}) stays")
    assert f"  {error['code']}: {error['message']}".splitlines()[0] in output


def test_a_remote_out_of_reach_has_every_key_too(host: Deployment, terminal: Terminal) -> None:
    shutil.rmtree(host.remote.path)
    answer = terminal.run("update")
    assert (answer.code, answer.outcome, list(answer.record)) == (1, "failed", KEYS)
    assert answer.record["errors"]


def test_waiting_for_the_report_ends_confirmed(host: Deployment, terminal: Terminal) -> None:
    host.release("1.1.0", {"daemon.py": DAEMON, "newleaf.toml": settings_text()})
    terminal.run("update")
    daemon = host.start_daemon()
    try:
        assert terminal.run("history").record["attempts"][-1]["confirmed"] is True
        assert terminal.run("update", "--wait", "5").outcome == "up_to_date"
    finally:
        daemon.terminate()
        daemon.wait()


# --- rollback ---------------------------------------------------------------------------


def test_rollback_is_ok_and_denies_what_it_left(host: Deployment, terminal: Terminal) -> None:
    start, commit = host.head(), host.release("1.1.0")
    terminal.run("update")
    answer = terminal.run("rollback")
    assert (answer.code, answer.outcome, list(answer.record)) == (0, "ok", KEYS)
    assert (answer.record["from"]["commit"], answer.record["to"]["commit"]) == (commit, start)
    assert host.head() == start
    assert list(host.record("denied.json"))[-1] == commit
    held = terminal.run("update")
    assert (held.code, held.outcome) == (0, "held")


def test_rollback_goes_to_the_commit_that_is_named(host: Deployment, terminal: Terminal) -> None:
    start = host.head()
    for version in ("1.1.0", "1.2.0"):
        host.release(version)
        terminal.run("update")
    lines = terminal.lines("rollback", "--to", start)
    assert lines[:2] == [f"back at 1.0.0 ({start[:9]})", UNCONFIRMED]
    assert host.head() == start


def test_with_nothing_to_go_back_to_rollback_changes_nothing(host: Deployment, terminal: Terminal) -> None:
    before = host.head()
    answer = terminal.run("rollback")
    assert answer.code != 0
    assert answer.record["errors"]
    assert host.head() == before


# --- text -------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", sorted(set(EXIT_CODES) - {"usage", "locked"}))
def test_every_outcome_has_its_sentence_also_when_nothing_is_known(outcome: str) -> None:
    assert plain(Result(outcome, HERE, THERE))[0]
    assert "None" not in plain(Result(outcome))[0]


def test_a_confirmed_release_is_called_so() -> None:
    lines = plain(Result("updated", HERE, THERE, confirmed=True))
    assert lines[1] == "  confirmed: the new process has reported this release"
    assert plain(Result("updated", HERE, THERE, confirmed=False))[1] == UNCONFIRMED
    assert len(plain(Result("held", HERE))) == 1


def test_of_many_commits_the_first_are_shown_and_the_rest_counted() -> None:
    commits = tuple((f"{number:040d}", f"Change {number}") for number in range(SHOWN_COMMITS + 2))
    lines = plain(Result("updated", HERE, THERE, commits, SHOWN_COMMITS + 7))
    assert f"  {SHOWN_COMMITS + 7} commits" in lines
    assert lines[-1] == "    … and 7 more"
    assert sum("Change" in line for line in lines) == SHOWN_COMMITS
    exact = plain(Result("updated", HERE, THERE, commits[:SHOWN_COMMITS], SHOWN_COMMITS))
    assert not any("more" in line for line in exact)


def test_steps_errors_waits_and_notes_stand_below_each_other() -> None:
    result = Result(
        "failed",
        HERE,
        THERE,
        steps=(StepReport("fetch", 0.5), StepReport("install", detail="one\ntwo", skipped=True)),
        errors=({"code": "broken", "message": "it broke", "lines": ["last words"], "cure": "mend it"},),
        waiting_for=(Waiting("idle", "a job runs", datetime.now(UTC)),),
        notes=("mind the stash",),
    )
    assert plain(result)[1:] == [
        "  fetch       0.50 s",
        "  install    skipped  one",
        "  waits for idle: a job runs",
        "  broken: it broke",
        "    | last words",
        "    mend it",
        "  mind the stash",
    ]
