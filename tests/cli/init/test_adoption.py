from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from newleaf.cli.init.adoption import Plan, Request, carry_out, make_plan, next_steps
from newleaf.core.adoption.adoption_errors import SettingKept, StateDirectoryTaken
from newleaf.core.errors import NewleafError, SettingsInvalid, StateDirectoryUnsafe
from newleaf.core.settings.fragments import Sources, load
from newleaf.system.commands import Runner
from newleaf.system.configuration import read_sources
from newleaf.system.known_apps import KnownApp, known_apps, note_app
from tests.support.app_repositories import (
    DOCKER_ONLY,
    MONOREPO,
    POETRY_PROJECT,
    REQUIREMENTS_PROJECT,
    UV_PROJECT,
)
from tests.support.repositories import Checkout, Remote, git_environment


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


def cloned(tmp_path: Path, files: dict[str, str]) -> Checkout:
    remote = Remote.make(tmp_path)
    remote.commit(files)
    return remote.clone(tmp_path / "clone")


def asked(checkout: Checkout, home: Path, folder: str = ".", **wish: object) -> Request:
    request = Request(
        folder=checkout.path / folder,
        environ=git_environment(home),
        notes=home / "notes",
    )
    return replace(request, **wish)


def plan_for(request: Request) -> Plan:
    return make_plan(request, Runner())


def adopt(request: Request) -> Plan:
    plan = plan_for(request)
    carry_out(plan)
    return plan


def sources_of(plan: Plan) -> Sources:
    return read_sources(plan.app_file.path, plan.host_file.path, {})


UV_APP_FILE = """\
# What this app knows of itself, for newleaf. It is part of the repository: commit it.

[app]
# its state lives in ~/.sessions_daemon
name = "sessions_daemon"
# what systemd runs in deploy/sessions.service; check it
command = [".venv/bin/python", "-m", "sessions", "--config", "/etc/sessions.toml"]

[update]
# copied before migrations run, and restored when one fails
# state_paths = ["data"]
"""
POETRY_APP_FILE = """\
# What this app knows of itself, for newleaf. It is part of the repository: commit it.

[app]
# its state lives in ~/.mail-sorter
name = "mail-sorter"
# a process line in Procfile; check it
command = [".venv/bin/mail-sorter", "--watch"]
"""
REQUIREMENTS_APP_FILE = """\
# What this app knows of itself, for newleaf. It is part of the repository: commit it.

[app]
# its state lives in ~/.remote
name = "remote"
# a file that looks like the start in bot.py; check it
command = [".venv/bin/python", "bot.py"]
"""
WORKER_APP_FILE = """\
# What this app knows of itself, for newleaf. It is part of the repository: commit it.

[app]
# its state lives in ~/.worker
name = "worker"
# the app's folder in this repository
path = "apps/worker"
# a package with __main__.py in apps/worker/worker; check it
command = [".venv/bin/python", "-m", "worker"]
# where __version__ stands
version_file = "worker/__init__.py"

[watch]
# alpha: only commits that touch these are deployed
# paths = ["apps/worker"]
"""
HOST_FILE = """\
# What this host decides for itself. It stays on this machine.

[deployment]
# alpha: each commit; beta: each release; stable: patches of one minor
channel = "alpha"

[source]
# what alpha follows
branch = "main"
"""


@pytest.mark.parametrize(
    ("files", "folder", "text"),
    [
        (UV_PROJECT, ".", UV_APP_FILE),
        (REQUIREMENTS_PROJECT, ".", REQUIREMENTS_APP_FILE),
        (MONOREPO, "apps/worker", WORKER_APP_FILE),
    ],
    ids=["uv", "requirements", "monorepo"],
)
def test_a_realistic_repository_is_adopted(
    files: dict[str, str], folder: str, text: str, tmp_path: Path, home: Path
) -> None:
    checkout = cloned(tmp_path, files)
    plan = adopt(asked(checkout, home, folder))
    assert (checkout.path / "newleaf.toml").read_text() == text
    assert load(sources_of(plan)).settings.app.name == plan.app.name
    assert checkout.changes() == ["?? newleaf.toml"]


