"""Makes room: releases and environments that nobody needs any more are removed (lessons.md L24).

Rules: what stays is decided by `core.releases.retention`; processes are looked at only when something would
go, and what one of them uses stays; of a release that goes, files that are neither its commit's nor made by
Python or newleaf are kept in `left/COMMIT` and named, because an app may have written them; a failure to make
room fails nothing but the room.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import CorruptFile
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

    `claims` says what must stay, but for what is used, which is looked for here; `keep` is how many good
    releases stay; `tracked` are the files of a commit.
    """

    places: SlotPlaces
    claims: Callable[[], Claims]
    keep: int
    tracked: Callable[[CommitId], Collection[str]]

    def prune(self, wanted: CommitId) -> list[str]:
        """Removes what may go, never `wanted`; returns what to know.

        Raises: OSError, CommandFailed.
        """
        gone = self._superfluous(wanted)
        notes = []
        for name in gone.releases:
            notes += self._keep_left(CommitId(name))
            self.places.discard(self.places.folder(CommitId(name)))
        for name in gone.environments:
            self.places.discard(self.places.environments / name)
        return notes

    def _superfluous(self, wanted: CommitId) -> Superfluous:
        places, holdings = self.places, self._holdings()
        links = {places.commit_of(places.current), places.commit_of(places.previous)}
        asked = self.claims()
        claims = replace(asked, pinned={*asked.pinned, wanted, *filter(None, links)})
        gone = superfluous(holdings, claims, self.keep)
        if not gone:
            return gone
        folders = [
            *(places.folder(CommitId(name)) for name in gone.releases),
            *(places.environments / name for name in gone.environments),
        ]
        used = {folder.name for folder in occupants.used(folders)}
        return superfluous(holdings, replace(claims, used={*claims.used, *used}), self.keep) if used else gone

    def _holdings(self) -> Holdings:
        places = self.places
        environments = os.listdir(places.environments) if places.environments.is_dir() else []
        return Holdings(
            {folder.name: self._environment_of(folder) for folder in places.all_releases()},
            [name for name in environments if not name.startswith(".")],
        )

    def _environment_of(self, release: Path) -> str | None:
        found = None
        with contextlib.suppress(CorruptFile):
            found = (files.read_record(release / RELEASE_RECORD) or {}).get("environment")
        return found if isinstance(found, str) else None

    def _keep_left(self, commit: CommitId) -> list[str]:
        """Keeps what an app wrote into its release aside."""
        folder, left = self.places.folder(commit), self.places.left / commit
        moved = list(self._written_by_app(folder, frozenset(self.tracked(commit))))
        for path in moved:
            target = left / path
            target.parent.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
            copies.move(folder / path, target)
        if not moved:
            return []
        shown = ", ".join(moved[:SHOWN]) + (f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else "")
        return [f"what the app wrote into {commit[:9]} is kept in {left}: {shown}; app.shared would share it"]

    def _written_by_app(self, release: Path, tracked: frozenset[str]) -> Iterator[str]:
        for folder, folders, names in os.walk(release):
            below = os.path.relpath(folder, release)
            place = "" if below == "." else f"{below}/"
            folders[:] = [name for name in folders if not name.endswith(NOT_THE_APPS)]
            for name in [*names, *(name for name in folders if os.path.islink(f"{folder}/{name}"))]:
                path = f"{place}{name}"
                if path not in tracked and not self._is_own(release, path):
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
