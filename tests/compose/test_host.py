"""One app on this host: its settings, its place, and parts that are made when they are asked for."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf import compose
from newleaf.compose.host import Host, now
from newleaf.compose.parts import transaction
from newleaf.core.errors import (
    InconsistentError,
    LockedError,
    NewleafError,
    RemoteUnknown,
    SettingsInvalid,
    WrongApp,
)
from newleaf.core.release import CommitId, Release
from newleaf.core.requests import Request
from newleaf.core.states import State
from newleaf.system import uptime
from newleaf.system.locks import update_owner
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment, settings_text


@pytest.fixture
def host(deployment: Deployment) -> Host:
    """The host of the checkout."""
    assert deployment.checkout.path == Path.cwd()
    return compose.host(Unnamed())


def fresh() -> Host:
    """The host as the next process would make it."""
    return compose.host(Unnamed())


def commit_settings(deployment: Deployment, text: str | None) -> CommitId:
    """A commit whose copy of the app's file is this, in the checkout's objects."""
    commit = deployment.remote.commit({"newleaf.toml": text}, "Settings")
    deployment.checkout.git("fetch", "-q")
    return CommitId(commit)


# --- what it is -------------------------------------------------------------------------


def test_the_clock_is_utc() -> None:
    assert now().tzinfo is UTC
    assert abs(now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_its_journal_keeps_what_no_change_of_the_clock_moves(host: Host) -> None:
    """lessons.md L1"""
    start, target = (Release(CommitId(letter * 40)) for letter in "ab")
    attempt = host.journal().begin("a-1", start, target, State.FETCH)
    assert attempt.records[0].mark or not uptime.boot()


def test_it_says_which_app_on_which_computer_on_which_channel(deployment: Deployment, host: Host) -> None:
    assert host.identity == ("sessions", os.uname().nodename, "alpha")
    deployment.host_settings('[app]\ncomputer_name = "mini-1"\n[deployment]\nchannel = "beta"\n')
    assert fresh().identity == ("sessions", "mini-1", "beta")


def test_parts_are_made_once(host: Host) -> None:
    for part in (
        "settings",
        "runner",
        "git",
        "layout",
        "origin",
        "keeper",
        "reporter",
        "history",
        "decisions",
    ):
        assert getattr(host, part) is getattr(host, part), part


def test_the_journal_is_read_anew_each_time(host: Host) -> None:
    assert host.journal() is not host.journal()


def test_the_app_may_live_in_a_folder_of_the_checkout(deployment: Deployment) -> None:
    file = deployment.checkout.path / "newleaf.toml"
    assert (fresh().folder, fresh().inner) == (deployment.checkout.path, ".")
    file.write_text(settings_text(app={"path": "services/app"}))
    assert fresh().folder == deployment.checkout.path / "services" / "app"
    assert fresh().inner == "services/app"


def test_a_settings_file_in_a_folder_of_a_monorepo_is_the_apps(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = deployment.checkout.path / "services"
    inner.mkdir()
    (inner / "newleaf.toml").write_text(settings_text("mailer"))
    monkeypatch.chdir(inner)
    found = fresh()
    assert (found.name, found.folder, found.inner) == ("mailer", inner, "services")
    assert found.app_path == "services/newleaf.toml"


# --- settings of a target ---------------------------------------------------------------


def test_the_targets_copy_governs_the_target_and_the_running_ones_the_rest(
    deployment: Deployment, host: Host
) -> None:
    commit = commit_settings(deployment, settings_text(update={"migrations": "moves"}))
    assert host.settings_of(commit).update.migrations == "moves"
    assert host.settings.update.migrations == "migrations"
    assert host.settings_of(CommitId(deployment.head())).update.migrations == "migrations"


def test_the_hosts_file_outranks_the_targets_copy(deployment: Deployment) -> None:
    deployment.host_settings('[update]\nmigrations = "ours"\n')
    commit = commit_settings(deployment, settings_text(update={"migrations": "moves"}))
    assert fresh().settings_of(commit).update.migrations == "ours"


def test_a_target_without_the_file_has_what_the_host_says(deployment: Deployment) -> None:
    deployment.host_settings('[app]\nname = "sessions"\n[update]\ninstall = "none"\n')
    file = deployment.checkout.path / "newleaf.toml"
    file.write_text(settings_text(update={"migrations": "moves"}))
    commit = commit_settings(deployment, None)
    assert fresh().settings_of(commit).update.migrations == "migrations"


def test_a_file_that_git_never_had_counts_for_every_target(deployment: Deployment) -> None:
    commit = commit_settings(deployment, None)
    deployment.checkout.git("reset", "-q", "--hard", commit)
    (deployment.checkout.path / "newleaf.toml").write_text(settings_text(update={"migrations": "mine"}))
    later = CommitId(deployment.remote.commit({"app.py": "print(2)\n"}, "Later"))
    deployment.checkout.git("fetch", "-q")
    assert fresh().settings_of(later).update.migrations == "mine"


def test_another_file_that_was_named_counts_for_every_target(deployment: Deployment) -> None:
    file = deployment.folder / "other.toml"
    file.write_text(settings_text(update={"migrations": "other"}))
    named = compose.host(Unnamed(config=file))
    assert named.app_path is None
    commit = commit_settings(deployment, settings_text(update={"migrations": "moves"}))
    assert named.settings_of(commit).update.migrations == "other"


def test_a_targets_copy_that_is_wrong_is_named_with_its_commit(deployment: Deployment, host: Host) -> None:
    commit = commit_settings(deployment, '[app]\nname = "sessions"\ncolor = 1\n')
    with pytest.raises(SettingsInvalid, match=rf"newleaf\.toml of {commit[:9]}"):
        host.settings_of(commit)


def test_settings_that_a_part_would_refuse_later_are_not_sound(deployment: Deployment, host: Host) -> None:
    commit = commit_settings(deployment, settings_text(gates={"window": "Mon-Fri 25:00-26:00"}))
    with pytest.raises(NewleafError, match="window"):
        host.sound_settings_of(commit)
    sound = commit_settings(deployment, settings_text(gates={"window": "Mon-Fri 01:00-05:00 UTC"}))
    assert host.sound_settings_of(sound).gates.window


# --- where it comes from ----------------------------------------------------------------


def test_the_url_is_the_checkouts_origin_unless_the_host_names_another(deployment: Deployment) -> None:
    assert fresh().url == deployment.remote.url
    deployment.host_settings('[source]\nurl = "https://git.example.org/app.git"\n')
    assert fresh().url == "https://git.example.org/app.git"


def test_a_checkout_without_origin_has_no_remote(deployment: Deployment) -> None:
    deployment.checkout.git("remote", "remove", "origin")
    found = fresh()
    assert found.url is None
    with pytest.raises(RemoteUnknown):
        _ = found.git


def test_published_releases_are_asked_for_on_channels_of_versions_alone(deployment: Deployment) -> None:
    source = '[source]\nurl = "https://github.com/example/app.git"\n'
    deployment.host_settings(source)
    assert fresh()._releases() is None
    deployment.host_settings(f'{source}[deployment]\nchannel = "beta"\n')
    assert fresh()._releases() is not None
    deployment.host_settings(f'{source}releases = "tags"\n[deployment]\nchannel = "beta"\n')
    assert fresh()._releases() is None


def test_the_live_release_has_the_version_of_its_tree(deployment: Deployment, host: Host) -> None:
    live = host.layout.live()
    assert (live.commit, live.version) == (deployment.head(), "1.0.0")


def test_commands_of_the_app_are_told_where_its_state_lies(host: Host) -> None:
    assert host.daemon_environment["NEWLEAF_STATE_DIR"] == str(host.state)


# --- questions --------------------------------------------------------------------------


def test_before_the_first_word_the_status_is_checking(deployment: Deployment, host: Host) -> None:
    record = host.status()
    assert (record["status"], record["running"], record["app"]) == ("checking", None, "sessions")
    assert not (deployment.state / "status.json").exists()


def test_a_suspension_by_verb_or_by_settings_counts(deployment: Deployment) -> None:
    assert fresh().suspended is None
    fresh().decisions.suspend("the fair", now())
    assert "the fair" in (fresh().suspended or "")
    fresh().decisions.resume()
    deployment.host_settings("[deployment]\nsuspended = true\n")
    assert fresh().suspended


# --- changes ----------------------------------------------------------------------------


def test_the_lock_is_held_under_a_name_and_the_app_is_recorded(deployment: Deployment, host: Host) -> None:
    with host.locked("newleaf update", "to try it"):
        owner = update_owner(host.state) or ""
        assert "newleaf update" in owner
        assert "to try it" in owner
        with pytest.raises(LockedError), fresh().locked("newleaf rollback", "to go back"):
            pytest.fail("two hold the lock")
    assert update_owner(host.state) is None
    identity = deployment.record("identity.json")
    assert (identity["app"], identity["checkout"]) == ("sessions", str(deployment.checkout.path))


def test_children_that_start_meanwhile_are_noted_in_the_lock(host: Host) -> None:
    assert host.runner.on_start is None
    with host.locked("newleaf update", "to try it"):
        assert host.runner.on_start is not None


def test_an_app_of_another_name_is_refused_and_nothing_is_begun(deployment: Deployment, host: Host) -> None:
    with host.locked("newleaf update", "to record it"):
        pass
    (deployment.checkout.path / "newleaf.toml").write_text(settings_text("other"))
    other = compose.host(Unnamed(state_dir=deployment.state))
    with pytest.raises(WrongApp), other.locked("newleaf update", "to try it"):
        pytest.fail("it was begun")
    assert deployment.record("identity.json")["app"] == "sessions"


def test_a_host_that_needs_a_person_says_so_where_nothing_could_be_begun(
    deployment: Deployment, host: Host
) -> None:
    """lessons.md L2."""
    with pytest.raises(InconsistentError), host.locked("newleaf update", "to try it"):
        raise InconsistentError(reason="look at it")
    record = deployment.record("status.json")
    assert (record["status"], record["error"]) == ("inconsistent", "look at it")
    assert update_owner(host.state) is None


def test_other_failures_publish_nothing(deployment: Deployment, host: Host) -> None:
    with pytest.raises(NewleafError), host.locked("newleaf update", "to try it"):
        raise NewleafError(reason="no")
    assert not (deployment.state / "status.json").exists()


def test_what_the_lock_cannot_publish_hides_no_failure(deployment: Deployment, host: Host) -> None:
    deployment.state.joinpath("status.json").write_text('{"schema": 99}')
    with pytest.raises(InconsistentError, match="look at it"), host.locked("newleaf update", "to try it"):
        raise InconsistentError(reason="look at it")


def test_the_signal_is_taken_away_and_may_be_gone(deployment: Deployment, host: Host) -> None:
    signal = deployment.state / "update_available.json"
    signal.write_text("{}")
    host.clear_signal()
    assert not signal.exists()
    host.clear_signal()


def test_the_checkouts_remote_branch_follows_where_it_is_the_same_remote(deployment: Deployment) -> None:
    def update() -> str:
        commit = deployment.release(f"1.{len(commits) + 1}.0")
        commits.append(commit)
        found = fresh()
        with found.locked("newleaf update", "to try it"):
            assert transaction(found).update(Request("command line")).outcome == "updated"
        return deployment.checkout.git("rev-parse", "refs/remotes/origin/main")

    commits: list[str] = []
    before = deployment.head()
    deployment.host_settings(f'[source]\nurl = "file://{deployment.remote.path}/."\n')
    assert update() == before
    deployment.host_settings("")
    assert update() == commits[-1]
