"""What a daemon may tell its launcher beyond the service managers' own words (sd_notify(3))."""

from __future__ import annotations

COMMIT_FIELD = "X_NEWLEAF_COMMIT"
"""The commit that the process has loaded."""
WAITS_FIELD = "X_NEWLEAF_WAITS"
"""It is up, and waits for "go"."""
AGENT_FIELD = "X_NEWLEAF_AGENT"
"""It watches and updates by itself: the agent beside it is not needed."""
