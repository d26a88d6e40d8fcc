"""Which addresses newleaf takes: of the git remote it fetches from, and of sockets that the launcher binds.

Rules: a remote is https, ssh (`git@host:path` too), file or a plain path; http only on this machine;
nothing that git would run as a helper (`ext::`) or hand on as an option (threats.md T16); no credentials
inside, and no message repeats them (T29).
"""

from __future__ import annotations

import re

_FORBIDDEN = r"[\s\x00-\x1f\x7f]"
_HELPER = r"[A-Za-z0-9+.-]+::"
_SCHEME = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)\Z"
_SCP = r"(?P<authority>[^/:\[]*(?:\[[0-9A-Fa-f:]+\])?):(?P<rest>.*)\Z"
_HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*)|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z"
_USER = r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z"
_LOOPBACK = r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?\Z"
_INET = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*)):(?P<port>[0-9]{1,5})\Z"
_EXPECTED = "must be https, ssh, file or a plain path"


def read_remote(value: object) -> str:
    """The address of a git remote.

    Raises: ValueError that says what is wrong, without the secret.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{_EXPECTED}, as a text")
    if re.search(_FORBIDDEN, value) or len(value) > 2048:
        raise ValueError("must be one word of at most 2048 characters")
    if value.startswith("-") or re.match(_HELPER, value):
        raise ValueError(f"{_EXPECTED}; git's remote helpers and options are refused")
    found = re.match(_SCHEME, value)
    if found:
        _check_scheme(found["scheme"], found["authority"], found["rest"])
    elif "/" not in value.partition(":")[0] and ":" in value:
        _check_scp(value)
    return value


def read_api(value: object) -> str:
    """The address of the remote's API: like a remote's, but https, or http on this machine.

    Raises: ValueError that says what is wrong, without the secret.
    """
    url = read_remote(value)
    if not url.startswith(("https://", "http://")):
        raise ValueError("must be an https address")
    return url


def read_listen(value: object) -> str:
    """An address that the launcher can bind: "127.0.0.1:8080", "[::1]:8080", "unix:run/app.sock".

    Raises: ValueError that says what it must be.
    """
    expected = 'must be like "127.0.0.1:8080", "[::1]:8080" or "unix:run/app.sock"'
    if not isinstance(value, str):
        raise ValueError(expected)
    if value.startswith("unix:") and len(value) > len("unix:") and not re.search(_FORBIDDEN, value):
        return value
    found = re.match(_INET, value)
    if not found or int(found["port"]) > 65_535:
        raise ValueError(expected)
    return value


_WITHOUT_CREDENTIALS = (
    "must not hold credentials: use an ssh key, source.token_file, "
    "or a credential helper in source.git_config"
)


def _check_scheme(scheme: str, authority: str, rest: str) -> None:
    user, at, host = authority.rpartition("@")
    if scheme == "file":
        if authority not in ("", "localhost"):
            raise ValueError("must be a file on this machine: file:///path")
        return
    if scheme == "http" and not re.match(_LOOPBACK, host):
        raise ValueError(
            f"{_EXPECTED}; http is taken from this machine alone" if not at else _WITHOUT_CREDENTIALS
        )
    if scheme not in ("https", "ssh", "http"):
        raise ValueError(f"{_EXPECTED}, not {scheme}")
    # No git server wants a query; people put tokens there.
    if (at and (scheme != "ssh" or ":" in user)) or "?" in rest:
        raise ValueError(_WITHOUT_CREDENTIALS)
    _check_host(user if at else None, host)


def _check_scp(value: str) -> None:
    found = re.match(_SCP, value)
    authority, rest = (found["authority"], found["rest"]) if found else ("", "")
    if "@" in rest.partition("/")[0]:
        raise ValueError(_WITHOUT_CREDENTIALS)
    user, at, host = authority.rpartition("@")
    if not rest or rest.startswith("-"):
        raise ValueError("must name a path after the host")
    _check_host(user if at else None, host)


def _check_host(user: str | None, host: str) -> None:
    if not re.match(_HOST, host) or (user is not None and not re.match(_USER, user)):
        raise ValueError("must name a plain host")
