"""The daemon's own configuration, `~/sessions.toml`, and what of it is newleaf's."""

import tomllib
from pathlib import Path

import newleaf

FILE = Path.home() / "sessions.toml"


def settings() -> newleaf.Settings:
    """Channel, pin and Redis as the operator of this host has written them, in the app's own words."""
    said = tomllib.loads(FILE.read_text()) if FILE.exists() else {}
    updates = said.get("updates", {})
    tables = {
        "deployment": {"channel": updates.get("channel", "beta"), "pinned_minor": updates.get("pin")},
        "watch": {"poll_seconds": updates.get("every", "5m")},
        "status": {"redis_url": said.get("redis", {}).get("url")},
    }
    return newleaf.Settings(
        **{name: {key: each for key, each in table.items() if each} for name, table in tables.items()}
    )
