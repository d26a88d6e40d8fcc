"""What this factory has begun and made: a line each, on the disk before anybody is told of it."""

import json
import os
import time
from pathlib import Path

FILE = Path("data/ledger.jsonl")


class Ledger:
    """The ledger in `file`; one process writes it at a time."""

    def __init__(self, file=FILE):
        self.file = file
        file.parent.mkdir(exist_ok=True)
        with file.open("ab+") as lines:
            # The last line may have been cut off, by a kill.
            lines.seek(0)
            whole = lines.read().rpartition(b"\n")[0]
            lines.truncate(len(whole) + bool(whole))
        self.made = {line["order"] for line in map(json.loads, whole.splitlines()) if line["what"] == "made"}

    def note(self, what, order, **facts):
        """Writes that the work of an order has begun, or that it has been made."""
        line = json.dumps({"what": what, "order": order, "at": time.time(), "pid": os.getpid(), **facts})
        with self.file.open("a") as lines:
            lines.write(line + "\n")
            lines.flush()
            os.fsync(lines.fileno())
        if what == "made":
            self.made.add(order)
