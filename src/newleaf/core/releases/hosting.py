"""What a remote's address says of where it is hosted, and what GitHub's API says of its releases.

Rules: `source.releases = "auto"` reads GitHub's releases where the remote is on github.com or an API of
one's own is configured, else tags. A draft is no release; what GitHub calls a prerelease is one, and so is
what its version calls one. Of the API's words only names, flags and times are taken: which commit a tag
is, git says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from newleaf.core.releases.channels import Published, version_of_tag

GITHUB_API = "https://api.github.com"
GITHUB_HOSTS = frozenset({"github.com", "www.github.com", "ssh.github.com"})

# Compiled when first used, as in core.secrets.
_URL = r"(?i)[a-z][a-z0-9+.-]*://(?:[^/@]*@)?(?P<host>\[[^\]]*\]|[^/:]*)(?::[0-9]*)?/(?P<path>.*)\Z"
_SCP = r"(?:[^/@:]*@)?(?P<host>[^/:]+):(?P<path>.*)\Z"
_PART = r"[A-Za-z0-9_.-]+\Z"


class Hosted(Struct, frozen=True):
    """Where a repository is: its host (empty for a path), its owner and its name."""

    host: str
    owner: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def is_on_github(self) -> bool:
        return self.host in GITHUB_HOSTS


class Listing(Struct, frozen=True):
    """All releases of a repository, as `keep_essentials` has them; `record` is for the next time."""

    releases: tuple[dict[str, Any], ...]
    record: dict[str, Any]
    unchanged: bool


def read_hosted(url: str) -> Hosted | None:
    """Owner and name of the repository at an address, from the end of its path; None when it has none."""
    found = re.match(_URL, url) or re.match(_SCP, url)
    host, path = (found["host"].lower(), found["path"]) if found else ("", url)
    parts = [part for part in path.split("/") if part]
    if len(parts) < 2:
        return None
    owner, name = parts[-2], parts[-1].removesuffix(".git")
    usable = all(re.match(_PART, part) and part.strip(".") for part in (owner, name))
    return Hosted(host, owner, name) if usable else None


def reads_github(releases: str, url: str, api_url: str) -> bool:
    """Whether published releases are read from GitHub's API, or from the remote's tags."""
    if releases != "auto":
        return releases == "github"
    hosted = read_hosted(url)
    own_api = api_url.rstrip("/") != GITHUB_API
    return hosted is not None and (hosted.is_on_github or own_api)


def keep_essentials(documents: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is needed of the API's releases, drafts left out; what is no release is left out too."""
    return [
        {
            "tag": document["tag_name"],
            "prerelease": document.get("prerelease") is True,
            "published_at": document.get("published_at"),
        }
        for document in documents
        if document.get("draft") is not True and isinstance(document.get("tag_name"), str)
    ]


def read_releases(essentials: Iterable[Mapping[str, Any]], prefix: str) -> tuple[Published, ...]:
    """The releases whose tags are versions; their commits are not known yet."""
    found = []
    for release in essentials:
        version = version_of_tag(str(release.get("tag")), prefix)
        if version is not None:
            prerelease = release.get("prerelease") is True or version.is_prerelease
            moment = _moment(release.get("published_at"))
            found.append(Published(str(release["tag"]), version, prerelease, published_at=moment))
    return tuple(found)


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found and found.tzinfo else None
