"""`run` and the verbs that speak with a launcher: what they say when there is one, and when there is none."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.system.control_socket import CONTROL
from tests.support.answering import Answering
from tests.support.children import started
from tests.support.deployment import Deployment, wait_until
from tests.support.launchers import SLEEPER, serving, state_directory
from tests.support.terminal import Terminal


@pytest.fixture
def host() -> Iterator[Deployment]:
    """In a folder whose path leaves room for sockets."""
    with state_directory() as folder:
        yield Deployment.make(folder, app={"command": SLEEPER}, health={"probation": 0.1})


@pytest.fixture
def launcher(host: Deployment) -> Iterator[Answering]:
    host.state.mkdir(mode=0o700, exist_ok=True)
    with Answering.at(host.state / CONTROL) as answering:
        yield answering


def event(word: str, **facts: object) -> bytes:
    return json.dumps({"event": word, "reason": "", **facts}).encode() + b"\n"


def called(host: Deployment, *words: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """A verb as a program, which is gone after the block."""
    pipes = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return started(*host.words(*words), ready=False, cwd=host.app, env=host.variables, **pipes)


@contextlib.contextmanager
def running(host: Deployment, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`newleaf run`, from when its daemon serves; the daemon goes with it."""
    with called(host, "run", "--no-agent", *words) as launcher:
        try:
            wait_until(lambda: launcher.poll() is not None or serving(host.state))
            yield launcher
        finally:
            launcher.terminate()
            launcher.wait(20)


# --- run ----------------------------------------------------------------------------------------


def test_it_becomes_the_launcher_and_ends_with_0_when_it_is_told_to(host: Deployment) -> None:
    with running(host, "--log-files") as launcher:
        assert host.record("daemon.pid")["launcher"] == launcher.pid
        assert host.record("launcher.json")["post"]["log_files"] is True
        assert (host.state / "identity.json").exists()
        second = host.run("run")
        assert (second.code, second.record["errors"][0]["code"]) == (1, "launcher_runs")
        assert str(launcher.pid) in second.record["errors"][0]["message"]
        assert host.run("stop").record["outcome"] == "ok"
        assert launcher.wait(20) == 0
    assert host.run("stop").record["errors"][0]["code"] == "no_launcher"


def test_asked_for_json_it_prints_one_object_in_the_end_and_the_daemon_s_output_elsewhere(
    host: Deployment,
) -> None:
    code, output, errors = host.text("run", "--json", "--no-agent", "--", "/no/such/program")
    assert (code, json.loads(output)["outcome"]) == (1, "failed")
    assert "cannot be started" in errors
    talker = [sys.executable, "-uc", f"print('canary'); {SLEEPER[-1]}"]
    with running(host, "--json", "--", *talker) as launcher:
        assert host.run("stop").record["outcome"] == "ok"
        output, errors = launcher.communicate(timeout=20)
    assert json.loads(output) == {"schema": 1, "outcome": "ok", "exit": 0}
    assert "canary" in errors


def test_a_command_after_two_dashes_is_run_whatever_its_words(host: Deployment) -> None:
    words = ("/no/such/program", "--json", "--state-dir", "x", "-h")
    code, output, errors = host.text("run", "--no-agent", "--", *words)
    assert (code, output) == (1, "")
    assert "the daemon cannot be started: /no/such/program: No such file" in errors
    assert host.record("launcher.json")["plan"]["command"] == list(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stop", "--nonesuch"), "--nonesuch"),
        (("logs", "-n", "-1"), "-1"),
        (("logs", "-n", "many"), "many"),
        (("reload", "now"), "now"),
        (("stop", "--force"), "--force"),
        (("settle",), "confirmed"),
        (("settle", "undecided"), "undecided"),
    ],
)
def test_wrong_use_is_said(terminal: Terminal, words: tuple[str, ...], message: str) -> None:
    answer = terminal.run(*words)
    assert (answer.code, answer.outcome) == (2, "usage")
    assert message in str(answer.record["errors"])


