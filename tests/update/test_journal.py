"""The journal: written before, whole or not at all, bounded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from newleaf.core.errors import CorruptFile, ImpossibleMove, NewerSchema, TooManyRecords
from newleaf.core.states import MAX_RECORDS, State
from newleaf.system import files
from newleaf.update import journal as journal_module
from newleaf.update.journal import Journal
from tests.support.simulated_host import START, release_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def journal(path: Path) -> Journal:
    return Journal(path, lambda: START)


def begun(path: Path, attempt: str = "a-1") -> Journal:
    opened = journal(path)
    opened.begin(attempt, release_of("a"), release_of("b"), State.FETCH, origin="test")
    return opened


def test_an_empty_journal_has_no_attempt(path: Path) -> None:
    assert journal(path).last is None
    assert journal(path).open_attempt is None


def test_an_open_attempt_is_found_again_by_the_next_process(path: Path) -> None:
    begun(path).append(State.VERIFY, note=1)
    found = journal(path).open_attempt
    assert found is not None
    assert (found.id, found.state, found.detail) == ("a-1", State.VERIFY, {"origin": "test", "note": 1})


def test_an_ended_attempt_is_no_longer_open(path: Path) -> None:
    begun(path).append(State.FAILED)
    assert journal(path).open_attempt is None
    assert journal(path).last is not None


def test_a_second_attempt_cannot_begin_while_one_is_open(path: Path) -> None:
    opened = begun(path)
    with pytest.raises(CorruptFile):
        opened.begin("a-2", release_of("a"), release_of("c"), State.FETCH)


def test_a_move_that_is_not_in_the_table_writes_nothing(path: Path) -> None:
    opened = begun(path)
    before = path.read_bytes()
    with pytest.raises(ImpossibleMove):
        opened.append(State.RESTART)
    assert path.read_bytes() == before


def test_the_record_is_on_the_disk_before_the_move_is_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(files, "observe", lambda event, _: seen.append(event))
    opened = begun(path)
    opened.append(State.VERIFY)
    assert seen == ["append", "fsync", "fsync", "append", "fsync"], "the file, its folder once, the file"


def test_a_torn_last_line_is_cut_off(path: Path) -> None:
    begun(path).append(State.VERIFY)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"schema":1,"attempt":"a-1","sta')
    opened = journal(path)
    assert opened.last is not None
    assert opened.last.state is State.VERIFY
    opened.append(State.STAGE)
    assert path.read_bytes().startswith(whole)
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b"{}\n", b'{"schema":1,"attempt":"x"}\n', b"\n"])
def test_a_damaged_line_fails_closed(path: Path, line: bytes) -> None:
    begun(path)
    path.write_bytes(line + path.read_bytes())
    with pytest.raises(CorruptFile) as raised:
        journal(path)
    assert str(path) in raised.value.message


def test_a_newer_schema_is_not_touched(path: Path) -> None:
    path.write_bytes(b'{"schema":2,"attempt":"a-1"}\n')
    with pytest.raises(NewerSchema):
        journal(path)


def test_records_of_one_attempt_are_bounded(path: Path) -> None:
    opened = begun(path)
    opened.append(State.VERIFY)
    opened.append(State.STAGE)
    for _ in range(MAX_RECORDS - 3):
        opened.append(State.INSTALL)
    with pytest.raises(TooManyRecords):
        opened.append(State.INSTALL)
    opened.append(State.INCONSISTENT)
    assert journal(path).open_attempt is None


def test_what_is_learnt_of_the_target_stands_in_later_records(path: Path) -> None:
    opened = begun(path)
    opened.learn(release_of("b", "1.1.0"))
    opened.append(State.VERIFY)
    found = journal(path).last
    assert found is not None
    assert found.target.version == "1.1.0"
    assert found.records[0].target.version is None


def test_old_attempts_are_dropped_and_the_newest_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_BYTES", 1000)
    opened = journal(path)
    for number in range(journal_module.KEPT_ATTEMPTS + 30):
        opened.begin(f"a-{number}", release_of("a"), release_of("b"), State.FETCH)
        opened.append(State.FAILED)
    kept = journal(path).attempts
    assert len(kept) == journal_module.KEPT_ATTEMPTS + 1
    assert kept[-1].id == f"a-{journal_module.KEPT_ATTEMPTS + 29}"


def test_a_record_keeps_what_no_change_of_the_clock_moves(path: Path) -> None:
    """lessons.md L1"""
    marks = iter(["a-boot/1.0", "a-boot/2.0", None])
    opened = Journal(path, lambda: START, lambda: next(marks))
    opened.begin("a-1", release_of("a"), release_of("b"), State.FETCH)
    opened.append(State.VERIFY)
    opened.append(State.FAILED)
    found = journal(path).last
    assert found is not None
    assert [record.mark for record in found.records] == ["a-boot/1.0", "a-boot/2.0", None]


def test_times_are_kept_to_the_millisecond(path: Path) -> None:
    at = START + timedelta(milliseconds=123)
    opened = Journal(path, lambda: at)
    opened.begin("a-1", release_of("a"), release_of("b"), State.FETCH)
    found = journal(path).last
    assert found is not None
    assert found.records[0].at == at
