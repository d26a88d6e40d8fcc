"""Text from elsewhere (a commit's subject, a program's output) as it may be shown to people.

Rules: what would command a terminal is shown as `?`, colours excepted, which are our own as well.
"""

from __future__ import annotations

import re

_COMMANDS = r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]"


def defused(text: str) -> str:
    """`text` without what would move a cursor, set a title, or answer in the reader's name."""
    return re.sub(_COMMANDS, "?", text)
