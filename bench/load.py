"""A load in a process of its own, so that what is measured and who measures it share no interpreter.

    load.py PORT PER_SECOND       until standard input closes; then one line of JSON says what it came to

`silence_ms` is the longest time from one answer to the next.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.measure import nearest_rank
from newleaf.cli.demo.load import Load


def sum_up(load: Load) -> dict[str, object]:
    """What it came to; times in milliseconds, of what was served."""
    waits = sorted(answer.wait_seconds * 1000 for answer in load.answers) or [0.0]
    times = [answer.at * 1000 for answer in load.answers]
    return {
        "served": load.served,
        "failed": load.failed,
        "failures": dict(load.failures),
        "p50_ms": nearest_rank(waits, 0.5),
        "p99_ms": nearest_rank(waits, 0.99),
        "max_ms": waits[-1],
        "silence_ms": max((later - earlier for earlier, later in pairwise(times)), default=0.0),
    }


if __name__ == "__main__":
    with Load(int(sys.argv[1]), float(sys.argv[2])).running() as running:
        sys.stdin.read()
    print(json.dumps(sum_up(running)))
