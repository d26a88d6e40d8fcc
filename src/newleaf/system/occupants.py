"""Which folders living processes use, by what the kernel tells of them.

A process uses a folder when it stands in it, was started from it, has a file of it open or mapped, or
names it in its arguments or its environment, as it is asked for or as the kernel calls it. This process
counts too, for it may be the daemon (`newleaf.Updater`). What cannot be looked at (another user's process)
is passed over: this user's daemon is this user's process. Reads `/proc` where there is one, asks `lsof` and
`ps` elsewhere; where one of them does not answer, everything counts as used, because a release that is kept
costs little.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from newleaf.system import process_table, processes


def used(folders: Collection[Path]) -> set[Path]:
    """Those of `folders` that a living process uses."""
    names = {folder: {str(folder), os.path.realpath(folder)} for folder in folders}
    left = set(folders)
    for text in _by_proc() if process_table.HAS_PROC else _by_tools():
        if text is None:
            return set(folders)
        left -= {folder for folder in left if any(names_folder(text, name) for name in names[folder])}
        if not left:
            break
    return set(folders) - left


def names_folder(text: str, path: str) -> bool:
    """Whether a text names the folder, or something in it."""
    at = text.find(path)
    while at >= 0:
        end = at + len(path)
        if end == len(text) or not (text[end].isalnum() or text[end] in "._-"):
            return True
        at = text.find(path, at + 1)
    return False


def _by_proc() -> Iterator[str]:
    for name in os.listdir(process_table.PROC):
        if name.isdigit():
            yield from _facts_of(f"{process_table.PROC}/{name}")


def _facts_of(process: str) -> Iterator[str]:
    """Everything of a process that may name a folder. It may end, or be another user's, at any moment."""
    with contextlib.suppress(OSError):
        yield os.readlink(f"{process}/cwd")
    # What it was started from is mapped.
    for file in ("cmdline", "environ", "maps"):
        with contextlib.suppress(OSError), open(f"{process}/{file}", "rb") as opened:
            yield os.fsdecode(opened.read())
    with contextlib.suppress(OSError):
        for number in os.listdir(f"{process}/fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(f"{process}/fd/{number}")


def _by_tools() -> Iterator[str | None]:
    """What the programs say; None where one does not answer."""
    yield from (processes.open_files(), processes.command_lines())
