"""newleaf keeps long-running Python daemons that are deployed from git up to date by themselves.

What a daemon uses of it is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newleaf.agent.jobs import busy
    from newleaf.compose import ready
    from newleaf.compose.doors import doors
    from newleaf.compose.headquarters import operations
    from newleaf.compose.updater import Updater
    from newleaf.core.missions.results import MissionResult
    from newleaf.core.settings.fragments import GivenSettings as Settings
    from newleaf.integrations.missions import MissionConsumer
    from newleaf.system.go import wait_go
    from newleaf.system.inherited_sockets import listen_fds
    from newleaf.system.notify_socket import notify

__all__ = [
    "MissionConsumer",
    "MissionResult",
    "Settings",
    "Updater",
    "busy",
    "doors",
    "listen_fds",
    "notify",
    "operations",
    "ready",
    "wait_go",
]

_PLACES = {
    "MissionConsumer": ("newleaf.integrations.missions", "MissionConsumer"),
    "MissionResult": ("newleaf.core.missions.results", "MissionResult"),
    "Settings": ("newleaf.core.settings.fragments", "GivenSettings"),
    "Updater": ("newleaf.compose.updater", "Updater"),
    "busy": ("newleaf.agent.jobs", "busy"),
    "doors": ("newleaf.compose.doors", "doors"),
    "listen_fds": ("newleaf.system.inherited_sockets", "listen_fds"),
    "notify": ("newleaf.system.notify_socket", "notify"),
    "operations": ("newleaf.compose.headquarters", "operations"),
    "ready": ("newleaf.compose", "ready"),
    "wait_go": ("newleaf.system.go", "wait_go"),
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
