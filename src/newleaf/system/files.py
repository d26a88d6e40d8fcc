"""Files that must survive a kill: whole records, append-only lines, the state directory.

Rules: a record is written to a temporary file, fsynced, renamed, and its folder fsynced; a line
is appended and fsynced, and a torn last line is cut off; nothing is ever written through
a symlink (threats.md T20); a record of a newer schema is never overwritten. `observe` sees
every write, fsync and rename before it happens, so that tests can end the process there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import sys
from _thread import get_native_id  # `threading` itself would be a fifth of a megabyte in the launcher
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from newleaf.core.errors import (
    CorruptFile,
    DiskFull,
    FileLimited,
    HostRefused,
    NewerSchema,
    NewleafError,
    StateDirectoryUnsafe,
    StateDirectoryUnwritable,
)

SCHEMA = 1
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
TEMPORARY = ".tmp"


def _nothing(event: str, path: Path) -> None:
    """The observer in production."""


observe: Callable[[str, Path], None] = _nothing


def write_whole(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> None:
    """Replaces `path` by `content` so that a reader, or a power cut, sees the old or the new whole.

    Raises: DiskFull, FileLimited, StateDirectoryUnwritable.
    """
    temporary = _temporary(path)
    with explained(path, len(content)):
        try:
            observe("write", path)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            remove_leftovers(path.parent, path.name)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            with open(os.open(temporary, flags, mode), "wb") as file:
                file.write(content)
                file.flush()
                observe("fsync", path)
                _sync(file.fileno())
            observe("rename", path)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(path.parent)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes `record` as JSON with its schema number, unless a newer newleaf wrote what is there.

    Raises: NewerSchema, DiskFull, FileLimited, StateDirectoryUnwritable.
    """
    with contextlib.suppress(CorruptFile):
        read_record(path)
    write_whole(path, _encode({"schema": SCHEMA, **record}, indent=1) + b"\n")


Trace = tuple[int, int, int]


def trace(path: Path) -> Trace | None:
    """What differs once the file is written; None when it is not there, or cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON object at `path`, with fields that this version does not know; None when absent.

    Raises: CorruptFile, NewerSchema.
    """
    text = _read(path)
    if text is None:
        return None
    record = parse(path, text)
    if record.get("schema", SCHEMA) != SCHEMA:
        _check_schema(path, record["schema"])
    return record


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Appends one JSON line and fsyncs it, or nothing; a torn last line left by a kill is cut off first.

    Raises: DiskFull, FileLimited, StateDirectoryUnwritable.
    """
    line = _line(record)
    with explained(path, len(line)):
        observe("append", path)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, PRIVATE_FILE)
        try:
            whole = _whole_lines_length(descriptor)
            if whole != os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, whole)
            if whole == 0:
                # Before the line: who finds one there, left by a killed process, may rely on the file's name.
                sync_folder(path.parent)
            try:
                _write_all(descriptor, line)
                observe("fsync", path)
                _sync(descriptor)
            except OSError:
                os.ftruncate(descriptor, whole)
                raise
        finally:
            os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of an append-only file, oldest first; a torn last line is left out.

    Raises: CorruptFile for a damaged line before the last, NewerSchema.
    """
    text = _read(path) or b""
    records = []
    for line in text[: text.rfind(b"\n") + 1].splitlines():
        record = parse(path, line)
        _check_schema(path, record.get("schema", SCHEMA))
        records.append(record)
    return records


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Replaces an append-only file whole, as when old lines are dropped.

    Raises: DiskFull, FileLimited, StateDirectoryUnwritable.
    """
    write_whole(path, b"".join(_line(record) for record in records))


def remove(path: Path) -> None:
    """Removes a file (or the symlink itself), durably; absent is fine.

    Raises: StateDirectoryUnwritable.
    """
    observe("remove", path)
    with explained(path, 0), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
        sync_folder(path.parent)


def replace_link(link: Path, target: str) -> None:
    """Points the symlink at `target`, so that a reader, or a power cut, sees the old or the new one.

    Raises: DiskFull, StateDirectoryUnwritable.
    """
    with explained(link):
        temporary = _temporary(link)
        observe("link", link)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(target, temporary)
        observe("rename", link)
        os.replace(temporary, link)
        sync_folder(link.parent)


def rename_folder(folder: Path, to: Path) -> None:
    """Gives a folder another name in the folder where it lies, durably.

    Raises: StateDirectoryUnwritable.
    """
    with explained(to):
        observe("rename", to)
        os.rename(folder, to)
        sync_folder(to.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames and creations inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        observe("fsync", folder)
        _sync(descriptor)
    finally:
        os.close(descriptor)


def prepare_state_directory(folder: Path, *, of_owner: bool = False) -> None:
    """Makes the state directory, 0700, or checks that the one there is this user's alone (T21).

    With `of_owner` root is content with one that is another user's alone: what it starts there, it starts as
    that user.
    Raises: StateDirectoryUnsafe with the command that mends it, StateDirectoryUnwritable.
    """
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise StateDirectoryUnwritable(path=folder, reason=_reason(error)) from error
    if found.st_uid != os.geteuid() and not (of_owner and os.geteuid() == 0):
        mend = f"chown -R {os.geteuid()} {folder}"
        raise StateDirectoryUnsafe(path=folder, reason="belongs to another user", mend=mend)
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise StateDirectoryUnsafe(path=folder, reason="can be written by others", mend=f"chmod 700 {folder}")
    remove_leftovers(folder)


def require_free(folder: Path, needed_bytes: int) -> None:
    """Refuses to begin what would fill the disk (lessons.md L24).

    Raises: DiskFull.
    """
    there = next(parent for parent in [folder, *folder.parents] if parent.exists())
    free = _free_bytes(there)
    if free < needed_bytes:
        raise DiskFull(path=there, free=size(free), needed=size(needed_bytes))


@contextlib.contextmanager
def explained(path: Path | None = None, needed_bytes: int = 0) -> Iterator[None]:
    """Turns the operating system's refusals into errors that say what to do.

    `path` is the file in the state directory that is worked on; None where it may be any.
    Raises: DiskFull, FileLimited, StateDirectoryUnwritable, HostRefused.
    """
    try:
        yield
    except OSError as error:
        raise explain(error, path, needed_bytes) from error


def explain(error: OSError, path: Path | None = None, needed_bytes: int = 0) -> NewleafError:
    """What a refusal of the operating system means."""
    named = path or (Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = size(_free_bytes(named.parent)) if named and named.parent.exists() else "nothing"
        return DiskFull(
            path=named.parent if named else "this host",
            free=free,
            needed=size(needed_bytes) if needed_bytes else "more",
        )
    if error.errno == errno.EFBIG:
        return FileLimited(path=named or "a file")
    if path:
        return StateDirectoryUnwritable(path=path.parent, reason=f"{path.name}: {_reason(error)}")
    return HostRefused(what=named or "an operation", reason=_reason(error))


def size(count: int) -> str:
    """A number of bytes for people: 1.5 MiB."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _temporary(path: Path) -> str:
    """Where what will be `path` is made: named after its maker, so that what a dead one left is known.

    No Path: it interns each name, and a launcher's memory would grow by names that nobody needs again.
    """
    return f"{path.parent}/.{path.name}.{os.getpid()}.{get_native_id()}{TEMPORARY}"


