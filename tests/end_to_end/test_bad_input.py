"""What people and machines get wrong: words, settings, programs, permissions, disks. A plain failure each."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bad_input import (
    UNPRIVILEGED,
    Look,
    carry_out,
    locked_folder,
    look,
    require_plain,
    small_disk,
)
from tests.support.deployment import NEWLEAF, Answer, Deployment, settings_text

Act = Callable[[], Answer]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A host at 1.0.0 whose channel is at 1.1.0."""
    deployment = Deployment.make(tmp_path)
    deployment.release("1.1.0")
    return deployment


def untouched(deployment: Deployment, before: Look) -> bool:
    return look(deployment) == before


# --- words on the command line ------------------------------------------------------------

WORDS = {
    "no such verb": (["updat"], "did you mean `newleaf update`"),
    "an option that update has not": (["update", "--force"], "--force"),
    "an option without its value": (["update", "--to"], "--to"),
    "too many words": (["update", "now"], "now"),
    "a wait that is no number": (["update", "--wait", "long"], "long"),
    "a wait below nothing": (["update", "--wait", "-1"], "-1"),
    "no attempts at all": (["history", "-n", "0"], "0"),
    "a pin that is no version": (["pin", "latest"], "latest"),
    "a denial of nothing": (["allow", "1234567"], "not denied"),
    "a version that is none": (["update", "--to", "no such thing"], "no such thing"),
    "an option as a version": (["update", "--to=--upload-pack=touch x"], "--upload-pack"),
    "a way back to nowhere": (["rollback", "--to", "no such thing"], "no such thing"),
    "a way back to an option": (["rollback", "--to=-f"], "-f"),
    "no way back yet": (["rollback"], "no earlier release"),
    "another config that is not there": (["--config", "/nowhere/newleaf.toml", "update"], "/nowhere"),
    "an app that is not here": (["--app", "unheard-of", "status"], "unheard-of"),
    "an app's name with a path in it": (["--app", "../../etc", "status"], "../../etc"),
    "a state directory that is a file": (["--state-dir", "/dev/null", "status"], "/dev/null"),
    "an app without a name": (["--app", "", "status"], "is a variable not set?"),
    "a state directory without a name": (["--state-dir", "", "status"], "is a variable not set?"),
    "a version that is not set": (["update", "--to", ""], "is a variable not set?"),
    "a way back that is not set": (["rollback", "--to", ""], "is a variable not set?"),
    "a pin that is not set": (["pin", ""], "is a variable not set?"),
    "a wait of no time at all": (["update", "--wait", "nan"], "nan"),
    "a job without a command": (["busy", "--"], "COMMAND"),
}


@pytest.mark.parametrize("situation", WORDS)
def test_wrong_words_are_a_usage_error_in_one_object(deployment: Deployment, situation: str) -> None:
    words, telling = WORDS[situation]
    deployment.state.mkdir(mode=0o700)
    before = look(deployment)
    process = deployment.start("--json", *words)
    output, errors = process.communicate(timeout=30)
    answer = Answer(process.returncode, json.loads(output), errors)
    assert telling in require_plain(answer, 2, "usage"), answer
    assert untouched(deployment, before)


BRANCHES = [
    "--upload-pack=touch X",
    "-f",
    "main\nother",
    "main..other",
    "main~1",
    "main^",
    "@{upstream}",
    "HEAD",
    "refs/../../x",
    "a b",
    "ma:in",
    "x" * 300,
    "main.lock",
    "\x1b[31mred",
]


