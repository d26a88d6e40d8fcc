"""A host with release slots."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from newleaf.core.release import CommitId, Release
from newleaf.core.releases.git_errors import NotDescendant
from newleaf.core.releases.slot_errors import LayoutDiffers, NothingDeployed
from newleaf.update.dependencies.slot_environments import SlotEnvironment
from tests.support.deployment import Deployment, settings_text
from tests.support.installs import lose_the_python
from tests.support.slot_hosts import begin_slots, fresh, update, with_first_release
from tests.support.wheels import App, OfflineHost

KEEP_ONE = "[update]\nkeep_releases = 1\n"
LOCK = (
    'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n[[package]]\nname = "sessions"\n'
    'version = "1.0.0"\nsource = { virtual = "." }\n'
)
PROJECT = '[project]\nname = "sessions"\nversion = "1.0.0"\nrequires-python = ">=3.11"\n'


def releases(deployment: Deployment) -> list[str]:
    return sorted(os.listdir(deployment.state / "releases"))


def test_before_the_first_release_nothing_is_live(deployment: Deployment) -> None:
    begin_slots(deployment)
    with pytest.raises(NothingDeployed, match="no release lies in") as said:
        fresh(deployment).layout.live()
    assert "newleaf init --slots" in said.value.advice


def test_each_release_has_a_folder_and_all_share_data_and_environments(deployment: Deployment) -> None:
    with_first_release(deployment)
    host = fresh(deployment)
    live = host.layout.live()
    assert (live.commit, live.version) == (deployment.head(), "1.0.0")
    environment = host.laid.environment(live, host.settings)
    assert isinstance(environment, SlotEnvironment)
    assert environment.envs == deployment.state / "envs"
    assert host.laid.folder(live.commit) == deployment.state / "releases" / live.commit
    assert host.laid.data == deployment.state / "shared"
    assert host.laid.repository().folder == deployment.state / "repo.git"
    assert host.laid.steps(host.settings) == ("migrate",)
    assert not host.laid.stays_untracked("anything")
    assert host.folder == deployment.state / "current"


@pytest.mark.parametrize(
    ("command", "must_have_one"),
    [
        (".venv/bin/python -m sessions", True),
        ("./.venv/bin/sessions", True),
        ("/srv/other/.venv/bin/python -m sessions", False),
        ("python3 -m sessions", False),
    ],
)
def test_a_daemon_that_is_started_out_of_its_environment_has_one(
    deployment: Deployment, command: str, must_have_one: bool
) -> None:
    begin_slots(deployment)
    host = fresh(deployment)
    settings = replace(host.settings, app=replace(host.settings.app, command=tuple(command.split())))
    environment = host.laid.environment(Release(CommitId("a" * 40)), settings)
    assert isinstance(environment, SlotEnvironment)
    assert environment.must_have_one is must_have_one


def test_it_comes_from_where_the_identity_says_unless_the_host_names_another(deployment: Deployment) -> None:
    begin_slots(deployment)
    assert fresh(deployment).url == deployment.remote.url
    begin_slots(deployment, '[source]\nurl = "https://git.example.org/app.git"\n')
    assert fresh(deployment).url == "https://git.example.org/app.git"


def test_the_apps_folder_of_a_monorepo_lies_in_the_release(deployment: Deployment) -> None:
    deployment.remote.commit({"newleaf.toml": settings_text(app={"path": "bot"}), "bot/app.py": ""})
    with_first_release(deployment)
    host = fresh(deployment)
    assert host.laid.folder(host.layout.live().commit).name == "bot"
    assert host.inner == "bot"


def test_an_update_makes_the_next_one_live_and_keeps_the_way_back(deployment: Deployment) -> None:
    with_first_release(deployment)
    before, commit = deployment.head(), deployment.release("1.1.0")
    assert update(deployment).outcome == "updated"
    assert os.readlink(deployment.state / "current") == f"releases/{commit}"
    assert os.readlink(deployment.state / "previous") == f"releases/{before}"


def test_a_branch_that_was_rewritten_is_refused_and_a_release_by_tag_is_not(deployment: Deployment) -> None:
    with_first_release(deployment)
    other = CommitId(deployment.remote.commit({"app.py": ""}, "Other", parent=""))
    host = fresh(deployment)
    release = host.origin.fetch(Release(other))
    with pytest.raises(NotDescendant):
        host.laid.check_movable(release, sideways=False)
    host.laid.check_movable(release, sideways=True)
    host.laid.check_movable(Release(other, "1.0.1", "v1.0.1"), sideways=False)


def test_what_is_tried_knows_the_release_and_the_host(deployment: Deployment) -> None:
    command = ("sh", "-c", 'echo "$NEWLEAF_COMMIT $NEWLEAF_VERSION $NEWLEAF_STATE_DIR" > tried')
    with_first_release(deployment, f"[update]\npreflight_command = {list(command)}\n".replace("'", '"', 0))
    tried = (deployment.state / "current" / "tried").read_text().split()
    assert tried == [deployment.head(), "1.0.0", str(deployment.state)]


def test_settings_that_say_in_place_are_refused(deployment: Deployment) -> None:
    begin_slots(deployment, '[app]\nname = "sessions"\nlayout = "in_place"\n')
    with pytest.raises(LayoutDiffers, match=r'says app\.layout = "in_place", and .* in slots') as said:
        _ = fresh(deployment).settings
    assert 'app.layout = "slots"' in said.value.advice


# --- room -------------------------------------------------------------------------------


def test_old_releases_go_but_for_the_good_ones_that_are_kept(deployment: Deployment) -> None:
    """lessons.md L24."""
    with_first_release(deployment, KEEP_ONE)
    commits = [deployment.head()]
    for number in range(1, 4):
        commits.append(deployment.release(f"1.{number}.0"))
        assert update(deployment).outcome == "updated"
    assert releases(deployment) == sorted(commits[-2:])


def test_a_damaged_environment_is_made_anew_beside_and_goes_when_nobody_needs_it(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L16, L24."""
    offline = OfflineHost(tmp_path / "offline")
    for name, value in offline.environ.items():
        if name != "HOME":
            monkeypatch.setenv(name, value)
    files = {"uv.lock": LOCK, "pyproject.toml": PROJECT}
    deployment.remote.commit({**files, "newleaf.toml": settings_text(update={"install": "auto"})})
    with_first_release(deployment, KEEP_ONE)
    link = deployment.state / "current" / ".venv"
    first = link.resolve()
    lose_the_python(App(deployment.state / "current", offline))
    assert update(deployment).outcome == "up_to_date"
    assert link.resolve().name == f"{first.name}.2"
    assert (link / "bin" / "python").exists()
    deployment.release("1.1.0", files)
    assert update(deployment).outcome == "updated"
    assert os.listdir(deployment.state / "envs") == [f"{first.name}.2"]


def test_a_release_that_was_lost_is_written_again(deployment: Deployment) -> None:
    with_first_release(deployment)
    deployment.release("1.1.0")
    assert update(deployment).outcome == "updated"
    shutil.rmtree(deployment.state / "releases" / deployment.head())
    host = fresh(deployment)
    host.layout.stage(Release(CommitId(deployment.head()), "1.0.0"))
    assert deployment.head() in releases(deployment)
