"""What `init --slots` would write: the host's own file, which then says all that no release says.

Rules: a release is never written to, so an app whose repository has no newleaf.toml yet is described in
host.toml; what lies in a checkout and git does not track is shared by all releases, but for what is made anew
(environments, caches, builds). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from newleaf.core.adoption.obstacles import Note
from newleaf.core.adoption.wish import Entry

_MADE_ANEW = re.compile(
    r"\.venv|venv|env|\.env\.d|__pycache__|node_modules|build|dist|\.tox|\.nox|\.git|\.idea|\.vscode|\.DS_Store"
    r"|\.(pytest|mypy|ruff|hypothesis|uv)_?cache|\.coverage|htmlcov|target|.*\.egg-info|.*\.py[co]"
    r"|.*\.newleaf-old|newleaf\.toml|.*\.so"
)


def choose_shared(untracked: Iterable[str], inner: str) -> tuple[str, ...]:
    """What of the untracked paths of a checkout all releases share, from the app's folder on."""
    place = "" if inner == "." else f"{inner}/"
    inside = (path.removeprefix(place) for path in untracked if path.startswith(place))
    return tuple(sorted(path for path in inside if not any(map(_MADE_ANEW.fullmatch, path.split("/")))))


def slot_entries(
    url: str, app_entries: Iterable[Entry], host_entries: Iterable[Entry], shared: tuple[str, ...]
) -> tuple[Entry, ...]:
    """host.toml for slots; `app_entries` are those that the repository does not say itself."""
    entries = [*app_entries, Entry("app.layout", "slots", "a folder for each release, and a link")]
    if shared:
        entries.append(Entry("app.shared", list(shared), "what all releases share, in shared/"))
    entries.append(Entry("source.url", url, "where releases come from"))
    known = {entry.key for entry in entries}
    return (*entries, *(entry for entry in host_entries if entry.key not in known))


def slot_notes(notes: Iterable[Note]) -> Iterator[Note]:
    """What was said of a checkout, as it is with slots."""
    for note in notes:
        yield Note(note.level, note.text.replace(", in place", ", a folder for each release"), note.cure)


def said_entries(settings: Mapping[str, Any]) -> tuple[Entry, ...]:
    """The settings of a newleaf.toml that the repository does not have."""
    return tuple(
        Entry(key, list(value) if isinstance(value, tuple) else value, "from newleaf.toml of the checkout")
        for key, value in settings.items()
    )
