"""What every piece of bad input must come to: a plain failure with a cure, and the host as it was."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.deployment import Answer, Deployment

UNPRIVILEGED = (sys.executable, str(Path(__file__).with_name("unprivileged.py")))
"""Before a program's words: it runs without root's right to pass by permissions."""

NOT_COMPARED = re.compile(
    r"(status\.json|update\.lock|busy\.lock|watch\.json|identity\.json|git(/.*)?|logs(/.*)?)\Z"
)
"""What any verb may write into the state directory without having changed the host."""

Look = dict[str, object]


def look(deployment: Deployment, *but: str) -> Look:
    """The host as far as an update would change it: HEAD, the checkout's files, the state directory."""
    checkout, state = deployment.checkout.path, deployment.state
    found: Look = {"HEAD": (checkout / ".git/HEAD").read_bytes(), "commit": deployment.head()}
    found["stashes"] = deployment.checkout.stashes()
    for name, folder in (("checkout", checkout), ("state", state)):
        for path in sorted(folder.rglob("*")):
            inner = path.relative_to(folder).as_posix()
            if inner.split("/")[0] == ".git" or (name == "state" and NOT_COMPARED.match(inner)):
                continue
            found[f"{name}/{inner}"] = _content(path)
    return {name: content for name, content in found.items() if name not in but}


def require_plain(answer: Answer, code: int, outcome: str, error: str = "") -> str:
    """A failure that helps: exit code and word, one line of cause, a cure, no traceback. Returns its text."""
    assert (answer.code, answer.outcome) == (code, outcome), answer
    assert answer.record["schema"] == 1
    assert answer.errors == "", "with --json all is in the object"
    first = answer.record["errors"][0]
    assert not error or first["code"] == error, first
    assert first["message"].strip()
    return f"{first['message']}\n{first.get('cure', '')}"


def carry_out(cure: str, program: str) -> None:
    """Does what a cure says: runs the command in it that begins with `program`."""
    found = re.search(rf"\b{program} [^\n;,)]+", cure)
    assert found, cure
    subprocess.run(shlex.split(found[0]), check=True)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be made or removed, by whoever has no right to pass by that."""
    mode = folder.stat().st_mode & 0o7777
    folder.chmod(0o500)
    try:
        yield
    finally:
        folder.chmod(mode)


@contextlib.contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[bool]:
    """A disk of its own at `folder`, as large as said; False where this machine does not let one be made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={kibibytes}k,mode=0700"
    argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        made = subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _content(path: Path) -> object:
    if path.is_symlink():
        return ("link", os.readlink(path))
    return path.read_bytes() if path.is_file() else "folder"
