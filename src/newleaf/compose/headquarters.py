"""`newleaf.operations()`: headquarters, and what the operator's endpoint needs of this host, put together.

redis-py is an extra: it is loaded when somebody wants the bus.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from newleaf.agent.missions.headquarters import Headquarters, Office, Operations
from newleaf.compose.host import Host, now
from newleaf.core.errors import NewleafError
from newleaf.core.ops_tokens import Token
from newleaf.core.settings.fragments import GivenSettings
from newleaf.system.token_file import TokenFile

if TYPE_CHECKING:
    from newleaf.system.redis.headquarters import RedisHeadquarters

__all__ = ["headquarters_of", "operations", "operations_of", "token_file"]


def operations(name: str | None = None, settings: GivenSettings | None = None) -> Operations:
    """What the endpoint needs of the app that is meant: found by its tree, or by `name`.

    Raises: UsageError and its kin when it cannot be told which app, or its settings are wrong.
    """
    from newleaf.compose.doors import meant

    return operations_of(meant(name, settings))


def operations_of(found: Host) -> Operations:
    """What the endpoint needs of an app whose settings are read. Raises: UsageError and its kin."""
    from newleaf.compose.doors import doors_of

    return Operations(headquarters_of(found), _tokens(found), doors_of(found).updates, version("newleaf"))


def headquarters_of(found: Host) -> Headquarters:
    """Headquarters as the settings have it. Raises: UsageError and its kin when they are wrong."""
    from newleaf.compose.missions import bus_url, order, streams

    settings = found.settings

    def connect() -> RedisHeadquarters:
        url = bus_url(found)
        from newleaf.system.redis.headquarters import RedisHeadquarters

        return RedisHeadquarters(url, streams(found))

    return Headquarters(
        Office(
            settings.app.name,
            settings.source.branch,
            settings.fleet.headquarters,
            connect,
            lambda wish: order(found, wish),
            now,
        )
    )


def token_file(found: Host) -> TokenFile | None:
    """The file of the endpoint's tokens, None where the settings name none."""
    named = found.settings.fleet.ops_tokens_file
    return TokenFile(Path(named).expanduser()) if named else None


def _tokens(found: Host) -> Callable[[], tuple[Token, ...]]:
    """What reads the tokens whenever somebody is judged; a file that cannot be used lets nobody in (L40)."""
    file, told = token_file(found), set[str]()
    if file is None:
        return tuple

    def read() -> tuple[Token, ...]:
        try:
            return file.tokens()
        except NewleafError as error:
            if error.message not in told:
                told.add(error.message)
                logging.getLogger("newleaf").warning("the ops API is disabled: %s", error.message)
            return ()

    return read