def test_a_branch_that_is_no_plain_name_is_refused_before_git_runs(deployment: Deployment) -> None:
    """threats.md T15, lessons.md L11"""
    marker = deployment.folder / "git-was-run"
    programs = deployment.folder / "programs"
    programs.mkdir()
    git = programs / "git"
    deployment.run("check")
    # What the checkout's own configuration says is read first; the remote is what must not be asked.
    git.write_text(
        f'#!/bin/sh\ncase "$*" in *ls-remote*|*fetch*) touch {marker};; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    git.chmod(0o755)
    deployment.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    before = look(deployment)
    for branch in BRANCHES:
        require_plain(deployment.run("update", f"--branch={branch}"), 2, "usage", "name_invalid")
    assert not marker.exists()
    assert untouched(deployment, before)
    assert deployment.run("update").outcome == "updated"
    assert marker.exists(), "the trap works"


ORDERS = (("update", "--to"), ("pin", "--"), ("rollback", "--to"))
TAGS = ["--upload-pack=touch X", "-f", "1.1.0\nv1.1.0", "1..0", "v1.1.0/../v1.1.0", "1." * 150 + "0"]


@pytest.mark.parametrize("order", ORDERS)
def test_a_tag_that_is_no_plain_name_is_refused_and_nothing_runs(
    deployment: Deployment, order: tuple[str, ...]
) -> None:
    """threats.md T15"""
    deployment.run("check")
    before, tags = look(deployment), deployment.remote.git("for-each-ref")
    for tag in TAGS:
        words = (order[0], f"--to={tag}") if order[1] == "--to" else (*order, tag)
        process = deployment.start("--json", *words)
        output, errors = process.communicate(timeout=30)
        require_plain(Answer(process.returncode, json.loads(output), errors), 2, "usage")
    assert untouched(deployment, before)
    assert deployment.remote.git("for-each-ref") == tags
    assert not list(deployment.folder.rglob("X"))


def test_a_branch_that_the_remote_has_not_changes_nothing(deployment: Deployment) -> None:
    before = look(deployment)
    text = require_plain(deployment.run("update", "--branch", "elsewhere"), 1, "failed", "branch_missing")
    assert "no branch elsewhere" in text
    assert untouched(deployment, before)


@pytest.mark.parametrize("wanted", ["9.9.9", "0" * 40, "f" * 12])
def test_a_release_that_the_remote_has_not_changes_nothing(deployment: Deployment, wanted: str) -> None:
    head = deployment.head()
    answer = deployment.run("update", "--to", wanted)
    assert (answer.code, answer.outcome) in ((1, "failed"), (2, "usage")), answer
    assert wanted in answer.record["errors"][0]["message"]
    assert deployment.head() == head


def test_for_people_a_failure_is_a_line_and_its_cure_on_standard_error(deployment: Deployment) -> None:
    code, output, errors = deployment.text("updat")
    assert (code, output) == (2, "")
    assert errors.splitlines()[0] == "newleaf: there is no verb 'updat'; did you mean `newleaf update`?"
    assert "\x1b" not in errors, "no colours into a pipe"


def test_what_the_remote_says_does_not_command_the_terminal(deployment: Deployment) -> None:
    """A commit's subject is anybody's text."""
    deployment.remote.commit({"app.py": "print('1.2.0')\n"}, "Harmless\x1b]0;pwned\x07\x1b[2J\r change")
    code, output, _ = deployment.text("update")
    assert code == 0
    assert "Harmless?]0;pwned??[2J? change" in output
    assert not set("\x1b\x07\r") & set(output)


def test_outside_any_app_the_apps_of_this_machine_are_listed(deployment: Deployment) -> None:
    folder = deployment.folder / "elsewhere"
    folder.mkdir()
    deployment.checkout.path = folder
    text = require_plain(deployment.run("update"), 2, "usage", "app_unknown")
    assert "newleaf init" in text


def test_in_a_folder_that_is_gone_one_is_told_so(deployment: Deployment) -> None:
    folder = deployment.folder / "gone"
    folder.mkdir()
    words = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *NEWLEAF]
    assert "does not exist any more" in require_plain(
        deployment.run("status", program=words, folder=folder), 2, "usage"
    )


# --- settings -----------------------------------------------------------------------------

HOST_SETTINGS = {
    "no TOML": ("[gates\n", "line 1"),
    "no text": ("\xff", "UTF-8"),
    "a key that there is not": ('[deployment]\nchanel = "beta"\n', "did you mean deployment.channel"),
    "a table that there is not": ('[deploymnt]\nchannel = "beta"\n', "deployment.channel"),
    "a channel that there is not": ('[deployment]\nchannel = "nightly"\n', "alpha"),
    "a minor that is a number": ('[deployment]\nchannel = "stable"\npinned_minor = 1.3\n', "pinned_minor"),
    "stable without its minor": ('[deployment]\nchannel = "stable"\n', "pinned_minor"),
    "a duration that is none": ('[watch]\npoll_seconds = "soon"\n', "watch.poll_seconds"),
    "a negative duration": ("[update]\nfetch_timeout = -1\n", "update.fetch_timeout"),
    "a window that is none": ('[gates]\nwindow = "at night"\n', "gates.window"),
    "a place that there is not": ('[gates]\nwindow = "Mon 01:00-02:00 Europe/Atlantis"\n', "Atlantis"),
    "text for a yes or no": ('[deployment]\nsuspended = "yes"\n', "deployment.suspended"),
    "a value for a table": ("gates = 5\n", "gates"),
    "a command nobody can split": ('[update]\ninstall = "make \'install"\n', "update.install"),
    "a restart that there is not": ('[restart]\nmode = "reboot"\n', "restart.mode"),
    "a command that is not said": ('[restart]\nmode = "command"\n', "restart.command"),
    "a budget that is none": ('[restart]\nbudget = "many"\n', "restart.budget"),
    "a branch that is an option": ('[source]\nbranch = "--upload-pack=x"\n', "begins with -"),
    "a program for a url": ('[source]\nurl = "ext::sh"\n', "source.url"),
    "a git setting that runs programs": ('[source.git_config]\n"core.pager" = "sh"\n', "core.pager"),
    "a token file that is not there": ('[source]\ntoken_file = "/nowhere/token"\n', "/nowhere/token"),
}


