"""From what the sources say to settings: fragments, then one input per key with its origin, then `Settings`.

Rules: later sources win: defaults, the app's file, the host's file, settings given in code, the environment.
(Code ranks as the host's: it may say what is the host's alone, and wins over host.toml, being said for
one process.) A key of the host's alone in the app's tracked file is a problem, and so is an unknown key, even
where a later source would win. Every problem of every source is found before the first one is raised. Touches
no file and no environment: it is handed their content.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import SettingsInvalid, SettingsUnreadable
from newleaf.core.secrets import mask_text
from newleaf.core.settings.model import KEYS, SECTIONS, Setting, Settings
from newleaf.core.settings.values import describe

APP_FILE = "newleaf.toml"
HOST_FILE = "host.toml"
CODE = "code"
ENVIRONMENT = "environment"
DEFAULT = "default"

MAX_KEYS = 200
"""More than there are; to look for the nearest key of very many unknown ones would take for ever."""

_PREFIX = "NEWLEAF_"
_LONGEST_NAME = 80
_CLOSE = 0.75
_LINE = r"\s*\(at line (?P<line>[0-9]+), column [0-9]+\)\Z"


class Problem(Struct, frozen=True):
    """One thing that is wrong with the settings. `name` is the key, or the environment's variable."""

    origin: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.name} {self.reason}" if self.name else f"{self.origin}: {self.reason}"


class Input(Struct, frozen=True):
    """The value of one key, read, and where it was said."""

    value: Any
    origin: str


class Fragment(Struct, frozen=True):
    """What one source says: an input per key, and what is wrong with it."""

    inputs: Mapping[str, Input] = {}
    problems: tuple[Problem, ...] = ()


class GivenSettings:
    """Settings given in code, public as `newleaf.Settings`: `Settings(deployment={"channel": "beta"})`.

    Raises: SettingsInvalid at once, where the mistake stands.
    """

    def __init__(self, **tables: Mapping[str, object]) -> None:
        self.fragment = read_table(tables, CODE)
        if self.fragment.problems:
            raise_problems(self.fragment.problems)
        self._said = dict(_flatten(tables))

    @property
    def variables(self) -> dict[str, str]:
        """The same as the environment's variables, so that a program one starts is told the same."""
        return {KEYS[key].variable: _spell(value) for key, value in self._said.items() if key in KEYS}


class Sources(Struct, frozen=True):
    """What each source says; the app's file may be another commit's copy than the host's checkout has."""

    app: Fragment = Fragment()
    host: Fragment = Fragment()
    code: Fragment = Fragment()
    environment: Fragment = Fragment()

    @property
    def ranked(self) -> tuple[Fragment, ...]:
        """The later one wins."""
        return self.app, self.host, self.code, self.environment

    def says(self, key: str) -> bool:
        """Whether any of them says a key."""
        return any(key in fragment.inputs for fragment in self.ranked)

    def with_app_file(self, content: bytes | None, name: str = APP_FILE) -> Sources:
        """The same host with another copy of the app's file (the target's, say); None where there is none.

        Raises: SettingsUnreadable.
        """
        return replace(self, app=Fragment() if content is None else read_toml(content, name, tracked=True))


class Loaded(Struct, frozen=True):
    """Settings, and for every key where its value came from."""

    settings: Settings
    origins: Mapping[str, str]


def load(sources: Sources) -> Loaded:
    """The settings that the sources give together.

    Raises: SettingsInvalid with every problem.
    """
    problems = [problem for fragment in sources.ranked for problem in fragment.problems]
    inputs = merge(*sources.ranked)
    problems.extend(_missing(inputs, {problem.name for problem in problems}))
    if problems:
        raise_problems(problems)
    settings = _build(inputs)
    if problems := list(_contradictions(settings)):
        raise_problems(problems)
    origins = {key: inputs[key].origin if key in inputs else DEFAULT for key in KEYS}
    return Loaded(settings, origins)


def merge(*fragments: Fragment) -> dict[str, Input]:
    """One input per key: the last fragment that says it wins."""
    return {key: entry for fragment in fragments for key, entry in fragment.inputs.items()}


def read_toml(content: bytes, origin: str, *, tracked: bool = False) -> Fragment:
    """The fragment of a file; `tracked` for the app's own, in which the host's keys are refused.

    Raises: SettingsUnreadable with the line.
    """
    try:
        table = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsUnreadable(file=origin, line=line, reason="it is not UTF-8 text") from error
    except RecursionError as error:
        raise SettingsUnreadable(file=origin, line=1, reason="it is nested too deeply") from error
    except ValueError as error:
        found = re.search(_LINE, str(error))
        line = int(found["line"]) if found else content.rstrip().count(b"\n") + 1
        raise SettingsUnreadable(file=origin, line=line, reason=re.sub(_LINE, "", str(error))) from error
    return read_table(table, origin, tracked=tracked)


def read_table(table: Mapping[str, object], origin: str, *, tracked: bool = False) -> Fragment:
    """The fragment of nested tables, as a file or code holds them."""
    entries = list(islice(_flatten(table), MAX_KEYS + 1))
    if len(entries) > MAX_KEYS:
        return Fragment({}, (Problem(origin, "", f"holds more than {MAX_KEYS} keys"),))
    return _gather(_read_entry(key, value, origin, tracked=tracked) for key, value in entries)


