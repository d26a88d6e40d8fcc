"""The files of services: where a service manager looks for them, what lies there, writing and removing them.

Rules: a file that newleaf did not write, and a symlink, are neither replaced nor removed nor written through
(threats.md T20); a file is replaced whole. What starts and stops services: `systemctl`, `launchctl`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import StateDirectoryUnwritable
from newleaf.core.services.service_errors import ServiceFileForeign, ServiceFolderUnwritable
from newleaf.core.services.subject import Manager, is_own
from newleaf.system import files

READABLE_FILE = 0o644
SYSTEM_FOLDERS: dict[Manager, Path] = {
    "systemd": Path("/etc/systemd/system"),
    "launchd": Path("/Library/LaunchDaemons"),
}
MAX_BYTES = 1024 * 1024
USUAL_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
TOOLS = ("git", "uv", "ssh")
"""What an update calls: where these lie now, a service looks for them."""


class Found(Struct, frozen=True):
    """What lies in a file's place: nothing (`content` is None), newleaf's own, or `foreign`, and why."""

    path: Path
    content: bytes | None = None
    foreign: str = ""


def folder_of(manager: Manager, home: Path, environ: Mapping[str, str], *, is_system: bool) -> Path:
    """Where the manager looks for the files of the machine's, or of this user's services."""
    if is_system:
        return SYSTEM_FOLDERS[manager]
    if manager == "launchd":
        return home / "Library" / "LaunchAgents"
    configuration = environ.get("XDG_CONFIG_HOME", "")
    return (Path(configuration) if configuration else home / ".config") / "systemd" / "user"


def look(path: Path) -> Found:
    """What lies there; a file is read without following a link.

    Raises: ServiceFolderUnwritable where it may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return Found(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Found(path, foreign="it is a symlink")
        raise ServiceFolderUnwritable(path=path, reason=error.strerror or error) from error
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return Found(path, foreign="it is no file")
        content = file.read(MAX_BYTES)
    return Found(path, content) if is_own(content) else Found(path, content, "its first lines do not say so")


def require_own(found: Found) -> Found:
    """What lies there, unless it is somebody else's.

    Raises: ServiceFileForeign.
    """
    if found.foreign:
        raise ServiceFileForeign(path=found.path, reason=found.foreign)
    return found


def write(path: Path, content: bytes) -> None:
    """Writes a service's file, whole.

    Raises: ServiceFileForeign, ServiceFolderUnwritable.
    """
    require_own(look(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, content, READABLE_FILE)
    except (OSError, StateDirectoryUnwritable) as error:
        raise ServiceFolderUnwritable(path=path.parent, reason=_reason(error)) from error


def remove(path: Path) -> None:
    """Removes a service's file, and the links by which systemd enabled it.

    Raises: ServiceFileForeign, ServiceFolderUnwritable.
    """
    require_own(look(path))
    try:
        for link in path.parent.glob(f"*.wants/{path.name}"):
            if link.is_symlink():
                link.unlink()
                with contextlib.suppress(OSError):
                    # Others may be enabled there as well.
                    link.parent.rmdir()
        files.remove(path)
    except (OSError, StateDirectoryUnwritable) as error:
        raise ServiceFolderUnwritable(path=path.parent, reason=_reason(error)) from error


def own_newleaf() -> tuple[str, ...]:
    """The words that start this very newleaf, by its whole path."""
    script = Path(sys.executable).with_name("newleaf")
    return (str(script),) if os.access(script, os.X_OK) else (sys.executable, "-m", "newleaf")


def find_program(name: str, search: str) -> str | None:
    """The whole path of a program; None when there is none of that name."""
    folders = [folder for folder in search.split(os.pathsep) if os.path.isabs(folder)]
    places = (os.path.join(folder, name) for folder in folders)
    return next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), None)


def search_path(newleaf: Sequence[str], search: str) -> str:
    """The PATH of a service: where newleaf and what it calls lie now, and the system's own folders."""
    found = [newleaf[0], *filter(None, (find_program(tool, search) for tool in TOOLS))]
    return os.pathsep.join(dict.fromkeys([*map(os.path.dirname, found), *USUAL_PATH]))


def _reason(error: Exception) -> object:
    return error.facts["reason"] if isinstance(error, StateDirectoryUnwritable) else error
