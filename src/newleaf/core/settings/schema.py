"""The settings as a JSON Schema, for editors that complete and check newleaf.toml and host.toml.

Rules: derived from `KEYS`; one schema serves both files, so it requires nothing, and says in words which
keys are the host's alone. Draft 7, which editors know best.
"""

from __future__ import annotations

from typing import Any

from newleaf.core.settings.model import KEYS, SECTIONS, Setting

DRAFT = "http://json-schema.org/draft-07/schema#"


def settings_schema() -> dict[str, Any]:
    """The schema of a settings file."""
    tables = {name: _table(name, (section.__doc__ or "").strip()) for name, section in SECTIONS.items()}
    return {
        "$schema": DRAFT,
        "title": "newleaf's settings",
        "description": "newleaf.toml in the app's repository, and host.toml in the state directory.",
        "type": "object",
        "properties": tables,
        "additionalProperties": False,
    }


def _table(name: str, description: str) -> dict[str, Any]:
    entries = {
        key.removeprefix(f"{name}."): _entry(setting)
        for key, setting in KEYS.items()
        if key.startswith(f"{name}.")
    }
    return {
        "type": "object",
        "description": description,
        "properties": entries,
        "additionalProperties": False,
    }


def _entry(setting: Setting) -> dict[str, Any]:
    description = setting.meaning
    if setting.default_in_words:
        description += f" (default: {setting.default_in_words})"
    if setting.host_only:
        description += "; the host alone decides it: in host.toml, never in newleaf.toml"
    entry: dict[str, Any] = {**setting.kind.schema, "description": description}
    if setting.default is not None and not setting.default_in_words:
        entry["default"] = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return entry
