"""One environment folder: its mark, its faults, its Python, and the noting of a success. Installs nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from msgspec import Struct

from newleaf.core.dependencies.install_errors import InstallFailed
from newleaf.core.dependencies.manifest import is_python_wanted
from newleaf.system import files
from newleaf.update.dependencies.asides import hide_from_git
from newleaf.update.dependencies.faults import find_fault
from newleaf.update.dependencies.fingerprints import (
    MARK,
    Mark,
    describe_interpreter,
    read_mark,
    write_mark,
)
from newleaf.update.dependencies.inventories import take_inventory
from newleaf.update.dependencies.needs import Kind, Needs
from newleaf.update.dependencies.surroundings import Python, Surroundings


class Venv(Struct, frozen=True):
    """The environment at `path` for what `needs` asks.

    `beside` is where its mark lies when the app's own command makes no environment there.
    """

    path: Path
    needs: Needs
    surroundings: Surroundings
    beside: Path

    @property
    def is_optional(self) -> bool:
        """Whether nothing is wrong when there is none: the app's own command may install elsewhere."""
        return self.needs.kind is Kind.COMMAND and not os.path.lexists(self.path)

    @property
    def mark_path(self) -> Path:
        """Where its mark lies."""
        return self.beside if self.is_optional else self.path / MARK

    def mark(self) -> Mark | None:
        """What it says of itself; None when it says nothing that can be read.

        Raises: NewerSchema.
        """
        return read_mark(self.mark_path)

    def fault(self, mark: Mark | None) -> str | None:
        """Why it must be made anew, whatever it should hold."""
        return None if self.is_optional else find_fault(self.path, mark, self.surroundings)

    def wrong_python(self) -> str | None:
        """Why its Python is not the one that is asked for; the app's own command answers for that itself."""
        wish, requires = self.needs.python_wish, self.needs.manifest.requires_python
        python = None if self.needs.kind is Kind.COMMAND else self.ask_python()
        if python is None or is_python_wanted(python.version, wish, requires):
            return None
        asked = " and ".join(text for text in (wish, requires) if text)
        return f"{self.path.name} has Python {python.version}, and {asked} is asked for"

    def ask_python(self) -> Python | None:
        """Its Python; None when it does not run."""
        return self.surroundings.ask(self.path / "bin" / "python", self.needs.folder)

    def require_python(self) -> Python:
        """Its Python.

        Raises: InstallFailed when it does not run.
        """
        python = self.ask_python()
        if python is None:
            reason = f"it ended well, but {self.path}/bin/python does not run"
            raise InstallFailed(what=self.needs.installer, reason=reason)
        return python

    def begin(self) -> None:
        """Notes that an installation changes it from now on.

        Raises: InstallFailed, DiskFull, NewerSchema.
        """
        write_mark(self.mark_path, Mark("installing", os.path.realpath(self.path), {}))

    def finish(self, *, sync: bool = True, version: str | None = None) -> None:
        """Notes a success. What the mark vouches for is on the disk first (`sync`): a power cut may follow.

        The environment's Python is asked for its `version`, unless that is known.
        Raises: InstallFailed, DiskFull, NewerSchema.
        """
        place, parts, moving = os.path.realpath(self.path), dict(self.needs.parts), self.needs.moving
        if self.is_optional:
            write_mark(self.beside, Mark("installed", place, parts))
            return
        interpreter = describe_interpreter(self.path, version or self.require_python().version)
        hide_from_git(self.path)
        # While the disk writes, what lies there is looked at; the mark comes after both.
        syncing = threading.Thread(target=os.sync, name="newleaf-sync") if sync else None
        if syncing:
            syncing.start()
        inventory = take_inventory(self.path)
        if syncing:
            syncing.join()
        write_mark(self.path / MARK, Mark("installed", place, parts, interpreter, moving, inventory))
        if self.needs.kind is Kind.COMMAND:
            files.remove(self.beside)
