"""`newleaf` when it is interrupted, when its reader goes away, and when several are started at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, migration, settings_text, wait_until
from tests.support.git_servers import listening

PATIENT = "touch {marker}; if [ -e {mended} ]; then exit 0; fi; echo $$ > {pid}; exec sleep 60"
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def patient(folder: Path) -> list[str]:
    """A command that says it runs, and then takes its time, until somebody mends it."""
    places = {name: str(folder / name) for name in ("marker", "mended", "pid")}
    return ["sh", "-c", PATIENT.format_map(places)]


def in_install(folder: Path) -> Deployment:
    deployment = Deployment.make(folder, update={"install": patient(folder)})
    deployment.release("1.1.0")
    return deployment


def in_restart(folder: Path) -> Deployment:
    deployment = Deployment.make(folder, restart={"mode": "command", "command": patient(folder)})
    deployment.release("1.1.0")
    return deployment


def in_migration(folder: Path) -> Deployment:
    deployment = Deployment.make(folder)
    words = patient(folder)
    body = f"import subprocess; subprocess.run({words!r}, check=True)"
    check = f"import os; return os.path.exists({str(folder / 'mended')!r})"
    deployment.release("1.1.0", {"migrations/v1.1.0/001_a.py": migration(body, check)})
    return deployment


MOMENTS = {"install": in_install, "restart": in_restart, "migrate": in_migration}


def is_gone(pid: int) -> bool:
    """Whether the process has ended, reaped or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and ") Z " in stat.read_text()


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_update_that_is_told_to_end_leaves_nothing_running_and_the_next_one_arrives(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    """Promise 5, lessons.md L22"""
    deployment = MOMENTS[moment](tmp_path)
    update = deployment.start("update", "--json")
    child = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    update.send_signal(number)
    output, errors = update.communicate(timeout=20)
    record = json.loads(output)
    assert update.returncode == SIGNALS[number]
    assert (record["outcome"], record["errors"][0]["code"]) == ("failed", "interrupted")
    assert errors == ""
    wait_until(lambda: is_gone(child), 5)
    (tmp_path / "mended").touch()
    done = deployment.run("update")
    assert done.outcome == "updated", done
    assert deployment.head() == deployment.remote.heads()["main"]
    assert deployment.checkout.changes() == []
    assert deployment.run("update").outcome == "up_to_date"


def test_interrupted_while_the_remote_is_silent_it_leaves_at_once(tmp_path: Path) -> None:
    """lessons.md L10"""
    deployment = Deployment.make(tmp_path)
    url = deployment.remote.url
    with listening() as (listener, accept):
        clients: list[socket.socket] = []
        accept(clients.append)
        port = listener.getsockname()[1]
        deployment.checkout.git("remote", "set-url", "origin", f"http://127.0.0.1:{port}/remote.git")
        update = deployment.start("update")
        wait_until(lambda: clients)
        os.killpg(update.pid, signal.SIGINT)  # as a terminal does it
        output, errors = update.communicate(timeout=10)
        for client in clients:
            client.close()
    assert (update.returncode, output) == (130, "")
    assert errors.startswith("newleaf: interrupted")
    deployment.checkout.git("remote", "set-url", "origin", url)
    assert deployment.run("update").outcome == "up_to_date"


def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    deployment = in_install(tmp_path)

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    update = deployment.start("update", "--json", before=ignore)
    child = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    update.send_signal(signal.SIGHUP)
    (tmp_path / "mended").touch()
    os.kill(child, signal.SIGTERM)
    output, _ = update.communicate(timeout=20)
    assert json.loads(output)["errors"][0]["code"] == "install_failed"


@pytest.mark.parametrize("number", range(1, 9))
def test_after_a_kill_at_any_journal_record_a_person_can_go_back(tmp_path: Path, number: int) -> None:
    """lessons.md L42: what is left is denied, and the way back leads to what was there before."""
    deployment = Deployment.make(tmp_path)
    mark = tmp_path / "migrated"
    first = deployment.head()
    deployment.release("1.1.0")
    deployment.run("update")
    body, check = f"open({str(mark)!r}, 'w')", f"import os; return os.path.exists({str(mark)!r})"
    second = deployment.head()
    third = deployment.release("1.2.0", {"migrations/v1.2.0/001_a.py": migration(body, check)})
    deployment.run("update", kill_at=f"append:journal.jsonl:{number}")
    touched = deployment.states()[-1] in ("install", "migrate", "activate", "restart")
    back = deployment.run("rollback")
    assert (back.code, back.outcome) == (0, "ok"), back
    assert deployment.head() == back.record["to"]["commit"] == (second if touched else first)
    assert set(deployment.record("denied.json")) - {"schema"} == {third if touched else second}
    assert deployment.checkout.changes() == []
    if touched:
        assert deployment.run("update").outcome == "held"
    assert deployment.run("allow", (third if touched else second)[:12]).outcome == "ok"
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == third


def test_after_a_kill_a_person_can_go_to_a_release_of_choice(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path)
    first = deployment.head()
    deployment.release("1.1.0")
    deployment.run("update")
    deployment.release("1.2.0")
    deployment.run("update", kill_at="append:journal.jsonl:6")
    back = deployment.run("rollback", "--to", first[:12])
    assert (back.code, deployment.head()) == (0, first), back


@pytest.mark.parametrize("left", [None, "[app]\nna"], ids=["gone", "half written"])
def test_the_power_goes_while_git_writes_the_apps_file_then_the_next_update_arrives(
    tmp_path: Path, left: str | None
) -> None:
    """design.md promise 5, lessons.md L13: no verb could read its settings any more."""
    deployment = Deployment.make(tmp_path)
    first = deployment.head()
    commit = deployment.release("1.1.0", {"newleaf.toml": settings_text(gates={"cooldown": 0})})
    deployment.run("update", kill_at="append:journal.jsonl:5")
    # The files are on their way, and the checkout's branch has not moved.
    deployment.checkout.git("update-ref", "refs/heads/main", first)
    move = {"schema": 1, "from": first, "to": commit, "name": "1.1.0", "stashes": []}
    (deployment.state / "git/move.json").write_text(json.dumps(move))
    (deployment.app / "newleaf.toml").unlink()
    if left is not None:
        (deployment.app / "newleaf.toml").write_text(left)
    answer = deployment.run("update", "--state-dir", str(deployment.state), folder=deployment.home)
    assert (answer.code, answer.outcome) == (0, "updated"), answer
    assert deployment.head() == commit
    assert deployment.checkout.changes() == []


# --- several at once ------------------------------------------------------------------------


def test_of_many_updates_at_once_one_is_made(tmp_path: Path) -> None:
    """lessons.md L36"""
    deployment = Deployment.make(tmp_path)
    commit = deployment.release("1.1.0")
    started = [deployment.start("update", "--json") for _ in range(6)]
    records = [json.loads(process.communicate(timeout=60)[0]) for process in started]
    outcomes = Counter(record["outcome"] for record in records)
    assert outcomes["updated"] == 1
    assert outcomes.keys() <= {"updated", "up_to_date", "locked"}
    assert {process.returncode for process in started} <= {0, 3}
    assert deployment.head() == commit
    assert deployment.states().count("done") == 1


@pytest.mark.parametrize("verb", [["rollback"], ["migrate"]])
def test_other_verbs_that_change_the_host_wait_for_nobody_either(tmp_path: Path, verb: list[str]) -> None:
    """lessons.md L35, L36"""
    deployment = in_install(tmp_path)
    update = deployment.start("update", "--json")
    try:
        wait_until((tmp_path / "pid").exists)
        answer = deployment.run(*verb)
        assert (answer.code, answer.outcome) == (3, "locked")
        assert f"pid {update.pid}" in answer.record["errors"][0]["message"]
        assert "an update runs now" in deployment.run("why").record["summary"]
        assert deployment.run("status").code == 0
        assert deployment.run("history").code == 0
    finally:
        update.send_signal(signal.SIGTERM)
        update.communicate(timeout=20)


# --- who reads ------------------------------------------------------------------------------


@pytest.fixture
def read_end() -> Iterator[int]:
    """The write end of a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "verb", [["--help"], ["status"], ["status", "--json"], ["config"], ["update", "--json"]]
)
def test_a_reader_that_has_gone_is_no_failure(tmp_path: Path, read_end: int, verb: list[str]) -> None:
    deployment = Deployment.make(tmp_path)
    done = subprocess.run(
        deployment.words(*verb),
        cwd=deployment.checkout.path,
        env=deployment.variables,
        stdout=read_end,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_standard_streams_that_are_closed_do_no_harm(tmp_path: Path, redirection: str) -> None:
    deployment = Deployment.make(tmp_path)
    commit = deployment.release("1.1.0")
    words = ["sh", "-c", f'exec "$@" {redirection}', "sh", *deployment.words()]
    process = deployment.start("update", program=words)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert deployment.head() == commit


def test_what_is_printed_to_a_closed_stream_does_not_land_in_a_file(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path)
    words = ["sh", "-c", 'exec "$@" >&-', "sh", *deployment.words()]
    process = deployment.start("busy", "--", "echo", "a job's output", program=words)
    process.communicate(timeout=60)
    assert b"a job's output" not in (deployment.state / "busy.lock").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("verb", [["status"], ["status", "--json"], ["history"], ["config", "--json"]])
def test_an_output_that_takes_nothing_is_a_failure_in_one_line(tmp_path: Path, verb: list[str]) -> None:
    deployment = Deployment.make(tmp_path)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            deployment.words(*verb),
            cwd=deployment.checkout.path,
            env=deployment.variables,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr
