"""`newleaf check`: is a target there, said by an answer, an exit code and the signal file."""

from __future__ import annotations

import shutil

import pytest

from newleaf.agent.check import Checked
from newleaf.cli.check import describe
from newleaf.core.release import CommitId, Release
from tests.support.deployment import Deployment
from tests.support.terminal import Terminal

SIGNAL = "update_available.json"


def test_nothing_new_is_up_to_date_and_leaves_no_signal(host: Deployment, terminal: Terminal) -> None:
    answer = terminal.run("check", "--exit-code")
    assert (answer.code, answer.outcome) == (0, "up_to_date")
    assert (answer.record["channel"], answer.record["current"]) == ("alpha", host.head())
    assert answer.record["available"] is None
    assert answer.record["to"] is None
    assert not (host.state / SIGNAL).exists()
    assert terminal.lines("check") == [f"up to date at 1.0.0 ({host.head()[:9]})"]


def test_a_target_is_signalled_and_is_10_when_asked_for(host: Deployment, terminal: Terminal) -> None:
    before, commit = host.head(), host.release("1.1.0")
    plain, coded = terminal.run("check"), terminal.run("check", "--exit-code")
    assert (plain.code, coded.code) == (0, 10)
    assert plain.record == coded.record
    said = {name: plain.record[name] for name in ("outcome", "channel", "current", "available")}
    assert said == {"outcome": "available", "channel": "alpha", "current": before, "available": commit}
    signal = {"current": before, "available": commit, "channel": "alpha", "commit": commit}
    assert host.record(SIGNAL) == signal
    assert host.head() == before
    assert terminal.text("check", "--exit-code")[0] == 10


def test_on_a_channel_of_versions_the_words_are_versions(host: Deployment, terminal: Terminal) -> None:
    host.host_settings('[deployment]\nchannel = "beta"\n')
    commit = host.release("1.1.0")
    record = terminal.run("check").record
    assert (record["channel"], record["current"], record["available"]) == ("beta", "1.0.0", "1.1.0")
    assert record["to"] == {"commit": commit, "version": "1.1.0"} | record["to"]
    assert terminal.lines("check") == [
        f"1.1.0 ({commit[:9]}) is available; 1.0.0 ({host.head()[:9]}) is here",
        "  `newleaf update` moves to it",
    ]
    assert host.record(SIGNAL)["available"] == "1.1.0"


def test_a_target_that_is_no_longer_ahead_takes_its_signal_along(
    host: Deployment, terminal: Terminal
) -> None:
    host.release("1.1.0")
    terminal.run("check")
    terminal.run("pin", "1.0.0")
    assert terminal.run("check").outcome == "up_to_date"
    assert not (host.state / SIGNAL).exists()


def test_a_denied_target_is_held_and_named(host: Deployment, terminal: Terminal) -> None:
    """lessons.md L42."""
    commit = host.release("1.1.0")
    terminal.run("update")
    terminal.run("rollback")
    answer = terminal.run("check", "--exit-code")
    assert (answer.code, answer.outcome) == (0, "held")
    assert commit[:9] in answer.record["notes"][0]
    lines = terminal.lines("check")
    assert lines[0] == f"held at 1.0.0 ({host.head()[:9]})"
    assert lines[1].startswith("  ")


def test_a_foreign_signal_is_reported_and_ignored(host: Deployment, terminal: Terminal) -> None:
    terminal.run("check")
    (host.state / SIGNAL).write_text('{"current": 1')
    (note,) = terminal.run("check").record["notes"]
    assert note.startswith("the signal was ignored: ")


@pytest.mark.parametrize("option", [[], ["--exit-code"]])
def test_a_remote_out_of_reach_is_a_failure(host: Deployment, terminal: Terminal, option: list[str]) -> None:
    shutil.rmtree(host.remote.path)
    answer = terminal.run("check", *option)
    assert (answer.code, answer.outcome) == (1, "failed")
    assert str(host.remote.path) in answer.record["errors"][0]["message"]


def test_notes_stand_below_what_they_are_about() -> None:
    here = Release(CommitId("a" * 40), "1.0.0")
    lines = list(describe(Checked("up_to_date", "beta", here, notes=("one", "two"))))
    assert lines[1:] == ["  one", "  two"]
