"""The settings as a whole: the tables in order, what is known of every key, and what only a host can fill in.

Rules: `KEYS` is derived from the annotations in core/sections.py, so that a type, a default and a meaning
stand in one place. How fragments of files, code and environment become `Settings`: core/fragments.py. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import msgspec
from msgspec import NODEFAULT
from msgspec.structs import fields, replace

from newleaf.core.kinds import Key, Kind
from newleaf.core.sections import (
    App,
    Chat,
    Deployment,
    Fleet,
    Gates,
    Health,
    Http,
    Notify,
    Restart,
    Security,
    Source,
    Status,
    Update,
    Watch,
)

__all__ = ["KEYS", "SECTIONS", "Facts", "Setting", "Settings", "resolve"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of one app on one host."""

    app: App
    source: Source = Source()
    deployment: Deployment = Deployment()
    watch: Watch = Watch()
    update: Update = Update()
    restart: Restart = Restart()
    gates: Gates = Gates()
    health: Health = Health()
    status: Status = Status()
    security: Security = Security()
    chat: Chat = Chat()
    http: Http = Http()
    fleet: Fleet = Fleet()
    notify: Notify = Notify()


@dataclass(frozen=True)
class Setting:
    """What is known of one key."""

    key: str
    kind: Kind
    meaning: str
    host_only: bool
    required: bool
    default: Any
    default_in_words: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        section, _, name = self.key.partition(".")
        return f"NEWLEAF_{section.upper()}__{name.upper()}"


def _keys_of(name: str, section: type[msgspec.Struct]) -> Iterator[Setting]:
    hints = get_type_hints(section, include_extras=True)
    for each in fields(section):
        said = next(extra for extra in hints[each.name].__metadata__ if isinstance(extra, Key))
        default = each.default_factory() if each.default_factory is not NODEFAULT else each.default
        yield Setting(
            key=f"{name}.{each.name}",
            kind=said.kind,
            meaning=said.meaning,
            host_only=said.host_only,
            required=default is NODEFAULT,
            default=None if default is NODEFAULT else default,
            default_in_words=said.shown,
        )


SECTIONS: Mapping[str, type[msgspec.Struct]] = get_type_hints(Settings)
"""The tables by name, in the order of the docs."""

KEYS: Mapping[str, Setting] = {
    setting.key: setting for name, section in SECTIONS.items() for setting in _keys_of(name, section)
}
"""Every key, such as "watch.poll_seconds"."""


@dataclass(frozen=True)
class Facts:
    """What the host and its checkout say, where settings leave it to them."""

    computer_name: str
    origin_url: str | None = None
    in_checkout: bool = True
    under_launcher: bool = False


def resolve(settings: Settings, facts: Facts) -> Settings:
    """`settings` with what the host's facts decide; `source.url` stays None where there is no remote."""
    name = settings.app.computer_name or facts.computer_name
    layout = settings.app.layout
    if layout == "auto":
        layout = "in_place" if facts.in_checkout else "slots"
    handover = settings.app.handover
    if handover == "auto":
        handover = "overlap" if settings.app.listen and layout == "slots" else "sequential"
    mode = settings.restart.mode
    if mode == "auto":
        mode = "launcher" if facts.under_launcher else "exit"
    key = settings.status.redis_key.replace("{computer}", name)
    prefix = settings.fleet.stream_prefix.replace("{app}", settings.app.name)
    return replace(
        settings,
        app=replace(settings.app, computer_name=name, layout=layout, handover=handover),
        source=replace(settings.source, url=settings.source.url or facts.origin_url),
        restart=replace(settings.restart, mode=mode),
        status=replace(settings.status, redis_key=key),
        fleet=replace(settings.fleet, stream_prefix=prefix),
    )