def test_an_app_without_a_command_is_wrong_use(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path)
    answer = host.run("run")
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "no_command")
    assert not (host.state / "launcher.json").exists()


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_a_state_directory_that_others_can_write_is_refused(host: Deployment, mode: int) -> None:
    """threats.md T21"""
    host.state.mkdir()
    host.state.chmod(mode)
    # Where it is not refused, it ends by itself.
    code, output, _ = host.text("run", "--json", "--no-agent", "--", "/no/such/program")
    record = json.loads(output)
    assert (code, record["outcome"]) == (2, "usage")
    assert record["errors"][0]["cure"] == f"chmod 700 {host.state}"
    assert list(host.state.iterdir()) == []


def test_what_it_writes_is_not_written_through_a_symlink(host: Deployment) -> None:
    """threats.md T20"""
    host.state.mkdir(mode=0o700)
    other = host.folder / "other"
    other.write_text("kept")
    names = ("launcher.json", "launcher-state.json", "daemon.pid", "planned-restart")
    for name in names:
        (host.state / name).symlink_to(other)
    with running(host) as launcher:
        assert host.run("reload").record["outcome"] == "ok"
        launcher.terminate()
        assert launcher.wait(20) == 0
    assert other.read_text() == "kept"
    assert not any((host.state / name).is_symlink() for name in names)


# --- reload and stop ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["reload", "stop"])
def test_no_launcher_then_it_is_said_with_its_cure(terminal: Terminal, verb: str) -> None:
    answer = terminal.run(verb)
    assert (answer.code, answer.outcome) == (1, "failed")
    assert answer.record["errors"][0]["code"] == "no_launcher"
    code, output, errors = terminal.text(verb)
    assert (code, output, "newleaf run" in errors) == (1, "", True)


@pytest.mark.parametrize("watched", [True, False], ids=["on a terminal", "elsewhere"])
def test_a_reload_is_told_as_it_goes_on_a_terminal_only(
    terminal: Terminal, launcher: Answering, monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    monkeypatch.setattr("newleaf.cli.run.draws_progress", lambda: watched)
    launcher.answers = [event("accepted"), event("stopped"), event("started"), event("running")]
    code, output, errors = terminal.text("reload")
    assert (code, output) == (0, "a fresh process serves\n")
    assert errors.split() == (["accepted", "stopped", "started"] if watched else [])
    assert launcher.orders == [{"do": "reload"}]
    launcher.answers = [event("accepted"), event("running")]
    assert terminal.run("reload").record == {"schema": 1, "outcome": "ok"}


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([event("refused", reason="not now")], "launcher_refused"),
        ([event("accepted"), event("failed", reason="it died")], "launcher_refused"),
        ([event("accepted"), b"junk\n"], "launcher_lost"),
        ([event("accepted"), b"{}\n"], "launcher_lost"),
    ],
)
def test_a_reload_that_comes_to_nothing_says_why(
    terminal: Terminal, launcher: Answering, answers: list[bytes], code: str
) -> None:
    launcher.answers = answers
    answer = terminal.run("reload")
    assert (answer.code, answer.outcome) == (1, "failed")
    assert answer.record["errors"][0]["code"] == code


def test_a_stop_waits_for_the_end_of_the_launcher(terminal: Terminal, launcher: Answering) -> None:
    launcher.hangs_up = True
    assert terminal.lines("stop") == ["stopped"]
    assert launcher.orders == [{"do": "stop"}]


# --- logs ---------------------------------------------------------------------------------------


def write_log(host: Deployment, text: str) -> Path:
    path = host.state / "logs" / "daemon.log"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    host.state.chmod(0o700)
    path.write_text(text)
    return path


def test_the_last_lines_are_shown_as_text_and_as_a_record(host: Deployment, terminal: Terminal) -> None:
    path = write_log(host, "".join(f"line {number}\n" for number in range(30)))
    assert terminal.lines("logs") == [f"line {number}" for number in range(10, 30)]
    assert terminal.lines("logs", "-n", "0") == []
    assert terminal.run("logs", "-n", "2", "-f").record == {
        "schema": 1,
        "outcome": "ok",
        "path": str(path),
        "lines": ["line 28", "line 29"],
    }


