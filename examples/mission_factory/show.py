"""`make mission-factory`: plays the story, tells it as it goes, and exits 0 when all of it held."""

from __future__ import annotations

import sys

from examples.mission_factory.story import NEEDS, tell
from examples.stage.stage import play

if __name__ == "__main__":
    sys.exit(play("factory", tell, *NEEDS))
