"""The record of a move of the checkout: what is under way, and which local changes are not back yet.

It lies in the updater's git directory, so that a process that is killed tells the next. It is no history.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from newleaf.core.errors import CorruptFile
from newleaf.core.release import CommitId
from newleaf.system import files
from newleaf.update.checkout.local_changes import Stash


class Move(Struct, frozen=True):
    """From one commit to another. `name` is the target's for people; `stashes` wait to be put back."""

    start: CommitId
    target: CommitId
    name: str
    stashes: tuple[Stash, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """The move as the file has it."""
        stashes = [stash.as_record() for stash in self.stashes]
        return {"from": self.start, "to": self.target, "name": self.name, "stashes": stashes}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Move:
        """The move that `as_record` wrote."""
        stashes = tuple(Stash.read(stash) for stash in record["stashes"])
        return cls(CommitId(record["from"]), CommitId(record["to"]), str(record["name"]), stashes)


class MoveRecord(Struct, frozen=True):
    """The file with the move that is under way."""

    path: Path

    def read(self) -> Move | None:
        """The move under way; None when there is none.

        Raises: CorruptFile, NewerSchema.
        """
        record = files.read_record(self.path)
        try:
            return Move.read(record) if record else None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CorruptFile(path=self.path, reason="a field is missing or of another kind") from error

    @property
    def stashes(self) -> tuple[Stash, ...]:
        """The local changes that are not back yet."""
        move = self.read()
        return move.stashes if move else ()

    def write(self, move: Move) -> None:
        """Writes the move, durably, before it is made."""
        files.write_record(self.path, move.as_record())

    def remove(self) -> None:
        """Nothing is under way any more."""
        if self.path.exists():
            files.remove(self.path)
