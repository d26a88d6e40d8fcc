"""The settings as a whole: the tables in order, what is known of every key, and what only a host can fill in.

Rules: `KEYS` is derived from the annotations in core/settings/sections.py, so that a type, a default and a
meaning stand in one place. How fragments of files, code and environment become `Settings`:
core/settings/fragments.py. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.settings.kinds import Key, Kind
from newleaf.core.settings.sections import (
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


class Settings(Struct, frozen=True, kw_only=True):
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


class Setting(Struct, frozen=True):
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


_DEFAULTS = Settings(app=App(name=""))

SECTIONS: Mapping[str, type[Struct]] = {
    name: type(getattr(_DEFAULTS, name)) for name in Settings.__struct_fields__
}
"""The tables by name, in the order of the docs."""


def _list_keys(name: str, section: type[Struct]) -> Iterator[Setting]:
    required_fields = len(section.__struct_fields__) - len(section.__struct_defaults__)
    for position, (field, annotation) in enumerate(section.__annotations__.items()):
        said: Key = annotation.__metadata__[0]
        required = position < required_fields
        yield Setting(
            key=f"{name}.{field}",
            kind=said.kind,
            meaning=said.meaning,
            host_only=said.host_only,
            required=required,
            default=None if required else getattr(getattr(_DEFAULTS, name), field),
            default_in_words=said.shown,
        )


KEYS: Mapping[str, Setting] = {
    setting.key: setting for name, section in SECTIONS.items() for setting in _list_keys(name, section)
}
"""Every key, such as "watch.poll_seconds"."""


class Facts(Struct, frozen=True):
    """What the host says, where settings leave it to it."""

    computer_name: str
    in_checkout: bool = True
    under_launcher: bool = False


def resolve(settings: Settings, facts: Facts) -> Settings:
    """`settings` with what the host's facts decide; `source.url` stays None where nobody says it."""
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
        restart=replace(settings.restart, mode=mode),
        status=replace(settings.status, redis_key=key),
        fleet=replace(settings.fleet, stream_prefix=prefix),
    )
