"""`newleaf`, which kills itself: `killed_newleaf.py EVENT:NAME:NUMBER ARGUMENT…`.

It dies by SIGKILL just before the NUMBERth time that `system.files` is about to do EVENT with a file
called NAME (`*` for any), as a power cut would have it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from newleaf.cli.main import run
from newleaf.system import files

event, name, number = sys.argv[1].split(":")
left = int(number)


def observe(seen: str, path: Path) -> None:
    global left
    if event in (seen, "*") and name in (path.name, "*"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


files.observe = observe
sys.exit(run(sys.argv[2:]))
