"""Text from elsewhere (a commit's subject, a program's output) as it may be shown to people.

Rules: what would command a terminal is shown as `?`, colours excepted, which are our own as well.
"""

from __future__ import annotations

import re

_CUT = "\n…\n"
_COMMANDS = r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]"


def cut_middle(text: str, max_units: int) -> str:
    """`text`, its middle left out where it is longer; what counts is UTF-16, as chats count characters."""
    units = text.encode("utf-16-le", "replace")
    if len(units) <= 2 * max_units:
        return text
    half = (max_units - len(_CUT)) // 2
    # A character that is cut in two is left out.
    head, tail = (part.decode("utf-16-le", "ignore") for part in (units[: 2 * half], units[-2 * half :]))
    return head + _CUT + tail


def defused(text: str) -> str:
    """`text` without what would move a cursor, set a title, or answer in the reader's name."""
    return re.sub(_COMMANDS, "?", text)
