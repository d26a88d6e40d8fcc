"""By which tag a release is known here, and which object that tag was when it was first seen.

A release that nobody resolved just now, as on a way back or by an order for a commit, has no tag with it:
then it is known by its version's, when this host has seen one that names its very commit.
"""

from __future__ import annotations

import contextlib

from msgspec import Struct

from newleaf.agent.seen_tags import SeenTags
from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import TAGS, parse_version, version_of_tag
from newleaf.core.releases.tag_object import read_tag
from newleaf.system.git.directory import Git


class KnownTags(Struct, frozen=True):
    """The tags that one host has seen; `prefix` stands before the version in a tag's name."""

    seen: SeenTags
    git: Git
    prefix: str

    def find(self, target: Release) -> tuple[Release, CommitId | None]:
        """The target with its tag, and the tag's object; without both where none is known.

        Raises: CorruptFile, NewerSchema.
        """
        first_seen = self.seen.first_seen()
        version = parse_version(target.version or "")
        fitting = [tag for tag in sorted(first_seen) if version_of_tag(tag, self.prefix) == version]
        for tag in [target.tag] if target.tag else fitting if version else []:
            found = first_seen.get(tag)
            if found and (target.tag or target.commit in (found, self._commit_of(tag, found, target))):
                return target._replace(tag=tag), CommitId(found)
        return target, None

    def _commit_of(self, tag: str, object_id: str, target: Release) -> str | None:
        """What a tag object says that it is of; None when it cannot be had, or is none."""
        finished = self.git.run("cat-file", "tag", object_id)
        if finished.status != 0:
            with contextlib.suppress(NewleafError):
                self.git.fetch({TAGS + tag: target.commit})
            finished = self.git.run("cat-file", "tag", object_id)
        return read_tag(finished.stdout).object_id if finished.status == 0 else None
