"""`newleaf` as a whole: verbs are found and loaded, and whatever happens ends in an answer and a code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from newleaf.cli import main
from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.cli.main import HIDDEN, SUMMARIES, VERBS, Verbs, cli, run
from newleaf.core.errors import RefusedError, RolledBackError
from newleaf.system.locks import update_lock
from tests.support.deployment import NEWLEAF, Deployment, settings_text, wait_until
from tests.support.terminal import Terminal

BY_SETTINGS = (
    *(("check",), ("update",), ("rollback",), ("status",), ("why",), ("migrate",)),
    *(("pin", "1.0.0"), ("unpin",), ("resume",), ("allow", "1234567"), ("config",), ("config", "--check")),
)
"""Verbs that go by the settings, or by a denial that no host has yet."""

OPTIONS = {"--json", "--app", "--state-dir", "--config", "--help"}


def give_verb(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    """A verb that fails, in the place of `version`."""

    @click.command("version")
    @pass_invocation
    def failing(_: Invocation) -> None:
        raise failure

    monkeypatch.setattr("newleaf.cli.version.version", failing)


# --- verbs ------------------------------------------------------------------------------


def test_every_verb_has_its_module_its_summary_and_the_shared_options() -> None:
    assert list(VERBS) == list(SUMMARIES)
    group = cli
    assert isinstance(group, Verbs)
    context = click.Context(group)
    for verb in (*VERBS, *HIDDEN):
        command = group.get_command(context, verb)
        assert command is not None
        assert command.name == verb
        assert command.help
        flags = [flag for parameter in command.params for flag in parameter.opts]
        assert set(flags) >= OPTIONS
        assert len(flags) == len(set(flags)), f"{verb} has an option twice"


def test_a_verb_loads_no_other_verb(tmp_path: Path) -> None:
    program = "import sys; from newleaf.cli.main import run; run(['version']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    verbs = {name for name in done.stdout.split() if name in VERBS.values()}
    assert verbs == {"newleaf.cli.version"}


@pytest.mark.parametrize(
    ("typed", "meant"), [("updat", "update"), ("stauts", "status"), ("Pin", "pin"), ("bogus", "logs")]
)
def test_an_unknown_verb_is_answered_with_the_nearest(terminal: Terminal, typed: str, meant: str) -> None:
    sentence = f"there is no verb {typed!r}; did you mean `newleaf {meant}`?"
    code, output, errors = terminal.text(typed)
    assert (code, output) == (2, "")
    assert errors.splitlines() == [f"newleaf: {sentence}", "  try `newleaf --help`"]
    answer = terminal.run(typed)
    assert (answer.code, answer.errors) == (2, "")
    assert answer.record == {
        "schema": 1,
        "outcome": "usage",
        "errors": [{"code": "usage", "message": sentence}],
    }


def test_however_far_off_a_verb_is_the_nearest_is_named(terminal: Terminal) -> None:
    answer = terminal.run("zzzzzzzz")
    assert (answer.code, answer.outcome) == (2, "usage")
    assert "did you mean `newleaf " in answer.record["errors"][0]["message"]


def test_no_verb_is_answered_with_the_help_and_is_wrong_use(terminal: Terminal) -> None:
    code, output, errors = terminal.text()
    assert (code, output) == (2, "")
    assert errors.startswith("Usage: newleaf [OPTIONS]")
    assert "  update    Move to the target: one attempt.\n" in errors


# --- one JSON object, whatever happens --------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json"], "Missing command"),
        (["update", "--nope", "--json"], "No such option '--nope'"),
        (["--json", "update", "--nope"], "No such option '--nope'"),
        (["--nope", "--json", "status"], "No such option '--nope'"),
        (["pin", "--json"], "Missing argument 'VERSION'"),
        (["--json", "allow"], "Missing argument 'COMMIT'"),
        (["status", "extra", "--json"], "unexpected extra argument"),
        (["update", "--to", "--json", "--wait"], "requires an argument"),
        (["update", "--wait", "soon", "--json"], "'soon' is no number of seconds"),
        (["history", "-n", "0", "--json"], "0 is not in the range"),
        (["status", "--config", "/nonexistent.toml", "--json"], "does not exist"),
    ],
)
def test_wrong_use_with_json_is_one_object(terminal: Terminal, arguments: list[str], said: str) -> None:
    answer = terminal.read(*arguments)
    assert (answer.code, answer.outcome, answer.errors) == (2, "usage", "")
    (error,) = answer.record["errors"]
    assert error["code"] == "usage"
    assert said in error["message"].replace("`", "'")


@pytest.mark.parametrize(
    "text", ["[app\n", '[app]\nname = "sessions"\ncolor = 1\n', "[app]\nname = 3\n", "[app]\n"]
)
def test_broken_settings_with_json_are_one_object_and_change_nothing(
    host: Deployment, terminal: Terminal, text: str
) -> None:
    (host.checkout.path / "newleaf.toml").write_text(text)
    for words in BY_SETTINGS:
        answer = terminal.run(*words)
        assert (answer.code, answer.outcome, answer.errors) == (2, "usage", ""), words
        assert answer.record["errors"]
        assert all(error["message"] for error in answer.record["errors"])
    assert not (host.state / "decisions.json").exists()


def test_a_key_that_nobody_knows_keeps_no_one_from_suspending_or_looking_back(
    host: Deployment, terminal: Terminal
) -> None:
    (host.checkout.path / "newleaf.toml").write_text('[app]\nname = "sessions"\ncolor = 1\n')
    assert terminal.run("suspend").code == 0
    assert terminal.run("history").code == 0


def test_an_unknown_key_is_named_with_the_nearest(host: Deployment, terminal: Terminal) -> None:
    (host.checkout.path / "newleaf.toml").write_text('[app]\nname = "sessions"\ncomand = "x"\n')
    code, output, errors = terminal.text("status")
    assert (code, output) == (2, "")
    assert errors.startswith("newleaf: ")
    assert "app.comand" in errors
    assert "app.command" in errors


@pytest.mark.parametrize("words", [["--help", "--json"], ["--json", "-h"], ["--json", "update", "--help"]])
def test_help_with_json_is_one_object(terminal: Terminal, words: list[str]) -> None:
    answer = terminal.read(*words)
    assert (answer.code, answer.outcome, answer.errors) == (0, "ok", "")
    assert answer.record["help"].startswith("Usage: newleaf ")


def test_help_is_for_the_verb_that_is_named(terminal: Terminal) -> None:
    lines = terminal.lines("update", "--help")
    assert lines[0] == "Usage: newleaf update [OPTIONS]"
    assert any("--force-busy" in line for line in lines)
    assert terminal.lines("update", "-h") == lines


def test_the_version_option_says_newleafs_own(terminal: Terminal) -> None:
    (line,) = terminal.lines("--version")
    answer = terminal.read("--version", "--json")
    assert line == f"newleaf {answer.record['newleaf']}"
    assert answer.code == 0


@pytest.mark.parametrize(
    ("failure", "code", "outcome"),
    [
        (RefusedError(reason="the tag has moved"), 5, "refused"),
        (RolledBackError(reason="not healthy"), 6, "rolled_back"),
        (KeyboardInterrupt(), 130, "failed"),
        (main.Stopped(signal.SIGTERM), 143, "failed"),
        (click.Abort(), 130, "failed"),
        (PermissionError(13, "Permission denied", "/etc/x"), 1, "failed"),
    ],
)
def test_a_failure_is_one_object_or_one_sentence(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int, outcome: str
) -> None:
    give_verb(monkeypatch, failure)
    answer = terminal.run("version")
    assert (answer.code, answer.outcome, answer.errors) == (code, outcome, "")
    (error,) = answer.record["errors"]
    text = terminal.text("version")
    assert text[:2] == (code, "")
    assert text[2].splitlines()[0] == f"newleaf: {error['message']}"
    assert "Traceback" not in text[2]


def test_a_defect_shows_where_it_lies_and_is_one_object_all_the_same(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_verb(monkeypatch, ZeroDivisionError("by zero"))
    answer = terminal.run("version")
    assert (answer.code, answer.outcome) == (1, "failed")
    assert answer.record["errors"][0]["code"] == "defect"
    assert "ZeroDivisionError: by zero" in answer.record["errors"][0]["message"]
    assert "Traceback" in answer.errors


def test_what_fails_after_its_answer_answers_no_second_time(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command("version")
    @pass_invocation
    def late(invocation: Invocation) -> None:
        invocation.answer({"outcome": "ok"})
        raise KeyboardInterrupt

    monkeypatch.setattr("newleaf.cli.version.version", late)
    answer = terminal.run("version")
    assert (answer.code, answer.outcome) == (130, "ok")


def test_a_reader_that_left_changes_no_exit_code(host: Deployment) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = host.words("status", "--json")
    try:
        done = subprocess.run(
            words,
            cwd=host.checkout.path,
            env=host.variables,
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


# --- options before and after the verb --------------------------------------------------


def test_options_stand_before_or_after_the_verb(host: Deployment, terminal: Terminal) -> None:
    terminal.monkeypatch.chdir(host.folder)
    host.host_settings("")
    place = ("--state-dir", str(host.state))
    config = ("--config", str(host.checkout.path / "newleaf.toml"))
    before = terminal.read("--json", *place, *config, "why")
    assert before.code == 0
    assert terminal.read("why", "--json", *place, *config).record == before.record
    assert terminal.read(*place, "why", *config, "--json").record == before.record


def test_of_an_option_said_twice_the_later_counts(terminal: Terminal) -> None:
    assert terminal.run("--app", "other", "version", "--app", "sessions").code == 0
    answer = terminal.run("--app", "sessions", "version", "--app", "other")
    assert "no app called other" in answer.record["errors"][0]["message"]


def test_json_that_belongs_to_a_job_is_not_newleafs(terminal: Terminal) -> None:
    code, output, errors = terminal.text("busyy", "--", "echo", "--json")
    assert (code, output) == (2, "")
    assert "there is no verb 'busyy'" in errors


# --- exit codes -------------------------------------------------------------------------


def test_each_outcome_has_its_exit_code(host: Deployment, terminal: Terminal) -> None:
    def seen(*words: str) -> tuple[int, str]:
        answer = terminal.run(*words)
        return answer.code, answer.outcome

    assert seen("update") == (0, "up_to_date")
    host.release("1.1.0")
    assert seen("check") == (0, "available")
    assert seen("update", "--dry-run") == (0, "available")
    assert seen("update", "--branch", "--all") == (2, "usage")
    with update_lock(host.state, "somebody", "to try it"):
        assert seen("update") == (3, "locked")
    terminal.monkeypatch.setenv("NEWLEAF_GATES__MIN_AGE", "900d")
    assert seen("update") == (4, "waiting")
    terminal.monkeypatch.delenv("NEWLEAF_GATES__MIN_AGE")
    assert seen("update") == (0, "updated")
    assert seen("suspend") == (0, "ok")
    assert seen("update") == (0, "held")
    assert seen("resume") == (0, "ok")
    host.release("1.2.0", {"newleaf.toml": settings_text("other")})
    assert seen("update") == (5, "refused")
    (host.state / "journal.jsonl").write_text('{"schema": 99}\n')
    assert seen("update") == (7, "inconsistent")
    shutil.rmtree(host.remote.path)
    (host.state / "journal.jsonl").unlink()
    assert seen("check") == (1, "failed")


# --- the program ------------------------------------------------------------------------


def test_colour_is_for_terminals_alone(host: Deployment, terminal: Terminal) -> None:
    for words in (["status"], ["why"], ["check"], ["update"], ["history"], ["bogus"]):
        _, output, errors = terminal.text(*words)
        assert output or errors
        assert "\x1b" not in output + errors, words


def test_a_signal_ends_the_verb_with_its_number(host: Deployment) -> None:
    process = host.start("status", "--watch")
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("sessions on ")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.startswith("newleaf: interrupted")


def test_streams_that_are_closed_harm_nothing(host: Deployment) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *NEWLEAF, "suspend"],
        cwd=host.checkout.path,
        env=host.variables,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0
    assert wait_until(lambda: host.record("decisions.json")["suspended"])
    assert json.loads((host.state / "decisions.json").read_text())["schema"] == 1


def test_an_ignored_signal_stays_ignored(host: Deployment) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = host.start("status", "--watch", before=ignore)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 128 + signal.SIGTERM


def test_shells_get_completions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(main.COMPLETION, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "newleaf st")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit) as left:
        run([])
    assert left.value.code == 0
    assert capsys.readouterr().out == "plain,status\nplain,stop\n"
