"""`release`: a maintainer's seat, or CI's: checks, tags, signs and pushes a version."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from newleaf.cli.invocation import Invocation, draws_progress, pass_invocation
from newleaf.cli.release.facts import Desk, Request, sit_down
from newleaf.cli.release.publishing import Made, Order, make_tag, push
from newleaf.core.data.data_errors import NotAVersion
from newleaf.core.errors import NewleafError
from newleaf.core.releases.channels import parse_version
from newleaf.core.releases.names import require_branch
from newleaf.core.releases.releasing import Check, examine, may_release, remarks
from newleaf.core.releases.seat import Seat, Wish
from newleaf.system.commands import Runner
from newleaf.system.git.maintainer import Signing
from newleaf.system.place import current_folder

SIGNS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}
PLAIN = {"✓": "+", "✗": "x", "→": "->"}
"""For terminals that do not have the marks."""
FILE = click.Path(path_type=Path, dir_okay=False, exists=True, resolve_path=True)


@click.command(short_help="Check, tag, sign and push a version.")
@click.argument("version", required=False)
@click.option("--dry-run", is_flag=True, help="Make the checks; change nothing.")
@click.option("--branch", metavar="B", help="The branch at the remote, where HEAD is on none.")
@click.option("--key", type=FILE, metavar="FILE", help="Sign with this ssh key instead of git's own.")
@click.option("--signers", type=FILE, metavar="FILE", help="Hold the signature against hosts' signers.")
@click.option("--no-sign", is_flag=True, help="A tag without a signature.")
@click.option("--no-push", is_flag=True, help="Leave the tag here.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@pass_invocation
def release(invocation: Invocation, /, version: str | None, yes: bool, **said: Any) -> int:
    """Releases the commit that is checked out: checks it, tags it, signs the tag, pushes both.

    Stand in a clone of the app's repository, not on a host. VERSION is what the tree says, and needed where
    it says none. Every check is made and listed; when one fails, nothing is changed.
    """
    request = _request(invocation, version, said)
    if draws_progress():
        invocation.say("looking at the checkout, and at its remote …")
    desk = sit_down(request, Runner())
    answer = _Answer(invocation, desk.seat, examine(desk.seat), dry_run=said["dry_run"])
    if not may_release(answer.checks):
        return answer.give("refused", 5)
    if said["dry_run"]:
        return answer.give("ok", 0)
    if desk.seat.is_done:
        return answer.give("up_to_date", 0, pushed=True)
    if not yes and not invocation.json and is_interactive():
        answer.show()
        if not click.confirm(_question(desk.seat), default=False, err=True):
            click.echo("nothing was changed")
            return 0
    return _carry_out(answer, desk, Order(request.signing, said["signers"]))


def _request(invocation: Invocation, version: str | None, said: dict[str, Any]) -> Request:
    """Raises: UsageError and its kin for what cannot be meant."""
    if said["no_sign"] and (said["key"] or said["signers"]):
        raise click.UsageError("--no-sign goes with neither --key nor --signers")
    if version is not None and parse_version(version) is None:
        raise NotAVersion(text=version)
    if said["branch"] is not None:
        require_branch(said["branch"])
    wish = Wish(version, sign=not said["no_sign"], push=not said["no_push"])
    return Request(
        current_folder(),
        os.environ,
        wish,
        said["branch"],
        invocation.config,
        Signing(wish.sign, said["key"]),
    )


def _carry_out(answer: _Answer, desk: Desk, order: Order) -> int:
    made: Made | None = None
    try:
        made = make_tag(desk, order)
        if not desk.seat.wish.push:
            return answer.give("ok", 0, made)
        if draws_progress():
            answer.invocation.say(f"pushing to {desk.seat.line.remote} …")
        push(desk, made)
    except NewleafError as error:
        return answer.give_failure(error, made)
    return answer.give("ok", 0, made, pushed=True)


class _Answer:
    """What is said in the end, and, where somebody is asked, before."""

    def __init__(
        self, invocation: Invocation, seat: Seat, checks: tuple[Check, ...], *, dry_run: bool
    ) -> None:
        self.invocation = invocation
        self.seat = seat
        self.checks = checks
        self.dry_run = dry_run
        self.shown = False

    def show(self) -> None:
        """Shows the checks now, and not again."""
        for line in describe_checks(self.checks):
            click.echo(line)
        self.shown = True

    def give(
        self,
        outcome: str,
        code: int,
        made: Made | None = None,
        *,
        pushed: bool = False,
        declined: bool = False,
    ) -> int:
        """Prints the answer; returns the exit code."""
        record = self._record(outcome, made, pushed=pushed)
        lines = [] if self.shown else [*describe_checks(self.checks)]
        if declined:
            lines.append("nothing was changed")
        else:
            lines += describe_outcome(self.seat, record)
        self.invocation.answer(record, lines)
        return code

    def give_failure(self, error: NewleafError, made: Made | None) -> int:
        """Prints what failed after the checks; returns the exit code."""
        if self.invocation.json:
            record = self._record(error.outcome, made, pushed=False)
            self.invocation.answer({**record, "errors": [error.as_record()]})
        else:
            if not self.shown:
                self.show()
            self.invocation.answer_error(error)
        return error.exit_code

    def _record(self, outcome: str, made: Made | None, *, pushed: bool) -> dict[str, Any]:
        seat = self.seat
        return {
            "outcome": outcome,
            "app": seat.tree.app,
            "version": str(seat.version) if seat.version else None,
            "tag": seat.tag,
            "commit": seat.head,
            "branch": seat.line.branch,
            "remote": seat.line.remote,
            "dry_run": self.dry_run,
            "pushed": pushed,
            "signed_by": made.signed_by if made else None,
            "checks": [
                {"name": each.name, "ok": each.ok, "detail": each.detail, "cure": each.cure}
                for each in self.checks
            ],
            "notes": list(remarks(seat)),
        }


def is_interactive() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def describe_checks(checks: Iterable[Check]) -> Iterator[str]:
    """The list of checks for people, each that fails with its cure below it."""
    listed = list(checks)
    width = max(len(check.name) for check in listed)
    indent = " " * (width + 5)
    for check in listed:
        mark, colour = SIGNS[check.ok]
        first, *rest = check.detail.splitlines() or [""]
        yield f"{click.style(_drawn(mark), fg=colour)}  {check.name.ljust(width)}  {first}"
        yield from (f"{indent}{line}" for line in rest)
        if check.cure:
            yield f"{indent}{_drawn('→')} {check.cure}"


def describe_outcome(seat: Seat, record: Mapping[str, Any]) -> Iterator[str]:
    """What was done, or would be."""
    tag, line, app = seat.tag, seat.line, f"{seat.tree.app} {seat.version}"
    yield ""
    if record["outcome"] == "refused":
        failed = sum(check["ok"] is False for check in record["checks"])
        yield click.style(f"not released: {failed} of {len(record['checks'])} checks failed", fg="red")
        return
    if record["outcome"] == "up_to_date":
        yield f"{app} is released already: {tag} is at {line.remote}, as it was to be made"
        return
    if record["dry_run"]:
        yield "every check holds, and nothing was changed; without --dry-run:"
        yield f"  {_plan(seat)}"
    else:
        done = f"released: {tag} is at {line.remote}" if record["pushed"] else f"tagged as {tag}, here alone"
        yield click.style(f"{app} is {done}", fg="green", bold=True)
        yield f"  commit {seat.head}" + (f", on {line.branch}" if line.branch else "")
        if record["signed_by"]:
            yield f"  signed by the key {record['signed_by']}"
        if not record["pushed"] and line.remote:
            refs = f"{seat.head[:9]}:refs/heads/{line.branch} refs/tags/{tag}"
            yield f"  to push it: newleaf release, or git push --atomic {line.remote} {refs}"
    for note in record["notes"]:
        yield f"  {click.style('note:', fg='yellow')} {note}"


def _plan(seat: Seat) -> str:
    """What is done when all checks hold, as an order."""
    line = seat.line
    if seat.goes_on:
        first = f"take {seat.tag}, as it is here"
    else:
        first = f"make {seat.tag} at {seat.head[:9]}, {'signed' if seat.wish.sign else 'without a signature'}"
    return f"{first}, and push it with {line.branch} to {line.remote}" if seat.wish.push else first


def _question(seat: Seat) -> str:
    plan = _plan(seat)
    return f"\n{plan[0].upper()}{plan[1:]}?"


def _drawn(mark: str) -> str:
    """The mark, or another where standard output cannot take it."""
    try:
        mark.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return PLAIN[mark]
    return mark
