"""`newleaf init --slots` as people type it: from a checkout, from a url, on a host that was in place."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment, settings_text
from tests.support.repositories import Remote
from tests.support.wheels import UV

IGNORED = ".env\ndata/\nvenv/\n.venv/\n__pycache__/\nnode_modules/\nconfig.local.yaml\n"


@pytest.fixture
def host(tmp_path: Path) -> Deployment:
    """A checkout with a secret, data and a file of its own beside what git tracks."""
    made = Deployment.make(tmp_path, {".gitignore": IGNORED}, app={"command": ".venv/bin/python app.py"})
    made.checkout.write(".env", "TOKEN=canary\r\n").chmod(0o600)
    made.checkout.write("config.local.yaml", "a: 1\n")
    made.checkout.write("data/notes.bin", b"\0\1\2")
    for path in ("venv/bin/x", "__pycache__/a.pyc", "node_modules/left/pad.js", "pkg/__pycache__/b.pyc"):
        made.checkout.write(path, "made anew\n")
    return made


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Each file below a folder, byte for byte; the index of git is refreshed by looking."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name != "index"
    }


def current(host: Deployment) -> Path:
    return host.state / "current"


def codes(answer: Any) -> list[str]:
    return [error["code"] for error in answer.record["errors"]]


def notes(answer: Any, level: str) -> str:
    return "\n".join(note["text"] for note in answer.record["notes"] if note["level"] == level)


def init_from(host: Deployment, url: str | None = None, *more: str) -> Any:
    """`newleaf init --from URL`, standing where there is no checkout."""
    return host.run("init", "--from", url or host.remote.url, *more, folder=host.home)


# --- from a checkout --------------------------------------------------------------------


def test_a_checkout_gets_slots_and_stays_as_it_was(host: Deployment) -> None:
    before, head = everything(host.checkout.path), host.head()
    answer = host.run("init", "--slots")
    assert (answer.code, answer.outcome) == (0, "ok"), answer.errors
    assert answer.record["written"] == [str(host.state / "host.toml")]
    assert everything(host.checkout.path) == before
    assert host.record("identity.json") == {
        "schema": 1,
        "app": "sessions",
        "folder": ".",
        "layout": "slots",
        "origin": host.remote.url,
    }
    assert os.readlink(current(host)) == f"releases/{head}"
    assert (current(host) / "app.py").read_text() == "print('1.0.0')\n"
    assert (host.state.stat().st_mode & 0o777, (host.state / "host.toml").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_what_git_does_not_track_is_shared_and_what_is_made_anew_is_not(host: Deployment) -> None:
    """lessons.md L23."""
    answer = host.run("init", "--slots")
    shared = host.state / "shared"
    assert sorted(os.listdir(shared)) == [".env", "config.local.yaml", "data"]
    for path in (".env", "config.local.yaml", "data/notes.bin"):
        original = host.checkout.path / path
        assert (shared / path).read_bytes() == (current(host) / path).read_bytes() == original.read_bytes()
        assert (shared / path).stat().st_mode == original.stat().st_mode
    assert os.readlink(current(host) / ".env") == "../../shared/.env"
    assert "copied to" in notes(answer, "chosen")
    assert f"stop the daemon in {host.checkout.path}" in notes(answer, "next")
    assert not (current(host) / "venv").exists()


def test_a_database_that_is_written_to_is_copied_whole(host: Deployment) -> None:
    path = host.checkout.path / "data" / "app.sqlite3"
    database = sqlite3.connect(path, check_same_thread=False)
    database.execute("pragma journal_mode=wal")
    database.execute("create table jobs (number integer)")
    database.commit()
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            database.executemany("insert into jobs values (?)", [(number,), (number,)])
            database.commit()
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert host.run("init", "--slots").code == 0
    finally:
        stop.set()
        writer.join()
    assert not list((host.state / "shared" / "data").glob("*-wal"))
    copy = sqlite3.connect(host.state / "shared" / "data" / "app.sqlite3")
    assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
    counts = copy.execute("select count(*) from jobs group by number").fetchall()
    assert counts
    assert set(counts) == {(2,)}, "half of a transaction was copied"
    copy.close()
    database.close()


def test_a_second_time_changes_nothing(host: Deployment) -> None:
    assert host.run("init", "--slots").code == 0
    before = everything(host.state)
    answer = host.run("init", "--slots")
    assert (answer.code, answer.record["written"]) == (0, [])
    assert "was live already" in notes(answer, "chosen")
    assert "stop the daemon" not in notes(answer, "next")
    changed = {path for path, what in everything(host.state).items() if before.get(path) != what}
    assert {Path(path).name for path in changed} <= {"update.lock"}


def test_a_second_time_in_the_old_checkout_without_the_option_is_refused(host: Deployment) -> None:
    host.run("init", "--slots")
    before = host.record("identity.json")
    answer = host.run("init")
    assert (answer.code, codes(answer)) == (2, ["slots_meant"])
    assert "newleaf init --slots" in answer.record["errors"][0]["cure"]
    assert host.record("identity.json") == before


def test_local_edits_are_named_and_part_of_nothing(host: Deployment) -> None:
    host.checkout.write("app.py", "print('edited')\n")
    answer = host.run("init", "--slots")
    said = notes(answer, "attention")
    assert "local edits are part of no release: app.py" in said
    assert "stash" not in said
    assert (current(host) / "app.py").read_text() == "print('1.0.0')\n"
    assert host.checkout.read("app.py") == "print('edited')\n"


def test_unpushed_commits_are_refused_before_anything_is_written(host: Deployment) -> None:
    host.checkout.write("app.py", "print('mine')\n")
    host.checkout.git("commit", "-qam", "Mine")
    answer = host.run("init", "--slots")
    assert (answer.code, codes(answer)) == (2, ["head_unpushed"])
    assert not host.state.exists()
    host.checkout.git("push", "-q", "origin", "HEAD:main")
    assert host.run("init", "--slots").code == 0
    assert (current(host) / "app.py").read_text() == "print('mine')\n"


def test_a_checkout_without_a_remote_is_refused(host: Deployment) -> None:
    host.checkout.git("remote", "remove", "origin")
    answer = host.run("init", "--slots")
    assert (answer.code, codes(answer)) == (2, ["remote_missing"])
    assert "--from URL" in answer.record["errors"][0]["cure"]


def test_a_detached_older_head_is_where_it_begins(host: Deployment) -> None:
    first = host.head()
    host.release("1.1.0")
    host.checkout.git("fetch", "-q")
    host.checkout.git("checkout", "-q", "--detach", first)
    assert host.run("init", "--slots").code == 0
    assert os.readlink(current(host)) == f"releases/{first}"
    assert host.run("update").outcome == "updated"


# --- settings files ---------------------------------------------------------------------


def without_app_file(tmp_path: Path) -> Deployment:
    made = Deployment.make(tmp_path)
    made.remote.commit({"newleaf.toml": None, "bot.py": "if __name__ == '__main__':\n    print(1)\n"})
    made.checkout.git("pull", "-q")
    return made


def test_an_app_that_does_not_describe_itself_is_described_by_the_host(tmp_path: Path) -> None:
    host = without_app_file(tmp_path)
    assert host.run("init", "--slots").code == 0
    text = (host.state / "host.toml").read_text()
    assert 'name = "sessions"' in text
    assert not (host.checkout.path / "newleaf.toml").exists()
    assert not (current(host) / "newleaf.toml").exists()
    for verb in ("status", "doctor", "why", "check"):
        assert host.run(verb, "--app", "sessions", folder=host.home).code == 0, verb
    host.release("1.1.0")
    answer = host.run("update", folder=host.home)
    assert (answer.code, answer.outcome) == (0, "updated"), answer.record


def test_a_file_that_git_does_not_track_goes_into_the_hosts(tmp_path: Path) -> None:
    host = without_app_file(tmp_path)
    host.checkout.write("data/a", "1")
    host.checkout.write(
        "newleaf.toml", settings_text(app={"shared": ["data", "cache"]}, health={"probation": 7})
    )
    assert host.run("init", "--slots").code == 0
    record = host.run("config", folder=host.home).record
    values = json.dumps(record)
    assert '"cache"' in values
    assert (host.state / "host.toml").read_text().count("shared =") == 1
    assert "probation = 7" in (host.state / "host.toml").read_text()
    assert (current(host) / "data" / "a").read_text() == "1"
    assert (current(host) / "cache").is_dir()


def test_a_kept_file_and_a_newleaf_toml_that_was_never_committed_stop_it(tmp_path: Path) -> None:
    host = without_app_file(tmp_path)
    assert host.run("init").code == 0
    answer = host.run("init", "--slots")
    assert (answer.code, codes(answer)) == (2, ["app_undescribed"])
    assert "does not say app.command, app.name" in answer.record["errors"][0]["message"]
    host.checkout.git("add", "newleaf.toml")
    host.checkout.git("commit", "-qm", "Say how newleaf deploys this")
    host.checkout.git("push", "-q", "origin", "HEAD:main")
    assert host.run("init", "--slots").code == 0


def test_what_the_repository_says_is_shared_is_not_lost_to_what_was_found(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path, app={"shared": ["data", "uploads"]})
    host.checkout.write("local.ini", "x")
    host.checkout.write("data/a", "1")
    assert host.run("init", "--slots").code == 0
    assert 'shared = ["data", "local.ini", "uploads"]' in (host.state / "host.toml").read_text()


def test_shared_folders_with_tracked_files_come_from_the_checkout(tmp_path: Path) -> None:
    """The tree has a seed; what the daemon made of it lies in the checkout."""
    host = Deployment.make(tmp_path, {"data/seed": "seed\n"}, app={"shared": ["data"]})
    host.checkout.write("data/made", "made\n")
    assert host.run("init", "--slots").code == 0
    assert "shared =" not in (host.state / "host.toml").read_text()
    assert sorted(os.listdir(current(host) / "data")) == ["made", "seed"]


def test_declared_data_is_copied_too(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path, {".gitignore": "target\n"}, update={"state_paths": ["target"]})
    host.checkout.write("target/db", "1")
    assert host.run("init", "--slots").code == 0
    assert (current(host) / "target" / "db").read_text() == "1"


def test_an_app_in_a_folder_of_a_monorepo(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path, {"services/bot/main.py": "print(1)\n"}, app={"path": "services/bot"})
    host.checkout.write("services/bot/local.ini", "x")
    host.checkout.write("services/other.ini", "not the bot's")
    inner = {"app": {"path": "services/bot"}}
    assert host.run("init", "--slots").code == 0, inner
    shown = host.run("doctor", folder=host.state)
    assert shown.code == 0
    host.release("1.1.0")
    assert host.run("update").outcome == "updated"


def test_a_settings_file_in_a_folder_of_a_monorepo(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path)
    bot = {"services/bot/main.py": "print(1)\n", "services/bot/newleaf.toml": settings_text("bot")}
    host.remote.commit(bot)
    host.checkout.git("pull", "-q")
    host.checkout.write("services/bot/local.ini", "x")
    folder = host.checkout.path / "services/bot"
    assert host.run("init", "--slots", folder=folder).code == 0
    state = host.home / ".bot"
    assert json.loads((state / "identity.json").read_text())["folder"] == "services/bot"
    assert os.readlink(state / "current/services/bot/local.ini") == "../../../../shared/local.ini"
    host.remote.commit({"services/bot/main.py": "print(2)\n"})
    assert host.run("update", folder=folder).outcome == "updated"
    assert host.run("version", folder=state / "current/services/bot").record["app"]["name"] == "bot"


# --- from a url -------------------------------------------------------------------------


def test_from_a_url_the_channel_names_the_first_release(host: Deployment) -> None:
    head = host.release("1.1.0")
    answer = init_from(host)
    assert (answer.code, answer.outcome) == (0, "ok"), answer.record
    assert os.readlink(current(host)) == f"releases/{head}"
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob("newleaf-*/remote"))
    assert host.run("status", folder=host.home).code == 0
    assert init_from(host).record["written"] == []


@pytest.mark.parametrize("is_shared", [False, True])
def test_data_outside_git_is_called_shared_only_where_it_is(tmp_path: Path, is_shared: bool) -> None:
    said = {"app": {"shared": ["data"] if is_shared else []}}
    answer = init_from(Deployment.make(tmp_path, {".gitignore": "data/\n"}, **said))
    assert ("data: all releases share it" in notes(answer, "found")) is is_shared
    assert ("data: no release shares it" in notes(answer, "attention")) is not is_shared
    assert any("app.shared = [" in note["cure"] for note in answer.record["notes"]) is not is_shared


def test_a_name_at_odds_with_the_repositorys_is_said_of_its_url(host: Deployment) -> None:
    answer = init_from(host, None, "--app", "other")
    (error,) = answer.record["errors"]
    assert error["code"] == "setting_kept"
    for text in (error["message"], error["cure"]):
        assert f"newleaf.toml of {host.remote.url}" in text
    assert "newleaf-" not in error["message"]


def test_beta_and_stable_begin_with_a_published_release(host: Deployment, tmp_path: Path) -> None:
    tagged = host.release("1.0.1")
    newer = host.release("1.2.0")
    host.remote.commit({"app.py": "print('unreleased')\n"})
    assert init_from(host, None, "--channel", "beta").code == 0
    assert os.readlink(current(host)) == f"releases/{newer}"
    other = tmp_path / "stable"
    host.environment["NEWLEAF_STATE_DIR"] = str(other)
    host.environment["NEWLEAF_DEPLOYMENT__PINNED_MINOR"] = "1.0"
    answer = init_from(host, None, "--channel", "stable")
    assert answer.code == 0, answer.record
    assert os.readlink(other / "current") == f"releases/{tagged}"


def test_no_release_published_yet_is_said(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path)
    host.remote.git("tag", "--delete", "v1.0.0")
    answer = init_from(host, None, "--channel", "beta")
    assert (answer.code, codes(answer)) != (0, [])
    assert "published" in answer.record["errors"][0]["message"]
    assert not current(host).exists()
    host.remote.tag("v1.0.0")
    assert init_from(host, None, "--channel", "beta").code == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://me:canary@example.org/app.git",
        "ext::sh -c touch% /tmp/pwned",
        "-oProxyCommand=touch",
        "https://example.org/a b\n.git",
    ],
)
def test_a_url_that_is_never_used_is_refused_before_git_runs(url: str, host: Deployment) -> None:
    """threats.md T16, T29."""
    host.environment["PATH"] = str(host.home)
    answer = host.run("init", f"--from={url}", folder=host.home)
    assert (answer.code, answer.outcome) == (2, "usage")
    assert "git" not in codes(answer)[0]
    assert "canary" not in json.dumps(answer.record) + answer.errors
    assert not host.state.exists()


def test_a_remote_of_the_checkout_with_credentials_is_refused(host: Deployment) -> None:
    host.checkout.git("remote", "set-url", "origin", "https://me:canary@example.org/app.git")
    answer = host.run("init", "--slots")
    assert answer.code == 2
    assert "canary" not in json.dumps(answer.record) + answer.errors
    assert not host.state.exists()


def test_a_file_url_and_a_path_are_the_hosts_to_name(host: Deployment, tmp_path: Path) -> None:
    assert init_from(host, f"file://{host.remote.path}").code == 0
    assert host.run("check", folder=host.home).code == 0


def test_a_relative_path_means_what_it_meant_where_it_was_typed(host: Deployment) -> None:
    answer = host.run("init", "--from", "../remote.git", folder=host.home)
    assert answer.code == 0, answer.record
    assert host.record("identity.json")["origin"] == str(host.remote.path)
    assert host.run("check", folder=host.folder).code == 0


def test_a_remote_that_is_not_there_is_said(host: Deployment) -> None:
    answer = init_from(host, str(host.folder / "nothing.git"))
    assert answer.code == 1
    assert codes(answer) == ["remote_unreachable"]
    assert not host.state.exists()


def test_a_state_directory_of_a_checkout_is_not_taken_from_afar(host: Deployment) -> None:
    host.run("init")
    answer = init_from(host)
    assert (answer.code, codes(answer)) == (2, ["state_directory_taken"])


# --- killed, failed ---------------------------------------------------------------------


def kill_points(host: Deployment) -> Iterator[int]:
    yield from (1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 36, 42, 48)


def test_killed_anywhere_it_converges(host: Deployment) -> None:
    killed = 0
    for number in kill_points(host):
        process = host.start("init", "--slots", "--json", kill_at=f"*:*:{number}")
        process.communicate(timeout=60)
        killed += process.returncode != 0
        answer = host.run("init", "--slots")
        assert answer.code == 0, (number, answer.record)
        assert os.readlink(current(host)) == f"releases/{host.head()}"
        assert (current(host) / ".env").read_bytes() == b"TOKEN=canary\r\n"
        assert sorted(os.listdir(host.state / "shared")) == [".env", "config.local.yaml", "data"]
        assert os.listdir(host.state / "releases") == [host.head()]
        assert host.run("update").outcome == "up_to_date"
        subprocess.run(["rm", "-rf", host.state], check=True)
    assert killed > 5


def test_a_first_release_that_cannot_start_leaves_nothing_live(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path, {"app.py": "import nowhere\n"}, app={"command": "python app.py"})
    answer = host.run("init", "--slots")
    assert (answer.code, codes(answer)) == (1, ["preflight_failed"])
    assert not current(host).exists()
    host.release("1.0.1")
    host.checkout.git("pull", "-q")
    assert host.run("init", "--slots").code == 0


# --- a host that was in place -----------------------------------------------------------


def in_place(host: Deployment) -> None:
    """The host has been updated in place, to 1.1.0."""
    assert host.run("init").code == 0
    host.release("1.1.0")
    assert host.run("update").outcome == "updated"


def test_a_host_in_place_becomes_one_with_slots(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path)
    in_place(host)
    settings = (host.state / "host.toml").read_bytes()
    history = len(host.lines("history.jsonl"))
    answer = host.run("init", "--slots")
    assert (answer.code, answer.record["kept"]) == (0, [str(host.state / "host.toml")])
    assert (host.state / "host.toml").read_bytes() == settings
    assert "checkout" not in host.record("identity.json")
    assert len(host.lines("history.jsonl")) == history + 1
    before = everything(host.checkout.path)
    host.release("1.2.0")
    for folder in (host.checkout.path, host.home, current(host).resolve()):
        for verb in (["status"], ["why"], ["doctor"], ["version"], ["history"], ["migrate", "--dry-run"]):
            assert host.run(*verb, folder=folder).code == 0, (verb, folder)
    assert host.run("update", folder=current(host).resolve()).outcome == "updated"
    assert (current(host) / "app.py").read_text() == "print('1.2.0')\n"
    assert host.run("rollback", folder=host.folder).outcome == "ok"
    assert (current(host) / "app.py").read_text() == "print('1.1.0')\n"
    assert everything(host.checkout.path) == before


def test_a_kept_file_that_says_nothing_of_what_is_shared_stops_it(host: Deployment) -> None:
    in_place(host)
    identity = host.record("identity.json")
    answer = host.run("init", "--slots")
    assert (answer.code, codes(answer)) == (2, ["shared_unsaid"])
    line = 'shared = [".env", "config.local.yaml", "data"]'
    assert line in answer.record["errors"][0]["cure"]
    assert host.record("identity.json") == identity
    with (host.state / "host.toml").open("a") as file:
        file.write(f"[app]\n{line}\n")
    assert host.run("init", "--slots").code == 0
    assert (current(host) / ".env").read_bytes() == b"TOKEN=canary\r\n"


def test_what_the_host_left_out_on_purpose_is_named_and_not_copied(host: Deployment) -> None:
    host.host_settings('[app]\nshared = ["data"]\n')
    answer = host.run("init", "--slots")
    assert answer.code == 0
    assert "app.shared does not name it: .env, config.local.yaml" in notes(answer, "attention")
    assert os.listdir(host.state / "shared") == ["data"]


@pytest.mark.parametrize("name", [b"Icon\r", b"caf\xe9"], ids=["control character", "not UTF-8"])
def test_what_no_setting_can_name_is_told_and_keeps_nothing_else_from_being_shared(
    host: Deployment, name: bytes
) -> None:
    """lessons.md L23."""
    try:
        Path(os.fsdecode(os.fsencode(host.checkout.path) + b"/" + name)).write_text("x")
    except OSError:
        pytest.skip("no file can be called so here")
    answer = host.run("init", "--slots")
    assert answer.code == 0, answer
    assert "no setting can name it" in notes(answer, "attention")
    assert sorted(os.listdir(host.state / "shared")) == [".env", "config.local.yaml", "data"]


def test_a_first_release_that_fails_leaves_the_host_in_place(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path)
    in_place(host)
    identity = host.record("identity.json")
    host.environment["NEWLEAF_UPDATE__PREFLIGHT_COMMAND"] = "false"
    answer = host.run("init", "--slots")
    assert (answer.code, codes(answer)) == (1, ["preflight_failed"])
    del host.environment["NEWLEAF_UPDATE__PREFLIGHT_COMMAND"]
    assert host.record("identity.json") == identity
    host.release("1.2.0")
    assert host.run("update").outcome == "updated"
    assert host.checkout.read("app.py") == "print('1.2.0')\n"


def test_an_attempt_that_waits_in_place_is_ended_first(tmp_path: Path) -> None:
    host = Deployment.make(tmp_path)
    host.host_settings('[gates]\nidle_command = "false"\n')
    host.run("init")
    host.release("1.1.0")
    assert host.run("update").outcome == "waiting"
    answer = host.run("init", "--slots")
    assert (answer.code, codes(answer)) == (2, ["attempt_unended"])


def test_a_host_that_is_told_to_stay_in_place_is_not_given_slots(host: Deployment) -> None:
    host.host_settings('[app]\nlayout = "in_place"\n')
    answer = host.run("init", "--slots")
    assert (answer.code, codes(answer)) == (2, ["setting_kept"])
    assert "app.layout" in answer.record["errors"][0]["message"]


def test_slots_that_were_never_made_are_not_worked_around_in_place(host: Deployment) -> None:
    host.host_settings('[app]\nlayout = "slots"\nshared = []\n')
    for verb in ("update", "check", "status"):
        answer = host.run(verb)
        assert (answer.code, codes(answer)) == (2, ["layout_differs"]), verb
        assert "newleaf init --slots" in answer.record["errors"][0]["cure"]
    assert codes(host.run("init")) == ["slots_meant"]
    assert host.run("init", "--slots").code == 0
    assert host.run("update").outcome == "up_to_date"


def test_slots_whose_settings_say_in_place_are_not_guessed_at(host: Deployment) -> None:
    host.run("init", "--slots")
    host.environment["NEWLEAF_APP__LAYOUT"] = "in_place"
    for words in (["update"], ["config", "--check"]):
        answer = host.run(*words)
        assert (answer.code, codes(answer)) == (2, ["layout_differs"])
        assert "NEWLEAF_APP__LAYOUT" in answer.record["errors"][0]["message"]


# --- which one is meant -----------------------------------------------------------------


def test_verbs_find_it_from_everywhere(host: Deployment) -> None:
    elsewhere = host.folder / "state"
    answer = host.run("init", "--slots", "--state-dir", str(elsewhere))
    assert answer.code == 0
    assert f"newleaf update --state-dir {elsewhere}:" in notes(answer, "next")
    release = (elsewhere / "current").resolve()
    commit = release.name
    for folder in (release, elsewhere / "current", release / "data"):
        assert host.run("version", folder=folder).record["app"]["commit"] == commit, folder
    assert (
        host.run("version", "--state-dir", str(elsewhere), folder=host.folder).record["app"]["commit"]
        == commit
    )
    host.environment["NEWLEAF_STATE_DIR"] = str(elsewhere)
    assert host.run("version", folder=host.folder).record["app"]["commit"] == commit
    del host.environment["NEWLEAF_STATE_DIR"]
    assert host.run("version", folder=host.home).record["app"]["commit"] == commit, (
        "the only app that was noted"
    )
    host.release("1.1.0")
    assert host.run("update", folder=release).outcome == "updated"
    assert host.run("rollback", "--state-dir", str(elsewhere), folder=host.home).outcome == "ok"


# --- with an environment ----------------------------------------------------------------


def test_the_environment_works_and_a_code_only_update_installs_nothing(tmp_path: Path) -> None:
    assert UV
    lock = (
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n[[package]]\nname = "sessions"\n'
        'version = "1.0.0"\nsource = { virtual = "." }\n'
    )
    project = '[project]\nname = "sessions"\nversion = "{}"\nrequires-python = ">=3.11"\n'
    files = {"uv.lock": lock, "pyproject.toml": project.format("1.0.0")}
    host = Deployment.make(
        tmp_path, files, app={"command": [".venv/bin/python", "app.py"]}, update={"install": "auto"}
    )
    host.environment.update(UV_PYTHON=sys.executable, UV_OFFLINE="1")
    assert host.run("init", "--slots").code == 0
    environment = (current(host) / ".venv").resolve()
    assert environment.parent == host.state / "envs"
    argv: list[str | Path] = [current(host) / ".venv/bin/python", "app.py"]
    assert subprocess.check_output(argv, cwd=current(host), text=True) == "1.0.0\n"
    changed = {
        "uv.lock": lock.replace('"1.0.0"', '"1.1.0"'),
        "pyproject.toml": project.format("1.1.0"),
    }
    host.release("1.1.0", changed)
    answer = host.run("update")
    steps = {step["name"]: step for step in answer.record["steps"]}
    assert (answer.outcome, steps["install"]["skipped"]) == ("updated", True)
    assert (current(host) / ".venv").resolve() == environment
    assert "1 environment on the disk" in json.dumps(host.run("doctor").record)


def test_a_fresh_remote_is_no_checkout_and_none_is_needed(tmp_path: Path) -> None:
    remote = Remote.make(tmp_path, "other.git")
    remote.commit({"newleaf.toml": settings_text("other"), "main.py": "print(1)\n"})
    host = Deployment.make(tmp_path)
    assert init_from(host, remote.url).code == 0
    assert (host.home / ".other" / "current" / "main.py").exists()
