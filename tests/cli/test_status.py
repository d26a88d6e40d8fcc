"""`status`, `why` and `history`: what runs, what it waits for, and what has happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from newleaf.agent.jobs import busy
from newleaf.cli.status import describe_history, describe_status, describe_why, name
from newleaf.system.locks import update_lock
from newleaf.system.planned_restart import announce
from tests.support.deployment import DAEMON, Deployment, settings_text, wait_until
from tests.support.terminal import Terminal

STATUS = [
    *("schema", "status", "timestamp", "computer", "app", "channel"),
    *("running", "target", "attempt", "error", "waiting_for"),
]
GATES = {"idle", "window", "age", "cooldown", "spread", "lease", "restart"}


def wait_for_idle(host: Deployment, terminal: Terminal) -> str:
    """Makes an update that waits for a job; the commit that is owed."""
    commit = host.release("1.1.0")
    terminal.run("status")
    with busy("job 17", state_dir=host.state):
        assert terminal.run("update").code == 4
    return commit


# --- status -----------------------------------------------------------------------------


def test_before_anything_happened_the_status_is_checking_and_nothing_is_known_to_run(
    host: Deployment, terminal: Terminal
) -> None:
    """lessons.md L1."""
    answer = terminal.run("status")
    assert answer.code == 0
    assert list(answer.record) == STATUS
    told = {key: answer.record[key] for key in ("status", "app", "channel", "computer", "running")}
    expected = {"status": "checking", "app": "sessions", "channel": "alpha", "running": None}
    assert told == {**expected, "computer": os.uname().nodename}
    lines = terminal.lines("status")
    assert lines[:3] == [
        f"sessions on {os.uname().nodename}: checking",
        "  running  unknown: no live process has reported",
        "  channel  alpha",
    ]


def test_the_record_is_the_published_one_to_the_letter(host: Deployment, terminal: Terminal) -> None:
    host.release("1.1.0")
    terminal.run("update")
    answer = terminal.run("status")
    assert list(answer.record) == STATUS
    assert answer.record == host.record("status.json")
    assert (answer.record["status"], answer.record["running"]) == ("restarting", None)


def test_what_runs_is_what_the_live_process_reported(host: Deployment, terminal: Terminal) -> None:
    commit = host.release("1.1.0", {"daemon.py": DAEMON})
    terminal.run("update")
    daemon = host.start_daemon()
    try:
        wait_until(lambda: host.record("status.json")["status"] == "deployed")
        record = terminal.run("status").record
        assert (record["status"], record["running"]) == ("deployed", {"commit": commit, "version": "1.1.0"})
        assert f"  running  1.1.0 ({commit[:9]})" in terminal.lines("status")
    finally:
        daemon.terminate()
        daemon.wait()
    assert terminal.run("status").record["running"] is None


def test_what_is_waited_for_is_shown_with_reason_and_time(host: Deployment, terminal: Terminal) -> None:
    commit = wait_for_idle(host, terminal)
    record = terminal.run("status").record
    (waiting,) = record["waiting_for"]
    assert record["status"] == "waiting"
    assert record["target"]["commit"] == commit
    lines = terminal.lines("status")
    assert f"  target   1.1.0 ({commit[:9]})" in lines
    assert f"  waits    for idle since {waiting['since']}: {waiting['reason']}" in lines


def test_the_error_of_a_failure_is_shown(host: Deployment, terminal: Terminal) -> None:
    host.release("1.1.0", {"newleaf.toml": settings_text(update={"install": ["false"]})})
    assert terminal.run("update").outcome == "failed"
    record = terminal.run("status").record
    assert record["status"] == "update_failed"
    assert f"  error    {record['error']}" in terminal.text("status")[1]


@pytest.mark.parametrize("verb", ["status", "why"])
def test_a_planned_restart_is_shown_while_it_is_under_way(
    host: Deployment, terminal: Terminal, verb: str
) -> None:
    """lessons.md L31"""
    terminal.run("status")
    assert not terminal.run(verb).record.get("planned_restart")
    announce(host.state, "from 1.0.0 to 1.1.0", datetime.now(UTC), 60)
    planned = terminal.run(verb).record["planned_restart"]
    assert planned["reason"] == "from 1.0.0 to 1.1.0"
    said = f"  a planned restart is under way until {planned['expires']}: from 1.0.0 to 1.1.0"
    assert said in terminal.lines(verb)
    announce(host.state, "from 1.0.0 to 1.1.0", datetime.now(UTC) - timedelta(seconds=61), 60)
    assert not terminal.run(verb).record.get("planned_restart"), "it ends by itself"


def test_watching_shows_each_change_once(host: Deployment, terminal: Terminal) -> None:
    terminal.run("status")
    process = host.start("status", "--watch")
    assert process.stdout is not None
    try:
        assert process.stdout.readline().endswith(": checking\n")
        host.release("1.1.0")
        terminal.run("update")
        rest = [process.stdout.readline() for _ in range(3)]
        first = next(line for line in iter(process.stdout.readline, "") if line.startswith("sessions on "))
        assert first.endswith(": restarting\n"), rest
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 130


def test_watching_with_json_is_one_object_all_the_same(terminal: Terminal) -> None:
    assert list(terminal.run("status", "--watch").record) == STATUS


def test_status_loads_neither_git_nor_the_transaction(host: Deployment) -> None:
    program = "import sys; from newleaf.cli.main import run; run(['status', '--json']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=host.checkout.path,
        env=host.variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    answer, loaded = done.stdout.splitlines()
    assert json.loads(answer)["status"] == "checking"
    unneeded = {
        *("newleaf.system.git.directory", "newleaf.system.http", "newleaf.system.github"),
        "newleaf.agent.watcher",
        *("newleaf.update.transaction", "newleaf.update.checkout.in_place", "newleaf.agent.origin"),
    }
    assert not unneeded & set(loaded.split())


# --- why --------------------------------------------------------------------------------


def test_why_names_every_gate_and_that_nothing_stands_in_the_way(terminal: Terminal) -> None:
    answer = terminal.run("why")
    assert (answer.code, answer.outcome) == (0, "ok")
    gates = answer.record["gates"]
    assert {gate["gate"] for gate in gates} == GATES
    assert all(gate["holds"] and gate["reason"] for gate in gates)
    assert all(gate["since"] is None for gate in gates)
    nothing = [answer.record[key] for key in ("attempt", "suspended", "pin", "locked_by", "last_failure")]
    assert (nothing, answer.record["denied"]) == ([None] * 5, {})
    assert answer.record["summary"] == "nothing is owed, and nothing stands in the way of an update"


def test_why_is_an_aligned_table_for_people(terminal: Terminal) -> None:
    lines = terminal.lines("why")
    assert lines[0] == "nothing is owed, and nothing stands in the way of an update"
    head, *rows = lines[1:-1]
    assert head.split() == ["gate", "now", "why"]
    assert len(rows) == len(GATES)
    assert {row[head.index("now") :].split()[0] for row in rows} == {"holds"}
    assert len({row[head.index("why") - 1] + row[head.index("now") - 1] for row in [head, *rows]}) == 1
    assert all(row[head.index("why")] != " " for row in rows)
    assert lines[-1] == "  no failure since the last success"


def test_why_says_what_an_owed_update_waits_for_and_since_when(host: Deployment, terminal: Terminal) -> None:
    """lessons.md L6."""
    commit = wait_for_idle(host, terminal)
    with busy("job 17", state_dir=host.state):
        record = terminal.run("why").record
        lines = terminal.lines("why")
    idle = next(gate for gate in record["gates"] if gate["gate"] == "idle")
    assert (idle["holds"], bool(idle["reason"])) == (False, True)
    assert idle["since"] == host.record("status.json")["waiting_for"][0]["since"]
    assert record["attempt"]["to"] == {"commit": commit, "version": "1.1.0"}
    assert record["attempt"]["from"]["commit"] == host.head()
    assert record["summary"] == f"1.1.0 ({commit[:9]}) is owed; it waits for idle"
    assert f"  idle      waits  {idle['reason']} (since {idle['since']})" in lines


def test_why_repeats_the_reason_of_a_suspension_and_the_pin(terminal: Terminal) -> None:
    terminal.run("pin", "1.0.0")
    terminal.run("suspend", "--why", "the fair")
    record = terminal.run("why").record
    assert record["pin"] == "1.0.0"
    assert "the fair" in record["suspended"]
    assert record["summary"] == record["suspended"]
    lines = terminal.lines("why")
    assert f"  suspended  {record['suspended']}" in lines
    assert "  pinned     1.0.0; `newleaf unpin` returns to the channel" in lines


def test_why_names_the_lasting_failure_until_a_success(host: Deployment, terminal: Terminal) -> None:
    host.release("1.1.0", {"newleaf.toml": settings_text(update={"install": ["false"]})})
    attempt = terminal.run("update").record["attempt"]
    record = terminal.run("why").record
    failure = record["last_failure"]
    assert (failure["attempt"], failure["outcome"]) == (attempt, "failed")
    assert failure["errors"][0]["message"]
    assert "ended failed" in record["summary"]
    lines = terminal.lines("why")
    assert any(line.startswith(f"  last failure: failed at {failure['at']}, to 1.1.0 (") for line in lines)
    assert f"    {failure['errors'][0]['code']}: {failure['errors'][0]['message']}" in "\n".join(lines)
    host.release("1.2.0", {"newleaf.toml": settings_text()})
    assert terminal.run("update").outcome == "updated"
    assert terminal.run("why").record["last_failure"] is None


def test_why_lists_what_is_denied(host: Deployment, terminal: Terminal) -> None:
    commit = host.release("1.1.0")
    terminal.run("update")
    terminal.run("rollback")
    denied = terminal.run("why").record["denied"]
    assert list(denied) == [commit]
    assert set(denied[commit]) == {"when", "why", "attempt"}
    said = f"  denied     {commit[:12]} since {denied[commit]['when']}: {denied[commit]['why']}"
    assert said in terminal.lines("why")


def test_why_names_who_holds_the_lock(host: Deployment, terminal: Terminal) -> None:
    terminal.run("why")
    with update_lock(host.state, "somebody", "to try it"):
        record = terminal.run("why").record
        lines = terminal.lines("why")
    assert "somebody" in record["locked_by"]
    assert str(os.getpid()) in record["locked_by"]
    assert record["summary"] == f"an update runs now: {record['locked_by']}"
    assert f"  locked     {record['locked_by']}" in lines


def test_why_needs_no_remote(host: Deployment, terminal: Terminal) -> None:
    shutil.rmtree(host.remote.path)
    assert terminal.run("why").code == 0
    assert terminal.run("status").code == 0


# --- history ----------------------------------------------------------------------------


def test_history_lists_the_newest_attempts_oldest_first(host: Deployment, terminal: Terminal) -> None:
    assert terminal.run("history").record == {"schema": 1, "outcome": "ok", "attempts": []}
    assert terminal.lines("history") == ["no attempt yet"]
    ids = []
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        host.release(version)
        ids.append(terminal.run("update").record["attempt"])

    def listed(*words: str) -> list[str]:
        return [attempt["attempt"] for attempt in terminal.run("history", *words).record["attempts"]]

    assert listed() == ids
    assert listed("-n", "2") == ids[1:]
    assert listed("-n", "1") == ids[2:]
    assert listed("-n", "99") == ids
    assert len(terminal.lines("history", "-n", "2")) == 3


def test_a_line_has_outcome_durations_and_releases(host: Deployment, terminal: Terminal) -> None:
    start, commit = host.head(), host.release("1.1.0")
    terminal.run("update")
    (attempt,) = terminal.run("history").record["attempts"]
    assert attempt == host.lines("history.jsonl")[0]
    assert (attempt["outcome"], attempt["kind"], attempt["confirmed"]) == ("updated", "update", None)
    assert (attempt["from"]["commit"], attempt["to"]["commit"]) == (start, commit)
    assert set(attempt["durations"]) >= {"fetch", "activate"}
    head, row = terminal.lines("history")
    assert head.split() == ["when", "(UTC)", "kind", "outcome", "confirmed", "from", "to", "took", "error"]
    for column, cell in {
        "kind": "update",
        "outcome": "updated",
        "confirmed": "unknown",
        "from": f"1.0.0 ({start[:9]})",
        "to": f"1.1.0 ({commit[:9]})",
    }.items():
        assert row[head.index(column) :].startswith(cell), column


def test_only_what_was_brought_can_be_confirmed() -> None:
    def cell(outcome: str, confirmed: object) -> str:
        attempt = {"at": "2026-11-20T12:00:00.000Z", "outcome": outcome, "confirmed": confirmed}
        head, row = map(click.unstyle, describe_history([attempt]))
        return row[head.index("confirmed") : head.index("from")].strip()

    cases = (("updated", True), ("ok", False), ("started", None), ("failed", None), ("rolled_back", True))
    assert [cell(*case) for case in cases] == ["yes", "no", "unknown", "", ""]


def test_errors_of_an_attempt_are_one_line_in_the_table() -> None:
    errors = [{"code": "a", "message": "first\nsecond"}, {"code": "b", "message": "third"}]
    attempt = {"at": "2026-11-20T12:00:00Z", "outcome": "failed", "errors": errors, "durations": {"x": 1.26}}
    row = describe_history([attempt])[1]
    assert row.startswith("2026-11-20 12:00:00  update  failed")
    assert row.endswith("1.3 s  first; third")


# --- words ------------------------------------------------------------------------------


def test_a_release_is_named_by_version_and_short_commit() -> None:
    commit = "a" * 40
    assert name({"commit": commit, "version": "1.0.0"}) == "1.0.0 (aaaaaaaaa)"
    assert name({"commit": commit, "version": None}) == "aaaaaaaaa"
    assert name(None) == ""


def test_a_failure_without_a_word_is_described_all_the_same() -> None:
    record = {"status": "deployed", "app": "a", "computer": "b", "channel": "beta", "timestamp": "t"}
    assert len(list(describe_status({**record, "running": None}))) == 4
    reasons: dict[str, Any] = {
        "summary": "s",
        "suspended": None,
        "pin": None,
        "locked_by": None,
        "gates": [],
        "denied": {},
    }
    failure = {"outcome": "failed", "at": "t", "errors": [{"code": "c", "message": "m", "cure": "do it"}]}
    lines = list(describe_why({**reasons, "last_failure": failure}))
    assert lines[-3:] == ["  last failure: failed at t", "    c: m", "      do it"]
