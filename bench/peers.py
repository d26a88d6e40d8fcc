"""What people use today for the same work: found, or installed once, in a folder of the bench's own.

Rules: ansible-core comes from the Python package index into an environment of its own, pm2 by npm into
a folder; nothing of the machine's or the user's is changed. A peer that cannot be had is `Absent`, with
the reason: never a time, and never a failure of the bench.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Absent

INSTALL_SECONDS = 300.0
LOOK_SECONDS = 60.0

Peer = Path | Absent
"""A peer's program, or why it is not here."""


def find_uv() -> Path | None:
    """The uv of the environment that runs the bench, else the machine's."""
    beside = Path(sys.executable).parent / "uv"
    found = beside if beside.exists() else shutil.which("uv")
    return Path(found) if found else None


def find_ansible(cache: Path) -> Peer:
    """`ansible-pull`, in an environment below `cache`."""
    program = cache / "ansible" / "bin" / "ansible-pull"
    if not _works([str(program), "--version"]):
        uv = find_uv()
        if uv is None:
            return Absent("ansible-pull", "uv is not installed")
        environment = str(program.parent.parent)
        failure = _run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, environment])
        failure = failure or _run(
            [str(uv), "pip", "install", "--quiet", "--python", environment, "ansible-core"]
        )
        if failure:
            return Absent("ansible-pull", f"not installed: {failure}")
    # ansible compiles nothing by itself when it is installed by uv; it shall not pay for that.
    _run([sys.executable, "-m", "compileall", "-q", str(program.parent.parent / "lib")])
    return program


def find_pm2(cache: Path) -> Peer:
    """`pm2`, in a folder below `cache`."""
    folder = cache / "pm2"
    program = folder / "node_modules" / ".bin" / "pm2"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            return Absent("pm2 pull", "npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        quiet = ["--silent", "--no-fund", "--no-audit"]
        failure = _run([npm, "install", *quiet, "--prefix", str(folder), "pm2"])
        if failure:
            return Absent("pm2 pull", f"not installed: {failure}")
    return program


def first_line(argv: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """The first line that a program says of its version; empty when it does not."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=LOOK_SECONDS, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


def _works(argv: Sequence[str]) -> bool:
    return bool(first_line(argv))


def _run(argv: Sequence[str]) -> str:
    """Why it did not succeed; empty when it did."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    words = (done.stderr or done.stdout).strip().splitlines()
    return words[-1] if words else f"exit {done.returncode}"
