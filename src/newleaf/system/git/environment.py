"""The environment in which the updater's git runs: built from nothing (threats.md § How).

Rules: of the caller's environment only PATH, HOME, TMPDIR, the ssh agent, proxies and CA files pass; no
GIT_* variable does (T19), but for the CA file that GIT_SSL_CAINFO or GIT_SSL_CAPATH names. Settings are
handed over in the environment, not in arguments, since they can hold a header with a token; they outrank
every configuration file. No prompt is possible. A token reaches git through the askpass helper alone,
and only for the host it is meant for (T29).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from newleaf.core.releases import names
from newleaf.core.releases.git_errors import TokenUnreadable
from newleaf.core.settings import git_settings
from newleaf.core.settings.git_settings import Pairs

ASKPASS = Path(__file__).with_name("askpass.sh")
TOKEN_USER = "x-access-token"  # noqa: S105 - a name that any git server takes beside a token
CONNECT_SECONDS = 15
LOW_SPEED_BYTES = 1000
LOW_SPEED_SECONDS = 30
GIBIBYTE = 1024**3
MAX_TOKEN_BYTES = 8192

PASSED_ON = ("PATH", "HOME", "TMPDIR", "SSH_AUTH_SOCK", "USER", "LOGNAME", "SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CA_FILES = ("GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
CA_FOLDERS = ("GIT_SSL_CAPATH", "SSL_CERT_DIR")
_HARMLESS_FAULTS = (
    "badTimezone",
    "missingSpaceBeforeDate",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
)
"""What old tools wrote into histories that are public and cannot be mended any more."""

ALWAYS: Pairs = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.fsync", "committed,loose-object,index"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("protocol.allow", "never"),
    ("transfer.fsckObjects", "true"),
    ("transfer.credentialsInUrl", "die"),
    ("transfer.bundleURI", "false"),
    ("fetch.unpackLimit", "1"),
    ("submodule.recurse", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", str(LOW_SPEED_BYTES)),
    ("http.lowSpeedTime", str(LOW_SPEED_SECONDS)),
    *((f"fetch.fsck.{fault}", "ignore") for fault in _HARMLESS_FAULTS),
)


class Access(Struct, frozen=True):
    """The way to the remote: its address, what lets this host in, and how much time and room it may take."""

    url: str
    token_file: Path | None = None
    git_config: Mapping[str, object] = field(default_factory=dict)
    timeout_seconds: float = 120.0
    max_fetch_bytes: int = 2 * GIBIBYTE


class GitEnvironment(Struct, frozen=True):
    """The variables for local work, those for work with the remote, and what must not be seen of them."""

    local: Mapping[str, str]
    remote: Mapping[str, str]
    secrets: tuple[str, ...]


def build_environment(access: Access, outer: Mapping[str, str], settings: Pairs = ()) -> GitEnvironment:
    """What git is given: the way to the remote, the caller's environment, and the repository's `settings`.

    Raises: RemoteInvalid, GitSettingRefused, TokenUnreadable.
    """
    url = names.require_remote(access.url)
    own = git_settings.read_settings(access.git_config)
    target = names.rewrite(url, git_settings.bases_of(own))
    local = _base(outer)
    secrets = [*git_settings.secrets_in(own), *_proxy_secrets(outer)]
    remote = {**local, **_proxies(outer), "GIT_SSH_COMMAND": _ssh_command(own), "GIT_SSH_VARIANT": "ssh"}
    if access.token_file:
        secrets.append(read_token(access.token_file))
        remote |= {
            "GIT_ASKPASS": str(ASKPASS),
            "NEWLEAF_TOKEN_FILE": str(access.token_file),
            "NEWLEAF_TOKEN_HOST": names.host_of(target),
            "NEWLEAF_TOKEN_USER": TOKEN_USER,
        }
    allowed = (f"protocol.{names.protocol_of(target)}.allow", "always")
    filters = tuple(pair for pair in own if pair[0].lower().startswith("filter."))
    local |= _as_variables((*settings, *ALWAYS, *filters))
    remote |= _as_variables((*settings, *ALWAYS, allowed, *_certificates(outer), *own))
    return GitEnvironment(local, remote, tuple(secret for secret in secrets if secret))


def read_token(path: Path) -> str:
    """The first line of the token file, which must be this user's alone.

    Raises: TokenUnreadable.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_IMODE(found.st_mode) & 0o077:
                raise TokenUnreadable(path=path, reason="others can read it")
            token = file.read(MAX_TOKEN_BYTES).split(b"\n", 1)[0].strip().decode()
    except OSError as error:
        raise TokenUnreadable(path=path, reason=error.strerror or error) from error
    except UnicodeDecodeError as error:
        raise TokenUnreadable(path=path, reason="it is not text") from error
    if not token:
        raise TokenUnreadable(path=path, reason="its first line is empty")
    return token


def _base(outer: Mapping[str, str]) -> dict[str, str]:
    kept = {name: outer[name] for name in PASSED_ON if outer.get(name)}
    return {
        "PATH": os.defpath,
        **kept,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GCM_INTERACTIVE": "never",
        "GIT_AUTHOR_NAME": "newleaf",
        "GIT_AUTHOR_EMAIL": "newleaf@localhost",
        "GIT_COMMITTER_NAME": "newleaf",
        "GIT_COMMITTER_EMAIL": "newleaf@localhost",
    }


def _proxies(outer: Mapping[str, str]) -> dict[str, str]:
    spellings = [spelling for name in PROXIES for spelling in (name, name.upper())]
    return {name: outer[name] for name in spellings if outer.get(name)}


def _proxy_secrets(outer: Mapping[str, str]) -> tuple[str, ...]:
    return git_settings.secrets_in(tuple(_proxies(outer).items()))


def _certificates(outer: Mapping[str, str]) -> Pairs:
    """curl takes its CA file from git's settings, not from the variables that other programs know."""
    found = []
    for name, variables in (("http.sslCAInfo", CA_FILES), ("http.sslCAPath", CA_FOLDERS)):
        value = next((outer[variable] for variable in variables if outer.get(variable)), None)
        if value:
            found.append((name, value))
    return tuple(found)


def _ssh_command(own: Pairs) -> str:
    """The user's ssh, or core.sshCommand's, that asks nobody: the first value of an option counts."""
    command = next((value for name, value in reversed(own) if name.lower() == "core.sshcommand"), "ssh")
    program, _, rest = command.partition(" ")
    patience = f"-o ConnectTimeout={CONNECT_SECONDS} -o ServerAliveInterval={CONNECT_SECONDS}"
    return f"{program} -o BatchMode=yes {patience} {rest}".rstrip()


def _as_variables(pairs: Pairs) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (name, value) in enumerate(pairs):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