@pytest.mark.parametrize("situation", HOST_SETTINGS)
def test_a_wrong_setting_of_the_host_is_named(deployment: Deployment, situation: str) -> None:
    """lessons.md L15; threats.md T16"""
    text, telling = HOST_SETTINGS[situation]
    deployment.state.mkdir(mode=0o700)
    (deployment.state / "host.toml").write_bytes(text.encode("latin-1"))
    before = look(deployment)
    assert telling in require_plain(deployment.run("update"), 2, "usage")
    assert untouched(deployment, before)


APP_SETTINGS = {
    "no TOML": ("app = [\n", "line"),
    "no name": ('[update]\ninstall = "none"\n', "app.name"),
    "a name with a path in it": ('[app]\nname = "../x"\n', "app.name"),
    "a key of the host's alone": (
        '[app]\nname = "sessions"\n[source]\nurl = "https://example.org/other.git"\n',
        "source.url",
    ),
    "trust of the host's alone": (
        '[app]\nname = "sessions"\n[security]\nrequire = "none"\n',
        "security.require",
    ),
}


@pytest.mark.parametrize("situation", APP_SETTINGS)
def test_a_wrong_setting_of_the_checkout_is_named(deployment: Deployment, situation: str) -> None:
    text, telling = APP_SETTINGS[situation]
    deployment.run("check")
    deployment.checkout.write("newleaf.toml", text)
    before = look(deployment)
    assert telling in require_plain(deployment.run("--app", "sessions", "update"), 2, "usage")
    assert untouched(deployment, before)


@pytest.mark.parametrize("by_variable", [False, True])
def test_an_app_s_name_with_a_path_in_it_makes_no_folder(deployment: Deployment, by_variable: bool) -> None:
    if by_variable:
        deployment.environment["NEWLEAF_APP__NAME"] = "../../outside"
    else:
        deployment.checkout.write("newleaf.toml", settings_text("../../outside"))
    for verb in ("status", "update", "busy -- true"):
        code, _, errors = deployment.text(*verb.split())
        assert code == 2
        assert "app.name" in errors or "which app is meant" in errors, errors
    assert list(deployment.home.iterdir()) == []
    assert not list(deployment.folder.glob("**/outside*"))