def test_what_would_command_a_terminal_is_shown_as_such(host: Deployment, terminal: Terminal) -> None:
    write_log(host, "\x1b[31mred\x1b[0m \x1b]0;title\x07\n")
    assert terminal.lines("logs") == ["red ?]0;title?"]


@pytest.mark.parametrize("kind", ["nothing", "a folder", "a launcher without files"])
def test_no_files_are_kept_then_it_is_said(host: Deployment, terminal: Terminal, kind: str) -> None:
    host.state.mkdir(mode=0o700)
    if kind == "a folder":
        (host.state / "logs" / "daemon.log").mkdir(parents=True)
    if kind == "a launcher without files":
        write_log(host, "of another time\n")
        with Answering.at(host.state / CONTROL) as launcher:
            launcher.answers = [event("status", pid=1, log=None)]
            answer = terminal.run("logs")
    else:
        answer = terminal.run("logs")
    assert (answer.code, answer.record["errors"][0]["code"]) == (1, "no_log_files")


def test_the_launcher_says_where_they_are(host: Deployment, terminal: Terminal, launcher: Answering) -> None:
    other = host.folder / "elsewhere.log"
    other.write_text("here\n")
    launcher.answers = [event("status", pid=1, log=str(other))]
    assert terminal.lines("logs") == ["here"]


def test_followed_it_goes_on_until_it_is_interrupted(host: Deployment) -> None:
    path = write_log(host, "old\n")
    # Fully buffered, as into any pipe: what was said must be there all the same.
    with called(host, "logs", "-f", "-n", "1") as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "old\n"
        with path.open("a") as file:
            file.write("new \x1b]0;title\x07\n")
        assert following.stdout.readline() == "new ?]0;title?\n"
        following.terminate()
        assert following.wait(20) != 0


def test_who_reads_has_gone_then_following_ends(host: Deployment) -> None:
    path = write_log(host, "old\n")
    with called(host, "logs", "-f") as following:
        assert following.stdout is not None
        following.stdout.readline()
        following.stdout.close()
        for _ in range(200):
            with path.open("a") as file:
                file.write("more\n")
            if following.poll() is not None:
                break
            time.sleep(0.05)
        assert following.poll() is not None
        assert following.stderr is None or "Traceback" not in following.stderr.read()


# --- the verbs that serve the launcher ----------------------------------------------------------


def test_the_plan_is_made_anew_for_a_launcher_alone(host: Deployment, terminal: Terminal) -> None:
    answer = terminal.text("launch-plan")
    assert (answer[0], "no launcher runs" in answer[2]) == (1, True)
    path = host.state / "launcher.json"
    post = {"program": [sys.executable], "top": "/x", "override": [], "log_files": True, "agent": False}
    path.write_text(json.dumps({"schema": 1, "post": post}))
    assert terminal.text("launch-plan") == (0, "", "")
    record = json.loads(path.read_text())
    assert (record["plan"]["release"]["commit"], record["post"]) == (host.head(), post)


@pytest.mark.parametrize("text", ["", "{", '{"post": 7}', '{"post": {}}', '{"schema": 2}'])
def test_a_damaged_record_of_a_launcher_is_named(host: Deployment, terminal: Terminal, text: str) -> None:
    host.state.mkdir(mode=0o700)
    (host.state / "launcher.json").write_text(text)
    code, _, errors = terminal.text("launch-plan")
    assert (code, "launcher.json" in errors) == (7, True)
    assert (host.state / "launcher.json").read_text() == text


def test_they_are_not_among_the_verbs_that_are_shown(terminal: Terminal) -> None:
    shown = terminal.text("--help")[1]
    assert "settle" not in shown
    assert "launch-plan" not in shown
    for verb in ("run", "reload", "stop", "logs"):
        assert f"  {verb} " in shown
