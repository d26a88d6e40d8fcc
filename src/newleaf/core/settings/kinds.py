"""Kinds of settings: for each its word in the docs, its reader, its JSON Schema, its form in the environment.

Rules: a kind knows nothing of a single setting; `Key` does, in the annotation of the setting's field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from newleaf.core.durations import parse_duration
from newleaf.core.settings.addresses import read_api, read_listen, read_remote
from newleaf.core.settings.values import (
    Reader,
    describe,
    from_flag,
    from_json,
    from_number,
    from_text_or_list,
    read_command,
    read_each,
    read_flag,
    read_fraction,
    read_git_config,
    read_inner_path,
    read_integer,
    read_positive_duration,
    read_rate,
    read_table,
    read_text,
    read_version,
)

Schema = Mapping[str, object]


class Kind(Struct, frozen=True):
    """One kind of value."""

    word: str
    read: Reader
    schema: Schema = {}
    read_environment: Callable[[str], object] = str


class Key(Struct, frozen=True):
    """What is said of a setting beside its name, type and default.

    `shown` is a default that is a rule, in words.
    """

    kind: Kind
    meaning: str
    shown: str = ""
    host_only: bool = False


def host(kind: Kind, meaning: str, shown: str = "") -> Key:
    """A setting that is the host's alone: in the app's tracked file it is an error."""
    return Key(kind, meaning, shown, host_only=True)


def whole_number(low: int, high: int) -> Kind:
    """Whole numbers from `low` to `high`."""

    def read(value: object) -> int:
        number = read_integer(value)
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return Kind("int", read, {"type": "integer", "minimum": low, "maximum": high}, from_number)


def choice(*words: str) -> Kind:
    """One of a few words."""
    listed = ", ".join(words)

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            shown = f'"{value}"' if isinstance(value, str) and len(value) <= 40 else describe(value)
            raise ValueError(f"must be one of {listed}; not {shown}")
        return value

    return Kind("str", read, {"enum": list(words)})


def matching(pattern: str, expected: str) -> Kind:
    """Texts that match a pattern as a whole; `expected` completes "must be"."""

    def read(value: object) -> str:
        text = read_text(value)
        # Compiled when first used, as everywhere here: a start that reads one setting pays for one pattern.
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {expected}")
        return text

    return Kind("str", read, {"type": "string", "pattern": f"^(?:{pattern})$"})


def url(*schemes: str) -> Kind:
    """Addresses of some schemes."""
    starts = " or ".join(f"{scheme}://" for scheme in schemes)
    return matching(rf"(?:{'|'.join(schemes)})://[^\s/?#]\S*", f"an address that begins with {starts}")


def list_of(kind: Kind) -> Kind:
    """Lists, read as tuples."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list, not {describe(value)}")
        return read_each(value, kind.read)

    return Kind("list", read, {"type": "array", "items": kind.schema}, from_json)


def one_or_list(kind: Kind) -> Kind:
    """One value or a list of them, read as a tuple."""
    many = list_of(kind)

    def read(value: object) -> tuple[Any, ...]:
        return many.read(value if isinstance(value, list | tuple) else (value,))  # type: ignore[no-any-return]

    return Kind(f"{kind.word} or list", read, {"anyOf": [kind.schema, many.schema]}, from_text_or_list)


def either(fixed: str | Literal[False], kind: Kind) -> Kind:
    """One fixed value, or another kind."""
    shown = json.dumps(fixed)
    spelled = fixed if isinstance(fixed, str) else shown

    def read(value: object) -> object:
        return fixed if type(value) is type(fixed) and value == fixed else kind.read(value)

    def read_environment(text: str) -> object:
        return fixed if text == spelled else kind.read_environment(text)

    return Kind(f"{kind.word} or {shown}", read, {"anyOf": [{"const": fixed}, kind.schema]}, read_environment)


def in_some_order(*words: str) -> Kind:
    """A list that holds each of a few words once."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or sorted(map(str, value)) != sorted(words):
            raise ValueError(f"must be a list of {' and '.join(words)}, each once, in the order you want")
        return tuple(map(str, value))

    schema = {"type": "array", "items": {"enum": list(words)}, "minItems": len(words), "uniqueItems": True}
    return Kind("list", read, schema, from_json)


_PREFIX = matching(r"[A-Za-z0-9_][A-Za-z0-9._/@+-]*", "how a tag's name begins: letters, digits, . _ / @ + -")
_MINOR = matching(r"(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)", 'a minor version like "1.3"')
_SPAN: Schema = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*[0-9]"}]}

TEXT = Kind("str", read_text, {"type": "string", "minLength": 1})
TEXTS = list_of(TEXT)
TEXT_OR_TEXTS = one_or_list(TEXT)
TEXTS_OR_ALL = either("all", Kind("list", TEXTS.read, TEXTS.schema, from_text_or_list))
PATH = Kind("path", read_text, TEXT.schema)
INNER_PATH = Kind("str", read_inner_path, TEXT.schema)
INNER_PATHS = list_of(INNER_PATH)
FLAG = Kind("bool", read_flag, {"type": "boolean"}, from_flag)
FLAG_OR_AUTO = either("auto", FLAG)
TEXT_OR_FALSE = either(False, TEXT)
FRACTION = Kind("float", read_fraction, {"type": "number", "minimum": 0, "maximum": 1}, from_number)
IDS = list_of(Kind("int", read_integer, {"type": "integer"}, from_number))
GIT_CONFIG = Kind("table", read_git_config, {"type": "object"}, from_json)
TABLE = Kind("table", read_table, {"type": "object"}, from_json)
WORDS_OF_COMMAND: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
COMMAND = Kind("cmd", read_command, {"anyOf": [TEXT.schema, WORDS_OF_COMMAND]}, from_text_or_list)
INSTALL = Kind("cmd", either("auto", either("none", COMMAND)).read, COMMAND.schema, from_text_or_list)
STEPS = in_some_order("install", "migrate")
DURATION = Kind("dur", parse_duration, _SPAN)
POSITIVE_DURATION = Kind("dur", read_positive_duration, _SPAN)
RATE = Kind("str", read_rate, {"type": "string", "pattern": r"^\s*[1-9][0-9]*\s+in\s+"})
NAME = matching(r"[a-z][a-z0-9_-]*", "a small letter, then small letters, digits, _ and -")
HOST_NAME = matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", "a host name: letters, digits, . _ and -")
WORD = matching(r"\S+", "one word")
VERSION = Kind("str", read_version, TEXT.schema)
MINOR = Kind("str", lambda value: _MINOR.read(read_version(value)), _MINOR.schema)
PREFIX = Kind("str", lambda value: value if value == "" else _PREFIX.read(value), {"type": "string"})
REMOTE = Kind("str", read_remote, TEXT.schema)
API = Kind("str", read_api, TEXT.schema)
ADDRESSES = list_of(Kind("str", read_listen, TEXT.schema))
WEB = url("https", "http")
WEBS = list_of(WEB)
REDIS = matching(
    r"rediss?://[^\s/?#]\S*|unix://[^\s/?#]*/\S+",
    "an address that begins with redis://, rediss:// or unix:///",
)
BUS = matching(
    r"rediss?://[^\s/?#]\S*|unix://[^\s/?#]*/\S+|rediss?\+sentinel://[^\s/?#]+/[A-Za-z0-9._-]+\S*",
    "an address that begins with redis://, rediss:// or unix:///, or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE",
)
