"""`allow`, `pin`, `unpin`, `suspend`, `resume`: a verb outranks host.toml, and undoing it returns there."""

from __future__ import annotations

import pytest

from tests.support.deployment import Deployment
from tests.support.terminal import Terminal

FOREIGN = "0123456789abcdef0123456789abcdef01234567"


def test_a_pin_is_the_target_though_it_is_older(host: Deployment, terminal: Terminal) -> None:
    old = host.head()
    host.release("1.1.0")
    terminal.run("update")
    assert terminal.lines("pin", "v1.0.0") == ["pinned to 1.0.0; the next update goes there, and stays"]
    assert host.record("decisions.json")["pin"] == "1.0.0"
    answer = terminal.run("update")
    assert (answer.outcome, answer.record["to"]["commit"]) == ("updated", old)
    assert terminal.run("update").outcome == "up_to_date"
    assert terminal.lines("unpin") == ["back on channel alpha"]
    assert terminal.run("check").outcome == "available"


def test_a_pin_may_be_written_as_the_tag_is(host: Deployment, terminal: Terminal) -> None:
    host.host_settings('[source]\ntag_prefix = "app-"\n')
    assert terminal.run("pin", "app-1.0.0").record["pin"] == "1.0.0"


def test_the_record_of_a_pin_has_the_version(terminal: Terminal) -> None:
    assert terminal.run("pin", "1.0.0").record == {"schema": 1, "outcome": "ok", "pin": "1.0.0"}
    assert terminal.run("unpin").record == {"schema": 1, "outcome": "ok", "pin": None}


@pytest.mark.parametrize("word", ["banana", "v", "1.0.0;rm", "HEAD", "abcdef0"])
def test_what_is_no_version_is_wrong_use_and_pins_nothing(
    host: Deployment, terminal: Terminal, word: str
) -> None:
    answer = terminal.run("pin", word)
    assert (answer.code, answer.outcome) == (2, "usage")
    assert repr(word) in answer.record["errors"][0]["message"]
    assert not (host.state / "decisions.json").exists()


def test_a_pin_by_verb_outranks_the_hosts_file_and_unpin_returns_to_it(
    host: Deployment, terminal: Terminal
) -> None:
    host.release("1.1.0")
    newest = host.release("1.2.0")
    host.host_settings('[deployment]\nchannel = "beta"\npin = "1.1.0"\n')
    terminal.run("pin", "1.2.0")
    shown = terminal.run("config").record["settings"]["deployment.pin"]
    assert shown == {"value": "1.2.0", "origin": str(host.state / "decisions.json")}
    answer = terminal.run("update")
    assert (answer.outcome, answer.record["to"]["commit"]) == ("updated", newest)
    assert terminal.run("why").record["pin"] == "1.2.0"
    assert terminal.lines("unpin") == ["host.toml pins 1.1.0"]
    shown = terminal.run("config").record["settings"]["deployment.pin"]
    assert shown == {"value": "1.1.0", "origin": str(host.state / "host.toml")}
    assert terminal.run("unpin").record["pin"] == "1.1.0"
    assert terminal.run("why").record["pin"] == "1.1.0"
    assert terminal.run("update").record["to"]["version"] == "1.1.0"


def test_a_suspended_host_does_nothing_until_resumed(host: Deployment, terminal: Terminal) -> None:
    host.release("1.1.0")
    before = host.head()
    assert terminal.lines("suspend", "--why", "the fair") == ["suspended; `newleaf resume` ends it"]
    for verb in ("check", "update"):
        answer = terminal.run(verb)
        assert (answer.code, answer.outcome) == (0, "held")
        (note,) = answer.record["notes"]
        assert "the fair" in note
    assert host.head() == before
    assert not (host.state / "update_available.json").exists()
    assert terminal.lines("resume") == ["resumed"]
    assert terminal.run("update").outcome == "updated"


def test_the_record_of_a_suspension_repeats_its_reason(host: Deployment, terminal: Terminal) -> None:
    expected = {"schema": 1, "outcome": "ok", "suspended": True, "why": "the fair"}
    assert terminal.run("suspend", "--why", "the fair").record == expected
    assert host.record("decisions.json")["suspended"]["why"] == "the fair"
    assert terminal.run("resume").record == {"schema": 1, "outcome": "ok", "suspended": False}
    assert "suspended" not in host.record("decisions.json")


def test_a_suspension_in_the_hosts_file_outlives_resume(host: Deployment, terminal: Terminal) -> None:
    host.host_settings("[deployment]\nsuspended = true\n")
    terminal.run("suspend", "--why", "the fair")
    assert "the fair" in terminal.run("why").record["suspended"]
    assert terminal.run("resume").record["suspended"] is True
    assert terminal.lines("resume") == ["deployment.suspended is still set in the host's settings"]
    assert terminal.run("update").outcome == "held"


def test_pin_and_suspension_keep_each_other(host: Deployment, terminal: Terminal) -> None:
    terminal.run("pin", "1.0.0")
    terminal.run("suspend")
    terminal.run("unpin")
    assert "pin" not in host.record("decisions.json")
    terminal.run("pin", "1.0.0")
    terminal.run("resume")
    assert host.record("decisions.json")["pin"] == "1.0.0"


@pytest.mark.parametrize("digits", [7, 40])
def test_a_denied_commit_may_be_tried_again_once_allowed(
    host: Deployment, terminal: Terminal, digits: int
) -> None:
    """lessons.md L42."""
    commit = host.release("1.1.0")
    terminal.run("update")
    terminal.run("rollback")
    assert terminal.run("update").outcome == "held"
    said = f"{commit} may be tried again; `newleaf update` does it"
    assert terminal.lines("allow", commit[:digits].upper()) == [said]
    assert commit not in host.record("denied.json")
    assert commit in host.record("decisions.json")["lifted"]
    assert terminal.run("update").record["to"]["commit"] == commit


def test_the_record_of_allow_has_the_whole_commit(host: Deployment, terminal: Terminal) -> None:
    commit = host.release("1.1.0")
    terminal.run("update")
    terminal.run("rollback")
    assert terminal.run("allow", commit[:7]).record == {"schema": 1, "outcome": "ok", "commit": commit}


@pytest.mark.parametrize("commit", [FOREIGN, "0123456", "abc", ""])
def test_allowing_what_is_not_denied_is_wrong_use(host: Deployment, terminal: Terminal, commit: str) -> None:
    answer = terminal.run("allow", commit)
    assert (answer.code, answer.outcome) == (2, "usage")
    assert not (host.state / "decisions.json").exists()
