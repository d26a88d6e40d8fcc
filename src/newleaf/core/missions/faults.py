"""Why a mission is not obeyed, by the name of the rule."""

from __future__ import annotations

from msgspec import Struct


class Fault(Struct, frozen=True):
    """The rule, and what it says of this mission."""

    rule: str
    reason: str
