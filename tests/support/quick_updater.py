"""A daemon whose updater looks around ten times as often: `quick_updater.py DAEMON ARGUMENT…`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from newleaf.agent import beside, departure, embed, watcher

beside.LOOK_SECONDS = watcher.NOTICED_EVERY_SECONDS = 0.1
departure.LOOK_SECONDS = embed.LOOK_SECONDS = 0.1
del sys.argv[0]
sys.path[0] = str(Path(sys.argv[0]).parent)
runpy.run_path(sys.argv[0], run_name="__main__")
