"""The first object id of every tag. What is refused because of it: test_target.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from newleaf.agent.seen_tags import SeenTags
from newleaf.core.errors import CorruptFile, NewerSchema
from newleaf.core.release import CommitId

FIRST, LATER = CommitId("a" * 40), CommitId("b" * 40)


@pytest.fixture
def seen(tmp_path: Path) -> SeenTags:
    return SeenTags(tmp_path)


def test_tag_seen_again_with_another_object_then_the_first_is_kept(seen: SeenTags) -> None:
    """threats.md T9."""
    seen.remember({"v1.0": FIRST})
    seen.remember({"v1.0": LATER, "v1.1": LATER})
    assert seen.first_seen() == {"v1.0": FIRST, "v1.1": LATER}


def test_other_keys_then_kept(seen: SeenTags, tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text('{"schema": 1, "app": "sessions"}')
    seen.remember({"v1.0": FIRST})
    assert json.loads((tmp_path / "identity.json").read_text())["app"] == "sessions"


def test_no_tags_then_no_file(seen: SeenTags, tmp_path: Path) -> None:
    seen.remember({})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"tags": 1}', '{"tags": {"v1.0": null}}'])
def test_unreadable_then_fails_closed_and_is_left(text: str, seen: SeenTags, tmp_path: Path) -> None:
    """threats.md T9."""
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(CorruptFile):
        seen.first_seen()
    with pytest.raises(CorruptFile):
        seen.remember({"v1.0": FIRST})
    assert (tmp_path / "identity.json").read_text() == text


def test_newer_schema_then_left_alone(seen: SeenTags, tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text('{"schema": 2}')
    with pytest.raises(NewerSchema):
        seen.remember({"v1.0": FIRST})


def test_symlink_in_its_place_then_not_followed(seen: SeenTags, tmp_path: Path) -> None:
    """threats.md T20."""
    other = tmp_path / "other.json"
    other.write_text("{}")
    (tmp_path / "identity.json").symlink_to(other)
    with pytest.raises(CorruptFile):
        seen.remember({"v1.0": FIRST})
    assert other.read_text() == "{}"
