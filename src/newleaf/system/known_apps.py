"""The apps that `init` has noted on this machine: a file each, in the user's configuration folder.

A note says where an app's state lies, so that a verb finds it from any folder; nothing else is read
from it. A note that cannot be read, or whose state directory is gone, is passed over: notes
help, and never stand in the way.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import platformdirs
from msgspec import Struct

from newleaf.core.errors import InconsistentError, StateDirectoryUnwritable
from newleaf.system.files import PRIVATE_FOLDER, read_record, write_record


class KnownApp(Struct, frozen=True):
    """Where an app of this machine lives."""

    name: str
    state_dir: Path
    checkout: Path | None = None


def notes_folder() -> Path:
    """Where the notes are, for this user."""
    return platformdirs.user_config_path("newleaf") / "apps"


def known_apps(folder: Path) -> list[KnownApp]:
    """The apps noted in `folder`, by name."""
    found = (_read(path) for path in sorted(folder.glob("*.json")))
    return sorted((app for app in found if app), key=lambda app: (app.name, str(app.state_dir)))


def note_app(app: KnownApp, folder: Path) -> Path:
    """Notes `app`, and returns the note; one that says the same is left as it is.

    Raises: StateDirectoryUnwritable, DiskFull, NewerSchema.
    """
    path = _place(app, folder)
    if _read(path) == app:
        return path
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise StateDirectoryUnwritable(path=folder, reason=error.strerror or error) from error
    write_record(
        path,
        {
            "app": app.name,
            "state_dir": str(app.state_dir),
            "checkout": str(app.checkout) if app.checkout else None,
        },
    )
    return path


def sharing_checkout(apps: list[KnownApp], checkout: Path, state_dir: Path) -> list[KnownApp]:
    """The other apps that are deployed in the same checkout."""
    return [app for app in apps if app.checkout == checkout and app.state_dir != state_dir]


def _place(app: KnownApp, folder: Path) -> Path:
    """`NAME.json`; a second state directory of that name gets a note of its own."""
    plain = folder / f"{app.name}.json"
    noted = _read(plain)
    if noted is None or noted.state_dir == app.state_dir:
        return plain
    digest = hashlib.blake2b(str(app.state_dir).encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return folder / f"{app.name}-{digest}.json"


def _read(path: Path) -> KnownApp | None:
    try:
        record: dict[str, Any] = read_record(path) or {}
    except InconsistentError:
        return None
    name, state_dir, checkout = (record.get(key) for key in ("app", "state_dir", "checkout"))
    if not isinstance(name, str) or not isinstance(state_dir, str) or not Path(state_dir).is_dir():
        return None
    return KnownApp(name, Path(state_dir), Path(checkout) if isinstance(checkout, str) else None)
