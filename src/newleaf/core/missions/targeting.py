"""Whom a mission is for: one host by its name, some by their labels, or `*`, which is everybody.

The receiver judges it, whatever stream the mission came by (lessons.md L37, L39).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

EVERYBODY = "*"
MAX_CHARACTERS = 255

HOST = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
_WORD = r"[A-Za-z0-9][A-Za-z0-9._/-]*"
_CONDITION = rf" *(?P<label>{_WORD}) *(?P<sign>==?|!=) *(?P<value>[A-Za-z0-9._/-]*) *"


class Condition(Struct, frozen=True):
    """A label has a value, or has another one, or none."""

    label: str
    value: str
    is_equal: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        return (labels.get(self.label) == self.value) is self.is_equal


class Target(Struct, frozen=True):
    """`text` as it was said; one host, or conditions that must all hold: none for everybody."""

    text: str
    host: str | None = None
    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def is_broadcast(self) -> bool:
        """Whether more than one host may be meant."""
        return self.host is None

    def means(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether the host of this name and these labels is meant."""
        if self.host is not None:
            return self.host == name
        return all(condition.holds(labels) for condition in self.conditions)


def parse_target(text: str) -> Target:
    """A host name, `role=worker, zone!=eu`, or `*`; `==` is `=`. Raises: ValueError."""
    if text == EVERYBODY:
        return Target(text)
    if len(text) <= MAX_CHARACTERS:
        if re.fullmatch(HOST, text):
            return Target(text, host=text)
        found = [re.fullmatch(_CONDITION, part) for part in text.split(",")]
        if all(found):
            return Target(
                text,
                conditions=tuple(Condition(f["label"], f["value"], f["sign"] != "!=") for f in found if f),
            )
    raise ValueError("must be a host's name, labels like role=worker,zone!=eu, or *")