def read_environment(variables: Mapping[str, str]) -> Fragment:
    """The fragment of the environment: `NEWLEAF_<SECTION>__<KEY>`.

    Names without `__` are no settings; one that is a setting's but for that is a mistake that is named.
    """
    names = sorted(name for name in variables if name.startswith(_PREFIX) and _is_meant(name))
    return _gather(_read_variable(name, variables[name]) for name in names)


def raise_problems(problems: Sequence[Problem]) -> NoReturn:
    """Says everything that is wrong at once.

    Raises: SettingsInvalid.
    """
    listed = [str(problem) for problem in problems]
    raise SettingsInvalid(problems=listed, listed="\n".join(listed))


_Entry = tuple[str, Input] | Problem


def _gather(entries: Iterable[_Entry]) -> Fragment:
    read = list(entries)
    return Fragment(
        dict(entry for entry in read if isinstance(entry, tuple)),
        tuple(entry for entry in read if isinstance(entry, Problem)),
    )


def _read_entry(key: str, value: object, origin: str, *, tracked: bool) -> _Entry:
    setting = KEYS.get(key)
    if setting is None:
        return Problem(origin, _shown(key), _explain_unknown(key, value))
    if tracked and setting.host_only:
        return Problem(
            origin, key, f"is for the host alone to say, not for a fetched tree: move it to {HOST_FILE}"
        )
    try:
        return key, Input(setting.kind.read(value), origin)
    except ValueError as error:
        return Problem(origin, key, mask_text(str(error)))


def _is_meant(name: str) -> bool:
    """Whether a variable is one of settings, rightly named or not."""
    return "__" in name or name.upper() in _ONE_SHORT


def _read_variable(name: str, text: str) -> _Entry:
    setting = _VARIABLES.get(name)
    if setting is None:
        return Problem(
            ENVIRONMENT, _shown(name), f"is not a setting; did you mean {_nearest(name.upper(), _VARIABLES)}?"
        )
    try:
        return setting.key, Input(setting.kind.read(setting.kind.read_environment(text)), name)
    except ValueError as error:
        return Problem(ENVIRONMENT, name, mask_text(str(error)))


def _flatten(table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Keys such as "watch.jitter" with their values; what stands at the wrong depth keeps its own name."""
    for section, content in table.items():
        if isinstance(content, Mapping) and (content or section in SECTIONS):
            yield from ((f"{section}.{name}", value) for name, value in content.items())
        else:
            yield str(section), content


def _explain_unknown(key: str, value: object) -> str:
    section, _, name = key.partition(".")
    if key in SECTIONS:
        return f"must be a table, not {describe(value)}"
    elsewhere = [known for known in KEYS if known.endswith(f".{name or section}")]
    beside = [known for known in KEYS if known.startswith(f"{section}.")]
    if not elsewhere and difflib.get_close_matches(key[:_LONGEST_NAME], beside, n=1, cutoff=_CLOSE):
        return f"is not a setting; did you mean {_nearest(key, beside)}?"
    return f"is not a setting; did you mean {_nearest(key, elsewhere or KEYS)}?"


def _spell(value: object) -> str:
    """A value as its variable says it."""
    is_bare = isinstance(value, str) or value is None
    return str(value) if is_bare else json.dumps(value)


def _shown(name: str) -> str:
    """An unknown name, which may hold anything, in one short printable line."""
    return mask_text("".join(each if each.isprintable() else "?" for each in name[:_LONGEST_NAME]))


def _nearest(name: str, known: Iterable[str]) -> str:
    return difflib.get_close_matches(name[:_LONGEST_NAME], list(known), n=1, cutoff=0)[0]


def _build(inputs: Mapping[str, Input]) -> Settings:
    tables: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key, entry in inputs.items():
        section, _, name = key.partition(".")
        tables[section][name] = entry.value
    sections: dict[str, Any] = {name: SECTIONS[name](**table) for name, table in tables.items()}
    return Settings(**sections)


def _missing(inputs: Mapping[str, Input], faulty: set[str]) -> Iterator[Problem]:
    for setting in KEYS.values():
        if setting.required and setting.key not in inputs and not faulty & {setting.key, setting.variable}:
            yield Problem("settings", setting.key, f"is required: say it in {APP_FILE}")


_CONTRADICTIONS: Sequence[tuple[str, str, Callable[[Settings], bool]]] = (
    (
        "deployment.pinned_minor",
        'is required by channel stable: the minor version to stay in, like "1.3"',
        lambda settings: settings.deployment.channel == "stable" and settings.deployment.pinned_minor is None,
    ),
    (
        "restart.command",
        'is required by restart.mode = "command"',
        lambda settings: settings.restart.mode == "command" and settings.restart.command is None,
    ),
    (
        "security.signers",
        "is required by security.require: the file of allowed signers",
        lambda settings: settings.security.require != "none" and settings.security.signers is None,
    ),
)
"""What is wrong with settings that are right one by one: the key to mend, why, and when."""


def _contradictions(settings: Settings) -> Iterator[Problem]:
    for key, reason, holds in _CONTRADICTIONS:
        if holds(settings):
            yield Problem("settings", key, reason)


_VARIABLES: Mapping[str, Setting] = {setting.variable: setting for setting in KEYS.values()}
_ONE_SHORT = frozenset(variable.replace("__", "_") for variable in _VARIABLES)
"""Their names with one underscore too few."""
