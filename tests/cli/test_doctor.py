from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from newleaf.cli.doctor import describe
from newleaf.cli.main import run
from newleaf.core.doctor.patient import Finding
from tests.support.repositories import Checkout, Remote, git_environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """An adopted clone that one stands in."""
    remote = Remote.make(tmp_path)
    remote.commit({"newleaf.toml": '[app]\nname = "shop"\n[update]\ninstall = "none"\n'})
    made = remote.clone(tmp_path / "clone")
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(("NEWLEAF_", "XDG_", "GIT_"))]:
        monkeypatch.delenv(name)
    for name, value in git_environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.path)
    return made


def test_a_good_host_exits_with_0(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "ok       git" in said
    assert said.rstrip().endswith("0 problem(s), 1 warning(s)")


def test_a_problem_exits_with_1_and_says_its_cure(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout.git("commit", "-q", "--allow-empty", "-m", "Mine")
    assert run(["doctor", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["outcome"], record["app"]) == ("failed", "shop")
    (problem,) = [finding for finding in record["findings"] if finding["level"] == "problem"]
    assert problem["check"] == "checkout"
    assert "1 commit(s)" in problem["text"]
    assert "push" in problem["cure"]


def test_without_an_app_what_can_be_said_is_said(
    tmp_path: Path, checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["app"] is None
    assert [(each["check"], each["level"]) for each in record["findings"]] == [
        ("app", "problem"),
        ("git", "ok"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[app\n",
        '[app]\nname = "shop"\n[watch]\njiter = 1\n',
        '[app]\nname = "shop"\n[deployment]\nchannel = "beta"\n',
    ],
)
def test_settings_that_do_not_hold_are_a_problem_and_no_traceback(
    text: str, checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout.write("newleaf.toml", text)
    assert run(["doctor", "--json"]) == 1
    first = json.loads(capsys.readouterr().out)["findings"][0]
    assert (first["check"], first["level"]) == ("app", "problem")
    assert "newleaf.toml" in first["text"]


def test_a_state_directory_that_others_can_write_is_said_with_its_chmod(
    checkout: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """threats.md T21."""
    state = tmp_path / "home" / ".shop"
    state.mkdir()
    state.chmod(0o777)
    assert run(["doctor"]) == 1
    assert f"chmod 700 {state}" in capsys.readouterr().out


def test_without_git_it_says_what_to_install(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(checkout.path))
    assert run(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    (found,) = [each for each in findings if each["check"] == "git"]
    assert (found["level"], "install git" in found["cure"]) == ("problem", True)


def test_the_worst_comes_last() -> None:
    findings = [
        Finding("a", "problem", "broken", "mend it"),
        Finding("bcd", "ok", "fine"),
        Finding("e", "warning", "so so"),
    ]
    plain = [
        "".join(part.partition("m")[2] if i else part for i, part in enumerate(line.split("\x1b[")))
        for line in describe(findings)
    ]
    assert plain == [
        "ok       bcd  fine",
        "warning  e    so so",
        "problem  a    broken",
        "              → mend it",
        "1 problem(s), 1 warning(s)",
    ]
