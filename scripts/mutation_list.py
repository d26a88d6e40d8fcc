"""Every protection against a row of the threats, and the edit that takes it out.

A guard that another one backs up is taken out together with it, or is proved by a test that meets it
alone. Row by row, as the tests cite them; `make mutations` runs them all (`scripts/mutations.py`).
"""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """In a file under src/newleaf: the text, found exactly once, and what stands there instead."""

    file: str
    old: str
    new: str


class Mutation(NamedTuple):
    """One protection taken out; the tests that must notice."""

    row: str
    protection: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "T1",
        "a version below the floor is refused",
        (Edit("core/releases/trust.py", "version < floor", "False"),),
        ("tests/core/releases/test_trust.py::test_below_the_floor_is_refused",),
    ),
)
