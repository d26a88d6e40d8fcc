"""What a migrations folder holds, and which of its scripts stand between two versions.

Rules: every `.py` file below the folder is `v{major}.{minor}.{patch}/NNN_description.py`; left out is
what is no `.py` file, and what has a name on its path that begins with `_` or `.` (helpers, byte code,
`__init__.py`). Two scripts with one number in one version are an error. A script is due when its
version lies in `from < v <= to` and its name is not recorded; due ones run by version (1.10.0 after
1.9.0), then by number. Where `from` is not known, whatever is not older than the newest recorded one
is due: `check()` decides. What an interrupted run still owes is due as well, from wherever the host has got
to since (lessons.md L19).

Sources are read as syntax only; nothing here runs one.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

from msgspec import Struct, field
from packaging.version import InvalidVersion, Version

from newleaf.core.data.data_errors import (
    MigrationBadlyNamed,
    MigrationGone,
    MigrationIrreversible,
    MigrationNumberTwice,
    MigrationUnclear,
    NotAVersion,
)

_PLACE = re.compile(r"v((?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2})\Z")
_FILE = re.compile(r"([0-9]{3})_[A-Za-z0-9][A-Za-z0-9_-]*\.py\Z")


# --- scripts ----------------------------------------------------------------------------


class Script(Struct, frozen=True, dict=True):
    """One migration. `path` is below the migrations folder; `name` is how it is recorded."""

    path: str
    offline: bool = False
    online: bool = False
    revertible: bool = False

    @property
    def name(self) -> str:
        return self.path.removeprefix("v")

    @cached_property
    def version(self) -> Version:
        return version_of(self.name)

    @property
    def number(self) -> int:
        return int(self.path.partition("/")[2][:3])

    @property
    def order(self) -> tuple[Version, int]:
        return self.version, self.number


def read_scripts(sources: Mapping[str, bytes]) -> tuple[Script, ...]:
    """The scripts among the files of a migrations folder (path below it → content), in order.

    Raises: MigrationBadlyNamed, MigrationNumberTwice, MigrationUnclear.
    """
    scripts = [_read(path, sources[path]) for path in sorted(sources) if is_script(path)]
    scripts.sort(key=lambda script: script.order)
    for first, second in pairwise(scripts):
        if first.order == second.order:
            raise MigrationNumberTwice(
                number=f"{first.number:03}", version=first.version, first=first.path, second=second.path
            )
    return tuple(scripts)


def is_script(path: str) -> bool:
    """Whether the file counts as a migration, well named or not."""
    return path.endswith(".py") and not is_left_out(path)


def is_left_out(path: str) -> bool:
    """Whether a name on the path says that this is no migration."""
    return any(part.startswith(("_", ".")) for part in path.split("/"))


def version_of(name: str) -> Version:
    """The version that a recorded name belongs to.

    Raises: ValueError for what is no script's name.
    """
    folder, _, file = name.partition("/")
    if not _PLACE.match(f"v{folder}") or not _FILE.match(file):
        raise ValueError(f"{name!r} is no migration's name")
    return Version(folder)


def _read(path: str, source: bytes) -> Script:
    folder, _, file = path.partition("/")
    if not file:
        raise MigrationBadlyNamed(path=path, reason="it lies outside a version's folder")
    if not _PLACE.match(folder):
        raise MigrationBadlyNamed(path=path, reason=f"{folder} is no v{{major}}.{{minor}}.{{patch}}")
    if not _FILE.match(file):
        raise MigrationBadlyNamed(path=path, reason=f"{file} is no NNN_description.py")
    says = _Declarations.of(path, source)
    if says.values.get("OFFLINE") and says.values.get("ONLINE"):
        raise MigrationUnclear(path=path, reason="it is both OFFLINE and ONLINE")
    for needed in ("check", "migrate"):
        if not says.defines(needed):
            raise MigrationUnclear(path=path, reason=f"it has no {needed}()")
    return Script(
        path,
        offline=says.values.get("OFFLINE", False),
        online=says.values.get("ONLINE", False),
        revertible=says.defines("revert"),
    )


class _Declarations(Struct, frozen=True):
    """What stands at the top level of a script: names, and the two switches."""

    names: frozenset[str]
    values: Mapping[str, bool]

    def defines(self, name: str) -> bool:
        return name in self.names or "*" in self.names

    @classmethod
    def of(cls, path: str, source: bytes) -> _Declarations:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                body = ast.parse(source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            # The app's Python may be newer than newleaf's, and know more syntax. The child process
            # that runs on it judges; until then, the lines that matter are read as text.
            return cls._from_text(source)
        names: set[str] = set()
        values: dict[str, bool] = {}
        for node in _statements(body):
            bound = _names_bound_by(node)
            names.update(bound)
            for switch in {"OFFLINE", "ONLINE"}.intersection(bound):
                value = getattr(getattr(node, "value", None), "value", None)
                if not isinstance(value, bool) or node not in body:
                    raise MigrationUnclear(path=path, reason=f"{switch} is not set to a plain True or False")
                values[switch] = value
        return cls(frozenset(names), values)

    @classmethod
    def _from_text(cls, source: bytes) -> _Declarations:
        functions = re.findall(rb"^def +(\w+)", source, re.MULTILINE)
        switches = re.findall(
            rb"^(OFFLINE|ONLINE)(?: *: *bool)? *= *(True|False)[ \t]*(?:#.*)?\r?$", source, re.MULTILINE
        )
        return cls(
            frozenset(name.decode() for name in functions),
            {name.decode(): value == b"True" for name, value in switches},
        )


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """What runs when the script is loaded: its statements, those in `if` and `try` with them."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
            yield from _statements(ast.iter_child_nodes(node))


