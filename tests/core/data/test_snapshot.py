"""What a snapshot's manifest may say, and which snapshots are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from newleaf.core.data.snapshot import Entry, Found, Manifest, Root, is_below, outermost, superfluous

FILE = Entry("/srv/app/data", "file", "1", size=3, mode=0o600, uid=1, gid=2)
MANIFEST = Manifest(
    "a1",
    "2026-01-01T00:00:00.000Z",
    (Root((Entry("/state/migration_state.json", "missing"),)), Root((FILE,))),
    ("a note",),
)


def record(**changed: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps({"schema": 1, **MANIFEST.as_record()}))
    made["roots"][1][0].update(changed)
    return made


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert Manifest.read(record()) == MANIFEST
    assert MANIFEST.roots[1].path == "/srv/app/data"
    assert MANIFEST.size_bytes == 3


def test_fields_of_a_later_newleaf_are_passed_over() -> None:
    assert Manifest.read(record(colour="green") | {"sound": "loud"}) == MANIFEST


def test_a_name_that_is_no_unicode_survives() -> None:
    odd = Entry("/srv/\udcff", "link", link="\udcfe")
    assert Entry.read(json.loads(json.dumps(asdict(odd)))) == odd


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "pipe"},
        {"path": "relative"},
        {"path": "/srv/../etc/passwd"},
        {"copy": "../../etc/passwd"},
        {"size": "3"},
        {"mode": True},
        {"link": None},
        {"path": 1},
    ],
)
def test_an_entry_that_no_newleaf_wrote_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        Manifest.read(record(**changed))


@pytest.mark.parametrize("changed", [{"roots": [[]]}, {"roots": [{}]}, {"roots": 1}])
def test_a_manifest_that_no_newleaf_wrote_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Manifest.read(record() | changed)


# --- which are kept ---------------------------------------------------------------------

ROW = [Found(name, f"2026-01-0{day}") for day, name in enumerate("abcde", 1)]


def test_the_newest_of_completed_attempts_are_kept() -> None:
    """lessons.md L24."""
    assert superfluous(ROW, {"a", "b", "c"}, None, keep=2) == ["e", "d", "a"]


def test_the_open_attempts_is_kept_whatever_else() -> None:
    """lessons.md L24."""
    assert superfluous(ROW, set(), "b", keep=0) == ["e", "d", "c", "a"]
    assert superfluous([Found("half")], set(), "half", keep=0) == []


def test_what_was_kept_aside_stays_for_a_while() -> None:
    asides = [Found(each.attempt, each.taken_at, has_aside=each.attempt in "acd") for each in ROW]
    assert superfluous(asides, {"e"}, None, keep=2) == ["b", "a"]


def test_half_a_snapshot_goes() -> None:
    assert superfluous([Found("half"), *ROW[:1]], {"half", "a"}, None, keep=3) == ["half"]


founds = st.builds(
    Found, st.text("abcdef", min_size=1, max_size=3), st.text("0123", max_size=2), st.booleans()
)


@given(st.lists(founds, unique_by=lambda each: each.attempt), st.data(), st.integers(0, 4))
def test_the_room_taken_is_bounded(found: list[Found], data: st.DataObject, keep: int) -> None:
    names = [each.attempt for each in found]
    completed = data.draw(st.sets(st.sampled_from(names))) if names else set()
    opened = data.draw(st.none() | st.sampled_from(names)) if names else None
    kept = set(names) - set(superfluous(found, completed, opened, keep))
    assert len(kept) <= 2 * keep + 1
    assert opened is None or opened in kept


# --- paths ------------------------------------------------------------------------------


def test_a_path_inside_another_is_not_taken_twice() -> None:
    paths = ["/a/b", "/a", "/ab", "/a", "/a-b/c", "/a/b/c", "/c/d"]
    assert outermost(paths) == ["/a", "/a-b/c", "/ab", "/c/d"]


@pytest.mark.parametrize(
    ("path", "folder", "below"),
    [
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
        ("/a", "/", True),
    ],
)
def test_below_goes_by_whole_names(path: str, folder: str, below: bool) -> None:
    assert is_below(path, folder) is below