def _line(record: Mapping[str, Any]) -> bytes:
    return _encode({"schema": SCHEMA, **record}, separators=(",", ":")) + b"\n"


def _encode(record: Mapping[str, Any], **form: Any) -> bytes:
    """JSON in UTF-8; in escapes where a text is none, as names of files may be bytes."""
    try:
        return json.dumps(record, ensure_ascii=False, **form).encode()
    except UnicodeEncodeError:
        return json.dumps(record, **form).encode()


def _read(path: Path) -> bytes | None:
    """The content of a file; None when absent. A pipe in its place would otherwise be waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CorruptFile(path=path, reason=_reason(error)) from error
    try:
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise CorruptFile(path=path, reason=_reason(error)) from error
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, line: bytes) -> None:
    unwritten = memoryview(line)
    while unwritten:
        unwritten = unwritten[os.write(descriptor, unwritten) :]


def _sync(descriptor: int) -> None:
    """Brings what was written to the disk itself; on macOS fsync alone stops at the disk's own memory."""
    if sys.platform == "darwin":
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Removes the temporary files of processes that were killed while they wrote (the file called `name`)."""
    beginning = "." if name == "*" else f".{name}."
    for found in names_in(folder, beginning):
        if found.endswith(TEMPORARY) and found.count(".") > 3:
            writer = found.split(".")[-3]
            with contextlib.suppress(OSError, ValueError):
                try:
                    os.kill(int(writer), 0)
                except ProcessLookupError:
                    folder.joinpath(found).unlink()


def names_in(folder: Path, beginning: str) -> list[str]:
    """The names in a folder that begin so; no pattern is made, which a launcher would keep in memory."""
    try:
        return [name for name in os.listdir(folder) if name.startswith(beginning)]
    except OSError:
        return []


def parse(path: Path, text: bytes) -> dict[str, Any]:
    """The JSON object in `text`, which stands in `path`. Raises: CorruptFile."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(path=path, reason="not JSON" if text.strip() else "empty") from error
    if not isinstance(record, dict):
        raise CorruptFile(path=path, reason="not a JSON object")
    return record


def _check_schema(path: Path, found: object) -> None:
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise CorruptFile(path=path, reason=f"schema is {found!r}")
    if found > SCHEMA:
        raise NewerSchema(path=path, found=found, known=SCHEMA)


def _whole_lines_length(descriptor: int) -> int:
    """Bytes up to and including the last newline, looked for from the end."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _free_bytes(folder: Path) -> int:
    """As shutil.disk_usage counts them; every start would pay for loading shutil."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _reason(error: OSError) -> str:
    return "it is a symlink" if error.errno == errno.ELOOP else (error.strerror or str(error))
