"""The file of mission keys: which there are, what each may say, and where its secret lies.

Rules: the file is written by nobody else, and each secret's is read by nobody else; what is wrong with one
shuts them all, because a host that has lost its keys must not obey everybody (lessons.md L40).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from newleaf.core.errors import NewleafError
from newleaf.core.missions.mission_errors import MissionKeysUnusable
from newleaf.core.missions.signatures import MIN_SECRET_BYTES, MissionKey, read_keys
from newleaf.system.git.environment import read_token

MAX_BYTES = 256 * 1024


def load_keys(path: Path) -> dict[str, MissionKey]:
    """The keys by their ids. Secrets are named from the folder of the file.

    Raises: MissionKeysUnusable.
    """
    try:
        entries = read_keys(_read(path))
    except (ValueError, RecursionError) as error:
        raise MissionKeysUnusable(path=path, reason=error) from error
    keys = {}
    for entry in entries:
        file = path.parent / Path(entry.secret_file).expanduser()
        try:
            secret = read_token(file).encode()
        except NewleafError as error:
            raise MissionKeysUnusable(path=path, reason=f"{file}: {error.facts.get('reason')}") from error
        if len(secret) < MIN_SECRET_BYTES:
            reason = f"the secret of [{entry.id}] is shorter than {MIN_SECRET_BYTES} bytes"
            raise MissionKeysUnusable(path=path, reason=reason)
        keys[entry.id] = MissionKey(entry.id, secret, entry.broadcast, entry.kinds)
    return keys


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o022:
                raise MissionKeysUnusable(path=path, reason="others can write it")
            return file.read(MAX_BYTES).decode()
    except OSError as error:
        raise MissionKeysUnusable(path=path, reason=error.strerror or error) from error
