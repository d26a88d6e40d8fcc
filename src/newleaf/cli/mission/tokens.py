"""`mission token`: who may use the operator's endpoint."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

import click

from newleaf.cli.invocation import Invocation, pass_invocation, table

if TYPE_CHECKING:
    from newleaf.system.token_file import TokenFile

MAX_NOTE = 200


class HostName(click.types.StringParamType):
    """The name of a host."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from newleaf.core.missions.targeting import HOST

        if not re.fullmatch(HOST, str(value)):
            self.fail("a host's name is letters, digits and . _ -", param, ctx)
        return value


@click.group(short_help="Who may use the endpoint.", no_args_is_help=False)
def token() -> None:
    """Tokens of the operator's endpoint; `fleet.ops_tokens_file` keeps their hashes, and nothing else."""


@token.command(short_help="Make a token, shown once.")
@click.option("--factory", type=HostName(), metavar="NAME", help="For this one host, to register itself.")
@click.option("--note", default="", help="Whose it is, for the list.")
@pass_invocation
def create(invocation: Invocation, factory: str | None, note: str) -> None:
    """Makes a token for an operator, or for one factory, and prints it: this once, nothing else keeps it."""
    from newleaf.compose.host import now
    from newleaf.core.ops_tokens import SECRET_BYTES, Token, digest_of, make_text
    from newleaf.core.records import short_stamp

    if len(note) > MAX_NOTE or not (note.isprintable() or not note):
        raise click.UsageError(f"--note is one line of {MAX_NOTE} characters at most")
    file = _file(invocation)
    text = make_text(secrets.token_urlsafe(SECRET_BYTES), factory)
    made = Token(digest_of(text.encode()), short_stamp(now()), factory, note)
    file.add(made)
    invocation.answer({"outcome": "ok", "token": text, **made.shown()}, [text])
    if not invocation.json:
        whose = f"the factory {factory}" if factory else "an operator"
        invocation.say(f"for {whose}; `newleaf mission token revoke {made.id}` takes it back")


@token.command("list", short_help="Which there are.")
@pass_invocation
def list_tokens(invocation: Invocation) -> None:
    """Lists the tokens: what each is called, and whose it is. What they are is not known any more."""
    shown = [one.shown() for one in _file(invocation).tokens()]
    rows = [(one["id"], one["factory"] or "(operator)", one["created_at"], one["note"]) for one in shown]
    lines = table(rows, ("id", "factory", "since", "note")) if rows else ["there is no token"]
    invocation.answer({"outcome": "ok", "tokens": shown}, lines)


@token.command(short_help="Take one back.")
@click.argument("name", metavar="ID")
@pass_invocation
def revoke(invocation: Invocation, name: str) -> None:
    """Takes a token back, at once: whoever serves the endpoint reads the file at each request."""
    gone = _file(invocation).revoke(name)
    invocation.answer({"outcome": "ok", "revoked": gone.id}, [f"{gone.id} is revoked"])


def _file(invocation: Invocation) -> TokenFile:
    from newleaf.compose.headquarters import token_file
    from newleaf.core.missions.ops_errors import TokensUnnamed

    found = token_file(invocation.host())
    if found is None:
        raise TokensUnnamed
    return found