VARIABLES = {
    "NEWLEAF_DEPLOYMENT__CHANEL": ("beta", "NEWLEAF_DEPLOYMENT__CHANNEL"),
    "NEWLEAF_DEPLOYMENT__CHANNEL": ("nightly", "NEWLEAF_DEPLOYMENT__CHANNEL"),
    "NEWLEAF_WATCH__PATHS": ("worker, lib", "NEWLEAF_WATCH__PATHS"),
    "NEWLEAF_STATE_DIR": ("/dev/null/state", "/dev/null"),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_wrong_variable_is_named(deployment: Deployment, name: str) -> None:
    value, telling = VARIABLES[name]
    deployment.run("check")
    deployment.environment[name] = value
    before = look(deployment)
    assert telling in require_plain(deployment.run("update"), 2, "usage")
    assert untouched(deployment, before)


def test_every_problem_is_said_at_once(deployment: Deployment) -> None:
    deployment.host_settings('[deployment]\nchanel = "beta"\n[gates]\nmin_age = "soon"\n')
    deployment.environment["NEWLEAF_GATES__COOLDOWN"] = "later"
    answer = deployment.run("config", "--check")
    problems = answer.record["errors"][0]["problems"]
    assert (answer.code, len(problems)) == (2, 3), problems


# --- programs -----------------------------------------------------------------------------


def programs(deployment: Deployment, *names: str) -> None:
    """PATH holds these programs, and what every system has but git and uv."""
    folder = deployment.folder / "programs"
    folder.mkdir()
    for name in ("sh", "env", "true", "touch", "cat", *names):
        (folder / name).symlink_to(shutil.which(name) or sys.executable)
    deployment.environment["PATH"] = str(folder)


def test_without_git_one_is_told_to_install_it(deployment: Deployment) -> None:
    programs(deployment)
    before = look(deployment)
    text = require_plain(deployment.run("update"), 1, "failed", "program_missing")
    assert "install git" in text
    assert untouched(deployment, before)


def test_a_git_that_is_too_old_is_said(deployment: Deployment) -> None:
    programs(deployment)
    git = deployment.folder / "programs" / "git"
    git.write_text(
        f'#!/bin/sh\n[ "$1" = version ] && echo git version 1.8.3 && exit\nexec {shutil.which("git")} "$@"\n'
    )
    git.chmod(0o755)
    before = look(deployment)
    require_plain(deployment.run("update"), 1, "failed", "git_too_old")
    assert untouched(deployment, before)


def test_without_uv_pip_installs(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path, update={"install": "auto"})
    lock = 'version = 1\nrequires-python = ">=3.11"\n\n[[package]]\nname = "sessions"\n'
    deployment.release("1.1.0", {"uv.lock": lock + 'version = "1.1.0"\nsource = { virtual = "." }\n'})
    programs(deployment, "git", "python3")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (0, "updated"), answer
    assert (deployment.checkout.path / ".venv" / "bin" / "python").exists()


def test_an_own_installer_that_is_missing_leaves_the_host_as_it_was(tmp_path: Path) -> None:
    """lessons.md L16"""
    deployment = Deployment.make(tmp_path, update={"install": "no-such-installer --all"})
    deployment.run("status")
    head = deployment.head()
    deployment.release("1.1.0")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (1, "failed")
    assert "no-such-installer" in answer.record["errors"][0]["message"]
    assert deployment.head() == head
    assert deployment.checkout.changes() == []


# --- the state directory --------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_state_directory_that_others_can_write_is_refused_with_the_chmod(
    deployment: Deployment, mode: int
) -> None:
    """threats.md T21"""
    deployment.run("check")
    deployment.state.chmod(mode)
    before, text = look(deployment), ""
    for verb in ("update", "status", "check", "suspend"):
        text = require_plain(deployment.run(verb), 2, "usage", "state_directory_unsafe")
    assert untouched(deployment, before)
    carry_out(text, "chmod")
    assert stat.S_IMODE(deployment.state.stat().st_mode) == 0o700
    assert deployment.run("update").outcome == "updated"


def test_somebody_else_s_state_directory_is_refused_with_the_chown(deployment: Deployment) -> None:
    """threats.md T21"""
    theirs = Path("/")
    if os.geteuid() == 0:
        theirs = deployment.folder / "theirs"
        theirs.mkdir(mode=0o700)
        os.chown(theirs, 4711, 4711)
    assert theirs.stat().st_uid != os.geteuid(), "it must be somebody else's, or a mistake would write there"
    answer = deployment.run("update", "--state-dir", str(theirs))
    text = require_plain(answer, 2, "usage", "state_directory_unsafe")
    assert f"chown -R {os.geteuid()} {theirs}" in text


def test_a_state_directory_that_cannot_be_written_changes_nothing(deployment: Deployment) -> None:
    deployment.run("check")
    before = look(deployment)
    with locked_folder(deployment.state):
        answer = deployment.run("update", program=[*UNPRIVILEGED, *NEWLEAF])
        text = require_plain(answer, 2, "usage", "state_directory_unwritable")
    assert str(deployment.state) in text
    assert "NEWLEAF_STATE_DIR" in text
    assert untouched(deployment, before)
    assert deployment.run("update").outcome == "updated"


def test_a_home_in_which_nothing_can_be_made_changes_nothing(deployment: Deployment) -> None:
    with locked_folder(deployment.home):
        answer = deployment.run("update", program=[*UNPRIVILEGED, *NEWLEAF])
        require_plain(answer, 2, "usage", "state_directory_unwritable")
    assert list(deployment.home.iterdir()) == []


def test_records_that_may_not_be_read_are_named(deployment: Deployment) -> None:
    deployment.run("update")
    deployment.release("1.2.0")
    for name in ("journal.jsonl", "denied.json", "host.toml"):
        path = deployment.state / name
        path.touch()
        path.chmod(0)
        answer = deployment.run("update", program=[*UNPRIVILEGED, *NEWLEAF])
        assert answer.code == (2 if name == "host.toml" else 7)
        assert f"{path} cannot be read: Permission denied" in answer.record["errors"][0]["message"]
        path.unlink()


