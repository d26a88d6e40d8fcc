"""`newleaf agent` whose looks around come ten times as often: `quick_agent.py ARGUMENT…`."""

from __future__ import annotations

from newleaf.agent import beside, watcher
from newleaf.cli.main import main

beside.LOOK_SECONDS = watcher.NOTICED_EVERY_SECONDS = 0.1
main()
