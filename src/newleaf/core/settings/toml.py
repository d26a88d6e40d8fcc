"""Settings as the text of a TOML file that people read: a comment above each key, suggestions as comments.

Rules: what is written is read back the same by `tomllib`; a table occurs once, keys in the order given;
a value is on one line. Writes text, never a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol


class Entry(Protocol):
    """One setting to write. `why` becomes a comment above it; a suggested one is a comment itself."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> Any: ...
    @property
    def why(self) -> str: ...
    @property
    def suggested(self) -> bool: ...


def format_file(entries: Iterable[Entry], header: Sequence[str] = ()) -> str:
    """The text of a file that holds the entries; `header` are comment lines at its top.

    Raises: TypeError for a value that no setting has.
    """
    tables: dict[str, list[str]] = {}
    for entry in entries:
        section, _, name = entry.key.partition(".")
        lines = tables.setdefault(section, [])
        lines += comment(entry.why)
        said = f"{format_key(name)} = {format_value(entry.value)}"
        lines.append(f"# {said}" if entry.suggested else said)
    parts = [[line for text in header for line in comment(text)]] if header else []
    parts += [[f"[{format_key(section)}]", *lines] for section, lines in tables.items()]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def format_value(value: object) -> str:
    """A value on one line. Tuples are lists, whole floats are integers.

    Raises: TypeError for a value that no setting has.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # A JSON string is a TOML string, but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_value, value))}]"
    if isinstance(value, Mapping):
        pairs = [f"{format_key(str(name))} = {format_value(entry)}" for name, entry in value.items()]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    raise TypeError(f"no setting holds {type(value).__name__}")


def format_key(name: str) -> str:
    """A key, in quotes where TOML wants them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else format_value(name)


def comment(text: str) -> list[str]:
    """Comment lines; none for an empty text."""
    # TOML has no control characters in comments.
    printable = ("".join(each if each.isprintable() else " " for each in line) for line in text.splitlines())
    return [f"# {line}".rstrip() for line in printable]
