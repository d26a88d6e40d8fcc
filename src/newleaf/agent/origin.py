"""Where releases come from: what the channel resolves to, their objects, and what is refused of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct

from newleaf.core.errors import TreeRefused, UsageError, WrongApp
from newleaf.core.release import CommitId, Release
from newleaf.core.releases import channels, names, versions
from newleaf.core.releases.channels import Choice, Rule
from newleaf.core.releases.trust import require_floor
from newleaf.core.requests import Request
from newleaf.core.settings.model import Settings
from newleaf.system.git.directory import Git

Resolve = Callable[[Rule, Release], Choice]


class Origin(Struct):
    """Implements `core.ports.Source`.

    `resolve_rule` asks the remote; `settings_of` reads a commit's own copy of the settings; `check_movable`
    refuses what the layout could not move to; `require_signed` what carries no signature that the host wants,
    by the object of its tag: the one that was resolved, else the one that `find_tag` knows.
    """

    git: Git
    settings: Settings
    inner: str
    pin: Callable[[], str | None]
    resolve_rule: Resolve
    settings_of: Callable[[CommitId], Settings]
    check_movable: Callable[..., None]
    note_fetched: Callable[[str, CommitId], None]
    require_signed: Callable[[Release, CommitId | None], None]
    find_tag: Callable[[Release], tuple[Release, CommitId | None]]
    _branch: str | None = None
    _published: dict[str, datetime] = {}
    _tag_objects: dict[CommitId, CommitId] = {}
    _versions: dict[CommitId, str | None] = {}

    def rule(self, request: Request) -> Rule:
        """What this host follows for one request.

        Raises: NameInvalid.
        """
        settings, source = self.settings.deployment, self.settings.source
        branch = names.require_branch(source.branch)
        if request.branch is not None:
            branch = names.require_branch(request.branch).removeprefix(names.HEADS)
        exact = self._exact(request)
        return Rule(
            channel="alpha" if request.branch else settings.channel,
            branch=branch,
            tag_prefix=source.tag_prefix,
            pinned_minor=settings.pinned_minor,
            prereleases=settings.prereleases,
            exact=exact,
            paths=tuple(self.settings.watch.paths),
        )

    def _exact(self, request: Request) -> str | None:
        """The version or commit that is asked for; an abbreviated commit in full, where it is here."""
        if request.to is None:
            return None if request.branch else self.pin() or self.settings.deployment.pin
        return self.git.complete(request.to) or request.to

    def resolve(self, request: Request, live: Release) -> Choice:
        """Raises: what the remote and the rule give reason to."""
        rule = self.rule(request)
        self._branch = rule.branch
        choice = self.resolve_rule(rule, live)
        if choice.failure:
            raise choice.failure
        if choice.target and choice.published_at:
            self._published[choice.target.commit] = choice.published_at
        if choice.target and choice.tag_object:
            self._tag_objects[choice.target.commit] = choice.tag_object
        return choice

    def fetch(self, target: Release) -> Release:
        """Brings the objects, unless they are here; adds the version of the tree where no tag says one."""
        if not self.git.has(target.commit):
            self._fetch(target)
        return target if target.version else target._replace(version=self.version_of(target.commit))

    def verify(self, target: Release, *, sideways: bool) -> None:
        """Raises: BelowFloor, TreeRefused, WrongApp, and what signatures and the layout refuse."""
        require_floor(self.settings.security, target)
        named, first_seen = self.find_tag(target)
        self.require_signed(named, self._tag_objects.get(target.commit) or first_seen)
        faults = self.git.tree_faults(target.commit)
        if faults:
            raise TreeRefused(name=target.name, faults="; ".join(faults))
        try:
            name = self.settings_of(target.commit).app.name
        except UsageError as error:
            raise TreeRefused(name=target.name, faults=error.message) from error
        if name != self.settings.app.name:
            raise WrongApp(name=target.name, found=name, expected=self.settings.app.name)
        self.check_movable(target, sideways=sideways)

    def commits(self, start: Release, target: Release) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Raises: CommandFailed when the objects are not here."""
        if start.commit == target.commit:
            return 0, ()
        return self.git.log(start.commit, target.commit)

    def version_of(self, commit: CommitId, tag_version: str | None = None) -> str | None:
        """The version that the tree of a commit says; asked of git once, since a commit never changes."""
        if commit not in self._versions:
            self._versions[commit] = self._read_version(commit, tag_version)
        return self._versions[commit]

    def _read_version(self, commit: CommitId, tag_version: str | None) -> str | None:
        app = self.settings.app
        paths = [entry.path for entry in self.git.list_tree(commit, self.inner)]
        wanted = versions.files_to_read(app.version_file, paths, self.inner)
        found = self.git.show_many(commit, wanted)
        ordered: Mapping[str, bytes] = {path: found[path] for path in wanted if path in found}
        return versions.version_of_tree(app.version_file, ordered, tag_version)

    def released_at(self, target: Release) -> datetime:
        """When a release was published, else when its commit was made.

        Raises: CommandFailed when its objects are not here.
        """
        if target.commit not in self._published:
            self._published[target.commit] = self.git.commit_time(target.commit)
        return self._published[target.commit]

    def _fetch(self, target: Release) -> None:
        if target.tag:
            self.git.fetch({channels.TAGS + target.tag: target.commit})
            return
        branch = self._branch or self.settings.source.branch
        self.git.fetch({channels.HEADS + branch: target.commit})
        self.note_fetched(branch, target.commit)
