"""`demo`: the whole loop on this machine, in a folder of its own, with a table of what it proved."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from newleaf.cli.demo.acts import Demonstration
from newleaf.cli.demo.proofs import Check, Proof, exit_code, judge
from newleaf.cli.demo.sandbox import sandbox
from newleaf.cli.demo.screen import Screen, fit_for, proof_table, write_line
from newleaf.cli.invocation import Invocation, draws_progress, pass_invocation
from newleaf.core.errors import NewleafError

PIPED_WIDTH = 120


@click.command(short_help="See the whole loop on this machine.")
@click.option("--keep", is_flag=True, help="Leave the folder as it is in the end, to look around in it.")
@pass_invocation
def demo(invocation: Invocation, *, keep: bool) -> int:
    """Shows newleaf at work, on a repository and a daemon that it makes in a temporary folder.

    A release with new code, a new dependency and a migration; one whose migration fails; one that is
    killed on its way. Then a web server under constant load, through three good releases and a bad one. Ends
    with a table of what was proved, and exits 0 only when all of it held.
    """
    began = time.monotonic()
    errors: list[dict[str, Any]] = []
    with sandbox(keep=keep) as made:
        demonstration = Demonstration(made, Screen(_writer(invocation), str(made.folder)))
        try:
            demonstration.perform()
        except NewleafError as error:
            errors.append(error.as_record())
    left = [
        Check("processes left", [], made.left_running()),
        Check("the folder is kept" if keep else "the folder is gone", True, made.folder.exists() == keep),
    ]
    proofs = judge({**demonstration.checks, "clean": left})
    code = exit_code(proofs)
    record = {
        "outcome": "failed" if code else "ok",
        "proofs": [proof.as_record() for proof in proofs],
        "seconds": round(time.monotonic() - began, 1),
        "folder": str(made.folder) if keep else None,
        "errors": errors,
    }
    invocation.answer(record, map(fit_for(sys.stdout), conclude(record, proofs)))
    return code


def conclude(record: Mapping[str, Any], proofs: list[Proof]) -> Iterator[str]:
    """The end of the demo for people: the table, and the sum of it."""
    yield ""
    yield from proof_table(proofs, shutil.get_terminal_size((PIPED_WIDTH, 0)).columns)
    yield ""
    for error in record["errors"]:
        yield f"{click.style('the demo stopped:', fg='red')} {error['message']}"
        if error.get("cure"):
            yield f"  {error['cure']}"
    held = sum(proof.holds for proof in proofs)
    good = held == len(proofs)
    said = f"{held} of {len(proofs)} held, in {record['seconds']} s"
    yield click.style(said, fg="green" if good else "red", bold=True)
    if record["folder"]:
        yield f"left in {record['folder']}: cd there, and HOME=$PWD newleaf status --app notes"


def _writer(invocation: Invocation) -> Any:
    """Where the demo is shown: in the answer's place, or beside it when that is JSON and somebody watches."""
    if not invocation.json:
        return write_line
    return invocation.say if draws_progress() else (lambda _: None)
