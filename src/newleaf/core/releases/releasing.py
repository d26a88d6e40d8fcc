"""Whether a commit can be released as a version: the checks of `newleaf release`, one function each.

Rules: every check is made, and each that fails says its cure; what cannot be judged, because an earlier one
failed, is None and says why. A version may be released when it is higher than every one that is
published, or is a patch of an older minor: the highest of that minor, at a commit whose history holds no
higher release. What hosts move from is the last release, the highest below the one that is made. A
migration that is new since then, but filed under a version that hosts are past, would never run, and nor
would one above the version that is released. A tag that is here, is ours and is not yet at the remote was
left by a run that was interrupted: it is gone on with. Pure: the facts are gathered elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from newleaf.core.releases.channels import HEADS, minor_of, parse_version
from newleaf.core.releases.hosting import GITHUB_API, reads_github
from newleaf.core.releases.names import find_fault
from newleaf.core.releases.seat import Seat

SHOWN = 5


class Check(Struct, frozen=True):
    """One check: passed, failed, or None where it could not be made."""

    name: str
    ok: bool | None
    detail: str
    cure: str = ""


def examine(seat: Seat) -> tuple[Check, ...]:
    """Every check."""
    return tuple(Check(name, *judge(seat)) for name, judge in RULES.items())


def may_release(checks: Iterable[Check]) -> bool:
    """Whether all hold."""
    return all(check.ok for check in checks)


def remarks(seat: Seat) -> Iterator[str]:
    """What a maintainer should know of a release that can be made."""
    if not seat.wish.sign:
        yield 'the tag is not signed: hosts with security.require = "tags" will refuse it'
    if seat.version and seat.version.is_prerelease:
        yield f"{seat.version} is a prerelease: only hosts with deployment.prereleases take it"
    if seat.line.url and reads_github("auto", seat.line.url, GITHUB_API):
        yield (
            "hosts see it once GitHub has a release for the tag (or with source.releases = "
            f'"tags"): gh release create {seat.tag} --verify-tag --generate-notes'
        )


# --- the checks -------------------------------------------------------------------------

Verdict = tuple[bool | None, str] | tuple[bool | None, str, str]


def _judge_operation(seat: Seat) -> Verdict:
    if not seat.operation:
        return True, "no merge or rebase is under way"
    end = "git bisect reset" if seat.operation == "bisect" else f"git {seat.operation} --abort"
    return False, f"a {seat.operation} is under way", f"finish it, or end it: {end}"


def _judge_clean(seat: Seat) -> Verdict:
    if seat.changed:
        text = f"changed, and not committed: {_some(seat.changed)}"
        return False, text, "commit it, or put it aside: git stash"
    if seat.untracked_scripts:
        text = f"migrations that git does not track: {_some(seat.untracked_scripts)}"
        return False, text, "git add them (-f where .gitignore hides them) and commit, or move them away"
    return True, "no tracked file is changed, no migration is untracked"


def _judge_branch(seat: Seat) -> Verdict:
    line = seat.line
    if line.branch is None:
        return False, "HEAD is on no branch", "name the one that hosts follow: --branch main"
    if fault := find_fault(line.branch):
        return False, f"the branch {line.branch!r} {fault}", "name a plain one: --branch main"
    if line.remote is None:
        if not line.remotes and not seat.wish.push:
            return True, f"{line.branch}; there is no remote to ask"
        if not line.remotes:
            return False, "there is no remote", "git remote add origin URL, or --no-push"
        text = f"which remote is meant: {_some(line.remotes)}?"
        return False, text, f"git branch --set-upstream-to=REMOTE/{line.branch}"
    if fault := find_fault(line.remote):
        return False, f"the remote's name {line.remote!r} {fault}", "git remote rename OLD origin"
    if line.error:
        cure = f"this must work here without asking: git ls-remote {line.remote}"
        return False, line.error.message, cure
    return True, f"{line.branch}, at {line.remote}"


def _judge_remote(seat: Seat) -> Verdict:
    line = seat.line
    if line.refs is None:
        if line.branch and not line.remotes and not seat.wish.push:
            return True, "there is no remote to be behind"
        return None, "not judged: the remote is not known, or does not answer"
    head = line.refs.get(f"{HEADS}{line.branch}")
    if head is None:
        return True, f"{line.remote} has no {line.branch} yet; this makes it"
    if head == seat.head:
        return True, f"{line.remote}/{line.branch} is this commit"
    if line.contains_remote:
        return True, f"{line.remote}/{line.branch} ({head[:9]}) is part of it; newer commits go along"
    text = f"{line.remote}/{line.branch} has {head[:9]}, which is not part of {seat.head[:9]}"
    shallow = "git fetch --unshallow, then " if seat.shallow else ""
    return False, text, f"{shallow}git pull --rebase {line.remote} {line.branch}"


def _judge_settings(seat: Seat) -> Verdict:
    tree = seat.tree
    if error := tree.settings_error:
        return False, error.message, error.advice
    return True, f"{tree.settings_file} holds"


def _judge_app(seat: Seat) -> Verdict:
    name, before = seat.tree.app, seat.before
    if name is None:
        return None, "not judged: the app has no name"
    if before is None:
        return True, f"{name}; no release before this one"
    if not before.is_here:
        return None, f"not judged: {before.release.tag} is not in this clone"
    if before.app not in {None, name}:
        text = f"{name}, but {before.release.tag} was {before.app}: every host would refuse it"
        return False, text, f'say name = "{before.app}" in {seat.tree.settings_file} again'
    return True, f"{name}, as in {before.release.tag}" if before.app else name


def _judge_version(seat: Seat) -> Verdict:
    tree, asked = seat.tree, seat.wish.version
    where = _some(tree.version_files)
    if seat.version is None:
        return False, "the tree says no version", "name it: newleaf release VERSION"
    if tree.version and asked and parse_version(asked) != seat.version:
        text = f"{where} says {tree.version}, and {asked} was asked for"
        return False, text, f"write {asked} there and commit it, or leave VERSION out"
    if seat.version.is_devrelease or seat.version.local:
        text = f"{seat.version} is a version on the way to a release"
        return False, text, f"make it {seat.version.base_version} in {where or 'the call'}"
    return True, f"{seat.version}, as {where} says" if tree.version else f"{seat.version}, as asked for"


def _judge_bump(seat: Seat) -> Verdict:
    version = seat.version
    if version is None:
        return None, "not judged: there is no version"
    others = [p for p in seat.published if not (seat.goes_on and p.tag == seat.tag)]
    newest = max(others, key=lambda p: p.version, default=None)
    if newest is None:
        return True, "the first release"
    if version > newest.version:
        return True, f"{version} is higher than {newest.version}, the newest release"
    where = _some(seat.tree.version_files) or "the call"
    beside = [p for p in others if minor_of(p.version) == minor_of(version)]
    own = max(beside, key=lambda p: p.version, default=None)
    if own and minor_of(own.version) != minor_of(newest.version):
        if version > own.version and not seat.contained:
            return True, f"{version} follows {own.version}; a patch beside {newest.version}"
        if not seat.contained:
            text = f"{version} is not higher than {own.version}, the newest of its minor"
            return False, text, f"raise the version in {where} above {own.version}"
    text = f"{version} is not higher than {newest.version}, the newest release"
    return False, text, f"raise the version in {where} above {newest.version}"


def _judge_tag(seat: Seat) -> Verdict:
    tag = seat.tag
    if tag is None:
        return None, "not judged: there is no version"
    if fault := find_fault(tag):
        return False, f"the tag {tag!r} {fault}", "mend source.tag_prefix or the version"
    if seat.remote_tag is not None and not (seat.goes_on and seat.remote_tag == seat.local_tag):
        text = f"{tag} is at {seat.line.remote} already"
        return False, text, "a tag that is published never moves: raise the version"
    if seat.local_tag is None:
        return True, f"{tag} is free"
    if seat.local_fault:
        text = f"{tag} is here already, and not at the remote: {seat.local_fault}"
        return False, text, f"if it is not needed: git tag -d {tag}"
    return True, f"{tag} is here, as an earlier run has made it"


def _judge_history(seat: Seat) -> Verdict:
    if seat.before is None:
        return True, "no earlier release to compare with"
    tag = seat.before.release.tag
    if seat.before.is_here:
        return True, f"compared with {tag}"
    depth = " --unshallow" if seat.shallow else ""
    text = f"{tag}, the last release, is not in this clone"
    return False, text, f"git fetch --tags{depth} {seat.line.remote or ''} (in CI: clone with its history)"


def _judge_migrations(seat: Seat) -> Verdict:
    tree, version, before = seat.tree, seat.version, seat.before
    if error := tree.scripts_error:
        return False, error.message, error.advice.removesuffix("; nothing was run")
    if not tree.scripts:
        return True, "there are none"
    if version is None:
        return None, "not judged: there is no version"
    above = [script.path for script in tree.scripts if script.version > version]
    if above:
        text = f"filed above {version}, so that no host would run them now: {_some(above)}"
        return False, text, f"file them under v{version.base_version}, or release their version"
    if before is None:
        return True, f"{len(tree.scripts)}, none above {version}"
    if not before.is_here:
        return None, f"not judged: {before.release.tag} is not in this clone"
    new = [script for script in tree.scripts if script.name not in before.scripts]
    late = [script.path for script in new if script.version <= before.release.version]
    if late:
        text = f"new, but filed under what {before.release.tag} has passed, so that no host would run them: "
        return False, text + _some(late), f"file them under v{version.base_version}"
    return True, f"{len(tree.scripts)}, of which {len(new)} new since {before.release.tag}"


def _judge_tree(seat: Seat) -> Verdict:
    if faults := seat.tree.faults:
        return False, _some(faults, "; "), "take it out of the commit: hosts refuse such a tree"
    return True, "no submodules, no links that lead out of it"


def _judge_signing(seat: Seat) -> Verdict:
    if not seat.wish.sign:
        return True, "not asked for"
    if seat.key is None:
        cure = "name one: --key ~/.ssh/id_ed25519; or --no-sign, where no host requires signatures"
        return False, "git has no ssh key to sign with", cure
    if seat.key.fault:
        return False, f"{seat.key.name} {seat.key.fault}", seat.key.cure
    return True, f"with {seat.key.name}"


RULES: Mapping[str, Callable[[Seat], Verdict]] = {
    "operation": _judge_operation,
    "clean": _judge_clean,
    "branch": _judge_branch,
    "remote": _judge_remote,
    "settings": _judge_settings,
    "history": _judge_history,
    "app": _judge_app,
    "version": _judge_version,
    "bump": _judge_bump,
    "tag": _judge_tag,
    "migrations": _judge_migrations,
    "tree": _judge_tree,
    "signing": _judge_signing,
}
"""The checks by name, in the order in which they are shown."""


def _some(names: Iterable[str], separator: str = ", ") -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return separator.join(listed[:SHOWN]) + more
