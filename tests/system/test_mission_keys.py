"""The file of mission keys: all of it, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.missions.mission_errors import MissionKeysUnusable
from newleaf.system.mission_keys import load_keys


def write(folder: Path, secret: str = "s" * 32, mode: int = 0o600) -> Path:
    file = folder / "keys.toml"
    file.write_text('[hq]\nsecret_file = "hq.secret"\nbroadcast = true\n')
    (folder / "hq.secret").write_text(secret)
    (folder / "hq.secret").chmod(mode)
    return file


def test_written_then_each_key_has_its_secret(tmp_path: Path) -> None:
    key = load_keys(write(tmp_path))["hq"]
    assert (key.id, key.secret, key.broadcast) == ("hq", b"s" * 32, True)


@pytest.mark.parametrize(
    ("secret", "mode", "said"),
    [("short", 0o600, "shorter than 32"), ("", 0o600, "empty"), ("s" * 32, 0o644, "others can read")],
)
def test_l40_a_secret_that_is_none_then_no_key_counts(
    tmp_path: Path, secret: str, mode: int, said: str
) -> None:
    """lessons.md L40"""
    with pytest.raises(MissionKeysUnusable, match=said):
        load_keys(write(tmp_path, secret, mode))


def test_l40_the_file_is_gone_or_others_can_write_it_then_no_key_counts(tmp_path: Path) -> None:
    """lessons.md L40"""
    with pytest.raises(MissionKeysUnusable, match="No such file"):
        load_keys(tmp_path / "keys.toml")
    file = write(tmp_path)
    file.chmod(0o666)
    with pytest.raises(MissionKeysUnusable, match="others can write"):
        load_keys(file)


@pytest.mark.parametrize("text", ["[hq", "", "[hq]\n", "hq = 1"])
def test_it_is_no_file_of_keys_then_no_key_counts(tmp_path: Path, text: str) -> None:
    file = write(tmp_path)
    file.write_text(text)
    with pytest.raises(MissionKeysUnusable):
        load_keys(file)
