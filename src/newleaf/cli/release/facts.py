"""Everything that `release` judges, gathered at a maintainer's seat: the checkout, its remote, the commit.

Facts only, and nothing is changed to get them: what they mean is for `core.releases.releasing` to say. The
commit is read, not the files that lie around it. No state directory is looked for, read or made.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from packaging.version import Version

from newleaf.core.adoption.findings import CheckoutFacts
from newleaf.core.data.migration import Script, is_script, read_scripts, version_of
from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId
from newleaf.core.releases.channels import HEADS, TAGS, Published, parse_version, published_from_refs
from newleaf.core.releases.git_errors import NotACheckout
from newleaf.core.releases.names import find_fault
from newleaf.core.releases.release_errors import NothingToRelease
from newleaf.core.releases.seat import Before, Key, Line, Seat, Tree, Wish, choose_version, last_release
from newleaf.core.releases.tag_object import find_tag_fault, read_tag
from newleaf.core.releases.tree_rules import LINK, SUBMODULE, Entry
from newleaf.core.releases.versions import files_to_read, version_in, version_of_tree
from newleaf.core.settings.fragments import (
    APP_FILE,
    HOST_FILE,
    Fragment,
    Sources,
    load,
    read_environment,
    read_toml,
)
from newleaf.core.settings.model import KEYS
from newleaf.core.settings.soundness import require_sound
from newleaf.system.commands import Runner
from newleaf.system.configuration import read_file
from newleaf.system.git.checkout import read_checkout
from newleaf.system.git.maintainer import MaintainerGit, Signing
from newleaf.system.signing import Keys


class Request(Struct, frozen=True):
    """What was asked for, and where."""

    folder: Path
    environ: Mapping[str, str]
    wish: Wish
    branch: str | None = None
    config: Path | None = None
    """A host.toml, for the tag's prefix that hosts expect."""
    signing: Signing = Signing()


class Desk(Struct, frozen=True):
    """The seat, and the tools that lie there."""

    seat: Seat
    git: MaintainerGit
    keys: Keys


def sit_down(request: Request, runner: Runner) -> Desk:
    """Gathers everything.

    Raises: NothingToRelease, CheckoutUntrusted, SettingsInvalid and its kin for `config`, ProgramMissing,
    CommandFailed, CommandTimedOut.
    """
    try:
        checkout = read_checkout(request.folder, runner, request.environ)
    except NotACheckout as error:
        raise NothingToRelease(path=request.folder, reason="it lies in no git checkout") from error
    if checkout.head is None:
        raise NothingToRelease(path=checkout.top, reason="there is no commit yet")
    git = MaintainerGit(Path(checkout.top), runner, request.environ)
    return Desk(_Gathering(request, checkout, git).seat(), git, Keys(runner, git.environment))


