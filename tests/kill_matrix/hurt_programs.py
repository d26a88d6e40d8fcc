"""git and uv that fail, hang, or kill whoever called them, at one of their subcommands."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.wheels import UV

PROGRAM = """\
#!/bin/sh
for word in "$@"; do
    if [ "$word" = "{subcommand}" ]; then
        {does}
    fi
done
exec "{real}" "$@"
"""
DOES = {
    "fails": 'echo "fatal: it was made to fail" >&2; exit 128',
    "hangs": "exec sleep 60",
    "kills newleaf": "kill -9 $PPID; exit 1",
    "kills newleaf once done": '"{real}" "$@"; kill -9 $PPID; exit 1',
}


def hurt(folder: Path, program: str, subcommand: str, how: str) -> Path:
    """A folder for the front of PATH, with that program in it."""
    real = UV if program == "uv" else shutil.which(program)
    assert real
    does = DOES[how].replace("{real}", real)
    folder.mkdir()
    script = folder / program
    script.write_text(PROGRAM.format(subcommand=subcommand, does=does, real=real))
    script.chmod(0o755)
    return folder