@pytest.mark.parametrize("place", ["tree", "git"])
def test_a_checkout_that_cannot_be_written_stays_as_it_was(deployment: Deployment, place: str) -> None:
    head = deployment.head()
    folder = deployment.checkout.path / {"tree": ".", "git": ".git"}[place]
    with locked_folder(folder):
        answer = deployment.run("update", program=[*UNPRIVILEGED, *NEWLEAF])
        assert (answer.code, answer.outcome) == (1, "failed"), answer
        assert "Permission denied" in answer.record["errors"][0]["message"], answer
        assert answer.errors == ""
    assert deployment.head() == head
    assert deployment.checkout.changes() == []
    assert deployment.run("update").outcome == "updated"


# --- full disks -----------------------------------------------------------------------------


def bounded(kibibytes: int) -> Callable[[], None]:
    """For a child: no file of its grows past this, as if the disk were full there."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kibibytes * 1024, kibibytes * 1024))

    return bound


def test_a_disk_that_is_full_under_the_records_changes_nothing(deployment: Deployment) -> None:
    """lessons.md L24"""
    deployment.run("check")
    before, head = look(deployment), deployment.head()
    answer = deployment.run("update", before=bounded(0))
    assert (answer.code, answer.outcome) == (1, "failed"), answer
    require_plain(answer, 1, "failed")
    assert deployment.head() == head
    assert untouched(deployment, before)
    assert deployment.run("update").outcome == "updated"


def test_a_limit_on_files_below_that_of_a_fetch_is_no_obstacle(deployment: Deployment) -> None:
    """As of LimitFSIZE= in a unit: what holds already cannot be raised, and need not be."""
    assert deployment.run("update", before=bounded(1024 * 1024)).outcome == "updated"


@pytest.mark.parametrize("left", [0, 4, 16, 32])
def test_a_full_disk_of_the_state_directory_changes_nothing(deployment: Deployment, left: int) -> None:
    """lessons.md L24: a disk of its own where one may be made, else a limit on every file."""
    with small_disk(deployment.state, 512) as is_disk:
        deployment.run("check")
        filler = deployment.state / "filler"
        if is_disk:
            with filler.open("wb", buffering=0) as file:
                while file.write(bytes(4096)) == 4096 and shutil.disk_usage(deployment.state).free:
                    pass
            os.truncate(filler, filler.stat().st_size - left * 1024)
        head = deployment.head()
        answer = deployment.run("update", before=None if is_disk else bounded(left // 16))
        assert answer.code in (0, 1), answer
        if answer.code:
            text = require_plain(answer, 1, "failed", "disk_full" if is_disk else "")
            assert not is_disk or str(deployment.state) in text, "which disk is full"
            assert deployment.head() == head
        filler.unlink(missing_ok=True)
        assert deployment.run("update").outcome in ("updated", "up_to_date")
        assert deployment.checkout.changes() == []


@pytest.mark.parametrize("size", [2, 40])
def test_a_disk_that_is_full_in_mid_move_leaves_the_checkout_as_it_was(tmp_path: Path, size: int) -> None:
    """lessons.md L24: the objects come (they compress well), the files do not fit."""
    deployment = Deployment.make(tmp_path)
    head = deployment.head()
    many = {f"data/{number}": b"%d" % number + bytes(1024 * 1024) for number in range(size)}
    commit = deployment.release("1.1.0", many)
    answer = deployment.run("update", before=bounded(512))
    assert (answer.code, answer.outcome) == (1, "failed"), answer
    assert deployment.head() == head
    assert deployment.checkout.changes() == []
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == commit


def test_settings_of_the_target_that_are_wrong_are_refused(deployment: Deployment) -> None:
    before, commit = look(deployment), deployment.head()
    for text in (
        settings_text(gates={"window": "at night"}),
        "app = [\n",
        settings_text(source={"branch": "x"}),
    ):
        deployment.release("1.2.0", {"newleaf.toml": text})
        answer = deployment.run("update")
        assert answer.code in (2, 5), answer
        assert "newleaf.toml of " in answer.record["errors"][0]["message"], "which copy is wrong"
        assert deployment.head() == commit
    deployment.release("1.3.0", {"newleaf.toml": settings_text()})
    assert {name: content for name, content in before.items() if name.startswith("checkout/")} == {
        name: content for name, content in look(deployment).items() if name.startswith("checkout/")
    }
    assert deployment.run("update").outcome == "updated"
