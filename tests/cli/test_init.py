from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from newleaf.cli.init import describe_files, describe_notes
from newleaf.cli.main import run
from newleaf.core.adoption.obstacles import Note
from tests.support.app_repositories import UV_PROJECT
from tests.support.repositories import Checkout, Remote, git_environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A clone that one stands in, as a user with an empty home."""
    remote = Remote.make(tmp_path)
    remote.commit(UV_PROJECT)
    made = remote.clone(tmp_path / "clone")
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(("NEWLEAF_", "XDG_", "GIT_"))]:
        monkeypatch.delenv(name)
    for name, value in git_environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.path)
    return made


def state_of(checkout: Checkout) -> Path:
    return checkout.path.parent / "home" / ".sessions_daemon"


def test_without_a_terminal_it_writes_and_says_all_of_it(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init"]) == 0
    said = capsys.readouterr().out
    assert f"written: {checkout.path}/newleaf.toml, {state_of(checkout)}/host.toml" in said
    for line in (
        *checkout.read("newleaf.toml").splitlines(),
        *(state_of(checkout) / "host.toml").read_text().splitlines(),
    ):
        assert line in said
    assert said.index("Found:") < said.index("Chosen:") < said.index("newleaf.toml:") < said.index("Now:")
    assert "git add newleaf.toml && git commit" in said
    assert checkout.changes() == ["?? newleaf.toml"]


def test_a_second_time_there_is_nothing_to_write(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["init"])
    capsys.readouterr()
    assert run(["init"]) == 0
    assert "nothing to write: it is all there" in capsys.readouterr().out


def test_what_cannot_work_comes_first(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{checkout.id_of()},vendor/lib")
    assert run(["init"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "What will not work as it is:"
    assert lines[1] == "  the repository has submodules (vendor/lib): updates will be refused"
    assert lines[2].startswith("    → ")


def test_json_is_one_object(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--json", "--channel", "beta"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["outcome"] == "ok"
    assert record["app"] == "sessions_daemon"
    assert record["state_dir"] == str(state_of(checkout))
    assert record["written"] == [f"{checkout.path}/newleaf.toml", f"{state_of(checkout)}/host.toml"]
    assert record["settings"]["deployment.channel"] == "beta"
    assert {note["level"] for note in record["notes"]} >= {"found", "chosen", "next"}
    assert run(["--json", "init"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["written"], again["kept"]) == ([], record["written"])


@pytest.mark.parametrize("arguments", [["--channel", "gamma"], ["--unknown"], ["more"]])
def test_wrong_use_is_said(
    arguments: list[str], checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", "--json", *arguments]) == 2
    assert json.loads(capsys.readouterr().out)["outcome"] == "usage"
    assert checkout.changes() == []


def test_outside_a_checkout_it_says_so(
    tmp_path: Path, checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(["init"]) == 2
    assert "is not a git checkout" in capsys.readouterr().err


def test_without_git_it_says_what_to_install(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(checkout.path))
    assert run(["init"]) == 1
    assert "the program git is not installed" in capsys.readouterr().err


def on_a_terminal(checkout: Checkout, answer: bytes, *arguments: str) -> tuple[int, str]:
    """`newleaf init` with a person at it, who answers the question."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", "from newleaf.cli.main import main; main()", "init", *arguments]
    child = subprocess.Popen(argv, cwd=checkout.path, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    deadline = time.monotonic() + 60
    answered = False
    while time.monotonic() < deadline and select.select([ours], [], [], 60)[0]:
        try:
            chunk = os.read(ours, 65536)
        except OSError:
            break
        if not chunk:
            break
        said += chunk
        if b"[Y/n]" in said and not answered:
            os.write(ours, answer)
            answered = True
    os.close(ours)
    return child.wait(60), said.decode().replace("\r\n", "\n")


def test_on_a_terminal_it_asks_first_and_no_writes_nothing(checkout: Checkout) -> None:
    status, said = on_a_terminal(checkout, b"n\n")
    assert status == 0
    assert (
        said.index('name = "sessions_daemon"')
        < said.index("Write this? [Y/n]")
        < said.index("nothing was written")
    )
    assert checkout.changes() == []
    assert not state_of(checkout).exists()


def test_on_a_terminal_return_is_yes(checkout: Checkout) -> None:
    status, said = on_a_terminal(checkout, b"\n")
    assert (status, checkout.changes()) == (0, ["?? newleaf.toml"])
    assert said.count('name = "sessions_daemon"') == 1


def test_yes_asks_nothing(checkout: Checkout) -> None:
    status, said = on_a_terminal(checkout, b"n\n", "--yes")
    assert (status, checkout.changes()) == (0, ["?? newleaf.toml"])
    assert "[Y/n]" not in said


def test_on_a_terminal_it_asks_before_the_first_release_and_not_after(checkout: Checkout) -> None:
    options = ("--slots", "--yes")
    checkout.write(
        "host.toml",
        '[update]\ninstall = "none"\npreflight = false\n[app]\nname = "sessions_daemon"\nshared = []\n',
    )
    state_of(checkout).mkdir(mode=0o700)
    (checkout.path / "host.toml").rename(state_of(checkout) / "host.toml")
    status, said = on_a_terminal(checkout, b"n\n", "--slots")
    assert (status, "Make the first release? [Y/n]" in said) == (0, True)
    assert not (state_of(checkout) / "current").exists()
    assert "[Y/n]" not in on_a_terminal(checkout, b"n\n", *options)[1]
    assert (state_of(checkout) / "current").exists()
    assert "[Y/n]" not in on_a_terminal(checkout, b"n\n", "--slots")[1]


LOCK = """
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "shop"
version = "1.0.0"
source = { virtual = "." }
"""


def test_after_init_a_uv_project_is_updated_and_well(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way of a newcomer: init, push a commit, update, status, why, doctor."""
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    remote = Remote.make(checkout.path.parent, "shop.git")
    project = '[project]\nname = "shop"\nversion = "1.0.0"\nrequires-python = ">=3.11"\n'
    remote.commit({"pyproject.toml": project, "uv.lock": LOCK, "main.py": "", ".gitignore": ".venv\n"})
    clone = remote.clone(checkout.path.parent / "shop")
    monkeypatch.chdir(clone.path)
    assert run(["init"]) == 0
    commit = remote.commit({"main.py": "print('new')\n"})
    assert run(["update"]) == 0
    assert (clone.id_of(), clone.changes()) == (commit, ["?? newleaf.toml"])
    assert (clone.path / ".venv/bin/python").exists()
    assert [run([verb]) for verb in ("status", "why", "doctor", "init")] == [0, 0, 0, 0]
    assert "0 problem(s), 1 warning(s)" in capsys.readouterr().out


def test_a_noted_app_is_found_in_its_checkout_and_a_single_one_from_anywhere(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["init"])
    (checkout.path / "newleaf.toml").rename(tmp_path / "aside")
    (state_of(checkout) / "host.toml").write_text('[app]\nname = "sessions_daemon"\n')
    monkeypatch.chdir(tmp_path)
    assert run(["status"]) == 0
    other = Remote(tmp_path / "remote.git").clone(tmp_path / "other")
    monkeypatch.chdir(other.path)
    assert run(["init", "--app", "other"]) == 0
    monkeypatch.chdir(checkout.path)
    capsys.readouterr()
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["app"] == "sessions_daemon"
    monkeypatch.chdir(tmp_path)
    assert run(["status"]) == 2
    assert f"other ({tmp_path}/home/.other), sessions_daemon (" in capsys.readouterr().err


def test_notes_are_grouped_by_how_much_they_matter() -> None:
    notes = [Note("found", "f"), Note("cannot", "c", "do"), Note("attention", "a"), Note("cannot", "d")]
    assert list(describe_notes(notes)) == [
        "\x1b[31m\x1b[1mWhat will not work as it is:\x1b[0m",
        "  c",
        "    → do",
        "  d",
        "\x1b[33m\x1b[1mWorth knowing:\x1b[0m",
        "  a",
        "\x1b[1mFound:\x1b[0m",
        "  f",
    ]


def test_no_files_need_no_words() -> None:
    assert list(describe_files(())) == []
