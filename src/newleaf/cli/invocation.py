"""One call of the command line: what its shared options say, and how its answer is given.

With `--json` standard output holds exactly one JSON object, whatever happens; everything else goes to
standard error. Text has colour on a terminal only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from newleaf.core.errors import NewleafError, OutputLost
from newleaf.core.texts import defused

if TYPE_CHECKING:
    from newleaf.compose import Host

SCHEMA = 1


class Invocation:
    """The shared options of a verb."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self.app: str | None = None
        self.state_dir: Path | None = None
        self.config: Path | None = None
        self.answered = False

    def host(self) -> Host:
        """The app that is meant, on this host; progress is drawn when somebody watches.

        Raises: UsageError and its kin.
        """
        from newleaf import compose

        host = compose.host(self)
        if draws_progress():
            host.watch = self.say
        return host

    def answer(self, record: Mapping[str, Any], lines: Iterable[str] = ()) -> None:
        """Prints the verb's answer: the record as JSON, or the lines for people.

        Raises: OutputLost.
        """
        self.answered = True
        for line in (_encode({"schema": SCHEMA, **record}),) if self.json else lines:
            try:
                click.echo(line if self.json else defused(line))
            except BrokenPipeError:
                # Who read has gone; what was done, and its exit code, is not changed by that.
                silence(sys.stdout)
                return
            except OSError as error:
                silence(sys.stdout)
                raise OutputLost(reason=error.strerror or error) from error

    def answer_error(self, error: NewleafError) -> None:
        """Prints a failure that ended the verb."""
        if self.json and not isinstance(error, OutputLost):
            # What was interrupted while it printed has answered already.
            if not self.answered:
                self.answer({"outcome": error.outcome, "errors": [error.as_record()]})
            return
        self.say(f"{click.style('newleaf:', fg='red')} {error.message}")
        for line in getattr(error, "lines", ()):
            self.say(f"  | {line}")
        if error.advice:
            self.say(f"  {error.advice}")

    @staticmethod
    def say(text: str) -> None:
        """A line that is no part of the answer; lost when nobody can hear it."""
        try:
            click.echo(defused(text), err=True)
        except OSError:
            silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """From now on what is printed there goes nowhere, what waits to be printed included."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _encode(record: Mapping[str, Any]) -> str:
    """JSON as readable as standard output's character set allows."""
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(record)
    return text


def draws_progress() -> bool:
    """Whether somebody watches: progress is drawn on a terminal only."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> list[str]:
    """Rows as aligned text; the last column is left ragged."""
    whole = [list(head), *map(list, rows)] if head else [list(row) for row in rows]
    if not whole:
        return []
    widths = [max(len(row[i]) for row in whole) for i in range(len(whole[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in whole
    ]
    return [click.style(lines[0], bold=True), *lines[1:]] if head else lines


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
