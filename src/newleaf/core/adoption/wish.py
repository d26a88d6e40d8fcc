"""What `init` is asked for, a setting as it is to be written, and what an app may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class Entry(Struct, frozen=True):
    """One setting to write, and why; a suggested one is written as a comment."""

    key: str
    value: Any
    why: str
    suggested: bool = False


class Wish(Struct, frozen=True):
    """What the person asked for, where they stand, and what this machine has already."""

    channel: str | None = None
    name: str | None = None
    place: str = "."
    sharing: tuple[str, ...] = ()
    app_settings: Mapping[str, Any] = field(default_factory=dict)
    """What newleaf.toml says already, by key; empty when there is none."""
    host_settings: Mapping[str, Any] = field(default_factory=dict)
    """What host.toml says already."""
    slots: bool = False
    """Whether releases get folders of their own, so that no checkout moves."""

    @property
    def follows(self) -> str:
        """The channel: what was asked for, else what this host follows already."""
        return self.channel or str(self.host_settings.get("deployment.channel", "alpha"))


def app_name(text: str) -> str | None:
    """`text` as the name of an app; None when nothing is left of it."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")
    return re.sub(r"\A[^a-z]+", "", name) or None
