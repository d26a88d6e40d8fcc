"""The record of a move under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.errors import CorruptFile
from newleaf.core.release import CommitId
from newleaf.update.checkout.local_changes import Stash
from newleaf.update.checkout.move import Move, MoveRecord

START, TARGET, HELD = CommitId("a" * 40), CommitId("b" * 40), CommitId("c" * 40)


def test_a_move_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = MoveRecord(tmp_path / "move.json")
    stash = Stash(HELD, "On main: newleaf: ünï", {"a/b": 0o600, "\udcff\udcfe": 0o640, "ünï": 0o400})
    move = Move(START, TARGET, "1.2.0 (bbbbbbbbb)", (stash,))

    record.write(move)

    assert record.read() == move
    assert record.stashes == (stash,)


def test_no_record_is_no_move(tmp_path: Path) -> None:
    record = MoveRecord(tmp_path / "move.json")
    record.remove()
    assert record.read() is None
    assert record.stashes == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema": 1}', '{"schema":1,"from":1,"to":2,"name":3,"stashes":[1]}']
)
def test_a_damaged_record_stops_with_its_path(tmp_path: Path, text: str) -> None:
    record = MoveRecord(tmp_path / "move.json")
    record.path.write_text(text)

    with pytest.raises(CorruptFile) as caught:
        record.read()

    assert str(record.path) in caught.value.message
