"""One app on this host: its settings, and those of a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf import compose
from newleaf.compose.host import Host, now
from newleaf.core.errors import LockedError, RemoteUnknown, WrongApp
from newleaf.core.release import CommitId
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment, settings_text


@pytest.fixture
def host(deployment: Deployment) -> Host:
    return compose.host(Unnamed())


def fetch(host: Host, commit: str) -> CommitId:
    host.git.fetch({"refs/heads/main": CommitId(commit)})
    return CommitId(commit)


def test_a_commit_s_own_copy_governs_that_commit(host: Host, deployment: Deployment) -> None:
    text = settings_text(update={"migrations": "changes"})
    commit = fetch(host, deployment.release("1.1.0", {"newleaf.toml": text}))
    assert host.settings.update.migrations == "migrations"
    assert host.settings_of(commit).update.migrations == "changes"


def test_a_file_that_lies_there_untracked_governs_every_commit(host: Host, deployment: Deployment) -> None:
    commit = fetch(host, deployment.release("1.1.0", {"newleaf.toml": None}))
    deployment.checkout.git("rm", "-q", "--cached", "newleaf.toml")
    deployment.checkout.git("commit", "-q", "-m", "forget it")
    assert host.settings_of(commit).app.name == "sessions"


def test_the_live_release_has_the_version_of_its_tree(host: Host, deployment: Deployment) -> None:
    live = host.layout.live()
    assert (live.commit, live.version) == (deployment.head(), "1.0.0")


def test_before_anything_was_published_the_word_is_checking(host: Host) -> None:
    status = host.status()
    assert (status["status"], status["running"], status["app"]) == ("checking", None, "sessions")


def test_a_suspension_of_either_kind_counts(host: Host, deployment: Deployment) -> None:
    assert host.suspended is None
    host.decisions.suspend("the fair", now())
    assert "the fair" in str(host.suspended)
    host.decisions.resume()
    deployment.host_settings("[deployment]\nsuspended = true\n")
    assert compose.host(Unnamed()).suspended


def test_the_update_lock_names_its_owner(host: Host) -> None:
    """lessons.md L35"""
    with host.locked("a timer", "to move"), pytest.raises(LockedError) as raised, host.locked("me", "too"):
        pass
    assert "a timer" in raised.value.message


def test_a_host_deploys_one_app_for_as_long_as_it_lives(host: Host, deployment: Deployment) -> None:
    with host.locked("test", "to record it"):
        pass
    deployment.checkout.write("newleaf.toml", settings_text("other"))
    selection = Unnamed(state_dir=deployment.state)
    with pytest.raises(WrongApp), compose.host(selection).locked("test", "again"):
        pass


def test_a_checkout_without_a_remote_is_named(deployment: Deployment) -> None:
    deployment.checkout.git("remote", "remove", "origin")
    with pytest.raises(RemoteUnknown) as raised:
        _ = compose.host(Unnamed()).git
    assert str(deployment.checkout.path) in raised.value.message


def test_the_signal_is_taken_away(host: Host, tmp_path: Path) -> None:
    signal = host.state / "update_available.json"
    signal.write_text("{}")
    host.clear_signal()
    assert not signal.exists()
