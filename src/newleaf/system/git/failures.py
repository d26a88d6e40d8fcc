"""What git's last words mean: its stderr turned into one of our errors.

Rules: git runs with LC_ALL=C, so its sentences can be looked for; what is quoted is masked
(threats.md T29) and only the line that says the cause. A sentence that is not known is quoted as it is.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from msgspec import Struct

from newleaf.core.errors import DiskFull, NewleafError
from newleaf.core.releases import names
from newleaf.core.releases.git_errors import (
    ObjectsRefused,
    RefGone,
    RemoteUnknownHost,
    RemoteUnreachable,
    RemoteUntrusted,
    RemoteWantsCredentials,
)
from newleaf.core.secrets import mask_text

# Compiled when first used: when something failed.
_SAYS_NOTHING = (
    r"fatal: (?:Could not read from remote repository|the remote end hung up|early EOF)"
    r"|fatal: (?:fetch-pack: |index-pack )|error: .* died of signal|remote: *$"
)
_SPEAKS = r"(?:fatal|error|remote|ssh|kex_exchange_identification|\S+@\S+): "
_PREFIX = r"(?:fatal|error|remote|warning): "
_FAMILIES: tuple[tuple[type[NewleafError], str], ...] = (
    (RemoteUnknownHost, r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED"),
    (
        RemoteWantsCredentials,
        (
            r"could not read (?:Username|Password)|Authentication failed|Permission denied"
            r"|terminal prompts disabled|returned error: 40[13]|unable to read askpass"
            r"|Too many authentication failures|from proxy after CONNECT|response 407"
        ),
    ),
    (
        RemoteUntrusted,
        r"(?i)SSL certificate|certificate verif|CAfile|self.signed certificate|TLS.*certificate",
    ),
    (
        ObjectsRefused,
        r"fsck error|[Oo]bject .*: [a-z]+[A-Z]\w+: |bad tree|invalid index-pack|did not send all",
    ),
)
_GONE = r"couldn't find remote ref (?P<ref>\S+)"
_FULL = r"No space left on device|Disk quota exceeded"


class Failure(Struct, frozen=True):
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
        gone = re.search(_GONE, said)
        if gone:
            return RefGone(url=url, ref=gone["ref"])
        if re.search(_FULL, said):
            return DiskFull(path=self.store, free=self.free, needed="more")
        for family, pattern in _FAMILIES:
            found = next((line for line in self.tail if re.search(pattern, line)), None)
            if found:
                return family(url=url, reason=_clean(found), ssh=_ssh_to(self.url))
        return RemoteUnreachable(url=url, reason=last_words(self.tail, self.status))


def last_words(tail: Sequence[str], status: int) -> str:
    """The last line that says a cause, masked."""
    said = [line for line in tail if line.strip()]
    spoken = [line for line in said if re.match(_SPEAKS, line)]
    words = [line for line in spoken if not re.match(_SAYS_NOTHING, line)] or spoken or said
    ended = f"by {signal.Signals(-status).name}" if status < 0 else f"with {status}"
    return _clean(words[-1]) if words else f"git ended {ended} and said nothing"


def _clean(line: str) -> str:
    return mask_text(re.sub(_PREFIX, "", line.strip(), count=1))


def _ssh_to(url: str) -> str:
    """The command that connects by hand, with the port and user of the address."""
    found = re.match(r"ssh://([^/:]+)(?::(\d+))?", url)
    if not found:
        return f"ssh {url.partition(':')[0]}"
    return f"ssh -p {found[2]} {found[1]}" if found[2] else f"ssh {found[1]}"
