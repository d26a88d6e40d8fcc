"""Which git settings `source.git_config` lets through to the updater's own git, and nothing else.

Rules: how to get through (proxy, CA file, client certificate), who one is (credential helper, header, the
ssh command with its key), where to go instead (insteadOf), and git-lfs by its exact commands. Never what
would turn verification off or let the tree choose a program. A list gives a setting several values, as
`git config --add` does. Values can be secret: `secrets_in` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from newleaf.core.releases.git_errors import GitSettingRefused, RemoteInvalid
from newleaf.core.releases.names import require_remote

Pairs = tuple[tuple[str, str], ...]
"""Names and values in order; a name may occur several times."""

HTTP = frozenset(
    """proxy proxyauthmethod proxysslcainfo proxysslcert proxysslkey sslcainfo sslcapath sslcert sslkey
    sslbackend sslversion sslcipherlist pinnedpubkey extraheader useragent emptyauth delegation version
    postbuffer lowspeedlimit lowspeedtime""".split()
)
CREDENTIAL = frozenset(("helper", "username", "usehttppath"))
LFS = {
    "clean": "git-lfs clean -- %f",
    "smudge": "git-lfs smudge -- %f",
    "process": "git-lfs filter-process",
    "required": "true",
}
"""What `git lfs install` writes; any other command would be a program that the tree chooses when to run."""

# Compiled when first used: most hosts let no setting through.
_NAME = r"(?s)(?P<section>[A-Za-z0-9-]+)\.(?:(?P<sub>.+)\.)?(?P<key>[A-Za-z][A-Za-z0-9-]*)\Z"
_SSH = r"(?:[\w./~@+-]*/)?ssh(?:\s[^`$;|&<>\n]*)?\Z"
_USERINFO = r"//(?P<user>[^/@]*)@"


def read_settings(table: Mapping[str, object]) -> Pairs:
    """The settings of `source.git_config`, flat and in order, each known to be harmless.

    Raises: GitSettingRefused, which never repeats the value.
    """
    pairs = tuple(_flatten(table))
    for name, value in pairs:
        reason = find_fault(name, value)
        if reason:
            raise GitSettingRefused(key=_shown(name), reason=reason)
    return pairs


def find_fault(name: str, value: str) -> str | None:
    """Why a setting is not let through; None when it is."""
    found = re.match(_NAME, name)
    if not found or not name.isprintable() or "\n" in value or "\0" in value:
        return "it is no git setting of one line"
    section, sub, key = found["section"].lower(), found["sub"], found["key"].lower()
    if section == "http":
        return _find_http_fault(sub, key)
    if section == "credential":
        return None if key in CREDENTIAL else "only helper, username and useHttpPath are"
    if section == "url" and key == "insteadof" and sub:
        return _find_base_fault(sub)
    if section == "core" and key == "sshcommand" and not sub:
        return None if re.match(_SSH, value) else "it must be ssh with its options, without shell signs"
    if (section, sub) == ("filter", "lfs") and key in LFS:
        return None if value == LFS[key] else f"git-lfs itself sets {LFS[key]}"
    return "only http.*, credential.*, url.<base>.insteadOf, core.sshCommand and filter.lfs.* are"


def bases_of(pairs: Pairs) -> dict[str, tuple[str, ...]]:
    """For each base of `url.<base>.insteadOf` the beginnings that it stands in for."""
    bases: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        found = re.match(_NAME, name)
        if found and found["section"].lower() == "url" and found["sub"]:
            bases[found["sub"]] = (*bases.get(found["sub"], ()), value)
    return bases


def secrets_in(pairs: Pairs) -> tuple[str, ...]:
    """The parts of the values that must not be seen: headers' values, and passwords in proxy addresses."""
    secrets: list[str] = []
    for name, value in pairs:
        if name.lower().endswith(".extraheader"):
            secrets += [value, value.partition(":")[2].strip(), value.rpartition(" ")[2]]
        user = re.search(_USERINFO, value)
        if user:
            secrets += [user["user"], user["user"].partition(":")[2]]
    return tuple(secret for secret in secrets if len(secret) > 3)


def _find_http_fault(sub: str | None, key: str) -> str | None:
    if key == "sslverify":
        return "certificates are always checked; name the CA file in http.sslCAInfo"
    if key not in HTTP:
        return "of http, only ways through (proxy, CA, certificate, header) are"
    return "a remote's address holds no credentials" if sub and re.search(_USERINFO, sub) else None


def _find_base_fault(base: str) -> str | None:
    try:
        require_remote(base if not base.endswith(":") else base + "x")
    except RemoteInvalid as error:
        return f"the address it leads to {error.facts['reason']}"
    return None


def _flatten(table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    """TOML reads `http.proxy = …` as a table in a table, and `"http.proxy" = …` as one name."""
    for key, value in table.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}.")
        elif isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            for item in value:
                yield name, str(item)
        else:
            yield name, str(value)


def _shown(name: str) -> str:
    return re.sub(_USERINFO, "//****@", "".join(char if char.isprintable() else "?" for char in name[:200]))
