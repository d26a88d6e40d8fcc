"""The former environment, kept beside the new one until that is complete.

Rules: it is moved, never copied, and never removed before its successor is complete and marked so; on
any failure it is put back; after a kill its presence says that what lies in `.venv` is unfinished. A
symlink is moved as the link it is, and what it leads to is left alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from newleaf.core.dependencies.install_errors import EnvironmentInTheWay, InstallFailed
from newleaf.system.files import sync_folder

SUFFIX = ".newleaf-old"


class Aside:
    """The place beside `environment` where its predecessor waits."""

    def __init__(self, environment: Path) -> None:
        self.environment = environment
        self.path = environment.with_name(environment.name + SUFFIX)

    def is_taken(self) -> bool:
        """Whether a predecessor waits there, after a kill for one."""
        return os.path.lexists(self.path)

    def take(self) -> None:
        """Moves the environment aside; an unfinished one, whose predecessor is there already, is removed.

        Raises: EnvironmentInTheWay, InstallFailed.
        """
        if self.environment.is_file() and not self.environment.is_symlink():
            raise EnvironmentInTheWay(path=self.environment, found="a file")
        with _explained(f"moving {self.environment} aside"):
            if self.is_taken():
                _remove(self.environment)
            elif os.path.lexists(self.environment):
                hide_from_git(self.environment)
                os.rename(self.environment, self.path)
            sync_folder(self.environment.parent)

    def put_back(self) -> None:
        """Removes what was begun, and moves the predecessor back to where it was.

        Raises: InstallFailed.
        """
        with _explained(f"moving {self.path} back"):
            _remove(self.environment)
            if self.is_taken():
                os.rename(self.path, self.environment)
            sync_folder(self.environment.parent)

    def drop(self) -> str | None:
        """Removes the predecessor; returns where it lies instead, when it never was an environment.

        Raises: InstallFailed.
        """
        if not self.is_taken():
            return None
        if not self.path.is_symlink() and not _is_environment(self.path):
            return f"what was in {self.environment} is no environment, and is kept in {self.path}"
        with _explained(f"removing {self.path}"):
            _remove(self.path)
        return None


def hide_from_git(environment: Path) -> None:
    """Makes git ignore the folder, as uv and newer Pythons do, so that it is never a local change."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        descriptor = os.open(environment / ".gitignore", flags, 0o644)
        with open(descriptor, "w") as file:
            file.write("*\n")


def _is_environment(folder: Path) -> bool:
    """Whether at least traces of an environment are left in the folder, or nothing at all."""
    traces = ("pyvenv.cfg", "bin/python", "bin/activate", "lib")
    return any(os.path.lexists(folder / trace) for trace in traces) or os.listdir(folder) == [".gitignore"]


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InstallFailed(what=what, reason=error.strerror or str(error)) from error
