"""What all releases share: paths in every release that are links into the state directory's `shared/`.

Rules: what is not there yet starts as what the tree has in its place, else as an empty folder; a name that is
a file's (it has an ending, or begins with `.env`) starts as nothing, because an app makes its own files and
cannot read a folder as one (ADR 13). What is there is never replaced; what lies in the place of a link in a
release that was there before is moved aside, because an app may have written it. Links are relative, so that
they go where the state directory goes. No path leads out of the release, or through a link of its tree.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from pathlib import Path

from msgspec import Struct

from newleaf.core.releases.slot_errors import SharedInTheWay
from newleaf.system import copies, files
from newleaf.system.loaded_tree import RELEASE_RECORD

_NOT_SHARED = (".", "..", "", ".git", ".venv", RELEASE_RECORD)
_FILE_NAME = re.compile(r"\.env.*|.+\.[A-Za-z0-9_-]+")


class SharedPaths(Struct, frozen=True):
    """The shared paths of one release; `inner` is the app's folder in it, which they begin in."""

    shared: Path
    inner: str
    paths: tuple[str, ...]

    @property
    def from_top(self) -> tuple[str, ...]:
        """The paths from the top of the release, as git writes them."""
        return tuple(posixpath.normpath(posixpath.join(self.inner, path)) for path in self._outermost)

    def link(self, release: Path, aside: Path | None = None) -> list[str]:
        """Makes every path of the release a link to what is shared; what was in its place goes to `aside`.

        Returns the paths that went there. Without `aside` the release is fresh, and nothing in it is lost.
        Raises: SharedInTheWay, OSError.
        """
        moved = []
        for path, place in zip(self._outermost, self.from_top, strict=True):
            source, target = self.shared / path, release / place
            _require_plain_way(release, target)
            if not os.path.lexists(source):
                self._begin(source, target)
            said = os.path.relpath(source, target.parent)
            if os.path.islink(target) and os.readlink(target) == said:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if aside and os.path.lexists(target) and not target.is_symlink():
                copies.move_aside(target, aside / place)
                moved.append(place)
            copies.remove_whole(target)
            target.symlink_to(said)
        return moved

    @property
    def _outermost(self) -> tuple[str, ...]:
        """Each path once, none inside another. Raises: SharedInTheWay."""
        plain = sorted({posixpath.normpath(path) for path in self.paths})
        for path in plain:
            if path.split("/")[0] in _NOT_SHARED:
                raise SharedInTheWay(path=path, reason="it is not the app's to share")
        return tuple(path for path in plain if not any(path.startswith(f"{other}/") for other in plain))

    def _begin(self, source: Path, in_tree: Path) -> None:
        """What is shared from now on: what the tree has, made whole before it is seen."""
        source.parent.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
        start = in_tree.resolve()
        if start.exists():
            # Where the tree has a link, what it leads to: from `shared/` it would lead elsewhere.
            copies.copy_whole(start, source)
        elif not _FILE_NAME.fullmatch(source.name):
            with contextlib.suppress(FileExistsError):
                source.mkdir(mode=files.PRIVATE_FOLDER)
            files.sync_folder(source.parent)


def shared_by(shared: tuple[str, ...], state_paths: tuple[str, ...]) -> tuple[str, ...]:
    """What releases share: what `app.shared` names, and declared data that would else stay in one release."""
    inside = (path for path in state_paths if not path.startswith(("/", "~")))
    # What leads out of the release, or is all of it, `Snapshots` refuses by name.
    return (*shared, *(path for path in inside if posixpath.normpath(path).split("/")[0] not in {".", ".."}))


def _require_plain_way(release: Path, target: Path) -> None:
    """Refuses a way through a link, or a file, of the tree."""
    for folder in target.relative_to(release).parents:
        on_way = release / folder
        if folder != Path() and os.path.lexists(on_way) and (on_way.is_symlink() or not on_way.is_dir()):
            raise SharedInTheWay(path=target.relative_to(release), reason=f"{folder} is no folder")
