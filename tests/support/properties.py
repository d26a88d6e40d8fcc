"""How long property tests look: always the same short walk, or a long soak of new ones.

NEWLEAF_SOAK=N makes N times as many examples, random ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

SOAK = int(os.environ.get("NEWLEAF_SOAK", "0"))


def bounded(examples: int, steps: int = 50) -> settings:
    """So many examples, derandomized, and none fails for being slow."""
    return settings(
        max_examples=examples * max(SOAK, 1),
        stateful_step_count=steps,
        derandomize=not SOAK,
        deadline=None,
        database=None,
        print_blob=bool(SOAK),
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
