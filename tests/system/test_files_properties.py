"""Files after a power cut at any moment, on a disk that keeps only what was fsynced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from newleaf.system import files
from tests.support.properties import bounded
from tests.support.torn_disk import TornDisk

MOMENTS = st.integers(1, 9) | st.none()
RANDOMS = st.integers(0, 2**32).map(Random)
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)


@contextmanager
def torn_disk() -> Iterator[TornDisk]:
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        disk = TornDisk(Path(folder))
        try:
            yield disk
        finally:
            disk.close()


@bounded(150)
@given(st.lists(st.tuples(WORDS, MOMENTS), min_size=1, max_size=5), RANDOMS)
def test_a_record_is_after_any_power_cut_the_old_or_the_new_whole(
    writes: list[tuple[str, int | None]], random: Random
) -> None:
    """Promise 5; and what was acknowledged is the new."""
    with torn_disk() as disk:
        path, old = disk.folder / "record.json", None
        for number, (word, moments) in enumerate(writes):
            new = {"schema": 1, "number": number, "word": word}
            acknowledged = False
            with disk.killed_in(moments):
                files.write_record(path, new)
                acknowledged = True
            disk.cut_power(random)
            found = files.read_record(path)
            assert found in ([new] if acknowledged else [old, new])
            old = found


@bounded(150)
@given(st.lists(MOMENTS, min_size=1, max_size=5), RANDOMS)
def test_a_removed_record_does_not_come_back(moments: list[int | None], random: Random) -> None:
    with torn_disk() as disk:
        path = disk.folder / "record.json"
        for each in moments:
            record = {"schema": 1}
            with disk.watching():
                files.write_record(path, record)
            removed = False
            with disk.killed_in(each):
                files.remove(path)
                removed = True
            disk.cut_power(random)
            assert files.read_record(path) in ([None] if removed else [None, record])


@bounded(250)
@given(st.lists(st.tuples(WORDS, MOMENTS, st.booleans()), min_size=1, max_size=8), RANDOMS)
def test_every_acknowledged_line_is_there_and_a_torn_one_is_cut_off(
    writes: list[tuple[str, int | None, bool]], random: Random
) -> None:
    """Killed or cut off, in any order. A line that a killed process left unsaid may go with the next cut."""
    with torn_disk() as disk:
        path = disk.folder / "lines.jsonl"
        there: list[dict[str, object]] = []
        sure = 0
        for number, (word, moments, cut) in enumerate(writes):
            new = {"schema": 1, "number": number, "word": word}
            acknowledged = False
            with disk.killed_in(moments):
                files.append_line(path, new)
                acknowledged = True
            if cut:
                disk.cut_power(random)
            disk.start_anew()
            found = files.read_lines(path)
            written = [*there, new]
            sure = len(written) if acknowledged else sure
            assert found == written[: len(found)]
            assert len(found) >= sure
            sure = len(found) if cut else sure
            there = found


@bounded(100)
@given(st.integers(1, 6), MOMENTS, RANDOMS)
def test_lines_are_dropped_whole_or_not_at_all(kept: int, moments: int | None, random: Random) -> None:
    with torn_disk() as disk:
        path = disk.folder / "lines.jsonl"
        lines = [{"schema": 1, "number": number} for number in range(6)]
        with disk.watching():
            for line in lines:
                files.append_line(path, line)
        with disk.killed_in(moments):
            files.write_lines(path, lines[-kept:])
        disk.cut_power(random)
        assert files.read_lines(path) in (lines, lines[-kept:])
