"""How the operator's endpoint and the fleet's verbs fail, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import FailedError, UsageError


class TokensUnnamed(UsageError):
    """fleet.ops_tokens_file names no file for the tokens of operators and factories"""

    code = "tokens_unnamed"
    cure = 'write ops_tokens_file = "~/.APP/ops-tokens.json" below [fleet] in host.toml'


class TokensUnusable(UsageError):
    """the tokens in {path} cannot be used: {reason}"""

    code = "tokens_unusable"
    cure = "mend the file that fleet.ops_tokens_file names, or move it away; until then nobody is let in"


class NoSuchToken(UsageError):
    """there is no token {token}"""

    code = "no_such_token"
    cure = "`newleaf mission token list` lists them"


class HostUnknown(UsageError):
    """no host called {host} has made itself known on the bus"""

    code = "host_unknown"
    cure = "`newleaf fleet status` lists those that have"


class ServerMissing(UsageError):
    """uvicorn is not installed beside newleaf, and it serves the operator's endpoint"""

    code = "server_missing"
    cure = "install newleaf with it: `uv tool install 'newleaf[hub,redis]'`"


class CannotListen(FailedError):
    """nothing can listen on {address}: {reason}"""

    code = "cannot_listen"
    cure = "end what listens there, or name another address: newleaf mission serve --listen HOST:PORT"
