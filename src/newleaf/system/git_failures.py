"""What git's last words mean: its stderr turned into one of our errors.

Rules: git runs with LC_ALL=C, so its sentences can be looked for; what is quoted is masked
(threats.md T29) and only the line that says the cause. A sentence that is not known is quoted as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from newleaf.core import names
from newleaf.core.errors import DiskFull, NewleafError
from newleaf.core.git_errors import (
    ObjectsRefused,
    RefGone,
    RemoteUnknownHost,
    RemoteUnreachable,
    RemoteUntrusted,
    RemoteWantsCredentials,
)
from newleaf.core.secrets import mask_text

_SAYS_NOTHING = re.compile(
    r"fatal: (?:Could not read from remote repository|the remote end hung up|early EOF)"
    r"|fatal: (?:fetch-pack: |index-pack )|Please make sure you have the correct access|and the repository exists|error: .* died of signal|remote: $"
)
_PREFIX = re.compile(r"(?:fatal|error|remote|warning): ")
_FAMILIES: tuple[tuple[type[NewleafError], re.Pattern[str]], ...] = (
    (RemoteUnknownHost, re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED")),
    (
        RemoteWantsCredentials,
        re.compile(
            r"could not read (?:Username|Password)|Authentication failed|Permission denied"
            r"|terminal prompts disabled|returned error: 40[13]|unable to read askpass|Too many authentication failures|proxy .*407"
        ),
    ),
    (
        RemoteUntrusted,
        re.compile(
            r"SSL certificate|certificate verif|CAfile|self.signed certificate|CERT_|TLS.*certificate", re.I
        ),
    ),
    (
        ObjectsRefused,
        re.compile(r"fsck error|[Oo]bject .*: [a-z]+[A-Z]\w+: |bad tree|invalid index-pack|did not send all"),
    ),
)
_GONE = re.compile(r"couldn't find remote ref (?P<ref>\S+)")
_FULL = re.compile(r"No space left on device|Disk quota exceeded")


@dataclass(frozen=True)
class Failure:
    """A git command against the remote that failed."""

    url: str
    tail: Sequence[str]
    status: int
    free: str = "none"
    store: str = ""

    def as_error(self) -> NewleafError:
        """The error that says what happened."""
        said = "\n".join(self.tail)
        url = names.shown(self.url)
        gone = _GONE.search(said)
        if gone:
            return RefGone(url=url, ref=gone["ref"])
        if _FULL.search(said):
            return DiskFull(path=self.store, free=self.free, needed="more")
        for family, pattern in _FAMILIES:
            found = next((line for line in self.tail if pattern.search(line)), None)
            if found:
                return family(url=url, reason=_clean(found), host=_host(self.url))
        return RemoteUnreachable(url=url, reason=last_words(self.tail, self.status))


def last_words(tail: Sequence[str], status: int) -> str:
    """The last line that says a cause, masked."""
    telling = [line for line in tail if line.strip() and not _SAYS_NOTHING.match(line)]
    said = telling or [line for line in tail if line.strip()]
    return _clean(said[-1]) if said else f"git ended with {status} and said nothing"


def _clean(line: str) -> str:
    return mask_text(_PREFIX.sub("", line.strip(), count=1))


def _host(url: str) -> str:
    rest = url.partition("://")[2] or url
    return re.split(r"[/:]", rest, maxsplit=1)[0]
