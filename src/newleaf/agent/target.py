"""What the channel, a pin or an order resolves to now: the remote is asked, and its tags remembered.

1. An exact commit is asked of nobody. An exact version is looked for among the remote's tags.
2. `alpha`: the head of the branch; with `watch.paths`, the newest new commit that touches one of them.
3. Else the published releases: the remote's tags, or GitHub's list. GitHub says which release, git says
   which commit. A list that is said to be unchanged spares the question to git, where the caller allows it.
4. Where no version of what runs is known, the history says whether it contains the release already.
5. A target whose tag moved since this host first saw it is refused (threats.md T9).

It fetches only what 2 needs, and writes no signal and no status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from newleaf.agent.seen_tags import SeenTags
from newleaf.agent.watch_file import WatchFile
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import (
    HEADS,
    PEELED,
    TAGS,
    Choice,
    Facts,
    Published,
    Rule,
    choose,
    pick,
    published_from_refs,
    with_commit,
)
from newleaf.core.releases.hosting import Listing, read_releases
from newleaf.core.releases.source_errors import ApiLimited, ReleaseWithoutTag

LISTING = "github"
TAG = "github_tag"
RETRY_AT = "retry_at"
RETRY_HOST = "retry_host"


class Refs(Protocol):
    """The remote."""

    def ls_remote(self, *patterns: str) -> Mapping[str, CommitId]:
        """The refs that match; an annotated tag also as `NAME^{}` with its commit."""
        ...

    def fetch(self, wanted: Mapping[str, CommitId]) -> None:
        """Brings the objects of full ref names."""
        ...


class History(Protocol):
    """What is known of commits whose objects are here."""

    def has(self, commit: CommitId) -> bool:
        """Whether the commit is here."""
        ...

    def is_ancestor(self, ancestor: CommitId, commit: CommitId) -> bool:
        """Whether `commit` is `ancestor` or descends from it."""
        ...

    def newest_touching(
        self, end: CommitId, paths: Sequence[str], start: CommitId | None = None
    ) -> CommitId | None:
        """The newest commit up to `end`, not in `start`, that changes one of `paths`."""
        ...


class Remote(Refs, History, Protocol):
    """The remote, and what was fetched from it."""


class Releases(Protocol):
    """Where published releases are listed, when that is not the remote's tags."""

    def list_releases(self, record: Mapping[str, Any] | None = None) -> Listing:
        """All releases; `record` is the last listing's."""
        ...


class Resolver(Struct, frozen=True):
    """Resolves rules for the host of one state directory.

    `releases` is None where the remote's tags are the releases. With `trusts_unchanged`, an unchanged list of
    releases is taken to mean that its newest tag is unchanged too: right for a poll, not for an attempt.
    """

    remote: Remote
    state: Path
    now: Callable[[], datetime]
    releases: Releases | None = None
    trusts_unchanged: bool = False

    def __call__(self, rule: Rule, live: Release) -> Choice:
        """What `rule` resolves to where `live` is what this host has.

        Raises: TagMoved, ReleaseWithoutTag, PinInvalid, MinorInvalid, ApiLimited, and other failures of the
        remote and the API.
        """
        if rule.exact_commit:
            return choose(rule, Facts(live))
        if rule.follows_branch:
            return self._resolve_head(rule, live)
        if rule.exact or self.releases is None:
            refs = self.remote.ls_remote(*rule.patterns)
            published = published_from_refs(refs, rule.tag_prefix)
        else:
            published = self._listed(rule, self.releases)
        choice = choose(rule, Facts(live, published=published))
        seen = SeenTags(self.state)
        seen.remember({found.tag: found.tag_object for found in published if found.tag_object})
        seen.require_unmoved(choice, live)
        return choice.contained() if choice.unordered and self._contains(live, choice) else choice

    def _resolve_head(self, rule: Rule, live: Release) -> Choice:
        ref = HEADS + rule.branch
        head = self.remote.ls_remote(ref).get(ref)
        touching = head
        if head and head != live.commit and rule.paths:
            if not self.remote.has(head):
                self.remote.fetch({ref: head})
            touching = self.remote.newest_touching(head, rule.paths, live.commit) or live.commit
        choice = choose(rule, Facts(live, touching))
        if choice.target or touching == head:
            return choice
        return replace(choice, message=f"nothing up to {str(head)[:9]} touches {', '.join(rule.paths)}")

    def _listed(self, rule: Rule, releases: Releases) -> tuple[Published, ...]:
        """GitHub's releases; the one that the rule picks with what git says of its tag."""
        memory = WatchFile(self.state)
        until = memory.moment(RETRY_AT)
        if until and until > self.now():
            raise ApiLimited(host=memory.read().get(RETRY_HOST), status="as it said before", until=until)
        try:
            listing = releases.list_releases(memory.table(LISTING))
        except ApiLimited as error:
            memory.change(**{RETRY_AT: error.facts["until"], RETRY_HOST: error.facts["host"]})
            raise
        published = read_releases(listing.releases, rule.tag_prefix)
        picked = pick(rule, published)
        if picked is None:
            memory.change(**{LISTING: listing.record, RETRY_AT: None, RETRY_HOST: None})
            return published
        ids = self._remembered_ids(memory, picked) if listing.unchanged and self.trusts_unchanged else {}
        refs = ids or self.remote.ls_remote(TAGS + picked.tag, TAGS + picked.tag + PEELED)
        known = with_commit(picked, refs)
        if known is None:
            raise ReleaseWithoutTag(tag=picked.tag)
        tag = {"tag": known.tag, "object": known.tag_object, "commit": known.commit}
        memory.change(**{LISTING: listing.record, TAG: tag, RETRY_AT: None, RETRY_HOST: None})
        return tuple(known if found == picked else found for found in published)

    @staticmethod
    def _remembered_ids(memory: WatchFile, picked: Published) -> dict[str, CommitId]:
        tag = memory.table(TAG)
        ids = (tag.get("object"), tag.get("commit"))
        if tag.get("tag") != picked.tag or not all(isinstance(each, str) for each in ids):
            return {}
        return {TAGS + picked.tag: CommitId(str(ids[0])), TAGS + picked.tag + PEELED: CommitId(str(ids[1]))}

    def _contains(self, live: Release, choice: Choice) -> bool:
        """Whether what this host has comes after the target; one that is not here cannot be before it."""
        target = choice.target
        if target is None or not self.remote.has(target.commit):
            return False
        return self.remote.is_ancestor(target.commit, live.commit)
