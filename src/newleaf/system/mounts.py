"""On what kind of file system a folder lies.

Kernel locks are only as good as the file system below: on a network one, another machine, or an old
server, may not see them, so the state directory has to be on a local one. What cannot be told is allowed.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from pathlib import Path

from newleaf.core.errors import NewleafError, StateDirectoryOnNetwork
from newleaf.system.commands import Command, Runner

NETWORK_TYPES = frozenset(
    "nfs nfs4 nfsd cifs smb3 smbfs afs afpfs ncpfs webdav fuse.sshfs macfuse osxfuse fuse.davfs".split()
)
MOUNTINFO = Path("/proc/self/mountinfo")
MOUNT_SECONDS = 10.0

_ESCAPED = re.compile(r"\\([0-7]{3})")
_BSD_LINE = re.compile(r"(?P<source>.+) on (?P<folder>/.*) \((?P<type>[^,)]+)[,)]")


def require_local(folder: Path) -> None:
    """Refuses a folder on a network file system.

    Raises: StateDirectoryOnNetwork.
    """
    try:
        device = folder.stat().st_dev
    except OSError:
        return
    kind = _kind_of_device(device, os.path.realpath(folder))
    if kind in NETWORK_TYPES:
        raise StateDirectoryOnNetwork(path=folder, kind=kind)


def kind_in_mountinfo(text: str, device: int, folder: str) -> str | None:
    """The file system type of a device (or, where no line has it, of a folder) by /proc/self/mountinfo."""
    number = f"{os.major(device)}:{os.minor(device)}"
    best, kind = "", None
    for line in text.splitlines():
        mount, separator, source = line.partition(" - ")
        fields = mount.split(" ")
        if not separator or len(fields) < 5:
            continue
        if fields[2] == number:
            return source.split(" ")[0]
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4])
        if _lies_in(folder, point) and len(point) >= len(best):
            best, kind = point, source.split(" ")[0]
    return kind


def kind_in_mount_output(text: str, folder: str) -> str | None:
    """The file system type of a folder by the output of BSD `mount`."""
    best, kind = "", None
    for line in text.splitlines():
        found = _BSD_LINE.match(line)
        if found and _lies_in(folder, found["folder"]) and len(found["folder"]) >= len(best):
            best, kind = found["folder"], found["type"].strip()
    return kind


@functools.lru_cache(maxsize=64)
def _kind_of_device(device: int, folder: str) -> str | None:
    try:
        if sys.platform == "linux":
            return kind_in_mountinfo(MOUNTINFO.read_text(errors="replace"), device, folder)
        env = {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", "LC_ALL": "C"}
        finished = Runner().run(Command(["mount"], "mount", Path("/"), env, MOUNT_SECONDS))
        return kind_in_mount_output(finished.text, folder)
    except (OSError, NewleafError):
        return None


def _lies_in(folder: str, point: str) -> bool:
    return folder == point or folder.startswith(point.rstrip("/") + "/")
