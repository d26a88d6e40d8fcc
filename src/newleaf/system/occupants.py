"""Which folders living processes use, by what the kernel tells of them.

A process uses a folder when it stands in it, was started from it, has a file of it open or mapped, or
names it in its arguments or its environment, by whatever links; the end of a path counts as the whole. This
process counts too, for it may be the daemon (`newleaf.Updater`). What cannot be looked at (another user's
process) is passed over: this user's daemon is this user's process. Reads `/proc` where there is one, asks
`lsof` and `ps` elsewhere; where neither answers, everything counts as used, because a release that is kept
costs little.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from newleaf.system import processes

_BEFORE_PATH = re.compile(r"[\0\n\s:;,=\"'()\[\]{}<>|&]")


def used(folders: Collection[Path]) -> set[Path]:
    """Those of `folders` that a living process uses."""
    wanted = {f"/{folder.parent.name}/{folder.name}": folder for folder in folders}
    left = dict(wanted)
    for text in _by_proc() if processes.HAS_PROC else _by_tools(folders):
        for path in [path for path in left if names_folder(text, path, left[path])]:
            del left[path]
        if not left:
            break
    return {folder for path, folder in wanted.items() if path not in left}


def names_folder(text: str, path: str, folder: Path) -> bool:
    """Whether a text names `folder`, whose path ends in `path`, or something in it."""
    at = text.find(path)
    while at >= 0:
        end = at + len(path)
        if end == len(text) or not (text[end].isalnum() or text[end] in "._-"):
            named = _BEFORE_PATH.split(text[:at])[-1] + path
            if not named.startswith("/") or _is_same(named, folder):
                return True
        at = text.find(path, at + 1)
    return False


def _is_same(named: str, folder: Path) -> bool:
    """Whether a path leads to the folder; another host's state directory may hold the same commit."""
    try:
        return os.path.samefile(named, folder)
    except (OSError, ValueError):
        return False


def _by_proc() -> Iterator[str]:
    for name in os.listdir(processes.PROC):
        if name.isdigit():
            yield from _facts_of(f"{processes.PROC}/{name}")


def _facts_of(process: str) -> Iterator[str]:
    """Everything of a process that may name a folder. It may end, or be another user's, at any moment."""
    for link in ("cwd", "exe"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"{process}/{link}")
    for file in ("cmdline", "environ", "maps"):
        with contextlib.suppress(OSError), open(f"{process}/{file}", "rb") as opened:
            yield os.fsdecode(opened.read())
    with contextlib.suppress(OSError):
        for number in os.listdir(f"{process}/fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(f"{process}/fd/{number}")


def _by_tools(folders: Collection[Path]) -> Iterator[str]:
    said = processes.open_files(), processes.command_lines()
    if None in said:
        yield "\0".join(map(os.path.realpath, folders))
    yield from (text for text in said if text)
