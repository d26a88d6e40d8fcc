"""One call of the command line: whose app is meant, and how its answer is given."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import click
import pytest

from newleaf.cli.invocation import Invocation, draws_progress, silence, table
from newleaf.core.errors import DiskFull, NewleafError, OutputLost, UsageError
from newleaf.system.known_apps import KnownApp, note_app, notes_folder
from tests.support.deployment import Deployment
from tests.support.terminal import Terminal

NEWLEAF_TOML = '[app]\nname = "{}"\n[update]\ninstall = "none"\n'


class Telling(NewleafError):
    """{path} broke"""

    code = "telling"
    cure = "mend {path}"
    lines = ("first words", "last words")


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def app_of(terminal: Terminal, *words: str) -> str:
    """The app that a verb takes as meant."""
    answer = terminal.run("status", *words)
    assert answer.code == 0, answer.record
    return str(answer.record["app"])


def state_of(terminal: Terminal, *words: str) -> Path:
    """The state directory in which a verb decides."""
    assert terminal.run("suspend", *words).code == 0
    home = Path(os.environ["HOME"])
    (found,) = [path.parent for path in home.parent.rglob("decisions.json")]
    return found


def note(host: Deployment, name: str) -> Path:
    """What `init` notes of an app: its state directory and checkout."""
    state = host.home / f".{name}"
    state.mkdir(mode=0o700, exist_ok=True)
    note_app(KnownApp(name, state, host.checkout.path.resolve()), notes_folder())
    return state


# --- which app --------------------------------------------------------------------------


def test_the_checkout_that_one_stands_in_names_the_app(host: Deployment, terminal: Terminal) -> None:
    inner = host.checkout.path / "deep" / "er"
    inner.mkdir(parents=True)
    terminal.monkeypatch.chdir(inner)
    assert app_of(terminal) == "sessions"
    assert state_of(terminal) == host.state


def test_the_state_directory_that_is_named_is_taken(host: Deployment, terminal: Terminal) -> None:
    elsewhere = host.folder / "elsewhere"
    assert state_of(terminal, "--state-dir", str(elsewhere)) == elsewhere
    assert not host.state.exists()
    assert elsewhere.stat().st_mode & 0o777 == 0o700


def test_the_environment_names_it_too_and_the_option_outranks_it(
    host: Deployment, terminal: Terminal
) -> None:
    variable, option = host.folder / "variable", host.folder / "option"
    terminal.monkeypatch.setenv("NEWLEAF_STATE_DIR", str(variable))
    assert state_of(terminal, "--state-dir", str(option)) == option
    assert not variable.exists()
    (option / "decisions.json").unlink()
    assert state_of(terminal) == variable


def test_a_state_directory_outranks_the_name(host: Deployment, terminal: Terminal) -> None:
    elsewhere = host.folder / "elsewhere"
    assert state_of(terminal, "--app", "other", "--state-dir", str(elsewhere)) == elsewhere


def test_an_app_is_found_by_its_name_from_anywhere(host: Deployment, terminal: Terminal) -> None:
    terminal.run("update")
    terminal.monkeypatch.chdir(host.folder)
    assert app_of(terminal, "--app", "sessions") == "sessions"
    assert state_of(terminal, "--app", "sessions") == host.state


def test_the_name_outranks_the_checkout(host: Deployment, terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("update")
    other = tmp_path / "other"
    (other / ".git").mkdir(parents=True)
    (other / "newleaf.toml").write_text(NEWLEAF_TOML.format("other"))
    terminal.monkeypatch.chdir(other)
    assert app_of(terminal, "--app", "sessions") == "sessions"


def test_the_only_app_noted_is_meant_when_nothing_else_says(host: Deployment, terminal: Terminal) -> None:
    terminal.run("update")
    note(host, "sessions")
    terminal.monkeypatch.chdir(host.folder)
    assert app_of(terminal) == "sessions"
    assert state_of(terminal) == host.state


def test_of_several_apps_noted_none_is_guessed_and_all_are_listed(
    host: Deployment, terminal: Terminal
) -> None:
    states = [note(host, name) for name in ("sessions", "mailer")]
    terminal.monkeypatch.chdir(host.folder)
    answer = terminal.run("status")
    assert (answer.code, answer.outcome) == (2, "usage")
    message = answer.record["errors"][0]["message"]
    assert all(f"{name} ({host.home / f'.{name}'})" in message for name in ("sessions", "mailer"))
    assert message.index("mailer") < message.index("sessions")
    assert all(state.is_dir() for state in states)


def test_without_any_app_the_error_says_so_and_nothing_is_made(host: Deployment, terminal: Terminal) -> None:
    terminal.monkeypatch.chdir(host.folder)
    code, output, errors = terminal.text("status")
    assert (code, output) == (2, "")
    assert "none" in errors
    assert list(host.home.iterdir()) == []


def test_an_app_nobody_has_set_up_is_an_error_that_lists_those_there_are(
    host: Deployment, terminal: Terminal
) -> None:
    note(host, "mailer")
    answer = terminal.run("status", "--app", "nowhere")
    assert (answer.code, answer.outcome) == (2, "usage")
    assert "mailer" in answer.record["errors"][0]["message"]
    assert not (host.home / ".nowhere").exists()


def test_another_file_of_the_app_may_be_named(host: Deployment, terminal: Terminal) -> None:
    file = host.checkout.path / "other.toml"
    file.write_text(NEWLEAF_TOML.format("other"))
    assert app_of(terminal, "--config", str(file)) == "other"
    assert app_of(terminal) == "sessions"
    terminal.monkeypatch.chdir(host.checkout.path)
    assert app_of(terminal, "--config", "other.toml") == "other"


def test_another_host_file_may_be_named(host: Deployment, terminal: Terminal) -> None:
    host.host_settings('[deployment]\nchannel = "alpha"\n')
    file = host.folder / "host.toml"
    file.write_text('[deployment]\nchannel = "beta"\n')
    assert terminal.run("status", "--config", str(file)).record["channel"] == "beta"
    assert terminal.run("status").record["channel"] == "alpha"


def test_a_state_directory_that_others_can_write_is_wrong_use_with_its_cure(
    host: Deployment, terminal: Terminal
) -> None:
    host.state.mkdir()
    host.state.chmod(0o777)
    answer = terminal.run("status")
    assert (answer.code, answer.outcome) == (2, "usage")
    assert "chmod" in answer.record["errors"][0]["cure"]


# --- how it answers ---------------------------------------------------------------------


def test_with_json_the_answer_is_the_record_alone(capsys: pytest.CaptureFixture[str]) -> None:
    invocation = Invocation(json=True)
    invocation.answer({"outcome": "ok"}, ["for people"])
    assert capsys.readouterr() == ('{"schema": 1, "outcome": "ok"}\n', "")
    assert invocation.answered


def test_without_json_the_answer_is_the_lines_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Invocation().answer({"outcome": "ok"}, ["one", "two"])
    assert capsys.readouterr() == ("one\ntwo\n", "")


def test_a_failure_has_sentence_last_words_and_cure(capsys: pytest.CaptureFixture[str]) -> None:
    Invocation().answer_error(Telling(path="it"))
    said = ["newleaf: it broke", "  | first words", "  | last words", "  mend it"]
    assert capsys.readouterr() == ("", "\n".join(said) + "\n")
    Invocation().answer_error(UsageError(reason="so"))
    assert capsys.readouterr() == ("", "newleaf: so\n")


def test_with_json_a_failure_is_a_record_and_comes_once(capsys: pytest.CaptureFixture[str]) -> None:
    invocation = Invocation(json=True)
    invocation.answer_error(DiskFull(path="/x", free="1", needed="2"))
    output, errors = capsys.readouterr()
    record = json.loads(output)
    assert (record["outcome"], record["errors"][0]["code"], errors) == ("failed", "disk_full", "")
    invocation.answer_error(Telling(path="it"))
    assert capsys.readouterr() == ("", "")


def test_an_answer_that_could_not_be_printed_is_told_on_the_other_stream(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Invocation(json=True).answer_error(OutputLost(reason="the disk is full"))
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("newleaf: the answer cannot be printed: the disk is full\n")


def test_a_full_disk_behind_standard_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OutputLost):
            Invocation().answer({}, ["lost"])
        monkeypatch.undo()


def test_who_reads_no_more_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        Invocation().answer({}, ["one", "two"])
        monkeypatch.undo()


def test_what_is_silenced_goes_nowhere() -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as pipe:
        pipe.write("waits to be printed")
        silence(pipe)
    assert os.read(reading, 100) == b""
    os.close(reading)


def test_letters_that_the_output_has_not_are_escaped_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        Invocation(json=True).answer({"why": "Köln"})
        monkeypatch.undo()
        assert raw.getvalue() == b'{"schema": 1, "why": "K\\u00f6ln"}\n'


def test_letters_that_the_output_has_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    Invocation(json=True).answer({"why": "Köln"})
    assert capsys.readouterr().out == '{"schema": 1, "why": "Köln"}\n'


# --- terminals --------------------------------------------------------------------------


def test_progress_is_drawn_for_somebody_who_watches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert not draws_progress()
    monkeypatch.setattr(sys, "stderr", Screen())
    assert draws_progress()
    monkeypatch.setenv("TERM", "dumb")
    assert not draws_progress()
    monkeypatch.setattr(sys, "stderr", None)
    assert not draws_progress()


def test_progress_goes_to_standard_error(
    host: Deployment, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.release("1.1.0")
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)
    answer = terminal.run("update")
    assert answer.outcome == "updated"
    assert screen.getvalue()
    quiet = Screen()
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", quiet)
    host.release("1.2.0")
    assert terminal.run("update").outcome == "updated"
    assert quiet.getvalue() == ""


# --- tables -----------------------------------------------------------------------------


def test_columns_are_aligned_and_the_last_is_ragged() -> None:
    assert table([("a", "bb", "c"), ("aaa", "b", "")]) == ["a    bb  c", "aaa  b"]


def test_the_head_is_aligned_with_its_rows_and_set_off() -> None:
    head, row = table([("long cell", "x")], ("one", "two"))
    assert head == click.style("one        two", bold=True)
    assert row == "long cell  x"


def test_a_table_of_nothing_is_empty() -> None:
    assert table([]) == []
    assert table([], ("one",)) == [click.style("one", bold=True)]
