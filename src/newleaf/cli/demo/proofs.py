"""What the demo sets out to prove, and whether what it saw proves it.

Rules: a claim stands only on checks, each a thing that was expected beside what was seen; a claim without
any check, because the demo did not come that far, has not been proved. Touches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CLAIMS = {
    "waits": "an update waits for a running job",
    "confirmed": "new code is called running when it reports",
    "truth": "status never runs ahead of the process",
    "dependency": "the new code has its new dependency",
    "migrated": "the data is migrated, none is lost",
    "restart": "at a restart one daemon leaves, one comes",
    "rolled_back": "a migration that fails ends rolled back",
    "restored": "the data that it damaged is restored",
    "aside": "what it had done is kept aside",
    "served": "the old release served all the while",
    "explained": "status and why say what happened",
    "held": "the denied release is not tried again",
    "killed": "killed twice, an update goes on",
    "once": "each migration has run exactly once",
    "kept": "under load, three updates lose no request",
    "bad_gone": "a bad release is gone, and no request lost",
    "stories": "history tells of the good ones and the bad",
    "edits": "local edits and .env are as they were",
    "remote": "the remote is as its maintainer left it",
    "clean": "nothing is left running, nor on the disk",
}
"""Every claim, in the order of the table."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `expected` and `seen` as JSON has them. A statement expects True."""

    what: str
    expected: Any
    seen: Any

    @property
    def holds(self) -> bool:
        return bool(self.expected == self.seen)

    def __str__(self) -> str:
        if self.expected is True:
            return self.what if self.holds else f"not so: {self.what}"
        return f"{self.what} {_said(self.seen)}" + (
            "" if self.holds else f", expected {_said(self.expected)}"
        )

    def as_record(self) -> dict[str, Any]:
        return {"what": self.what, "expected": self.expected, "seen": self.seen}


@dataclass(frozen=True)
class Proof:
    """A claim with what was seen of it."""

    key: str
    checks: tuple[Check, ...] = ()

    @property
    def claim(self) -> str:
        return CLAIMS[self.key]

    @property
    def holds(self) -> bool:
        return bool(self.checks) and all(check.holds for check in self.checks)

    @property
    def evidence(self) -> str:
        """What was seen, in a line; when the claim does not hold, what speaks against it."""
        telling = self.checks if self.holds else [check for check in self.checks if not check.holds]
        return "; ".join(str(check) for check in telling) or "not seen: the demo did not come that far"

    def as_record(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "claim": self.claim,
            "holds": self.holds,
            "evidence": self.evidence,
            "checks": [check.as_record() for check in self.checks],
        }


def judge(seen: Mapping[str, Sequence[Check]]) -> list[Proof]:
    """A proof for every claim, from the checks that were made for it."""
    return [Proof(key, tuple(seen.get(key, ()))) for key in CLAIMS]


def exit_code(proofs: Iterable[Proof]) -> int:
    """0 when every claim holds, else 1."""
    return 0 if all(proof.holds for proof in proofs) else 1


def _said(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    return str(value)
