"""The first release of a host with slots."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from newleaf.compose.first_release import FIRST, make_first_release
from newleaf.core.errors import LockedError, NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.slot_errors import PreflightFailed
from newleaf.core.releases.source_errors import NothingPublished
from newleaf.system.locks import update_lock, update_owner
from tests.support.deployment import Deployment, settings_text
from tests.support.kills import run_killed_at
from tests.support.slot_hosts import begin_slots, fresh, update


def make(deployment: Deployment, wanted: str | None = None) -> tuple[Release, bool]:
    return make_first_release(fresh(deployment), Release(CommitId(wanted)) if wanted else None)


def live(deployment: Deployment) -> str | None:
    link = deployment.state / "current"
    return os.readlink(link) if link.is_symlink() else None


def test_it_is_what_the_channel_names(deployment: Deployment) -> None:
    head = deployment.release("1.1.0")
    begin_slots(deployment)
    release, is_new = make(deployment)
    assert (release.commit, release.version, is_new) == (head, "1.1.0", True)
    assert live(deployment) == f"releases/{head}"


def test_it_is_what_was_named_where_something_was(deployment: Deployment) -> None:
    first = deployment.head()
    deployment.release("1.1.0")
    begin_slots(deployment)
    assert make(deployment, first)[0].commit == first
    assert update(deployment).outcome == "updated"


def test_once_there_it_stays_whatever_is_published(deployment: Deployment) -> None:
    begin_slots(deployment)
    made = make(deployment)
    deployment.release("1.1.0")
    assert make(deployment) == (made[0], False)
    assert len(deployment.lines("history.jsonl")) == 1


def test_the_history_begins_with_it(deployment: Deployment) -> None:
    begin_slots(deployment)
    make(deployment)
    (line,) = deployment.lines("history.jsonl")
    assert (line["kind"], line["outcome"], line["attempt"]) == (FIRST, "ok", None)
    assert line["to"]["commit"] == deployment.head()


def test_commits_that_touch_nothing_watched_are_no_reason_to_begin_with_nothing(
    deployment: Deployment,
) -> None:
    begin_slots(deployment, '[watch]\npaths = ["src"]\n')
    assert make(deployment)[0].commit == deployment.head()


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ('[deployment]\nchannel = "beta"\n', "1.2.0"),
        ('[deployment]\nchannel = "stable"\npinned_minor = "1.0"\n', "1.0.1"),
        ('[deployment]\nchannel = "beta"\npin = "1.0.0"\n', "1.0.0"),
    ],
)
def test_versions_are_chosen_by_the_rule_of_the_channel(
    settings: str, first: str, deployment: Deployment
) -> None:
    for version in ("1.0.1", "1.2.0"):
        deployment.release(version)
    deployment.remote.commit({"app.py": "print('unreleased')\n"})
    begin_slots(deployment, settings)
    assert make(deployment)[0].version == first


def test_nothing_is_published_then_that_is_said_and_nothing_is_live(deployment: Deployment) -> None:
    deployment.remote.git("tag", "--delete", "v1.0.0")
    begin_slots(deployment, '[deployment]\nchannel = "beta"\n')
    with pytest.raises(NothingPublished):
        make(deployment)
    assert live(deployment) is None


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ({"app": {"command": ["python", "app.py"]}}, PreflightFailed),
        ({"update": {"install": ["false"]}}, NewleafError),
        ({"update": {"preflight_command": ["false"]}}, PreflightFailed),
    ],
)
def test_one_that_cannot_be_installed_or_started_is_not_made_live(
    tables: dict[str, Any], error: type[NewleafError], deployment: Deployment
) -> None:
    deployment.remote.commit({"newleaf.toml": settings_text(**tables), "app.py": "import nowhere\n"})
    begin_slots(deployment)
    with pytest.raises(error):
        make(deployment)
    assert live(deployment) is None
    assert update_owner(deployment.state) is None
    good = deployment.remote.commit({"newleaf.toml": settings_text(), "app.py": "print(1)\n"})
    assert make(deployment)[0].commit == good


def test_it_is_verified_like_any_other(deployment: Deployment) -> None:
    """threats.md T1: what is signed by nobody is not begun with."""
    begin_slots(deployment, f'[security]\nrequire = "commits"\nsigners = "{deployment.folder}/nobody"\n')
    with pytest.raises(NewleafError):
        make(deployment)
    assert live(deployment) is None


def test_another_that_updates_is_not_disturbed(deployment: Deployment) -> None:
    begin_slots(deployment)
    with update_lock(deployment.state, "somebody", "to test"), pytest.raises(LockedError):
        make(deployment)


def test_killed_anywhere_it_is_made_from_the_start(deployment: Deployment) -> None:
    begin_slots(deployment)
    number = 0
    while run_killed_at(number := number + 2, lambda: make(deployment)):
        release, _ = make(deployment)
        assert live(deployment) == f"releases/{release.commit}"
        assert os.listdir(deployment.state / "releases") == [release.commit]
        shutil.rmtree(deployment.state)
        begin_slots(deployment)
    assert number > 20
