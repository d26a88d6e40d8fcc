"""The endpoint's errors say what happened, and what to do."""

from __future__ import annotations

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.missions import ops_errors


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (ops_errors.TokensUnnamed(), 2, "ops_tokens_file"),
        (ops_errors.TokensUnusable(path="/t", reason="it is empty"), 2, "/t cannot be used: it is empty"),
        (ops_errors.NoSuchToken(token="a1"), 2, "no token a1"),
        (ops_errors.HostUnknown(host="mini-9"), 2, "mini-9"),
        (ops_errors.ServerMissing(), 2, "uvicorn is not installed"),
        (ops_errors.CannotListen(address="127.0.0.1:1", reason="denied"), 1, "127.0.0.1:1: denied"),
    ],
)
def test_each_says_what_happened_and_its_cure(error: NewleafError, exit_code: int, words: str) -> None:
    assert words in error.message
    assert error.exit_code == exit_code
    assert error.advice
