"""`newleaf`, which kills itself: `killed_newleaf.py EVENT:NAME:NUMBER ARGUMENT…`.

It dies by SIGKILL just before the NUMBERth time that `system.files` is about to do EVENT with a file
called NAME (`*` for any), as a power cut would have it.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

from newleaf.cli.main import run
from newleaf.system import files

event, name, number = sys.argv[1].split(":")
seen_before = itertools.count(1)


def observe(seen: str, path: Path) -> None:
    if event in (seen, "*") and name in (path.name, "*") and next(seen_before) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)


files.observe = observe
sys.exit(run(sys.argv[2:]))