class _Contents:
    """The files of one commit, listed once."""

    def __init__(self, git: MaintainerGit, commit: CommitId) -> None:
        self.git = git
        self.entries = git.list_tree(commit)
        self.by_path: dict[str, Entry] = {
            entry.path: entry for entry in self.entries if entry.mode not in {LINK, SUBMODULE}
        }

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The contents of those of the paths that are plain files."""
        wanted = {path: self.by_path[path].object_id for path in paths if path in self.by_path}
        bodies = self.git.blobs(wanted.values())
        return {path: bodies[object_id] for path, object_id in wanted.items()}

    def below(self, folder: str) -> list[str]:
        """The paths below a folder."""
        above = "" if folder == "." else f"{folder}/"
        return [path for path in self.by_path if path.startswith(above)]


class _Gathering:
    """One gathering, one question a method."""

    def __init__(self, request: Request, checkout: CheckoutFacts, git: MaintainerGit) -> None:
        self.request = request
        self.checkout = checkout
        self.git = git
        self.head = CommitId(checkout.head or "")
        self.contents = _Contents(git, self.head)
        self.settings_file = self._find_settings_file()
        self.outer = Sources(host=self._host_fragment(), environment=read_environment(request.environ))
        self.app_said = Fragment()

    def seat(self) -> Seat:
        tree = self._tree()
        prefix = str(self._setting("source.tag_prefix"))
        line = self._line(prefix)
        version = choose_version(self.request.wish, tree.version)
        local = self.git.local_tags()
        tag = f"{prefix}{version}" if version else ""
        local_tag = local.get(TAGS + tag)
        published = published_from_refs(local if line.refs is None else line.refs, prefix)
        last = last_release(published, version) if version else None
        return Seat(
            wish=self.request.wish,
            head=self.head,
            line=line,
            tree=tree,
            prefix=prefix,
            operation=self.checkout.operation,
            changed=self.checkout.changed,
            untracked_scripts=self._untracked_scripts(tree.migrations_folder),
            shallow=self.checkout.shallow,
            published=published,
            contained=frozenset(self._contained(published, version)),
            local_tag=local_tag,
            local_fault=self._tag_fault(tag, local_tag) if local_tag else None,
            before=self._before(last, tree) if last else None,
            key=self._key(),
        )

    # --- the branch and its remote --------------------------------------------------------

    def _line(self, prefix: str) -> Line:
        checkout = self.checkout
        remotes = tuple(sorted(checkout.remotes))
        remote = checkout.upstream_remote or ("origin" if "origin" in remotes else None)
        if remote is None and len(remotes) == 1:
            remote = remotes[0]
        branch = self.request.branch or checkout.upstream_branch or checkout.branch
        known = Line(branch, remote, checkout.remotes.get(remote or "", ""), remotes)
        if branch is None or remote is None or find_fault(branch) or find_fault(remote):
            return known
        try:
            refs = self.git.remote_refs(remote, branch, prefix)
        except NewleafError as error:
            return Line(branch, remote, known.url, remotes, error=error)
        there = refs.get(HEADS + branch)
        contains = there is None or self.git.contains(self.head, there)
        return Line(branch, remote, known.url, remotes, refs, contains_remote=contains)

    # --- the commit -----------------------------------------------------------------------

    def _find_settings_file(self) -> str:
        """The nearest newleaf.toml of the commit, from where one stands upwards; else where it would be."""
        place = self.request.folder.resolve().relative_to(Path(self.checkout.top).resolve())
        for folder in (place, *place.parents):
            path = (folder / APP_FILE).as_posix()
            if path in self.contents.by_path:
                return path
        return APP_FILE

    def _host_fragment(self) -> Fragment:
        config = self.request.config
        return read_file(config, tracked=False) if config and config.name == HOST_FILE else Fragment()

    def _setting(self, key: str) -> Any:
        """A setting, where the settings as a whole may not hold."""
        said = (self.outer.environment, self.outer.host, self.app_said)
        return next((each.inputs[key].value for each in said if key in each.inputs), KEYS[key].default)

    def _tree(self) -> Tree:
        error: NewleafError | None = None
        content = self.contents.read([self.settings_file]).get(self.settings_file)
        try:
            if content is not None:
                self.app_said = read_toml(content, self.settings_file, tracked=True)
            require_sound(load(self._sources()))
        except NewleafError as found:
            error = found
        folder = self._folder()
        files = files_to_read(self._setting("app.version_file"), self.contents.by_path, folder)
        bodies = self.contents.read(files)
        version = version_of_tree(self._setting("app.version_file"), bodies)
        migrations = posixpath.normpath(posixpath.join(folder, self._setting("update.migrations")))
        scripts, scripts_error = self._scripts(migrations)
        return Tree(
            settings_file=self.settings_file,
            settings_error=error,
            app=self._setting("app.name"),
            version=version,
            version_files=tuple(path for path in bodies if version_in(path, bodies[path]) == version)[:1]
            if version
            else (),
            migrations_folder=migrations,
            scripts=scripts,
            scripts_error=scripts_error,
            faults=tuple(self.git.tree_faults(self.contents.entries)),
        )

    def _sources(self) -> Sources:
        return Sources(app=self.app_said, host=self.outer.host, environment=self.outer.environment)

    def _folder(self) -> str:
        """The app's own folder in the repository."""
        inner = str(self._setting("app.path"))
        return (posixpath.dirname(self.settings_file) or ".") if inner == "." else inner

    def _scripts(self, folder: str) -> tuple[tuple[Script, ...], NewleafError | None]:
        paths = self.contents.read(self.contents.below(folder) if folder != "." else [])
        sources = {path.removeprefix(f"{folder}/"): body for path, body in paths.items()}
        try:
            return read_scripts({path: body for path, body in sources.items() if is_script(path)}), None
        except NewleafError as error:
            return (), error

    def _untracked_scripts(self, folder: str) -> tuple[str, ...]:
        found = self.git.untracked(folder)
        return tuple(path for path in found if is_script(path.removeprefix(f"{folder}/")))

    def _contained(self, published: Iterable[Published], version: Version | None) -> Iterator[str]:
        """The tags of higher releases that HEAD's history holds, known by their commits at the remote."""
        for release in published:
            is_higher = version and release.version > version
            if is_higher and release.commit and self.git.contains(self.head, release.commit):
                yield release.tag

    # --- what was before ------------------------------------------------------------------

    def _before(self, last: Published, tree: Tree) -> Before:
        commit = last.commit
        if commit is None or not self.git.has(commit):
            return Before(last, is_here=False)
        contents = _Contents(self.git, commit)
        above = f"{tree.migrations_folder}/"
        names = (path.removeprefix(f"{above}v") for path in contents.below(tree.migrations_folder))
        content = contents.read([self.settings_file]).get(self.settings_file)
        return Before(last, app=_app_of(content), scripts=frozenset(filter(_is_name, names)))

    def _tag_fault(self, tag: str, tag_object: CommitId) -> str | None:
        body = self.git.read_tag(tag_object)
        if body is None:
            return "it is no annotated tag"
        signs = self.request.wish.sign
        return find_tag_fault(body, tag, self.head, signed=signs) or (
            "it is signed, and --no-sign was asked for" if read_tag(body).is_signed and not signs else None
        )

    # --- the key --------------------------------------------------------------------------

    def _key(self) -> Key | None:
        """The key that git would sign with; None when it has none of ssh's."""
        signing, settings = self.request.signing, self.git.settings
        if not signing.sign:
            return None
        keys = Keys(self.git.runner, self.git.environment)
        if signing.key:
            return keys.look_at(str(signing.key))
        uses_ssh = settings.get("gpg.format", "").lower() == "ssh"
        named = settings.get("user.signingkey")
        if not uses_ssh:
            return None
        if named and settings.get("gpg.ssh.program"):
            # Another program holds the key (1Password's, say), and knows alone whether it can sign.
            return Key(f"the key that {settings['gpg.ssh.program']} holds")
        if named:
            return keys.look_at(named)
        command = settings.get("gpg.ssh.defaultkeycommand")
        return Key(f"the key that {command} names") if command else None


def _app_of(content: bytes | None) -> str | None:
    """The name that a newleaf.toml gives the app; None where it gives none."""
    try:
        said = read_toml(content or b"", APP_FILE, tracked=True).inputs.get("app.name")
    except NewleafError:
        return None
    return str(said.value) if said else None


def _is_name(name: str) -> bool:
    """Whether this is the name of a migration."""
    try:
        return parse_version(str(version_of(name))) is not None
    except ValueError:
        return False
