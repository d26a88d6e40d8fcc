"""Which version this process is: read once, at its start, because an update changes the files under it."""

import tomllib
from pathlib import Path

VERSION = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["version"]
