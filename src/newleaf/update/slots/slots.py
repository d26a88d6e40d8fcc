"""The slots layout: a folder for each release, and the link `current` to the one that a start loads.

Rules: a release is written beside the others under another name, held against its commit, and only then
given its own, in the place of a damaged one where there was one; what is shared is linked into it; it is
never changed afterwards, but for the link to its environment and the byte code that Python leaves. Activating
swaps `current` by rename, after `previous` was pointed at what it led to. What is no longer needed goes by
the rules of `core.releases.retention`, with files that an app wrote into its own release kept aside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field

from newleaf.core.errors import CorruptFile
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.slot_errors import CurrentLost, NothingDeployed, ReleaseLost, TreeDiffers
from newleaf.system import files
from newleaf.system.git.directory import Git
from newleaf.system.git.tree_writer import TreeWriter
from newleaf.system.loaded_tree import RELEASE_RECORD
from newleaf.update.slots.pruning import Pruning, kept_note
from newleaf.update.slots.shared_paths import SharedPaths
from newleaf.update.slots.slot_places import SlotPlaces

BLOCK_BYTES = 4096
SPARE_BYTES = 16 * 1024 * 1024


class Slots(Struct):
    """Implements `core.ports.Layout` and `Housekeeping` in one state directory.

    `git` is made when something is to be written; `shared` says what a release links to; `pruning` is what
    makes room; `channel` goes into the releases' records.
    """

    places: SlotPlaces
    git: Callable[[], Git]
    shared: Callable[[CommitId], SharedPaths]
    pruning: Pruning
    channel: str
    _notes: list[str] = field(default_factory=list)

    # --- the Layout ---------------------------------------------------------------------

    def live(self) -> Release:
        """What `current` leads to.

        Raises: NothingDeployed, CurrentLost.
        """
        folder = self.places.current_release()
        if folder is None:
            raise NothingDeployed(state=self.places.state)
        release = self._read(folder)
        if release is None:
            link, releases = self.places.current, self.places.releases
            raise CurrentLost(link=link, releases=releases, reason=f"{folder} holds none")
        return release

    def stage(self, release: Release) -> None:
        """Writes the release beside the others, unless it lies there whole.

        Raises: DiskFull, TreeDiffers, SharedInTheWay, CommandFailed and its kin.
        """
        places = self.places
        with files.explained():
            places.prepare()
            self._notes += self.pruning.prune(release.commit)
            shared, folder = self.shared(release.commit), places.folder(release.commit)
            writer = TreeWriter(self.git())
            is_whole = self._is_whole(release)
            if is_whole and writer.holds(release.commit, folder, shared.from_top):
                files.remove_leftovers(folder)
                left = places.left / release.commit
                self._notes += kept_note(release.commit, left, shared.link(folder, left))
                return
            self._write(release, writer, shared)
            self._notes += self.pruning.keep_left(release.commit)
            places.replace(release.commit)

    def place(self, release: Release, *, sideways: bool) -> None:  # noqa: ARG002 - nothing moves here
        """Nothing moves before it is activated; what was made ready must still lie there.

        Raises: ReleaseLost.
        """
        if not self._is_whole(release):
            raise ReleaseLost(folder=self.places.folder(release.commit))

    def activate(self, release: Release) -> list[str]:
        """Points `current` at the release, and `previous` at what it led to; returns what to know."""
        places, target = self.places, self.places.target_of(release.commit)
        led_to = places.read(places.current)
        if led_to != target:
            if led_to:
                files.replace_link(places.previous, led_to)
            files.replace_link(places.current, target)
        notes, self._notes = self._notes, []
        return list(dict.fromkeys(notes))

    def tidy(self) -> list[str]:
        """Removes what nobody needs any more, and what a kill left; returns what to know. Never fails."""
        live = self.places.commit_of(self.places.current)
        try:
            self.places.prepare()
        except OSError as error:
            return [f"no room was made: {error}"]
        return self.pruning.prune(live) if live else []

    # --- one release --------------------------------------------------------------------

    def _write(self, release: Release, writer: TreeWriter, shared: SharedPaths) -> None:
        places = self.places
        entries = len(self.git().list_tree(release.commit))
        needed = self.git().tree_bytes(release.commit) + entries * BLOCK_BYTES + SPARE_BYTES
        files.require_free(places.releases, needed)
        unfinished = places.unfinished(release.commit)
        unfinished.mkdir(mode=files.PRIVATE_FOLDER)
        try:
            self._write_files(release, writer, unfinished)
            shared.link(unfinished)
            record = {**release.as_record(), "tag": release.tag, "channel": self.channel, "environment": None}
            files.write_record(unfinished / RELEASE_RECORD, record)
            # Thousands of files at once: one call for all of them.
            os.sync()
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    @staticmethod
    def _write_files(release: Release, writer: TreeWriter, folder: Path) -> None:
        writer.write(release.commit, folder)
        if not writer.holds(release.commit, folder):
            raise TreeDiffers(folder=folder, name=release.name)

    def _is_whole(self, release: Release) -> bool:
        """Whether the release lies there, written to the end."""
        found = self._read(self.places.folder(release.commit))
        return found is not None and found.commit == release.commit

    def _read(self, folder: Path) -> Release | None:
        """What a release's record says; None when it has none that can be read.

        Raises: NewerSchema.
        """
        try:
            return Release.read(files.read_record(folder / RELEASE_RECORD))
        except CorruptFile:
            return None
