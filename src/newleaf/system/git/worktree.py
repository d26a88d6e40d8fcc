"""A checkout as git lays it out: its own git directory, the common one, what is harmless in their config.

Rules: paths are found by reading git's own pointer files, without a process; linked worktrees have a
directory of their own and share the rest. Of the configuration only an allow-list of what describes the
format of files and objects is taken over, read without includes (threats.md T18). Nothing is ever written.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import ProgramMissing
from newleaf.core.releases.git_errors import NotACheckout
from newleaf.core.releases.names import protocol_of
from newleaf.core.settings.git_settings import Pairs
from newleaf.system.commands import Command, Runner

READ_SECONDS = 30.0
HARMLESS = frozenset(
    """core.filemode core.symlinks core.ignorecase core.precomposeunicode core.autocrlf core.eol
    core.sparsecheckout core.sparsecheckoutcone core.sharedrepository core.bigfilethreshold core.trustctime
    core.checkstat index.sparse""".split()
)
EXTENSIONS = frozenset(("extensions.objectformat",))
_PROMISED = re.compile(r"remote\..+\.(?:promisor|partialclonefilter)")
SHARED_FILES = {"shallow": "common", "info/attributes": "common", "info/sparse-checkout": "own"}
"""What describes a checkout besides its configuration, and which of its two directories holds it."""

OPERATIONS = {
    "MERGE_HEAD": ("merge", "git merge --abort"),
    "rebase-merge": ("rebase", "git rebase --abort"),
    "rebase-apply": ("rebase", "git rebase --abort"),
    "CHERRY_PICK_HEAD": ("cherry-pick", "git cherry-pick --abort"),
    "REVERT_HEAD": ("revert", "git revert --abort"),
    "BISECT_LOG": ("bisect", "git bisect reset"),
}


class Worktree(Struct, frozen=True):
    """Where one checkout keeps its things: `own` is this working tree's git directory, `common` is shared."""

    top: Path
    own: Path
    common: Path

    @classmethod
    def find(cls, top: Path) -> Worktree:
        """The checkout whose working tree begins at `top`.

        Raises: NotACheckout.
        """
        top = top.resolve()
        pointer = top / ".git"
        own = pointer
        if pointer.is_file():
            own = top / _pointed_at(pointer, "gitdir: ")
        if not (own / "HEAD").exists():
            raise NotACheckout(path=top, reason="there is no .git in it that works")
        common = own / "commondir"
        shared = own / _pointed_at(common, "") if common.is_file() else own
        return cls(top, own.resolve(), shared.resolve())

    @property
    def objects(self) -> Path:
        """The store of its objects."""
        return self.common / "objects"

    @property
    def index(self) -> Path:
        """The index of this working tree."""
        return self.own / "index"

    @property
    def operation(self) -> tuple[str, str] | None:
        """The merge, rebase or the like that a person has begun, and the command that ends it."""
        return next((word for name, word in OPERATIONS.items() if (self.own / name).exists()), None)

    def shared_files(self) -> dict[str, Path]:
        """What the updater's directory must see of this checkout's, by the name that it has there."""
        places = {"common": self.common, "own": self.own}
        found = {name: places[where] / name for name, where in SHARED_FILES.items()}
        return found | {file.name: file for file in self.own.glob("sharedindex.*")}


class CheckoutConfig(Struct, frozen=True):
    """What of a checkout's configuration counts: its remote, and what describes its files and objects."""

    origin: str | None
    settings: Pairs
    extensions: Pairs


def read_config(worktree: Worktree, runner: Runner, outer: Mapping[str, str] = os.environ) -> CheckoutConfig:
    """What the checkout's own configuration says; the user's and the machine's are not asked.

    Raises: ProgramMissing, CommandFailed, CommandTimedOut.
    """
    found = _list(worktree, worktree.common / "config", runner, outer)
    if dict(found).get("extensions.worktreeconfig") == "true" and (worktree.own / "config.worktree").exists():
        found += _list(worktree, worktree.own / "config.worktree", runner, outer)
    latest = dict(found)
    origin = next((value for name, value in found if name == "remote.origin.url"), None)
    return CheckoutConfig(
        _absolute(origin, worktree.top) if origin else None,
        tuple((name, value) for name, value in found if name in HARMLESS or _PROMISED.fullmatch(name)),
        tuple((name.partition(".")[2], value) for name, value in latest.items() if name in EXTENSIONS),
    )


def _list(worktree: Worktree, file: Path, runner: Runner, outer: Mapping[str, str]) -> Pairs:
    path = outer.get("PATH", os.defpath)
    program = shutil.which("git", path=path)
    if not program:
        raise ProgramMissing(program="git")
    argv = [program, "config", "--file", str(file), "--no-includes", "--null", "--list"]
    environment = {"PATH": path, "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    said = runner.check(Command(argv, "git config", worktree.top, environment, READ_SECONDS))
    fields = (field.partition("\n") for field in said.stdout.decode(errors="replace").split("\0") if field)
    return tuple((name, value if newline else "true") for name, newline, value in fields)


def _absolute(url: str, top: Path) -> str:
    """git reads a relative path of a remote from the top of the working tree."""
    is_path = protocol_of(url) == "file" and "://" not in url
    return os.path.normpath(top / url) if is_path else url


def _pointed_at(file: Path, prefix: str) -> str:
    text = file.read_text(errors="replace").strip()
    if not text.startswith(prefix):
        raise NotACheckout(path=file.parent, reason=f"{file.name} cannot be read")
    return text.removeprefix(prefix)
