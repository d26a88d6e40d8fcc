"""Names that git is given: branches, tags, full refs, and the remote's address.

Rules: a name is letters, digits and a few marks, at most 255 bytes, and never what git could read as
an option, a revision or a path out of its folder (threats.md T15); whatever a remote calls its refs
is judged by the same rules. The address is judged by `core.settings.addresses` (T16). It never asks git.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from newleaf.core.releases.git_errors import NameInvalid, RemoteInvalid
from newleaf.core.secrets import mask_text
from newleaf.core.settings.addresses import read_remote

HEADS = "refs/heads/"
TAGS = "refs/tags/"
MAX_BYTES = 255

_PLAIN = re.compile(r"[\w.+@#=,!%/-]+\Z")
_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_SCHEME = re.compile(r"(?P<scheme>[a-z]+)://")
_PLAIN_USER = re.compile(r"(?:ssh://)?[A-Za-z0-9_][\w.-]*@[^@]*\Z")
_BEFORE_LAST_AT = re.compile(r"(?P<scheme>\A[a-zA-Z][a-zA-Z0-9+.-]*://|\A).*@")
_SCP = re.compile(r"[^/]*?(?:\[[^\]]*\])?:")


def find_fault(name: str) -> str | None:
    """What is wrong with a branch's or tag's name, as the end of a sentence; None when it can be used."""
    if not name:
        return "is empty"
    if len(name.encode(errors="surrogatepass")) > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes"
    if not _PLAIN.match(name):
        return "holds characters other than letters, digits and . _ - + / @ # = , ! %"
    if name.startswith("-"):
        return "begins with -"
    if ".." in name or name in {"@", "HEAD"}:
        return "would be read as a revision"
    parts = name.split("/")
    if not all(parts):
        return "has an empty part between slashes"
    if any(part.startswith(".") or part.endswith((".", ".lock")) for part in parts):
        return "has a part that begins with a dot, or ends with a dot or .lock"
    return None


def require_branch(name: str) -> str:
    """The name of a branch, once it is known to be plain.

    Raises: NameInvalid.
    """
    fault = find_fault(name)
    if fault:
        raise NameInvalid(what="the branch", name=repr(name[:80]), reason=fault)
    return name


def is_ref(name: str) -> bool:
    """Whether this is the full name of a branch or tag that can be used."""
    for prefix in (HEADS, TAGS):
        if name.startswith(prefix):
            return find_fault(name.removeprefix(prefix)) is None
    return False


def is_commit(text: str) -> bool:
    """Whether this is a full object id."""
    return bool(_COMMIT.match(text))


def require_remote(url: str, name: str = "") -> str:
    """The address of a remote, once it is known to be harmless.

    Raises: RemoteInvalid, which never repeats credentials.
    """
    try:
        return read_remote(url)
    except ValueError as error:
        raise RemoteInvalid(url=name or shown(url), reason=error) from None


def shown(url: str) -> str:
    """An address for messages: in one printable line, and without what could be a credential."""
    text = "".join(char if char.isprintable() else "?" for char in url[:200])
    head, question, _ = text.partition("?")
    if not _PLAIN_USER.match(head):
        head = _BEFORE_LAST_AT.sub(r"\g<scheme>****@", head)
    return mask_text(head + question + ("****" if question else ""))


def protocol_of(url: str) -> str:
    """What git calls the way to this remote: https, http, ssh or file."""
    found = _SCHEME.match(url)
    if found:
        return found["scheme"]
    return "ssh" if _SCP.match(url) and not url.startswith(("/", ".")) else "file"


def rewrite(url: str, bases: Mapping[str, tuple[str, ...]]) -> str:
    """The address that git goes to: `url.<base>.insteadOf` applied, the longest match first."""
    matches = [(len(prefix), base, prefix) for base, prefixes in bases.items() for prefix in prefixes]
    for _, base, prefix in sorted(matches, reverse=True):
        if prefix and url.startswith(prefix):
            return base + url.removeprefix(prefix)
    return url


def host_of(url: str) -> str:
    """Scheme, host and port of an https or http address, as git names it when it asks for credentials."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if separator else ""
