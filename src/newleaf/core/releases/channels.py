"""Which release a channel, a pin or an order resolves to, and whether that is ahead of what runs.

Rules, in their order:

1. An exact commit is itself; an exact version is the tag with that version. Both go either way.
2. `alpha` is the head of the branch. It is ahead when it is another commit than the running one.
3. `beta` is the highest version among the published releases, prereleases only where asked for;
   `stable` is the highest patch inside the pinned minor, never a prerelease.
4. A published release is ahead when its *version* is higher. The same version at another commit is
   not an update; a lower one is never taken by itself (lessons.md L14). What runs at the commit
   of a published tag has that tag's version, whatever its files say.
5. Versions compare as `packaging` compares them (lessons.md L15). A tag without the prefix, or whose rest is
   no version, is no release. Of two tags with one version the one spelled plainly counts.

It never asks the remote, and never judges ancestry, signatures, denials or gates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace
from packaging.version import Version

from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.source_errors import BranchMissing, MinorInvalid, PinInvalid, PinMissing

TAGS = "refs/tags/"
HEADS = "refs/heads/"
PEELED = "^{}"
MAX_TAG_CHARACTERS = 200

_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


class Rule(Struct, frozen=True):
    """What the host follows: its channel, and the one version or commit that outranks it."""

    channel: str = "alpha"
    branch: str = "main"
    tag_prefix: str = "v"
    pinned_minor: str | None = None
    prereleases: bool = False
    exact: str | None = None
    """A version or a full commit id: a pin, or the order of one attempt."""
    paths: tuple[str, ...] = ()
    """alpha: only commits that touch these count."""

    @property
    def exact_commit(self) -> CommitId | None:
        """The commit that is asked for by its id."""
        return CommitId(self.exact) if self.exact and _COMMIT.match(self.exact) else None

    @property
    def follows_branch(self) -> bool:
        """Whether the head of the branch decides."""
        return self.channel == "alpha" and not self.exact

    @property
    def patterns(self) -> tuple[str, ...]:
        """The refs that the remote must be asked for."""
        if self.exact_commit:
            return ()
        return (HEADS + self.branch,) if self.follows_branch else (f"{TAGS}{self.tag_prefix}*",)


class Published(Struct, frozen=True):
    """A release as the source names it. `commit` and `tag_object` are None until the remote was asked."""

    tag: str
    version: Version
    prerelease: bool
    commit: CommitId | None = None
    tag_object: CommitId | None = None
    published_at: datetime | None = None


class Facts(Struct, frozen=True):
    """What is known of the remote and of this host."""

    running: Release
    head: CommitId | None = None
    published: tuple[Published, ...] = ()


class Reason(StrEnum):
    """Why the choice is what it is."""

    AHEAD = "ahead"
    RUNNING = "running"
    SAME_VERSION = "same_version"
    CONTAINED = "contained"
    RENUMBERED = "renumbered"
    NO_RELEASE = "no_release"
    NO_RELEASE_IN_MINOR = "no_release_in_minor"
    PIN_MISSING = "pin_missing"
    BRANCH_MISSING = "branch_missing"


class Choice(Struct, frozen=True):
    """What a rule resolves to.

    `target` is the release to move to, None when there is none; `found` is the release that the
    rule picked, ahead or not. `message` and `cure` are for people and empty where nothing is to be said.
    """

    reason: Reason
    target: Release | None = None
    found: Release | None = None
    tag_object: CommitId | None = None
    sideways: bool = False
    """Asked for exactly: older, newer or beside what runs."""
    unordered: bool = False
    """No version of what runs is known: only the history can tell whether it already contains the target."""
    published_at: datetime | None = None
    message: str = ""
    cure: str = ""
    failure: NewleafError | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether there is something to move to."""
        return self.target is not None

    @property
    def outcome(self) -> str:
        """The outcome word of `check`."""
        if self.failure:
            return self.failure.outcome
        return "available" if self.is_ahead else "up_to_date"

    def contained(self) -> Choice:
        """The choice when what runs is known to come after `target` in its history."""
        name = self.found.tag if self.found else ""
        return replace(
            self,
            reason=Reason.CONTAINED,
            target=None,
            unordered=False,
            message=f"what runs already contains {name}",
        )


def parse_version(text: str) -> Version | None:
    """The version that `text` spells; None when it spells none."""
    # packaging forgives white space around a version, and numbers of any length fail late.
    if len(text) > MAX_TAG_CHARACTERS or text != text.strip():
        return None
    try:
        return Version(text)
    except ValueError:
        return None


def version_of_tag(tag: str, prefix: str) -> Version | None:
    """The version behind `prefix` in a tag's name; None for a tag that is no release."""
    rest = tag.removeprefix(prefix)
    if not tag.startswith(prefix) or not rest[:1].isdigit():
        return None
    return parse_version(rest)


def published_from_refs(refs: Mapping[str, CommitId], prefix: str) -> tuple[Published, ...]:
    """The releases among a remote's refs; an annotated tag counts with the commit it points to."""
    found = []
    for ref, tag_object in refs.items():
        if not ref.startswith(TAGS) or ref.endswith(PEELED):
            continue
        tag = ref.removeprefix(TAGS)
        version = version_of_tag(tag, prefix)
        if version is not None:
            commit = refs.get(ref + PEELED, tag_object)
            found.append(Published(tag, version, version.is_prerelease, commit, tag_object))
    return tuple(found)


