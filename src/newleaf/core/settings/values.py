"""How the value of a setting is read, from a file, from code or from the environment.

Rules: reading is strict (a number is no text, `true` is no number); whatever is not right is a
ValueError that says what it must be, and never repeats a value that could be a secret. In the environment a
text is bare, a list or a table is JSON. Knows nothing of single settings.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from newleaf.core.durations import parse_duration, parse_rate

Reader = Callable[[object], Any]

_FLAGS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_NAMES = {bool: "true or false", int: "a number", float: "a number", str: "a text", type(None): "nothing"}
_CONTROL = frozenset(map(chr, [*range(32), 127]))


# --- from files and code ----------------------------------------------------------------


def read_text(value: object) -> str:
    """A text of one line that is not empty."""
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {describe(value)}")
    if not value.strip():
        raise ValueError("must not be empty")
    if not _CONTROL.isdisjoint(value):
        raise ValueError("must not hold control characters or line breaks")
    return value


def read_version(value: object) -> str:
    """A version as text; a number is refused, because it has lost its last zero already (lessons.md L15)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("must be a text in quotes: as a number, 1.10 is read as 1.1")
    return read_text(value)


def read_command(value: object) -> tuple[str, ...]:
    """An argv list, or a text that is split as a shell splits words; no shell ever runs it."""
    if isinstance(value, str):
        argv = _split(read_text(value))
    elif isinstance(value, list | tuple):
        argv = read_each(value, _read_argument)
    else:
        raise ValueError(f"must be a command, as a text or as a list of texts, not {describe(value)}")
    if not argv or not argv[0]:
        raise ValueError("must name a program")
    return argv


def read_flag(value: object) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {describe(value)}")
    return value


def read_integer(value: object) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a whole number, not {describe(value)}")
    return value


def read_fraction(value: object) -> float:
    """A part of the whole, from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return float(value)


def read_positive_duration(value: object) -> float:
    """A span of time that is longer than nothing, in seconds."""
    seconds = parse_duration(value)
    if not seconds:
        raise ValueError("must be longer than nothing")
    return seconds


def read_rate(value: object) -> str:
    """A rate such as "5 in 30m", left as text; `parse_rate` takes it apart."""
    text = read_text(value)
    parse_rate(text)
    return text


def read_inner_path(value: object) -> str:
    """A relative path that stays inside its folder."""
    path = read_text(value)
    if path.startswith(("/", "~")) or ".." in path.split("/"):
        raise ValueError("must be a path inside the repository: relative, without ..")
    return path


def read_table(value: object) -> dict[str, str]:
    """A table of texts; booleans and numbers become text."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table, not {describe(value)}")
    return {str(name): _read_scalar(str(name), entry) for name, entry in value.items()}


def read_git_config(value: object) -> dict[str, str | tuple[str, ...]]:
    """A table of git settings: a list gives several values, a table inside it dotted names."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table, not {describe(value)}")
    read: dict[str, str | tuple[str, ...]] = {}
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            read |= {f"{name}.{inner}": text for inner, text in read_git_config(entry).items()}
        elif isinstance(entry, list | tuple):
            read[str(name)] = tuple(_read_scalar(str(name), each) for each in entry)
        else:
            read[str(name)] = _read_scalar(str(name), entry)
    return read


def read_each(values: Sequence[object], read: Reader) -> tuple[Any, ...]:
    """Every entry of a list; what is wrong with one is said with its place."""
    result = []
    for position, value in enumerate(values, 1):
        try:
            result.append(read(value))
        except ValueError as error:
            raise ValueError(f"entry {position} {error}") from error
    return tuple(result)


def describe(value: object) -> str:
    """What a value is, in words, without repeating it."""
    if isinstance(value, Mapping):
        return "a table"
    return (
        "a list" if isinstance(value, list | tuple) else _NAMES.get(type(value), f"a {type(value).__name__}")
    )


def _split(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from error


def _read_scalar(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | str):
        raise ValueError(f"must hold texts; {name} is {describe(value)}")
    return str(value)


def _read_argument(value: object) -> str:
    """A word of a command, which may be empty or hold line breaks."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"must be a text without NUL, not {describe(value)}")
    return value


# --- from the environment ---------------------------------------------------------------


def from_json(text: str) -> object:
    """What a variable that holds JSON says."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("must be JSON in the environment") from error


def from_text_or_list(text: str) -> object:
    """What a variable says that holds bare text, or JSON where it begins like a list."""
    return from_json(text) if text.lstrip().startswith("[") else text


def from_flag(text: str) -> object:
    """What a variable says that holds a boolean; text that is none is left to the reader."""
    return _FLAGS.get(text.strip().lower(), text)


def from_number(text: str) -> object:
    """What a variable says that holds a number; text that is none is left to the reader."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
