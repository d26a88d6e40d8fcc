"""Which release a rule picks, and whether it is ahead of what runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import (
    Choice,
    Facts,
    Published,
    Reason,
    Rule,
    choose,
    minor_of,
    parse_minor,
    parse_pin,
    pick,
    published_from_refs,
    version_of_tag,
    with_commit,
)
from newleaf.core.releases.source_errors import MinorInvalid, PinInvalid


def commit(name: object) -> CommitId:
    """A commit id that shows what it stands for."""
    return CommitId(str(name).encode().hex().ljust(40, "0")[:40])


def refs(*tags: str) -> dict[str, CommitId]:
    return {f"refs/tags/{tag}": commit(tag) for tag in tags}


def resolved(rule: Rule, *tags: str, runs: str | None, at: str = "elsewhere") -> Choice:
    """What `rule` chooses among lightweight tags, with `runs` as the version of what runs."""
    published = published_from_refs(refs(*tags), rule.tag_prefix)
    return choose(rule, Facts(Release(commit(at), runs), published=published))


BETA = Rule(channel="beta")
STABLE = Rule(channel="stable", pinned_minor="1.2")


# --- tags -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "prefix", "version"),
    [
        ("v1.2.0", "v", "1.2.0"),
        ("v1.10", "v", "1.10"),
        ("v1.3.0-rc.1", "v", "1.3.0rc1"),
        ("v1.3.0.dev4", "v", "1.3.0.dev4"),
        ("1.2.0", "", "1.2.0"),
        ("chat/v2.0", "chat/v", "2.0"),
        ("v1!2.0", "v", "1!2.0"),
        ("1.2.0", "v", None),
        ("vv1.2.0", "v", None),
        ("v1.2.0", "", None),
        ("v", "v", None),
        ("vnext", "v", None),
        ("version-1", "v", None),
        ("v1.2.0;touch X", "v", None),
        ("v1.2.0\n", "v", None),
        ("v" + "9" * 5000, "v", None),
        ("v" + "9" * 300, "v", None),
        ("V1.2.0", "v", None),
    ],
)
def test_tag_then_its_version_behind_the_prefix(tag: str, prefix: str, version: str | None) -> None:
    found = version_of_tag(tag, prefix)
    assert (str(found) if found else None) == version


def test_annotated_tag_then_the_commit_it_points_to() -> None:
    tag_object, target = commit("object"), commit("target")
    (found,) = published_from_refs({"refs/tags/v1.0": tag_object, "refs/tags/v1.0^{}": target}, "v")
    assert (found.commit, found.tag_object) == (target, tag_object)


def test_lightweight_tag_then_its_own_id() -> None:
    (found,) = published_from_refs(refs("v1.0"), "v")
    assert (found.commit, found.tag_object) == (commit("v1.0"), commit("v1.0"))


def test_other_refs_then_ignored() -> None:
    """threats.md T10: a branch named like a tag is no tag."""
    others = {"refs/heads/v9.9.9": commit(1), "HEAD": commit(2), "refs/tags/junk": commit(3)}
    assert published_from_refs(others, "v") == ()


# --- alpha ----------------------------------------------------------------------------


def test_head_is_another_commit_then_ahead() -> None:
    found = choose(Rule(), Facts(Release(commit(1)), head=commit(2)))
    assert found.target == Release(commit(2))
    assert (found.reason, found.outcome, found.sideways) == (Reason.AHEAD, "available", False)


def test_head_runs_then_up_to_date() -> None:
    found = choose(Rule(), Facts(Release(commit(1)), head=commit(1)))
    assert (found.target, found.reason, found.outcome) == (None, Reason.RUNNING, "up_to_date")


def test_branch_missing_then_failure_that_names_it() -> None:
    """lessons.md L2."""
    found = choose(Rule(branch="trunk"), Facts(Release(commit(1))))
    assert (found.target, found.outcome) == (None, "failed")
    assert found.failure
    assert found.failure.code == "branch_missing"
    assert "trunk" in found.message


# --- beta and stable ------------------------------------------------------------------


def test_beta_then_the_highest_version_not_the_highest_text() -> None:
    """lessons.md L15."""
    found = resolved(BETA, "v1.9.0", "v1.10.0", "v1.2.0", runs="1.9.0")
    assert found.target == Release(commit("v1.10.0"), "1.10.0", "v1.10.0")


def test_stable_then_1_20_is_not_1_2() -> None:
    """lessons.md L15."""
    found = resolved(STABLE, "v1.2.3", "v1.20.0", "v1.2.10", "v1.3.0", "v2.0.0", runs="1.2.3")
    assert found.target
    assert found.target.version == "1.2.10"


def test_stable_with_1_20_then_not_1_2() -> None:
    """lessons.md L15."""
    found = resolved(Rule(channel="stable", pinned_minor="1.20"), "v1.2.9", "v1.20.1", runs="1.20.0")
    assert found.target
    assert found.target.tag == "v1.20.1"


def test_stable_then_never_a_prerelease() -> None:
    rule = Rule(channel="stable", pinned_minor="1.2", prereleases=True)
    found = resolved(rule, "v1.2.0", "v1.2.1-rc.1", runs="1.1.0")
    assert found.target
    assert found.target.version == "1.2.0"


@pytest.mark.parametrize(("wanted", "version"), [(False, "1.2.0"), (True, "1.3.0rc1")])
def test_prereleases_then_only_where_asked_for(wanted: bool, version: str) -> None:
    found = resolved(Rule(channel="beta", prereleases=wanted), "v1.2.0", "v1.3.0-rc.1", runs="1.0")
    assert found.target
    assert found.target.version == version


def test_release_called_prerelease_then_one_whatever_its_version_says() -> None:
    called = Published("v1.3.0", Version("1.3.0"), prerelease=True, commit=commit(3))
    plain = Published("v1.2.0", Version("1.2.0"), prerelease=False, commit=commit(2))
    assert pick(BETA, [called, plain]) == plain
    assert pick(Rule(channel="beta", prereleases=True), [called, plain]) == called
    assert pick(STABLE, [called, plain]) == plain


def test_prerelease_runs_then_its_release_is_ahead() -> None:
    found = resolved(BETA, "v1.3.0", runs="1.3.0rc1")
    assert found.is_ahead


@pytest.mark.parametrize(
    ("rule", "reason"), [(BETA, Reason.NO_RELEASE), (STABLE, Reason.NO_RELEASE_IN_MINOR)]
)
def test_nothing_published_then_nothing_to_do_and_why(rule: Rule, reason: Reason) -> None:
    found = resolved(rule, "junk", "v1.3.0-rc.1", runs="1.0")
    assert (found.target, found.reason, found.outcome) == (None, reason, "up_to_date")
    assert found.message


def test_newest_is_older_than_what_runs_then_it_stays_and_says_how_to_go() -> None:
    """lessons.md L14."""
    found = resolved(BETA, "v0.1.0", "v0.2.0", runs="1.0.0")
    assert (found.target, found.reason, found.outcome) == (None, Reason.RENUMBERED, "up_to_date")
    assert found.found == Release(commit("v0.2.0"), "0.2.0", "v0.2.0")
    assert "0.2.0" in found.message
    assert "1.0.0" in found.message
    assert "newleaf pin 0.2.0" in found.cure


def test_renumbered_and_pinned_then_it_goes() -> None:
    """lessons.md L14: the cure works."""
    found = resolved(Rule(channel="beta", exact="0.2.0"), "v0.1.0", "v0.2.0", runs="1.0.0")
    assert (found.target, found.sideways) == (Release(commit("v0.2.0"), "0.2.0", "v0.2.0"), True)


def test_renumbered_and_reached_then_later_ones_are_ahead() -> None:
    """lessons.md L14: after the pin, versions are compared with the new ones."""
    assert resolved(BETA, "v0.2.0", "v0.3.0", runs="0.2.0").is_ahead


def test_same_version_at_another_commit_then_no_update_and_why() -> None:
    found = resolved(BETA, "v1.3.0", runs="1.3.0")
    assert (found.target, found.reason) == (None, Reason.SAME_VERSION)
    assert "newleaf pin 1.3.0" in found.cure


def test_tag_at_the_running_commit_then_its_version_counts() -> None:
    """A tree whose files never say another version is moved all the same."""
    published = published_from_refs(refs("v1.0.0", "v1.1.0"), "v")
    found = choose(BETA, Facts(Release(commit("v1.0.0"), "9.9.9"), published=published))
    assert found.target
    assert found.target.version == "1.1.0"


def test_tagged_commit_runs_then_up_to_date_whatever_its_files_say() -> None:
    found = resolved(BETA, "v1.3.0", runs="0.0.0", at="v1.3.0")
    assert (found.target, found.reason) == (None, Reason.RUNNING)


def test_no_version_known_then_history_decides() -> None:
    found = resolved(BETA, "v1.3.0", runs=None)
    assert (found.is_ahead, found.unordered) == (True, True)
    contained = found.contained()
    assert (contained.target, contained.reason, contained.outcome) == (None, Reason.CONTAINED, "up_to_date")
    assert "v1.3.0" in contained.message


def test_two_tags_of_one_version_then_the_plainly_spelled_one() -> None:
    for tags in (("v1.2.0", "v1.2.00"), ("v1.2.00", "v1.2.0")):
        found = resolved(BETA, *tags, runs="1.0")
        assert found.target
        assert found.target.tag == "v1.2.0"


def test_release_whose_tag_the_remote_lacks_then_not_chosen() -> None:
    published = Published("v1.3.0", Version("1.3.0"), prerelease=False)
    assert with_commit(published, refs("v1.2.0")) is None
    found = choose(BETA, Facts(Release(commit(1), "1.0"), published=(published,)))
    assert found.target is None


def test_release_with_its_tag_then_commit_and_object() -> None:
    published = Published("v1.3.0", Version("1.3.0"), prerelease=False)
    ids = {"refs/tags/v1.3.0": commit("object"), "refs/tags/v1.3.0^{}": commit("target")}
    found = with_commit(published, ids)
    assert found
    assert (found.commit, found.tag_object) == (commit("target"), commit("object"))


# --- exact ----------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["alpha", "beta", "stable"])
@pytest.mark.parametrize("pin", ["1.1.0", "v1.1.0", "1.1"])
def test_pin_then_that_version_on_every_channel(channel: str, pin: str) -> None:
    rule = Rule(channel=channel, pinned_minor="1.2", exact=pin)
    found = resolved(rule, "v1.0.0", "v1.1.0", "v1.2.5", runs="1.2.5")
    assert found.target == Release(commit("v1.1.0"), "1.1.0", "v1.1.0")
    assert found.sideways


def test_pin_of_a_prerelease_then_taken() -> None:
    found = resolved(Rule(channel="beta", exact="1.3.0rc1"), "v1.2.0", "v1.3.0-rc.1", runs="1.2.0")
    assert found.target
    assert found.target.tag == "v1.3.0-rc.1"


def test_pinned_version_runs_then_up_to_date() -> None:
    found = resolved(Rule(exact="1.1.0"), "v1.1.0", "v1.2.0", runs="1.1.0", at="v1.1.0")
    assert (found.target, found.outcome) == (None, "up_to_date")


def test_pinned_version_missing_then_failure_that_names_it() -> None:
    """lessons.md L2."""
    found = resolved(Rule(exact="1.4.0"), "v1.3.0", runs="1.3.0")
    assert (found.target, found.reason, found.outcome) == (None, Reason.PIN_MISSING, "failed")
    assert found.failure
    assert "1.4.0" in found.failure.message
    assert "newleaf unpin" in found.cure


@pytest.mark.parametrize("length", [40, 64])
def test_commit_asked_for_then_itself(length: int) -> None:
    rule = Rule(exact="a" * length)
    found = choose(rule, Facts(Release(commit(1))))
    assert found.target == Release(CommitId("a" * length))
    assert found.sideways
    assert rule.patterns == ()


@pytest.mark.parametrize("pin", ["", "latest", "abc1234", "1.2.x", "v", "A" * 40, "a" * 40 + "\n"])
def test_pin_that_is_neither_then_usage_error(pin: str) -> None:
    with pytest.raises(PinInvalid):
        parse_pin(pin, "v")


def test_pin_with_the_prefix_of_the_tags_then_stripped() -> None:
    assert parse_pin("chat/v1.2", "chat/v") == Version("1.2")


# --- minors ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "1", "1.2.3", "1.2rc1", "1.2.dev0", "one", "1.2+a", "1.2.post1"])
def test_minor_that_is_not_two_numbers_then_usage_error(text: str) -> None:
    """lessons.md L15."""
    with pytest.raises(MinorInvalid):
        parse_minor(text)


def test_minor_then_1_10_is_not_1_1() -> None:
    """lessons.md L15."""
    assert parse_minor("1.10") != parse_minor("1.1")
    assert parse_minor("1!1.2") != parse_minor("1.2")


def test_stable_without_a_minor_then_usage_error() -> None:
    with pytest.raises(MinorInvalid):
        resolved(Rule(channel="stable"), "v1.0.0", runs="1.0")


@pytest.mark.parametrize(
    ("rule", "patterns"),
    [
        (Rule(branch="main"), ("refs/heads/main",)),
        (Rule(branch="main", exact="1.0"), ("refs/tags/v*",)),
        (Rule(channel="beta", tag_prefix="chat/v"), ("refs/tags/chat/v*",)),
        (Rule(channel="stable", tag_prefix=""), ("refs/tags/*",)),
    ],
)
def test_rule_then_the_refs_to_ask_for_by_their_full_names(rule: Rule, patterns: tuple[str, ...]) -> None:
    """threats.md T10, T15."""
    assert rule.patterns == patterns


# --- properties -----------------------------------------------------------------------

numbers = st.integers(0, 30)
suffixes = st.sampled_from(["", "", "", "rc1", "a2", ".dev3", ".post1", "-beta.4", "+local"])
versions = st.builds(
    lambda major, minor, patch, suffix: f"{major}.{minor}.{patch}{suffix}",
    numbers,
    numbers,
    numbers,
    suffixes,
)


@given(st.lists(versions, max_size=12), st.booleans())
def test_beta_picks_the_maximum_of_what_is_admissible(texts: list[str], prereleases: bool) -> None:
    published = published_from_refs(refs(*(f"v{text}" for text in texts)), "v")
    admissible = [v for v in map(Version, texts) if prereleases or not v.is_prerelease]
    picked = pick(Rule(channel="beta", prereleases=prereleases), published)
    assert (picked.version if picked else None) == max(admissible, default=None)


@given(st.lists(versions, max_size=12), numbers, numbers)
def test_stable_picks_the_maximum_inside_the_minor(texts: list[str], major: int, minor: int) -> None:
    published = published_from_refs(refs(*(f"v{text}" for text in texts)), "v")
    inside = [v for v in map(Version, texts) if v.release[:2] == (major, minor) and not v.is_prerelease]
    picked = pick(Rule(channel="stable", pinned_minor=f"{major}.{minor}"), published)
    assert (picked.version if picked else None) == max(inside, default=None)
    assert picked is None or minor_of(picked.version) == (0, major, minor)


@given(st.lists(versions, min_size=1, max_size=8), versions)
def test_without_a_pin_the_version_never_goes_down(texts: list[str], runs: str) -> None:
    """lessons.md L14."""
    found = resolved(Rule(channel="beta", prereleases=True), *(f"v{text}" for text in texts), runs=runs)
    assert found.target is None or Version(found.target.version or "") > Version(runs)


@given(st.text(max_size=300), st.sampled_from(["v", "", "chat/v"]))
def test_any_tag_then_a_version_or_nothing(tag: str, prefix: str) -> None:
    found = version_of_tag(tag, prefix)
    assert found is None or tag.startswith(prefix)