def _names_bound_by(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            inner = (name for target in targets for name in ast.walk(target))
            return [name.id for name in inner if isinstance(name, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
            return [name]
        case ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
    return []


# --- state ------------------------------------------------------------------------------


class Span(Struct, frozen=True):
    """`start < v <= end`. A start that is None is not known; an end that is None is no bound."""

    start: Version | None = None
    end: Version | None = None

    @classmethod
    def between(cls, start: str | None, end: str | None) -> Span:
        """The span between two versions as people and trees write them.

        Raises: NotAVersion.
        """
        return cls(read_version(start), read_version(end))

    @property
    def is_backward(self) -> bool:
        return self.start is not None and self.end is not None and self.end < self.start

    def as_record(self) -> dict[str, str | None]:
        return {"from": _shown(self.start), "to": _shown(self.end)}


class MigrationState(Struct, frozen=True):
    """What `migration_state.json` says. `unfinished` is the span of a run that has not come to its end."""

    applied: tuple[str, ...] = ()
    unfinished: Span | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    @property
    def newest(self) -> Version | None:
        return max(map(version_of, self.applied), default=None)

    def begun(self, span: Span) -> MigrationState:
        """The state when a run over `span` begins: what an earlier one owes stays owed."""
        earlier = self.unfinished
        if earlier is None:
            return MigrationState(self.applied, span, self.other)
        end = None if earlier.end is None or span.end is None else max(earlier.end, span.end)
        whole = Span(_least({earlier.start, span.start}), end)
        return MigrationState(self.applied, whole, self.other)

    def with_applied(self, name: str) -> MigrationState:
        return MigrationState((*self.applied, name), self.unfinished, self.other)

    def without(self, name: str) -> MigrationState:
        kept = tuple(applied for applied in self.applied if applied != name)
        return MigrationState(kept, self.unfinished, self.other)

    def finished(self, span: Span) -> MigrationState:
        """The state when all that `span` asked for is done; what lies beyond it stays owed."""
        owed = self.unfinished
        if owed is None:
            return self
        covers_start = span.start is None or (owed.start is not None and span.start <= owed.start)
        covers_end = span.end is None or (owed.end is not None and owed.end <= span.end)
        if not covers_start:
            return self
        rest = None if covers_end else Span(span.end, owed.end)
        return MigrationState(self.applied, rest, self.other)

    def as_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {"applied": list(self.applied), **self.other}
        if self.unfinished:
            record["unfinished"] = self.unfinished.as_record()
        return record

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> MigrationState:
        """Raises: ValueError for what no newleaf wrote."""
        applied, unfinished = record.get("applied"), record.get("unfinished")
        if not isinstance(applied, list) or not all(isinstance(name, str) for name in applied):
            raise ValueError("`applied` is no list of names")
        for name in applied:
            version_of(name)
        if unfinished is not None and not isinstance(unfinished, dict):
            raise ValueError("`unfinished` is no pair of versions")
        try:
            span = Span.between(unfinished.get("from"), unfinished.get("to")) if unfinished else None
        except NotAVersion as error:
            raise ValueError(f"`unfinished`: {error}") from error
        known = ("schema", "applied", "unfinished")
        return cls(tuple(applied), span, {key: record[key] for key in record if key not in known})


# --- plans ------------------------------------------------------------------------------


class Plan(Struct, frozen=True):
    """The scripts to run, in the order in which they run; `backward` runs their `revert()`.

    `span` is what is done once they have run: it begins where an interrupted run began.
    """

    scripts: tuple[Script, ...]
    span: Span
    backward: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(script.name for script in self.scripts)

    @property
    def offline(self) -> tuple[str, ...]:
        """Those that need the daemon stopped."""
        return tuple(script.name for script in self.scripts if script.offline)

    @property
    def all_online(self) -> bool:
        """Whether every one is declared safe beside the old release."""
        return all(script.online for script in self.scripts)


def plan_forward(scripts: Iterable[Script], state: MigrationState, span: Span) -> Plan:
    """What is due on the way from one version up to another, and nothing when the way leads down."""
    starts = {span.start} if state.unfinished is None else {span.start, state.unfinished.start}
    due = [
        script
        for script in scripts
        if script.name not in state.applied
        and (span.end is None or script.version <= span.end)
        and any(_lies_after(script.version, start, state.newest) for start in starts)
    ]
    whole = Span(_least(starts), span.end)
    return Plan(tuple(sorted(due, key=lambda script: script.order)), whole)


def plan_exactly(scripts: Iterable[Script], state: MigrationState, span: Span) -> Plan:
    """What is due in the span that a person named; what an interrupted run owes outside it stays owed."""
    return plan_forward(scripts, MigrationState(state.applied), span)


def plan_backward(scripts: Collection[Script], state: MigrationState, span: Span) -> Plan:
    """The recorded scripts of `end < v <= start`, newest first.

    Raises: MigrationGone when one has no file, MigrationIrreversible when one has no `revert()`.
    """
    assert span.start is not None
    assert span.end is not None
    known = {script.name: script for script in scripts}
    names = {name for name in state.applied if span.end < version_of(name) <= span.start}
    gone = sorted(names - set(known))
    if gone:
        raise MigrationGone(scripts=", ".join(gone))
    found = sorted((known[name] for name in names), key=lambda script: script.order, reverse=True)
    stuck = [script.path for script in found if not script.revertible]
    if stuck:
        raise MigrationIrreversible(scripts=", ".join(stuck))
    return Plan(tuple(found), span, backward=True)


def read_version(text: str | None) -> Version | None:
    """The version that `text` writes, `v` before it or not; None for None.

    Raises: NotAVersion.
    """
    try:
        return None if text is None else Version(text)
    except (InvalidVersion, TypeError) as error:
        raise NotAVersion(text=text) from error


def _lies_after(version: Version, start: Version | None, newest: Version | None) -> bool:
    if start is not None:
        return version > start
    return newest is None or version >= newest


def _least(starts: Collection[Version | None]) -> Version | None:
    return None if None in starts else min(filter(None, starts))


def _shown(version: Version | None) -> str | None:
    return None if version is None else str(version)
