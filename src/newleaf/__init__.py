"""newleaf keeps long-running Python daemons that are deployed from git up to date by themselves.

What a daemon uses of it is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newleaf.agent.jobs import busy
    from newleaf.compose import ready
    from newleaf.core.settings.fragments import GivenSettings as Settings

__all__ = ["Settings", "busy", "ready"]

_PLACES = {
    "Settings": ("newleaf.core.settings.fragments", "GivenSettings"),
    "busy": ("newleaf.agent.jobs", "busy"),
    "ready": ("newleaf.compose", "ready"),
}


def __getattr__(name: str) -> object:
    """Loads a public name on first use, so that `import newleaf` costs next to nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, attribute = _PLACES[name]
    found: object = getattr(importlib.import_module(module), attribute)
    globals()[name] = found
    return found
