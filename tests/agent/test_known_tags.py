"""By which tag a release is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.agent.known_tags import KnownTags
from newleaf.agent.seen_tags import SeenTags
from newleaf.core.release import CommitId, Release
from tests.support.hosts import Host, make_host
from tests.support.repositories import Remote


@pytest.fixture
def host(tmp_path: Path) -> Host:
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "one\n"})
    remote.tag("v1.0.0", message="sessions 1.0.0")
    remote.tag("v1.0.0-lightweight")
    made = make_host(tmp_path / "host", remote)
    made.state.mkdir(exist_ok=True)
    return made


def known(host: Host, **tags: str) -> KnownTags:
    seen = SeenTags(host.state)
    seen.remember({name.replace("_", "."): CommitId(found) for name, found in tags.items()})
    return KnownTags(seen, host.git, "v")


def annotated(host: Host) -> str:
    return host.remote.git("rev-parse", "refs/tags/v1.0.0")


def test_a_release_with_a_tag_is_known_by_it(host: Host) -> None:
    target = Release(host.checkout.id_of(), "1.0.0", "v1.0.0")
    assert known(host, v1_0_0="e" * 40).find(target) == (target, "e" * 40)


def test_a_tag_that_was_never_seen_is_known_by_no_object(host: Host) -> None:
    target = Release(host.checkout.id_of(), "1.0.0", "v1.0.0")
    assert known(host).find(target) == (target, None)


def test_a_release_without_a_tag_is_known_by_that_of_its_version_and_commit(host: Host) -> None:
    commit = host.checkout.id_of()
    found = known(host, v1_0_0=annotated(host)).find(Release(commit, "1.0.0"))
    assert found == (Release(commit, "1.0.0", "v1.0.0"), annotated(host))
    lightweight = known(host, v1_0_0=annotated(host)).find(Release(commit, "1.0"))
    assert lightweight[0].tag == "v1.0.0"


def test_a_lightweight_tag_is_its_own_object(host: Host) -> None:
    commit = host.checkout.id_of()
    assert known(host, v1_0_0=commit).find(Release(commit, "1.0.0"))[1] == commit


@pytest.mark.parametrize(
    "target",
    [Release(CommitId("e" * 40), "1.0.0"), Release(CommitId("e" * 40), "1.1.0"), Release(CommitId("e" * 40))],
)
def test_the_tag_of_another_commit_or_version_is_not_its(host: Host, target: Release) -> None:
    assert known(host, v1_0_0=annotated(host)).find(target) == (target, None)
