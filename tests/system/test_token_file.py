"""The file of the endpoint's tokens: read as often as somebody is judged, written by one at a time."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import NewerSchema
from newleaf.core.missions.ops_errors import NoSuchToken, TokensUnusable
from newleaf.core.ops_tokens import Token, digest_of
from newleaf.system import files, token_file
from newleaf.system.locks import open_lock, try_lock
from newleaf.system.token_file import TokenFile


def token(text: str, host: str | None = None) -> Token:
    return Token(digest_of(text.encode()), "2026-11-20T12:00:00Z", host)


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "inner" / "tokens.json")


def test_no_file_then_no_token(file: TokenFile) -> None:
    assert file.tokens() == ()


def test_tokens_are_added_then_they_are_there_and_only_their_owner_can_read_them(file: TokenFile) -> None:
    file.add(token("a"))
    assert file.tokens() == (token("a"),)
    TokenFile(file.path).add(token("b", "mini-1"))
    assert file.tokens() == (token("a"), token("b", "mini-1"))
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.path.read_text())["schema"] == 1


def test_one_is_revoked_then_the_others_stay(file: TokenFile) -> None:
    file.add(token("a"))
    file.add(token("b"))
    assert file.revoke(token("a").id) == token("a")
    assert file.tokens() == (token("b"),)
    with pytest.raises(NoSuchToken):
        file.revoke(token("a").id)


def test_entries_have_fields_of_a_later_version_then_they_are_kept(file: TokenFile) -> None:
    file.add(token("a"))
    record = json.loads(file.path.read_text())
    record["tokens"][0]["expires"] = "2030-01-01"
    file.path.write_text(json.dumps({**record, "more": 1}))
    file.add(token("b"))
    kept = json.loads(file.path.read_text())
    assert (kept["tokens"][0]["expires"], kept["more"]) == ("2030-01-01", 1)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_others_may_read_or_write_it_then_it_is_not_used(file: TokenFile, mode: int) -> None:
    file.add(token("a"))
    file.path.chmod(mode)
    with pytest.raises(TokensUnusable, match="chmod 600"):
        file.tokens()
    with pytest.raises(TokensUnusable):
        file.add(token("b"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "tokens": [1]}', "\0"])
def test_l40_it_cannot_be_read_then_it_is_unusable_and_not_empty(file: TokenFile, text: str) -> None:
    file.add(token("a"))
    file.path.write_text(text)
    with pytest.raises(TokensUnusable):
        file.tokens()


def test_a_newer_newleaf_wrote_it_then_it_is_not_used(file: TokenFile) -> None:
    file.add(token("a"))
    file.path.write_text('{"schema": 99, "tokens": []}')
    with pytest.raises(NewerSchema):
        file.add(token("b"))


def test_a_link_in_its_place_then_it_is_not_used(file: TokenFile, tmp_path: Path) -> None:
    """threats.md T20"""
    file.add(token("a"))
    other = tmp_path / "other"
    file.path.rename(other)
    file.path.symlink_to(other)
    before = other.read_text()
    with pytest.raises(TokensUnusable):
        file.add(token("b"))
    assert other.read_text() == before


def test_it_is_unchanged_then_it_is_not_read_again(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.add(token("a"))
    file.tokens()
    real, reads = files.read_record, []

    def read(path: Path) -> Any:
        reads.append(path)
        return real(path)

    monkeypatch.setattr(files, "read_record", read)
    assert file.tokens() == (token("a"),)
    assert reads == []


def test_many_processes_add_at_once_then_none_is_lost(file: TokenFile) -> None:
    program = (
        "import sys; from pathlib import Path; from newleaf.core.ops_tokens import Token, digest_of\n"
        "from newleaf.system.token_file import TokenFile\n"
        "for n in range(5):\n"
        "    TokenFile(Path(sys.argv[1])).add(Token(digest_of(f'{sys.argv[2]}{n}'.encode()), 'x'))"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(file.path), name]) for name in ("a", "b", "c")
    ]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    assert len(file.tokens()) == 15


def test_somebody_else_keeps_writing_then_it_is_said_and_not_waited_for_without_end(
    file: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.add(token("a"))
    monkeypatch.setattr(token_file, "LOCK_SECONDS", 0.05)
    with open_lock(file.path.with_name(f"{file.path.name}.lock")) as descriptor:
        assert try_lock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(TokensUnusable, match="another process"):
            file.add(token("b"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_it_is_somebody_else_s_then_it_is_not_used(file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.add(token("a"))
    os.chown(file.path, 1234, -1)
    with pytest.raises(TokensUnusable, match="somebody else"):
        file.tokens()
