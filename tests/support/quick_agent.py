"""`newleaf agent` whose looks around come ten times as often: `quick_agent.py ARGUMENT…`."""

from __future__ import annotations

from newleaf.agent import beside, status_mirror, watcher
from newleaf.cli.main import main
from newleaf.compose import beside as composing

beside.LOOK_SECONDS = watcher.NOTICED_EVERY_SECONDS = 0.1
status_mirror.ANEW_SECONDS = 0.5
status_mirror.LONGEST_RETRY_SECONDS = 0.5
composing.SPREAD_SECONDS = 0.3
main()
