"""What looks like a secret in a text that people will see, and the text without it (threats.md T29).

Rules: it works by shape alone (user names and passwords in addresses, tokens in queries and options,
well-known token prefixes), so it is the second line of defence; the first is that secrets live in files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MASK = "****"

# Patterns are compiled when first used: most starts of newleaf show no address. Every repetition that can
# begin anywhere is bounded, or a long text from a remote would be searched for minutes.

# Everything up to the last @ before the path: a password may hold @ itself.
_USERINFO = r"(?i)(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)(?P<user>[^\s/?#]*)@"
# One for a Redis holds nothing else that could have an @: whoever did not escape the password's own / is no
# less protected.
_REDIS_USERINFO = r"(?i)(?P<scheme>\brediss?(?:\+sentinel)?://)(?P<user>[^\s\"']*)@"
_NAME = (
    r"(?:access_?key|api[-_]?key|authorization|auth|credential|passphrase|passw(?:or)?d|pwd|secret|sig|signature"
    r"|token)"
)
# token=…, X-Token: Bearer …, --token …
_ASSIGNED = (
    rf"(?i)(?P<name>(?<![a-z0-9]){_NAME}\s{{0,20}}[=:]\s{{0,20}}|--[a-z0-9-]{{0,40}}{_NAME}\s{{1,20}})"
    r"(?:(?:basic|bearer|token)\s{1,20})?[^\s&'\"]+"
)
_KNOWN = (
    r"\b(?:gh[oprsu]_[A-Za-z0-9]{8,}|github_pat_[A-Za-z0-9_]{8,}|glpat-[A-Za-z0-9_-]{8,}|xox[a-z]-[A-Za-z0-9-]{8,}"
    r"|[0-9]{6,12}:[A-Za-z0-9_-]{30,})"
)
_ORIGIN = r"(?i)[a-z][a-z0-9+.-]{0,20}://[^\s/?#]*"


def mask_text(text: str) -> str:
    """`text` with everything that looks like a secret replaced by `****`; user names are kept."""
    text = re.sub(_USERINFO, _mask_userinfo, text)
    text = re.sub(_REDIS_USERINFO, _mask_userinfo, text)
    text = re.sub(_ASSIGNED, lambda found: found["name"] + MASK, text)
    return re.sub(_KNOWN, MASK, text)


def mask_known(text: str, secrets: Iterable[str | None]) -> str:
    """`text`, which somebody may have repeated these secrets in, without them, and as `mask_text` has it."""
    for secret in filter(None, secrets):
        text = text.replace(secret, MASK)
    return mask_text(text)


def mask_argv(argv: Sequence[str]) -> list[str]:
    """A command's words with their secrets masked, also where `--password` and its value are two words."""
    masked = []
    for option, word in zip(("", *argv), argv, strict=False):
        announced = not has_secret(option) and has_secret(f"{option} x")
        masked.append(MASK if announced else mask_text(word))
    return masked


def mask_path(url: str) -> str:
    """A url whose path or query is itself the secret (a chat's webhook): what remains is where it leads."""
    origin = re.match(_ORIGIN, url)
    if not origin:
        return MASK
    shown = mask_text(origin[0])
    return shown if url.rstrip("/") == origin[0] else f"{shown}/{MASK}"


def has_secret(text: str) -> bool:
    """Whether `mask_text` would hide a part of `text`."""
    return mask_text(text) != text


def _mask_userinfo(found: re.Match[str]) -> str:
    user, colon, _ = found["user"].partition(":")
    if colon:
        return f"{found['scheme']}{user}:{MASK}@"
    # A lone user name is a name in ssh, and often a token in https.
    return found[0] if found["scheme"].lower() == "ssh://" else f"{found['scheme']}{MASK}@"