def with_commit(published: Published, refs: Mapping[str, CommitId]) -> Published | None:
    """`published` with the ids that the remote has for its tag; None when the remote has no such tag."""
    ref = TAGS + published.tag
    if ref not in refs:
        return None
    return replace(published, commit=refs.get(ref + PEELED, refs[ref]), tag_object=refs[ref])


def pick(rule: Rule, published: Iterable[Published]) -> Published | None:
    """The release that the rule takes among those published, whatever runs; None when none is admissible.

    Raises: PinInvalid, MinorInvalid.
    """
    admissible = _admission(rule)
    return max((p for p in published if admissible(p)), key=lambda p: _rank(rule, p), default=None)


def choose(rule: Rule, facts: Facts) -> Choice:
    """What `rule` resolves to, given the facts; `published` need carry a commit only where `pick` picks.

    Raises: PinInvalid, MinorInvalid.
    """
    if rule.exact_commit:
        return _judge_exact(Release(rule.exact_commit), facts)
    if rule.follows_branch:
        return _judge_head(rule, facts)
    picked = pick(rule, facts.published)
    if picked is None or picked.commit is None:
        return _nothing(rule)
    found = Release(picked.commit, str(picked.version), picked.tag)
    choice = _judge_exact(found, facts) if rule.exact else _judge_published(found, picked.version, facts)
    return replace(choice, tag_object=picked.tag_object, published_at=picked.published_at)


def running_version(facts: Facts) -> Version | None:
    """The version of what runs: of the published tag at its commit, else what its files say."""
    tagged = [p.version for p in facts.published if p.commit == facts.running.commit]
    if tagged:
        return max(tagged)
    return parse_version(facts.running.version) if facts.running.version else None


def minor_of(version: Version) -> tuple[int, int, int]:
    """What the patches of one minor have in common: epoch, major, minor."""
    return version.epoch, version.major, version.minor


def parse_minor(text: str) -> tuple[int, int, int]:
    """The minor that "1.20" names, as `minor_of` has it.

    Raises: MinorInvalid.
    """
    version = parse_version(text)
    if version is None or len(version.release) != 2 or str(version) != version.base_version:
        raise MinorInvalid(minor=text)
    return minor_of(version)


def parse_pin(text: str, prefix: str) -> Version:
    """The version that a person pinned: "1.2.0", or the tag's name.

    Raises: PinInvalid.
    """
    version = version_of_tag(text, prefix) or parse_version(text)
    if version is None:
        raise PinInvalid(pin=text)
    return version


def _admission(rule: Rule) -> Callable[[Published], bool]:
    """Whether a published release may be taken under the rule, as a function."""
    if rule.exact:
        exact = parse_pin(rule.exact, rule.tag_prefix)
        return lambda published: published.version == exact
    if rule.channel == "stable":
        minor = parse_minor(rule.pinned_minor or "")
        return lambda published: minor_of(published.version) == minor and not _is_prerelease(published)
    return lambda published: rule.prereleases or not _is_prerelease(published)


def _is_prerelease(published: Published) -> bool:
    return published.prerelease or published.version.is_prerelease


def _rank(rule: Rule, published: Published) -> tuple[Version, bool, str]:
    plain = published.tag == f"{rule.tag_prefix}{published.version}"
    return published.version, plain, published.tag


def _judge_head(rule: Rule, facts: Facts) -> Choice:
    if facts.head is None:
        failure = BranchMissing(branch=rule.branch)
        return Choice(Reason.BRANCH_MISSING, message=failure.message, cure=failure.advice, failure=failure)
    found = Release(facts.head)
    if facts.head == facts.running.commit:
        return Choice(Reason.RUNNING, found=found)
    return Choice(Reason.AHEAD, target=found, found=found)


def _judge_exact(found: Release, facts: Facts) -> Choice:
    if found.commit == facts.running.commit:
        return Choice(Reason.RUNNING, found=found, sideways=True)
    return Choice(Reason.AHEAD, target=found, found=found, sideways=True)


def _judge_published(found: Release, version: Version, facts: Facts) -> Choice:
    if found.commit == facts.running.commit:
        return Choice(Reason.RUNNING, found=found)
    running = running_version(facts)
    if running is None or version > running:
        return Choice(Reason.AHEAD, target=found, found=found, unordered=running is None)
    if version == running:
        return Choice(
            Reason.SAME_VERSION,
            found=found,
            message=f"{running} runs, at {facts.running.commit[:9]}; tag {found.tag} is {found.commit[:9]}",
            cure=f"to move to the tagged commit: newleaf pin {version}, then newleaf update",
        )
    return Choice(
        Reason.RENUMBERED,
        found=found,
        message=f"the newest release, {version}, is older than {running}, which runs; {running} stays",
        cure=f"to go to it all the same: newleaf pin {version}",
    )


def _nothing(rule: Rule) -> Choice:
    if rule.exact:
        failure = PinMissing(version=parse_pin(rule.exact, rule.tag_prefix), prefix=rule.tag_prefix)
        return Choice(Reason.PIN_MISSING, message=failure.message, cure=failure.advice, failure=failure)
    if rule.channel == "stable":
        message = f"no release of {rule.pinned_minor} is published yet"
        return Choice(Reason.NO_RELEASE_IN_MINOR, message=message)
    message = f"no release is published yet (tags {rule.tag_prefix}X.Y.Z)"
    return Choice(Reason.NO_RELEASE, message=message)