def test_a_poetry_project_is_adopted(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    monkeypatch.setenv("PATH", f"{bare}:/usr/bin:/bin")
    checkout = cloned(tmp_path, POETRY_PROJECT)
    adopt(asked(checkout, home))
    assert checkout.read("newleaf.toml") == POETRY_APP_FILE
    (checkout.path / "newleaf.toml").unlink()
    (bare / "poetry").write_text("#!/bin/sh\n")
    (bare / "poetry").chmod(0o755)
    plan = adopt(asked(checkout, home))
    assert load(sources_of(plan)).settings.update.install == (
        *("env", "POETRY_VIRTUALENVS_IN_PROJECT=true", "poetry", "install", "--no-interaction"),
        *("--only", "main"),
    )


def test_a_repository_of_images_alone_is_said_to_be_none_of_newleafs(tmp_path: Path, home: Path) -> None:
    plan = plan_for(asked(cloned(tmp_path, DOCKER_ONLY), home))
    first = plan.proposal.notes[0]
    assert (first.level, "there is no Python project here, only Dockerfile" in first.text) == ("cannot", True)


def test_the_state_directory_is_the_users_alone_and_knows_the_checkout(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    plan = adopt(asked(checkout, home))
    state = home / ".sessions_daemon"
    assert plan.app == KnownApp("sessions_daemon", state, checkout.path)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert (state / "host.toml").read_text() == HOST_FILE
    assert stat.S_IMODE((state / "host.toml").stat().st_mode) == 0o600
    assert json.loads((state / "identity.json").read_text()) == {
        "schema": 1,
        "app": "sessions_daemon",
        "checkout": str(checkout.path),
        "folder": ".",
    }
    assert known_apps(home / "notes") == [plan.app]


def everything(*folders: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                known = path.stat()
                found[str(path)] = (known.st_ino, known.st_mtime_ns, path.read_bytes())
    return found


def test_a_plan_changes_nothing(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    before = everything(tmp_path)
    plan_for(asked(checkout, home))
    assert everything(tmp_path) == before


def test_a_second_time_changes_nothing(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    adopt(asked(checkout, home))
    before = everything(tmp_path)
    plan = plan_for(asked(checkout, home))
    assert carry_out(plan) == ([], [])
    assert [file.text for file in plan.planned] == [None, None]
    assert [file.differences for file in plan.planned] == [(), ()]
    assert everything(tmp_path) == before


def test_what_is_there_is_kept_and_its_differences_are_said(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    own = '[app]\nname = "kiosk"\ncommand = "mine --token=canary"\n'
    checkout.write("newleaf.toml", own)
    state = home / ".kiosk"
    state.mkdir(mode=0o700)
    (state / "host.toml").write_text(
        '[deployment]\nchannel = "stable"\npinned_minor = "1.3"\n[source]\nbranch = "x"\n'
    )
    plan = adopt(asked(checkout, home))
    assert checkout.read("newleaf.toml") == own
    assert plan.app.name == "kiosk"
    (difference,) = plan.app_file.differences
    assert difference.startswith("app.command: it says [")
    assert "canary" not in difference
    assert plan.host_file.differences == ('source.branch: it says "x", init would say "main"',)


def test_a_kept_file_that_is_silent_is_told_what_it_could_say(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    checkout.write("newleaf.toml", '[app]\nname = "kiosk"\n')
    (difference,) = plan_for(asked(checkout, home)).app_file.differences
    assert difference.startswith("app.command: it says nothing, init would say")


@pytest.mark.parametrize("channel", ["beta", "alpha"])
def test_a_channel_is_written_but_never_over_another(channel: str, tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    plan = adopt(asked(checkout, home, channel=channel))
    assert load(sources_of(plan)).settings.deployment.channel == channel
    adopt(asked(checkout, home, channel=channel))
    with pytest.raises(SettingKept, match=rf'deployment\.channel = "{channel}"'):
        plan_for(asked(checkout, home, channel="stable"))


def test_stable_takes_the_minor_of_the_newest_release(tmp_path: Path, home: Path) -> None:
    remote = Remote.make(tmp_path)
    remote.commit(UV_PROJECT)
    remote.tag("v1.9.0")
    remote.tag("v1.10.4")
    plan = adopt(asked(remote.clone(tmp_path / "clone"), home, channel="stable"))
    assert load(sources_of(plan)).settings.deployment.pinned_minor == "1.10"


def test_a_name_that_was_asked_for_is_taken_unless_the_file_has_another(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    assert adopt(asked(checkout, home, app="kiosk")).app.state_dir == home / ".kiosk"
    with pytest.raises(SettingKept, match=r'app\.name = "kiosk"'):
        plan_for(asked(checkout, home, app="shop"))


def test_a_name_that_is_none_is_refused_before_anything_is_written(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    with pytest.raises(SettingsInvalid, match=r"app\.name"):
        plan_for(asked(checkout, home, app="No Name"))
    assert not (home / ".No Name").exists()


def test_the_state_directory_can_be_said(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    request = asked(
        checkout, home, environ=git_environment(home) | {"NEWLEAF_STATE_DIR": str(tmp_path / "b")}
    )
    assert adopt(replace(request, state_dir=tmp_path / "a")).host_file.path == tmp_path / "a" / "host.toml"
    assert plan_for(request).host_file.path == tmp_path / "b" / "host.toml"


def test_a_state_directory_of_another_app_or_checkout_is_refused(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    adopt(asked(checkout, home, state_dir=tmp_path / "state"))
    other = Remote(tmp_path / "remote.git").clone(tmp_path / "other")
    with pytest.raises(StateDirectoryTaken, match=str(checkout.path)):
        plan_for(asked(other, home, state_dir=tmp_path / "state"))
    with pytest.raises(StateDirectoryTaken, match="the app sessions_daemon"):
        plan_for(asked(other, home, state_dir=tmp_path / "state", app="kiosk"))
    (checkout.path / ".git").rename(checkout.path / "gone")
    assert adopt(asked(other, home, state_dir=tmp_path / "state")).app.checkout == other.path
    assert json.loads((tmp_path / "state" / "identity.json").read_text())["checkout"] == str(other.path)


def test_tags_that_were_seen_stay_in_the_identity(tmp_path: Path, home: Path) -> None:
    """threats.md T9."""
    checkout = cloned(tmp_path, UV_PROJECT)
    state = home / ".sessions_daemon"
    state.mkdir(mode=0o700)
    (state / "identity.json").write_text('{"schema": 1, "tags": {"v1.0.0": "abc"}}')
    adopt(asked(checkout, home))
    assert json.loads((state / "identity.json").read_text())["tags"] == {"v1.0.0": "abc"}


def test_two_apps_in_one_checkout_are_said_first(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    (home / ".bot").mkdir()
    note_app(KnownApp("bot", home / ".bot", checkout.path), home / "notes")
    plan = plan_for(asked(checkout, home))
    assert "bot lives in this checkout too" in plan.proposal.notes[0].text
    assert plan.proposal.notes[0].level == "cannot"


def test_a_second_app_of_a_monorepo_gets_a_file_of_its_own(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, MONOREPO)
    first = adopt(asked(checkout, home, "apps/api"))
    second = adopt(asked(checkout, home, "apps/worker/worker"))
    assert first.app_file.path == checkout.path / "newleaf.toml"
    assert second.app_file.path == checkout.path / "apps/worker/newleaf.toml"
    assert (first.app.name, second.app.name) == ("api", "worker")
    assert json.loads((home / ".worker/identity.json").read_text())["folder"] == "apps/worker"
    assert plan_for(asked(checkout, home, "apps/api")).app.name == "api"
    assert plan_for(asked(checkout, home, "apps/worker")).app_file.text is None


@pytest.mark.parametrize("broken", ["newleaf.toml", "host.toml"])
def test_a_broken_file_that_is_there_stops_it_before_anything_is_written(
    broken: str, tmp_path: Path, home: Path
) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    state = home / ".sessions_daemon"
    state.mkdir(mode=0o700)
    folder = checkout.path if broken == "newleaf.toml" else state
    (folder / broken).write_text("[app\n")
    with pytest.raises(NewleafError, match=broken) as raised:
        plan_for(asked(checkout, home))
    assert raised.value.exit_code == 2


def test_a_state_directory_that_others_can_write_is_refused_with_nothing_written(
    tmp_path: Path, home: Path
) -> None:
    """threats.md T21."""
    checkout = cloned(tmp_path, UV_PROJECT)
    (home / ".sessions_daemon").mkdir()
    (home / ".sessions_daemon").chmod(0o777)
    plan = plan_for(asked(checkout, home))
    with pytest.raises(StateDirectoryUnsafe, match="can be written by others"):
        carry_out(plan)
    assert checkout.changes() == []


def test_an_app_that_cannot_be_noted_is_adopted_all_the_same(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, UV_PROJECT)
    (home / "notes").write_text("in the way")
    written, notes = carry_out(plan_for(asked(checkout, home)))
    assert len(written) == 2
    assert "could not be noted" in notes[0].text


def test_env_data_and_git_are_byte_for_byte_as_before(tmp_path: Path, home: Path) -> None:
    """lessons.md L23."""
    checkout = cloned(tmp_path, UV_PROJECT)
    checkout.write(".env", "TOKEN=x\r\n")
    checkout.write("data/one.sqlite3", b"\0\1")
    os.chmod(checkout.path / ".env", 0o600)
    before = everything(checkout.path)
    adopt(asked(checkout, home))
    after = everything(checkout.path)
    assert after.pop(str(checkout.path / "newleaf.toml"))
    assert after == before


def test_credentials_in_the_remote_reach_no_file_and_no_note(tmp_path: Path, home: Path) -> None:
    """threats.md T29."""
    checkout = cloned(tmp_path, UV_PROJECT)
    checkout.git("remote", "set-url", "origin", "https://me:canary@example.org/shop.git")
    checkout.git("remote", "rename", "origin", "upstream")
    plan = adopt(asked(checkout, home))
    said = repr([plan.proposal, plan.planned])
    assert "canary" not in said + plan.host_file.path.read_text() + checkout.read("newleaf.toml")
    assert plan.proposal.notes[0].level == "cannot"


def test_what_to_do_next_names_the_file_to_commit(tmp_path: Path, home: Path) -> None:
    checkout = cloned(tmp_path, MONOREPO)
    adopt(asked(checkout, home, "apps/api"))
    plan = plan_for(asked(checkout, home, "apps/worker"))
    assert next_steps(plan)[0].startswith("git add apps/worker/newleaf.toml && git commit")
    carry_out(plan)
    assert not [
        step for step in next_steps(plan_for(asked(checkout, home, "apps/worker"))) if "git add" in step
    ]
