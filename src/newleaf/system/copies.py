"""Copies of files: shared blocks where the filesystem can (reflink), bytes elsewhere; durable; metadata kept.

Rules: a copy is a new file, never written through a symlink or over another (threats.md T20); a file is
replaced by rename, so that a reader, or a power cut, sees the old or the new whole; whoever has the
old one open keeps it. Mode, times, extended attributes and, where this user may, the owner come along.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from newleaf.system import files

PROVISIONAL = ".newleaf-restore"
"""A file of this name is a copy that has not taken its place yet; one a folder, left by a kill at most."""

_FICLONE = 0x40049409
_CHUNK_BYTES = 1024 * 1024


def copy_file(source: Path, target: Path) -> None:
    """Copies a plain file to a new one, durably.

    Raises: OSError.
    """
    files.observe("copy", target)
    with _open_to_read(source) as read, _create(target) as written:
        if not _share_blocks(read, written):
            shutil.copyfileobj(read, written, _CHUNK_BYTES)
        written.flush()
        keep_metadata(source, target)
        os.fsync(written.fileno())


def keep_metadata(source: Path, target: Path) -> None:
    """Gives `target` the owner, mode, times and attributes of `source`."""
    found = source.lstat()
    give_to(target, found.st_uid, found.st_gid)
    shutil.copystat(source, target, follow_symlinks=False)


def give_to(path: Path, uid: int, gid: int) -> None:
    """Makes the file another user's, where this one may do that."""
    with contextlib.suppress(PermissionError):
        os.chown(path, uid, gid, follow_symlinks=False)


def keep_file(path: Path, target: Path) -> None:
    """Keeps the plain file at `path` under a second name: the same file where possible, else a copy.

    Raises: OSError.
    """
    files.observe("keep", target)
    try:
        os.link(path, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        copy_file(path, target)
    files.sync_folder(target.parent)


def replace_by_copy(path: Path, copy: Path) -> None:
    """Puts a copy of `copy` in the place of the file, link or nothing at `path`.

    Raises: OSError.
    """
    provisional = path.with_name(PROVISIONAL)
    provisional.unlink(missing_ok=True)
    copy_file(copy, provisional)
    _take_place(provisional, path)


def replace_by_link(path: Path, target: str) -> None:
    """Puts a symlink in the place of the file, link or nothing at `path`.

    Raises: OSError.
    """
    provisional = path.with_name(PROVISIONAL)
    provisional.unlink(missing_ok=True)
    os.symlink(target, provisional)
    _take_place(provisional, path)


def move(path: Path, target: Path) -> None:
    """Moves a file, link or whole folder to a new place, to another filesystem too.

    Raises: OSError.
    """
    files.observe("move", path)
    try:
        os.rename(path, target)
    except OSError:
        # Another filesystem: file by file, each there before it is gone here.
        if path.is_symlink():
            os.symlink(os.readlink(path), target)
            path.unlink()
        elif path.is_file():
            copy_file(path, target)
            path.unlink()
        elif path.is_dir():
            target.mkdir(mode=0o700, exist_ok=True)
            for child in sorted(path.iterdir()):
                move(child, target / child.name)
            path.rmdir()
        else:
            raise
    files.sync_folder(target.parent)
    files.sync_folder(path.parent)


def move_aside(path: Path, target: Path) -> None:
    """Moves a file, link or whole folder to `target`, or to the first name like it that is free.

    Raises: OSError.
    """
    target.parent.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
    number, free = 1, target
    while os.path.lexists(free):
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    move(path, free)


def remove_whole(path: Path) -> None:
    """Removes a file, a link or a folder with all below it; absent is fine.

    Raises: OSError.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def copy_whole(source: Path, target: Path, copy: Callable[[Path, Path], None] = copy_file) -> None:
    """Copies a file, a link or a folder with all below it to where nothing is; it is seen when it is whole.

    `copy` copies a plain file. Sockets, pipes and devices are left out.
    Raises: OSError, and what `copy` raises.
    """
    provisional = target.with_name(f".{target.name}{PROVISIONAL}")
    remove_whole(provisional)
    _copy_below(source, provisional, copy)
    if os.path.lexists(provisional):
        _take_place(provisional, target)


def _copy_below(source: Path, target: Path, copy: Callable[[Path, Path], None]) -> None:
    if source.is_symlink():
        os.symlink(os.readlink(source), target)
    elif source.is_dir():
        target.mkdir(mode=files.PRIVATE_FOLDER)
        for child in sorted(source.iterdir()):
            _copy_below(child, target / child.name, copy)
        keep_metadata(source, target)
        files.sync_folder(target)
    elif source.is_file():
        copy(source, target)


def have_same_content(first: Path, second: Path) -> bool:
    """Whether two plain files hold the same bytes."""
    if first.stat().st_size != second.stat().st_size:
        return False
    with _open_to_read(first) as one, _open_to_read(second) as other:
        while chunk := one.read(_CHUNK_BYTES):
            if chunk != other.read(len(chunk)):
                return False
    return True


def can_share_blocks(source: Path, folder: Path) -> bool:
    """Whether a copy of `source` in `folder` would take no room of its own."""
    probe = folder / PROVISIONAL
    try:
        with _open_to_read(source) as read, _create(probe) as written:
            return _share_blocks(read, written)
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)


def _take_place(provisional: Path, path: Path) -> None:
    files.observe("rename", path)
    os.replace(provisional, path)
    files.sync_folder(path.parent)


def _open_to_read(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _create(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, files.PRIVATE_FILE), "wb")


def _share_blocks(read: BinaryIO, written: BinaryIO) -> bool:
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
    except OSError:
        return False
    return True
