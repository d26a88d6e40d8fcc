"""Numbers that stand alone: what was measured, what is asked of it, whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.measure import DidNotWork

NUMBERS = range(1, 2)
"""The columns that hold numbers."""


@dataclass(frozen=True)
class Fact:
    """One number. `most`: what it must not exceed, None where nothing is asked."""

    name: str
    value: float
    unit: str
    most: float | None = None
    must: str = ""

    @property
    def is_met(self) -> bool | None:
        return None if self.most is None else self.value <= self.most

    def line(self) -> list[str]:
        """The cells of its row."""
        must = self.must or ("" if self.most is None else f"≤ {self.most:g} {self.unit}".rstrip())
        met = {True: "yes", False: "NO", None: ""}[self.is_met]
        decimals = 0 if self.unit == "" else 2
        return [self.name, f"{self.value:,.{decimals}f} {self.unit}".rstrip(), must, met]


@dataclass(frozen=True)
class Facts:
    """A table of them, and what did not work."""

    head: ClassVar[str]

    facts: Sequence[Fact] = ()
    failures: Sequence[str] = ()

    def lines(self) -> list[list[str]]:
        """The table, its head first; nothing when nothing was measured."""
        return (
            [[self.head, "measured", "must", "met"], *(fact.line() for fact in self.facts)]
            if self.facts
            else []
        )

    def as_record(self) -> list[dict[str, Any]]:
        return [
            {
                "name": fact.name,
                "value": round(fact.value, 3),
                "unit": fact.unit,
                "most": fact.most,
                "met": fact.is_met,
            }
            for fact in self.facts
        ]


def measure_all(name: str, kinds: Sequence[Callable[[], Sequence[Fact]]]) -> tuple[list[Fact], list[str]]:
    """What each of them measures; what does not work leaves the others alone."""
    facts: list[Fact] = []
    failures: list[str] = []
    for kind in kinds:
        try:
            facts += kind()
        except DidNotWork as error:
            failures.append(f"{name}: {error}")
    return facts, failures
