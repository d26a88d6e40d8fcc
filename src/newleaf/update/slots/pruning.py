"""Makes room: releases and environments that nobody needs any more are removed (lessons.md L24).

Rules: what stays is decided by `core.releases.retention`; processes are looked at only when something would
go, and what one of them uses stays; of a release that goes, files that are neither as its commit has them nor
made by Python or newleaf are kept in `left/COMMIT` and named, because an app may have written them; a failure
to make room fails nothing but the room, and is named too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId
from newleaf.core.releases.retention import Claims, Holdings, Superfluous, superfluous
from newleaf.system import copies, files, occupants
from newleaf.system.loaded_tree import RELEASE_RECORD
from newleaf.update.slots.slot_places import SlotPlaces

NOT_THE_APPS = ("__pycache__", ".venv", ".newleaf", ".egg-info")
"""How the names of folders end that Python, its installers and newleaf make."""
SHOWN = 5


class Pruning(Struct, frozen=True):
    """What may go in one state directory.

    `inner` is the app's folder in a release; `claims` says what must stay, but for what is used, which is
    looked for here; `keep` is how many good releases stay; `intact` are the files of a commit that lie in a
    folder as the commit has them.
    """

    places: SlotPlaces
    inner: str
    claims: Callable[[], Claims]
    keep: int
    intact: Callable[[CommitId, Path], Collection[str]]

    def prune(self, wanted: CommitId) -> list[str]:
        """Removes what may go, never `wanted`; returns what to know."""
        notes: list[str] = []
        try:
            gone = self._superfluous(wanted)
        except (NewleafError, OSError) as error:
            return [f"no room was made: {error}"]
        for folder in self._folders(gone):
            try:
                if folder.parent == self.places.releases:
                    notes += self.keep_left(CommitId(folder.name))
                self.places.discard(folder)
            except (NewleafError, OSError) as error:
                notes.append(f"{folder} is not needed, and cannot be removed: {error}")
        return notes

    def keep_left(self, commit: CommitId) -> list[str]:
        """Keeps what an app wrote into its release aside; returns what to know.

        Raises: OSError, CommandFailed and its kin.
        """
        folder, left = self.places.folder(commit), self.places.left / commit
        if not folder.is_dir():
            return []
        moved = list(self._written_by_app(folder, self.intact(commit, folder)))
        for path in moved:
            copies.move_aside(folder / path, left / path)
        return kept_note(commit, left, moved)

    def _superfluous(self, wanted: CommitId) -> Superfluous:
        places, holdings = self.places, self._holdings()
        links = {places.commit_of(places.current), places.commit_of(places.previous)}
        asked = self.claims()
        claims = replace(asked, pinned={*asked.pinned, wanted, *filter(None, links)})
        gone = superfluous(holdings, claims, self.keep)
        used = {folder.name for folder in occupants.used(self._folders(gone))} if gone else set()
        return superfluous(holdings, replace(claims, used={*claims.used, *used}), self.keep) if used else gone

    def _folders(self, gone: Superfluous) -> list[Path]:
        places = self.places
        releases = [places.folder(CommitId(name)) for name in gone.releases]
        return [*releases, *(places.environments / name for name in gone.environments)]

    def _holdings(self) -> Holdings:
        places = self.places
        environments = os.listdir(places.environments) if places.environments.is_dir() else []
        return Holdings(
            {folder.name: self._environment_of(folder) for folder in places.all_releases()},
            [name for name in environments if not name.startswith(".")],
        )

    def _environment_of(self, release: Path) -> str | None:
        """What its link says, which is what a start goes by: its record may be damaged, or older."""
        link = self.places.read(release / self.inner / ".venv")
        return os.path.basename(link) if link else None

    def _written_by_app(self, release: Path, intact: Collection[str]) -> Iterator[str]:
        for folder, folders, names in os.walk(release):
            below = os.path.relpath(folder, release)
            place = "" if below == "." else f"{below}/"
            folders[:] = [name for name in folders if not name.endswith(NOT_THE_APPS)]
            for name in [*names, *(name for name in folders if os.path.islink(f"{folder}/{name}"))]:
                path = f"{place}{name}"
                if path not in intact and not self._is_own(release, path):
                    yield path

    def _is_own(self, release: Path, path: str) -> bool:
        """Whether newleaf or Python made it: the record, byte code, a link to what is shared."""
        file = release / path
        if path == RELEASE_RECORD or path.endswith(".pyc") or file.name.endswith(files.TEMPORARY):
            return True
        if not file.is_symlink():
            return False
        leads_to = os.path.normpath(file.parent / os.readlink(file))
        return Path(leads_to).is_relative_to(self.places.state)


def kept_note(commit: CommitId, left: Path, paths: Iterable[str]) -> list[str]:
    """What is said of files that were found in a release and kept."""
    found = sorted(paths)
    if not found:
        return []
    shown = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    return [f"what the app wrote into {commit[:9]} is kept in {left}: {shown}; app.shared would share it"]
