from __future__ import annotations

from packaging.version import Version

from newleaf.core.release import CommitId
from newleaf.core.releases.channels import Published
from newleaf.core.releases.seat import Line, Seat, Tree, Wish, choose_version, last_release

HEAD, TAG, OTHER = (CommitId(letter * 40) for letter in "abc")


def published(*versions: str) -> list[Published]:
    return [Published(f"v{text}", Version(text), Version(text).is_prerelease) for text in versions]


def seat(**facts: object) -> Seat:
    refs = {"refs/heads/main": HEAD, "refs/tags/v1.1.0": TAG}
    known: dict[str, object] = {
        "wish": Wish(),
        "head": HEAD,
        "line": Line("main", "origin", refs=refs),
        "tree": Tree("newleaf.toml", app="sessions", version="1.1.0"),
        "local_tag": TAG,
    }
    return Seat(**{**known, **facts})  # type: ignore[arg-type]


def test_the_tree_says_a_version_then_it_counts_whatever_was_asked_for() -> None:
    assert choose_version(Wish("2.0.0"), "1.1.0") == Version("1.1.0")


def test_the_tree_says_none_then_the_one_that_was_asked_for() -> None:
    assert choose_version(Wish("2.0.0"), None) == Version("2.0.0")
    assert choose_version(Wish(), None) is None


def test_a_version_between_releases_then_the_last_one_is_the_highest_below() -> None:
    found = last_release(published("1.2.4", "1.10.0", "1.2.3", "1.3.0"), Version("1.2.5"))
    assert found is not None
    assert found.tag == "v1.2.4"
    assert last_release(published("1.2.4"), Version("1.2.4")) is None


def test_a_version_spelled_otherwise_then_the_tag_is_spelled_plainly() -> None:
    assert seat(tree=Tree("newleaf.toml", version="1.2.0-rc.1"), prefix="chat/v").tag == "chat/v1.2.0rc1"
    assert seat(tree=Tree("newleaf.toml")).tag is None


def test_the_same_tag_here_and_at_the_remote_then_it_is_done() -> None:
    assert seat().is_done


def test_the_tag_here_alone_or_not_ours_or_another_there_then_it_is_not_done() -> None:
    here_alone = Line("main", "origin", refs={"refs/heads/main": HEAD})
    assert not seat(line=here_alone).is_done
    assert seat(line=here_alone).goes_on
    assert not seat(local_fault="it is not signed").is_done
    assert not seat(local_tag=OTHER).is_done
    assert not seat(local_tag=None).is_done


def test_the_tag_at_the_remote_without_the_branch_then_it_is_not_done() -> None:
    assert not seat(line=Line("main", "origin", refs={"refs/tags/v1.1.0": TAG})).is_done
