"""The file with the hashes of the endpoint's tokens, 0600: read as often as somebody is judged.

Rules: what is wrong with it shuts the endpoint, and never opens it (lessons.md L40); it is written whole, by
one process at a time; entries keep what this version does not know of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from newleaf.core.errors import CorruptFile
from newleaf.core.missions.ops_errors import NoSuchToken, TokensUnusable
from newleaf.core.ops_tokens import Token, read_token, read_tokens
from newleaf.system import files
from newleaf.system.locks import kept_from_children, open_lock, try_lock

LOCK_SECONDS = 10.0
POLL_SECONDS = 0.01


class TokenFile:
    """One file of tokens; absent, it holds none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._tokens: tuple[Token, ...] = ()

    def tokens(self) -> tuple[Token, ...]:
        """The tokens as they are now, oldest first. Raises: TokensUnusable, NewerSchema."""
        seen = self._look()
        if seen is None:
            return ()
        if seen != self._seen:
            self._tokens, self._seen = self._read()[0], seen
        return self._tokens

    def add(self, token: Token) -> None:
        """Keeps a token. Raises: TokensUnusable, NewerSchema, StateDirectoryUnwritable and its kin."""
        with self._alone():
            self._write(lambda records: [*records, token.as_record()])

    def revoke(self, name: str) -> Token:
        """Forgets the token of an id. Raises: NoSuchToken, TokensUnusable and what `add` does."""
        with self._alone():
            gone = next((token for token in self._read()[0] if token.id == name), None)
            if gone is None:
                raise NoSuchToken(token=name)
            self._write(lambda records: [one for one in records if read_token(one) != gone])
            return gone

    def _look(self) -> tuple[int, ...] | None:
        """What tells one state of the file from another; None when it is absent."""
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TokensUnusable(path=self.path, reason=error.strerror or error) from error
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise TokensUnusable(path=self.path, reason=f"others may read or write it: chmod 600 {self.path}")
        if found.st_uid not in (os.geteuid(), 0):
            raise TokensUnusable(path=self.path, reason="it is somebody else's")
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size

    def _read(self) -> tuple[tuple[Token, ...], dict[str, Any]]:
        """The tokens, and the whole record that they are in."""
        self._look()
        try:
            whole = files.read_record(self.path) or {"tokens": []}
            return read_tokens(whole.get("tokens")), whole
        except CorruptFile as error:
            raise TokensUnusable(path=self.path, reason=error.facts.get("reason")) from error
        except ValueError as error:
            raise TokensUnusable(path=self.path, reason=error) from error

    def _write(self, change: Callable[[list[Any]], list[Any]]) -> None:
        whole = self._read()[1]
        files.write_record(self.path, {**whole, "tokens": change(whole["tokens"])})

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with files.explained(self.path):
            self.path.parent.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
        lock = self.path.with_name(f"{self.path.name}.lock")
        with open_lock(lock) as descriptor, kept_from_children(descriptor):
            deadline = time.monotonic() + LOCK_SECONDS
            while not try_lock(descriptor, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise TokensUnusable(path=self.path, reason="another process is writing it")
                time.sleep(POLL_SECONDS)
            yield
