"""What is not trusted says which rule refused it, and what to do."""

from __future__ import annotations

import pytest

from newleaf.core.errors import RefusedError
from newleaf.core.releases import trust_errors

FACTS = {
    "require": "tags",
    "key": "security.signers",
    "path": "/etc/signers",
    "reason": "it is not signed",
    "name": "1.1.0 (aaaaaaaaa)",
    "tag": "v1.1.0",
    "mend": "chmod go-w /etc/signers",
}
KINDS: list[type[RefusedError]] = [
    kind
    for kind in vars(trust_errors).values()
    if isinstance(kind, type) and issubclass(kind, RefusedError) and kind is not RefusedError
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_a_refusal_with_a_message_and_a_cure(kind: type[RefusedError]) -> None:
    error = kind(**FACTS)
    assert (error.exit_code, error.outcome) == (5, "refused")
    assert "{" not in error.message + error.advice
    assert error.advice


def test_codes_tell_them_apart() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS) == 7
