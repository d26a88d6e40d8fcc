"""What `init --slots` would write: the host's own file, which then says all that no release says.

Rules: a release is never written to, so an app whose repository has no newleaf.toml yet is described in
host.toml; what lies in a checkout and git does not track is shared by all releases, but for what is made anew
(environments, caches, builds). Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from newleaf.core.adoption.wish import Entry

_MADE_ANEW = re.compile(
    r"\.venv|venv|env|\.env\.d|__pycache__|node_modules|build|dist|\.tox|\.nox|\.git|\.idea|\.vscode|\.DS_Store"
    r"|\.(pytest|mypy|ruff|hypothesis|uv)_?cache|\.coverage|htmlcov|target|.*\.egg-info|.*\.py[co]"
    r"|.*\.newleaf-old|newleaf\.toml|.*\.so"
)
# U+FFFD stands for what is not UTF-8.
_UNSAYABLE = re.compile("[\x00-\x1f\x7f\ufffd]")


def choose_shared(untracked: Iterable[str], inner: str) -> tuple[str, ...]:
    """What of the untracked paths of a checkout all releases share, from the app's folder on."""
    place = "" if inner == "." else f"{inner}/"
    inside = (path.removeprefix(place) for path in untracked if path.startswith(place))
    return tuple(sorted(path for path in inside if not is_made_anew(path)))


def is_made_anew(path: str) -> bool:
    """Whether a path is, or lies in, what installers, Python and other tools make by themselves."""
    return any(map(_MADE_ANEW.fullmatch, path.split("/")))


def is_sayable(path: str) -> bool:
    """Whether settings can name a path."""
    return not _UNSAYABLE.search(path)


def slot_entries(
    url: str, app_entries: Iterable[Entry], host_entries: Iterable[Entry], shared: tuple[str, ...]
) -> tuple[Entry, ...]:
    """host.toml for slots; `app_entries` are those that the repository does not say itself."""
    own = (entry for entry in app_entries if not (shared and entry.key == "app.shared"))
    entries = [*own, Entry("app.layout", "slots", "a folder for each release, and a link")]
    if shared:
        entries.append(Entry("app.shared", list(shared), "what all releases share, in shared/"))
    entries.append(Entry("source.url", url, "where releases come from"))
    known = {entry.key for entry in entries}
    return (*entries, *(entry for entry in host_entries if entry.key not in known))


def join_shared(found: Iterable[str], said: Iterable[str]) -> tuple[str, ...]:
    """What `app.shared` is to say of what was found; empty when what it says already is enough."""
    paths, known = tuple(found), tuple(said)
    return outermost((*known, *paths)) if uncovered(paths, known) else ()


def uncovered(paths: Iterable[str], shared: Iterable[str]) -> tuple[str, ...]:
    """Those of `paths` that are not shared."""
    whole = tuple(map(posixpath.normpath, shared))
    return tuple(path for path in paths if not any(_lies_at_or_below(path, place) for place in whole))


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Each path once, none inside another."""
    plain = sorted(set(map(posixpath.normpath, paths)))
    return tuple(
        path for path in plain if not any(path != place and _lies_at_or_below(path, place) for place in plain)
    )


def _lies_at_or_below(path: str, place: str) -> bool:
    return f"{path}/".startswith(f"{place}/")


def said_entries(settings: Mapping[str, Any]) -> tuple[Entry, ...]:
    """The settings of a newleaf.toml that the repository does not have."""
    return tuple(
        Entry(key, list(value) if isinstance(value, tuple) else value, "from newleaf.toml of the checkout")
        for key, value in settings.items()
    )
