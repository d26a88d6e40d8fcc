"""A deployment whose host has release slots, made as `init --slots` makes it."""

from __future__ import annotations

from newleaf import compose
from newleaf.compose.first_release import make_first_release
from newleaf.compose.host import Host
from newleaf.core.records import Result
from newleaf.core.requests import Request
from newleaf.system import files
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment


def begin_slots(deployment: Deployment, host_settings: str = "") -> None:
    """The state directory says that releases get slots; none is there yet."""
    deployment.host_settings(host_settings)
    identity = {"app": "sessions", "folder": ".", "layout": "slots", "origin": deployment.remote.url}
    files.write_record(deployment.state / "identity.json", identity)
    if "[app]" not in host_settings:
        deployment.host_settings(f'[app]\nname = "sessions"\n{host_settings}')


def fresh(deployment: Deployment) -> Host:
    """The host as the next process makes it."""
    return compose.host(Unnamed(state_dir=deployment.state))


def with_first_release(deployment: Deployment, host_settings: str = "") -> None:
    """The host has the newest release, and it is live."""
    begin_slots(deployment, host_settings)
    make_first_release(fresh(deployment))


def update(deployment: Deployment) -> Result:
    """One attempt, as `newleaf update` makes it."""
    from newleaf.compose.parts import transaction

    host = fresh(deployment)
    with host.locked("newleaf update", "to try it"):
        return transaction(host).update(Request("command line"))
