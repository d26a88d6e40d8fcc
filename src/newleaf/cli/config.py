"""`config`: every setting, its value and where it came from; whether they hold; their JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from newleaf.cli.invocation import Invocation, pass_invocation, table
from newleaf.core.durations import format_duration
from newleaf.core.secrets import MASK, mask_argv, mask_path, mask_text
from newleaf.core.settings.fragments import DEFAULT, Loaded, load
from newleaf.core.settings.kinds import COMMAND
from newleaf.core.settings.model import KEYS, Setting
from newleaf.core.settings.schema import settings_schema
from newleaf.core.settings.soundness import require_sound
from newleaf.core.settings.toml import format_value

if TYPE_CHECKING:
    from newleaf.update.decisions import Decisions


@click.command(short_help="Every setting, its value, and where it came from.")
@click.option("--check", is_flag=True, help="Only say whether the settings hold: for daemons, at start.")
@click.option("--schema", is_flag=True, help="The JSON Schema of the settings, for editors.")
@pass_invocation
def config(invocation: Invocation, *, check: bool, schema: bool) -> None:
    """Prints every setting, secrets masked."""
    if schema:
        click.echo(json.dumps(settings_schema(), ensure_ascii=False, indent=2))
        return
    host = invocation.host()
    loaded = load(host.sources)
    require_sound(loaded)
    settings = host.settings
    if check:
        invocation.answer({"outcome": "ok"}, ["ok"])
    else:
        source = replace(settings.source, url=host.url)
        shown = Loaded(replace(settings, source=source), loaded.origins)
        invocation.answer(*show(_decided(shown, host.decisions)))


def _decided(loaded: Loaded, decisions: Decisions) -> Loaded:
    """With what `pin` and `suspend` have decided, which outranks every setting."""
    said = {"pin": decisions.pin, "suspended": bool(decisions.suspended) or None}
    decided = {name: value for name, value in said.items() if value is not None}
    deployment = replace(loaded.settings.deployment, **decided)
    origins = {f"deployment.{name}": str(decisions.path) for name in decided}
    return Loaded(replace(loaded.settings, deployment=deployment), {**loaded.origins, **origins})


def show(loaded: Loaded) -> tuple[dict[str, Any], list[str]]:
    """The settings as a record, and as lines for people; secrets masked in both."""
    entries = {}
    rows = []
    for key, setting in KEYS.items():
        value = masked(key, find_value(loaded, key))
        entries[key] = {"value": value, "origin": loaded.origins[key]}
        rows.append((key, _spell(setting, value, loaded.origins[key]), loaded.origins[key]))
    return {"outcome": "ok", "settings": entries}, table(rows, ("key", "value", "origin"))


def find_value(loaded: Loaded, key: str) -> Any:
    """The value of one key."""
    section, _, name = key.partition(".")
    return getattr(getattr(loaded.settings, section), name)


def masked(key: str, value: Any) -> Any:
    """A value as it may be shown."""
    mask = _MASKS.get(key, mask_text)
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list | tuple):
        return mask_argv(value) if KEYS[key].kind is COMMAND else [masked(key, each) for each in value]
    if isinstance(value, Mapping):
        return {name: MASK if _holds_secret(name) else masked(key, each) for name, each in value.items()}
    return value


def _holds_secret(name: str) -> bool:
    """Whether a git setting's value is a secret as a whole, whatever it looks like."""
    return name.lower().endswith("extraheader")


_MASKS: Mapping[str, Callable[[str], str]] = {"notify.urls": mask_path}
"""Keys whose values are secrets by what they are; of others, what looks like one is masked."""


def _spell(setting: Setting, value: Any, origin: str) -> str:
    """A value as one would write it in a file; a rule in words where the value depends on it."""
    if origin == DEFAULT and setting.default_in_words and value in (None, "", "auto"):
        return f"({setting.default_in_words})".replace("`", "")
    if value is None:
        return "-"
    if setting.kind.word == "dur":
        return f'"{format_duration(value)}"'
    return format_value(value)
