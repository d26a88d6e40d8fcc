"""A host whose checkout moves."""

from __future__ import annotations

import pytest

from newleaf import compose
from newleaf.compose.host import Host
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.git_errors import NotDescendant
from newleaf.core.releases.slot_errors import LayoutDiffers
from newleaf.system.place import Unnamed
from newleaf.update.dependencies.environments import InPlaceEnvironment
from tests.support.deployment import Deployment


@pytest.fixture
def host(deployment: Deployment) -> Host:
    assert deployment.checkout.path.is_dir()
    return compose.host(Unnamed())


def test_code_dependencies_and_data_lie_in_the_checkout(deployment: Deployment, host: Host) -> None:
    release = Release(CommitId(deployment.head()))
    environment = host.laid.environment(release, host.settings)
    assert isinstance(environment, InPlaceEnvironment)
    assert (
        environment.folder == host.laid.folder(release.commit) == host.laid.data == deployment.checkout.path
    )
    assert host.laid.steps(host.settings) == ("install", "migrate")
    assert host.laid.preflight(release, host.settings) is None


def test_it_comes_from_the_checkouts_origin_into_a_git_directory_beside(
    deployment: Deployment, host: Host
) -> None:
    assert host.laid.origin == deployment.remote.url
    assert host.laid.repository().folder == deployment.state / "git"


def test_a_file_stays_when_git_does_not_track_it(deployment: Deployment, host: Host) -> None:
    deployment.checkout.write("mine.toml", "")
    assert host.laid.stays_untracked("mine.toml")
    assert not host.laid.stays_untracked("newleaf.toml")


def test_a_branch_that_was_rewritten_is_refused(deployment: Deployment, host: Host) -> None:
    other = deployment.remote.commit({"app.py": "print('other')\n"}, "Other", parent="")
    release = host.origin.fetch(Release(CommitId(other)))
    with pytest.raises(NotDescendant):
        host.laid.check_movable(release, sideways=False)


def test_settings_that_ask_for_slots_are_said_and_not_worked_around(deployment: Deployment) -> None:
    deployment.host_settings('[app]\nlayout = "slots"\n')
    with pytest.raises(
        LayoutDiffers, match=r'says app\.layout = "slots", and the releases .* in place'
    ) as said:
        _ = compose.host(Unnamed()).settings
    assert str(deployment.state / "host.toml") in said.value.message
    assert "newleaf init --slots" in said.value.advice
