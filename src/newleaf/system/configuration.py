"""The settings' sources on this host: newleaf.toml, host.toml, the environment.

Rules: a file that is not there says nothing; one that is there and cannot be read is an error that names
it. What the sources mean is decided in core/settings/fragments.py. Writing replaces a file whole: host.toml
is its user's alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from newleaf.core.errors import SettingsFileUnreadable
from newleaf.core.settings.fragments import Fragment, Sources, read_environment, read_toml
from newleaf.system.files import PRIVATE_FILE, write_whole

MAX_BYTES = 1024 * 1024
SHARED_FILE = 0o644


def read_sources(app_file: Path | None, host_file: Path | None, environ: Mapping[str, str]) -> Sources:
    """What the host's files and environment say; None stands for a file that there cannot be.

    Raises: SettingsFileUnreadable, SettingsUnreadable with the line.
    """
    return Sources(
        app=read_file(app_file, tracked=True),
        host=read_file(host_file, tracked=False),
        environment=read_environment(environ),
    )


def read_file(path: Path | None, *, tracked: bool) -> Fragment:
    """What one file says; nothing when it is absent. `tracked`: it is the app's own, not the host's.

    Raises: SettingsFileUnreadable, SettingsUnreadable with the line.
    """
    content = _read(path) if path else None
    return Fragment() if content is None else read_toml(content, str(path), tracked=tracked)


def write_app_file(path: Path, text: str) -> None:
    """Writes newleaf.toml, for everybody to read.

    Raises: StateDirectoryUnwritable, DiskFull.
    """
    write_whole(path, text.encode(), SHARED_FILE)


def write_host_file(path: Path, text: str) -> None:
    """Writes host.toml, for its user alone.

    Raises: StateDirectoryUnwritable, DiskFull.
    """
    write_whole(path, text.encode(), PRIVATE_FILE)


def _read(path: Path) -> bytes | None:
    try:
        # Without O_NONBLOCK a pipe in the file's place would hold the start for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SettingsFileUnreadable(file=path, reason="it is not a file")
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingsFileUnreadable(file=path, reason=error.strerror or str(error)) from error
    if len(content) > MAX_BYTES:
        raise SettingsFileUnreadable(file=path, reason="it is larger than 1 MiB")
    return content
