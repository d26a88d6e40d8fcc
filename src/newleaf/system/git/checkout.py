"""What git says of a checkout that a person made: branch, remotes, tags, changes, the user's settings.

For `init` and `doctor`, which look and change nothing: no index is refreshed, no hook, filter or monitor of
the checkout runs, and variables that would point git elsewhere are not passed on. The updater's
own git is another thing: `system.git`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from newleaf.core.adoption.adoption_errors import CheckoutUntrusted
from newleaf.core.adoption.findings import CheckoutFacts, GitSetting
from newleaf.core.errors import CommandFailed
from newleaf.core.releases.git_errors import NotACheckout
from newleaf.system.commands import Command, Runner

DEADLINE_SECONDS = 30.0
OPERATIONS = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}
PASSED_ON = re.compile(r"PATH|HOME|XDG_CONFIG_HOME|GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|TMPDIR")
_GITLINK = "160000"
_NAME = "--format=%(refname:lstrip=2)"


def read_checkout(
    folder: Path, runner: Runner, environment: Mapping[str, str] | None = None
) -> CheckoutFacts:
    """What git says of the checkout that `folder` lies in.

    Raises: NotACheckout, CheckoutUntrusted, ProgramMissing, CommandFailed, CommandTimedOut.
    """
    return _Reader(folder, runner, os.environ if environment is None else environment).facts()


def count_unpushed(
    checkout: CheckoutFacts, own: Path, runner: Runner, environment: Mapping[str, str] | None = None
) -> int:
    """The commits of a checkout that no remote has, by what the updater fetched into `own` as well.

    An update moves the checkout without touching its remote-tracking branches.
    Raises: ProgramMissing, CommandFailed, CommandTimedOut.
    """
    if not checkout.unpushed:
        return 0
    return _Reader(Path(checkout.top), runner, os.environ if environment is None else environment).unpushed(
        own
    )


def list_untracked(
    top: Path, runner: Runner, environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """What lies in the checkout and git does not track, ignored or not; of a whole such folder the folder.

    Raises: ProgramMissing, CommandFailed, CommandTimedOut.
    """
    return _Reader(top, runner, os.environ if environment is None else environment).untracked()


def git_version(runner: Runner) -> tuple[int, ...]:
    """The version of the git program. Raises: ProgramMissing, CommandFailed."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    command = Command(["git", "version"], "git version", Path("/"), environment, DEADLINE_SECONDS)
    found = re.search(r"\d+(\.\d+)+", runner.check(command).text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


class _Reader:
    """Asks git, one question a method."""

    def __init__(self, folder: Path, runner: Runner, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.runner = runner
        kept = {name: value for name, value in environment.items() if PASSED_ON.fullmatch(name)}
        self.environment = {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        self.quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]

    def facts(self) -> CheckoutFacts:
        top, git_folder, common_folder, shallow = self._places()
        self.folder = top
        settings = self._settings()
        self._silence_filters(settings)
        remotes = _remotes(settings)
        branch = self._line("symbolic-ref", "-q", "--short", "HEAD")
        head = self._line("rev-parse", "-q", "--verify", "HEAD^{commit}")
        upstream = _value(settings, f"branch.{branch}.remote") if branch else None
        merge = _value(settings, f"branch.{branch}.merge") if upstream in remotes else None
        tracked, embedded = self._tracked()
        return CheckoutFacts(
            top=str(top),
            head=head,
            branch=branch,
            default_branch=self._default_branch(upstream or ("origin" if "origin" in remotes else None)),
            upstream_remote=upstream if upstream in remotes else None,
            upstream_branch=merge.removeprefix("refs/heads/") if merge else None,
            remote_branches=frozenset(self._lines("for-each-ref", _NAME, "refs/remotes")),
            remotes=remotes,
            tags=tuple(self._lines("for-each-ref", _NAME, "refs/tags")),
            changed=self._changed(),
            unpushed=self.unpushed() if head and remotes else 0,
            operation=next((word for name, word in OPERATIONS.items() if (git_folder / name).exists()), None),
            tracked=tracked,
            embedded=embedded,
            settings=settings,
            linked_worktree=git_folder.resolve() != common_folder.resolve(),
            shallow=shallow,
        )

    def _places(self) -> tuple[Path, Path, Path, bool]:
        asked = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir", "--is-shallow-repository")
        try:
            lines = self._check("rev-parse", *asked).splitlines()
        except CommandFailed as error:
            said = str(error.facts.get("output", ""))
            if "dubious ownership" in said:
                raise CheckoutUntrusted(path=self.folder) from error
            if "not a git repository" in said or "must be run in a work tree" in said:
                raise NotACheckout(path=self.folder, reason="it has no working tree of git's") from error
            raise
        top, git_folder, common_folder, shallow = lines
        return Path(top), Path(git_folder), self.folder / common_folder, shallow == "true"

    def _settings(self) -> tuple[GitSetting, ...]:
        fields = self._check("config", "--list", "--show-scope", "-z").split("\0")
        found = []
        for scope, setting in zip(fields[::2], fields[1::2], strict=False):
            key, _, value = setting.partition("\n")
            found.append(GitSetting(key, value, scope))
        return tuple(found)

    def _silence_filters(self, settings: Iterable[GitSetting]) -> None:
        """Comparing a changed file would run its filter, which is the checkout's own program."""
        drivers = (re.match(r"filter\.(.+)\.[a-z]+\Z", setting.key) for setting in settings)
        for driver in sorted({found[1] for found in drivers if found}):
            for name in ("clean=", "process=", "required=false"):
                self.quiet += ["-c", f"filter.{driver}.{name}"]

    def _default_branch(self, remote: str | None) -> str | None:
        found = remote and self._line("symbolic-ref", "-q", "--short", f"refs/remotes/{remote}/HEAD")
        return found.removeprefix(f"{remote}/") if found else None

    def _tracked(self) -> tuple[frozenset[str], tuple[str, ...]]:
        tracked: list[str] = []
        embedded: list[str] = []
        for entry in self._check("ls-files", "--stage", "-z").split("\0"):
            about, _, path = entry.partition("\t")
            if path:
                (embedded if about.startswith(_GITLINK) else tracked).append(path)
        return frozenset(tracked), tuple(embedded)

    def untracked(self) -> tuple[str, ...]:
        plain = self._check("ls-files", "--others", "--exclude-standard", "--directory", "-z")
        asked = ("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
        found = {path.rstrip("/") for path in (plain + self._check(*asked)).split("\0") if path}
        return tuple(sorted(found))

    def _changed(self) -> tuple[str, ...]:
        options = ("--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=all")
        said = self._check("status", *options)
        entries = iter(said.split("\0"))
        changed = []
        for entry in entries:
            if entry:
                changed.append(entry[3:])
                if "R" in entry[:2] or "C" in entry[:2]:
                    next(entries, None)
        return tuple(changed)

    def unpushed(self, own: Path | None = None) -> int:
        """Commits of HEAD that no remote has, as far as the checkout's refs and the updater's own know."""
        fetched = ("for-each-ref", "--format=%(objectname)", "refs/newleaf")
        known = self._lines(f"--git-dir={own}", *fetched) if own and (own / "HEAD").exists() else []
        asked = ("rev-list", "--count", "--ignore-missing", "HEAD", "--not", "--remotes", "--tags")
        return int(self._line(*asked, *known) or 0)

    def _lines(self, *arguments: str) -> list[str]:
        return [line for line in self._check(*arguments).splitlines() if line]

    def _line(self, *arguments: str) -> str | None:
        """The output of a question that git may answer by failing."""
        finished = self.runner.run(self._command(*arguments))
        return finished.text.strip() or None if finished.status == 0 else None

    def _check(self, *arguments: str) -> str:
        return self.runner.check(self._command(*arguments)).stdout.decode(errors="replace")

    def _command(self, *arguments: str) -> Command:
        argv = ["git", "--no-optional-locks", *self.quiet, *arguments]
        return Command(argv, f"git {arguments[0]}", self.folder, self.environment, DEADLINE_SECONDS)


def _remotes(settings: Iterable[GitSetting]) -> dict[str, str]:
    found: dict[str, str] = {}
    for setting in settings:
        match = re.fullmatch(r"remote\.(.+)\.url", setting.key)
        if match and setting.scope in ("local", "worktree"):
            found.setdefault(match[1], setting.value)
    return found


def _value(settings: Iterable[GitSetting], key: str) -> str | None:
    return next((setting.value for setting in reversed(list(settings)) if setting.key == key), None)
