"""`newleaf release` as people and CI call it."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from newleaf.cli import release as module
from newleaf.cli.release import describe_checks
from newleaf.core.releases.releasing import Check
from tests.support.deployment import settings_text
from tests.support.maintainers import Maintainer, fingerprint_of, make_key, write_signers
from tests.support.terminal import Terminal


@pytest.fixture
def ada(tmp_path: Path) -> Maintainer:
    return Maintainer.make(tmp_path)


@pytest.fixture
def seat(ada: Maintainer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in the maintainer's clone."""
    for name in [name for name in os.environ if name.startswith(("NEWLEAF_", "XDG_", "GIT_", "SSH_"))]:
        monkeypatch.delenv(name)
    for name, value in ada.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ada.checkout.path)
    return Terminal(capsys, monkeypatch)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody is there to ask; the questions that were asked, each answered with no."""
    questions: list[str] = []

    def answer(text: str, **_: object) -> bool:
        questions.append(text)
        return False

    monkeypatch.setattr(module, "is_interactive", lambda: True)
    monkeypatch.setattr(click, "confirm", answer)
    return questions


def test_all_holds_then_it_is_released_and_told(seat: Terminal, ada: Maintainer) -> None:
    answer = seat.run("release")
    record = answer.record
    assert (answer.code, answer.outcome) == (0, "ok")
    assert {name: record[name] for name in ("app", "version", "tag", "branch", "remote", "pushed")} == {
        "app": "sessions",
        "version": "1.0.0",
        "tag": "v1.0.0",
        "branch": "main",
        "remote": "origin",
        "pushed": True,
    }
    assert record["commit"] == ada.checkout.id_of()
    assert record["signed_by"] == fingerprint_of(ada.key)
    assert all(check["ok"] for check in record["checks"])
    assert set(record["checks"][0]) == {"name", "ok", "detail", "cure"}
    assert ada.remote_tags() == ["v1.0.0"]


def test_no_state_directory_is_made(seat: Terminal, ada: Maintainer) -> None:
    assert seat.run("release").code == 0
    assert sorted(path.name for path in ada.home.iterdir()) == [".gitconfig"]
    assert ada.checkout.changes() == []


def test_it_was_released_then_again_there_is_nothing_to_do(seat: Terminal) -> None:
    seat.run("release")
    answer = seat.run("release")
    assert (answer.code, answer.outcome, answer.record["pushed"]) == (0, "up_to_date", True)
    assert "released already" in seat.lines("release")[-1]


def test_it_was_released_from_another_clone_then_the_version_must_be_raised(
    seat: Terminal, ada: Maintainer
) -> None:
    seat.run("release")
    ada.checkout.git("tag", "-d", "v1.0.0")
    answer = seat.run("release")
    assert (answer.code, answer.outcome) == (5, "refused")
    assert [each["name"] for each in answer.record["checks"] if not each["ok"]] == ["bump", "tag"]


def test_checks_fail_then_all_are_listed_and_nothing_is_changed(seat: Terminal, ada: Maintainer) -> None:
    ada.checkout.write("pyproject.toml", "changed")
    ada.configure("gpg.format", "openpgp")
    code, said, errors = seat.text("release")
    assert (code, errors) == (5, "")
    lines = said.splitlines()
    assert lines[-1] == "not released: 2 of 13 checks failed"
    assert "✗  clean       changed, and not committed: pyproject.toml" in lines
    assert "               → commit it, or put it aside: git stash" in lines
    assert (ada.tags(), ada.remote_tags()) == ([], [])


def test_a_dry_run_then_it_says_what_it_would_do_and_changes_nothing(seat: Terminal, ada: Maintainer) -> None:
    said = seat.lines("release", "--dry-run")
    assert "nothing was changed" in said[-2]
    assert said[-1] == (
        f"  make v1.0.0 at {ada.checkout.id_of()[:9]}, signed, and push it with main to origin"
    )
    answer = seat.run("release", "--dry-run")
    assert (answer.outcome, answer.record["dry_run"], answer.record["pushed"]) == ("ok", True, False)
    assert (ada.tags(), ada.remote_tags()) == ([], [])


def test_a_dry_run_of_what_cannot_be_released_then_it_is_refused(seat: Terminal, ada: Maintainer) -> None:
    ada.checkout.write("pyproject.toml", "changed")
    assert seat.run("release", "--dry-run").code == 5


def test_for_people_then_what_was_done_is_told(seat: Terminal, ada: Maintainer) -> None:
    said = seat.lines("release")
    assert "sessions 1.0.0 is released: v1.0.0 is at origin" in said
    assert f"  commit {ada.checkout.id_of()}, on main" in said
    assert f"  signed by the key {fingerprint_of(ada.key)}" in said


def test_not_pushed_then_it_says_how_to(seat: Terminal, ada: Maintainer) -> None:
    said = seat.lines("release", "--no-push")
    assert "sessions 1.0.0 is tagged as v1.0.0, here alone" in said
    assert "git push --atomic origin" in said[-1]
    assert (ada.tags(), ada.remote_tags()) == (["v1.0.0"], [])


def test_not_signed_then_it_says_who_will_refuse_it(seat: Terminal, ada: Maintainer) -> None:
    said = seat.lines("release", "--no-sign")
    assert 'hosts with security.require = "tags" will refuse it' in said[-1]
    assert seat.run("release", "--no-sign").record["signed_by"] is None
    assert ada.remote_tags() == ["v1.0.0"]


def test_a_key_and_its_signers_then_it_is_signed_by_that_key(
    seat: Terminal, ada: Maintainer, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "ci")
    signers = write_signers(tmp_path / "signers", key)
    ada.configure("gpg.format", "openpgp")
    answer = seat.run("release", "--key", str(key), "--signers", str(signers))
    assert (answer.code, answer.record["signed_by"]) == (0, fingerprint_of(key))


def test_a_key_below_where_one_stands_then_it_is_found_from_there(
    seat: Terminal, ada: Maintainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    below = ada.checkout.path / "below"
    below.mkdir()
    make_key(below / "ci")
    monkeypatch.chdir(below)
    assert seat.run("release", "--key", "ci").code == 0


def test_signers_that_do_not_vouch_then_it_is_refused_with_its_checks(
    seat: Terminal, ada: Maintainer, tmp_path: Path
) -> None:
    signers = write_signers(tmp_path / "signers", make_key(tmp_path / "other"))
    answer = seat.run("release", "--signers", str(signers))
    assert (answer.code, answer.outcome, answer.record["pushed"]) == (5, "refused", False)
    assert answer.record["errors"][0]["code"] == "tag_unsound"
    assert len(answer.record["checks"]) == 13
    assert (ada.tags(), ada.remote_tags()) == ([], [])


def test_the_push_fails_then_it_failed_and_says_why(seat: Terminal, ada: Maintainer) -> None:
    ada.install_hook("pre-receive", "echo not today >&2; exit 1", remote=True)
    answer = seat.run("release")
    assert (answer.code, answer.outcome, answer.record["pushed"]) == (1, "failed", False)
    assert "not today" in answer.record["errors"][0]["message"]
    code, said, errors = seat.text("release")
    assert code == 1
    assert "✓  signing" in said
    assert errors.startswith("newleaf: v1.0.0 could not be pushed to origin")


def test_a_detached_head_then_the_branch_is_named(seat: Terminal, ada: Maintainer) -> None:
    head = ada.bump("1.1.0")
    ada.checkout.git("checkout", "-q", "--detach")
    assert seat.run("release").code == 5
    answer = seat.run("release", "--branch", "main")
    assert (answer.code, answer.record["branch"]) == (0, "main")
    assert ada.remote.id_of("main") == head


def test_the_tag_says_the_version_then_it_is_the_one_that_is_named(seat: Terminal, ada: Maintainer) -> None:
    ada.commit({"newleaf.toml": settings_text(app={"version_file": "tag"})})
    refused = seat.run("release")
    assert refused.code == 5
    assert refused.record["version"] is None
    assert seat.run("release", "3.0.0").record["tag"] == "v3.0.0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["latest"], "'latest' is no version"),
        (["--branch", "-x"], "begins with -"),
        (["--branch", "a..b"], "would be read as a revision"),
        (["--key", "/nowhere"], "does not exist"),
        (["--no-sign", "--key", "newleaf.toml"], "--no-sign goes with neither"),
        (["--no-sign", "--signers", "newleaf.toml"], "--no-sign goes with neither"),
    ],
)
def test_a_call_that_cannot_be_meant_then_it_is_usage(
    arguments: list[str], words: str, seat: Terminal, ada: Maintainer
) -> None:
    answer = seat.run("release", *arguments)
    assert (answer.code, answer.outcome) == (2, "usage")
    assert words in str(answer.record["errors"])


def test_no_checkout_then_it_is_usage(
    seat: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = seat.run("release")
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "nothing_to_release")


def test_on_a_terminal_then_it_asks_after_the_checks_and_no_changes_nothing(
    seat: Terminal, ada: Maintainer, asked: list[str]
) -> None:
    code, said, _ = seat.text("release")
    assert code == 0
    assert len(asked) == 1
    assert f"Make v1.0.0 at {ada.checkout.id_of()[:9]}, signed, and push it with main to origin?" in asked[0]
    assert said.count("signing") == 1
    assert said.endswith("nothing was changed\n")
    assert ada.tags() == []


@pytest.mark.parametrize("option", ["--yes", "--dry-run", "--json"])
def test_on_a_terminal_with_yes_or_nothing_to_do_then_it_does_not_ask(
    option: str, seat: Terminal, asked: list[str]
) -> None:
    assert seat.text("release", option)[0] == 0
    assert not asked


def test_an_earlier_runs_tag_then_it_is_said_that_it_is_taken(
    seat: Terminal, ada: Maintainer, asked: list[str]
) -> None:
    seat.run("release", "--no-push")
    seat.text("release")
    assert "Take v1.0.0, as it is here, and push it with main to origin?" in asked[0]


def test_checks_of_several_lines_then_they_stand_below_each_other() -> None:
    checks = [Check("a", True, "fine"), Check("bcd", False, "one\ntwo", "mend it"), Check("e", None, "why")]
    plain = [
        "".join(part.partition("m")[2] if i else part for i, part in enumerate(line.split("\x1b[")))
        for line in describe_checks(checks)
    ]
    assert plain == [
        "✓  a    fine",
        "✗  bcd  one",
        "        two",
        "        → mend it",
        "?  e    why",
    ]
