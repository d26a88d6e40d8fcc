"""Who publishes an example's app: its files are those of the example, version after version.

`app/` is the first version; of each later one only what differs lies in `vX.Y.Z/`. The version is written
into pyproject.toml, and uv.lock is made here: what it names lies in the stage's index, which knows of this
Python on this system alone, and so does the lock.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from newleaf.cli.demo.maintainer import Maintainer

FIRST = "app"
_HERE = f"python_full_version == '{platform.python_version()}' and sys_platform == '{sys.platform}'"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".venv", "*.egg-info")


@dataclass(frozen=True)
class AppMaintainer(Maintainer):
    """The maintainer of an app whose versions lie below `example`."""

    example: Path = Path()

    def publish_first(self, version: str = "1.0.0") -> str:
        """Publishes `app/`; returns its commit."""
        return self._publish(version, self.example / FIRST, f"Version {version}")

    def publish_next(self, version: str, subject: str) -> str:
        """Publishes what lies in the folder of this version, over what was there; returns its commit."""
        return self._publish(version, self.example / f"v{version}", subject)

    def _publish(self, version: str, files: Path, subject: str) -> str:
        if files.is_dir():
            shutil.copytree(files, self.clone, ignore=_LEFT_OUT, dirs_exist_ok=True)
        project = self.clone / "pyproject.toml"
        said = re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', project.read_text(), count=1)
        if "[tool.uv]" not in said:
            said += f"\n[tool.uv]\nenvironments = [{json.dumps(_HERE)}]\n"
        project.write_text(said)
        self.sandbox.run("uv", "lock", "--quiet", cwd=self.clone)
        return self.push(version, subject)
