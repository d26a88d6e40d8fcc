"""Where the slots layout keeps its things in a state directory, and the links among them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from newleaf.core.release import CommitId
from newleaf.core.releases.names import is_commit
from newleaf.system import copies, files
from newleaf.system.files import PRIVATE_FOLDER

UNFINISHED = ".new-"
GOING = ".old-"


class SlotPlaces(Struct, frozen=True):
    """The paths below one state directory."""

    state: Path

    @property
    def repository(self) -> Path:
        return self.state / "repo.git"

    @property
    def releases(self) -> Path:
        return self.state / "releases"

    @property
    def environments(self) -> Path:
        return self.state / "envs"

    @property
    def shared(self) -> Path:
        return self.state / "shared"

    @property
    def left(self) -> Path:
        """What apps wrote into releases that are gone."""
        return self.state / "left"

    @property
    def current(self) -> Path:
        return self.state / "current"

    @property
    def previous(self) -> Path:
        return self.state / "previous"

    def folder(self, commit: CommitId) -> Path:
        """Where a release lies."""
        return self.releases / commit

    def unfinished(self, commit: CommitId) -> Path:
        """Where a release lies while it is written."""
        return self.releases / f"{UNFINISHED}{commit}"

    def target_of(self, commit: CommitId) -> str:
        """What a link to a release says: relative, so that it goes where the state directory goes."""
        return f"{self.releases.name}/{commit}"

    def read(self, link: Path) -> str | None:
        """What a link says; None when there is none."""
        with contextlib.suppress(OSError):
            return os.readlink(link)
        return None

    def commit_of(self, link: Path) -> CommitId | None:
        """The commit of the release that a link leads to."""
        name = os.path.basename(self.read(link) or "")
        return CommitId(name) if is_commit(name) else None

    def current_release(self) -> Path | None:
        """The folder that `current` leads to, by its own name; None when there is no such link."""
        commit = self.commit_of(self.current)
        if commit:
            # Killed between the two renames of `replace`: the new folder is whole, and takes its place soon.
            return self.unfinished(commit) if self._is_half_replaced(commit) else self.folder(commit)
        return self.current.resolve() if os.path.lexists(self.current) else None

    def all_releases(self) -> Iterator[Path]:
        """The folders of all releases."""
        with contextlib.suppress(FileNotFoundError):
            yield from (self.releases / name for name in sorted(os.listdir(self.releases)) if is_commit(name))

    def prepare(self) -> None:
        """Makes the folders, ends what a kill left half done, removes what it left. Raises: OSError."""
        for folder in (self.releases, self.environments, self.shared):
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        for folder in (self.releases, self.environments):
            left = [name for name in os.listdir(folder) if name.startswith((UNFINISHED, GOING))]
            for commit in (name.removeprefix(GOING) for name in left if name.startswith(GOING)):
                if self._is_half_replaced(CommitId(commit)):
                    files.rename_folder(self.unfinished(CommitId(commit)), self.folder(CommitId(commit)))
            for name in left:
                # What cannot be removed (another user's) is in nobody's way.
                with contextlib.suppress(OSError):
                    copies.remove_whole(folder / name)

    def replace(self, commit: CommitId) -> None:
        """Lets the unfinished release, which is whole now, take the place of the one there.

        Raises: OSError, StateDirectoryUnwritable.
        """
        folder, going = self.folder(commit), self._going(self.folder(commit))
        if os.path.lexists(folder):
            files.rename_folder(folder, going)
        files.rename_folder(self.unfinished(commit), folder)
        with contextlib.suppress(OSError):
            copies.remove_whole(going)

    def discard(self, folder: Path) -> None:
        """Removes a release or an environment; half of one is never seen under its name. Raises: OSError."""
        going = self._going(folder)
        files.rename_folder(folder, going)
        copies.remove_whole(going)

    def _is_half_replaced(self, commit: CommitId) -> bool:
        folder = self.folder(commit)
        return (
            not os.path.lexists(folder)
            and os.path.lexists(self._going(folder))
            and os.path.lexists(self.unfinished(commit))
        )

    @staticmethod
    def _going(folder: Path) -> Path:
        return folder.with_name(f"{GOING}{folder.name}")
