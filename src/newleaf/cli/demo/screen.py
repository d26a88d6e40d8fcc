"""What is shown of the demo while it runs: headings, commands as one would type them, what they said."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

import click

from newleaf.cli.demo.proofs import Proof
from newleaf.cli.invocation import draws_progress

INDENT = 2
NARROWEST = 30
REDRAW_SECONDS = 0.1
BEGINNING = "\r\x1b[K"
"""Back to the beginning of the line, and what stands there is gone."""
PLAIN_MARKS = {"✓": "ok", "✗": "NO", "→": "->"}


@dataclass(frozen=True)
class Screen:
    """Writes line by line; `folder`, once it is known, is shown as `~`."""

    write: Callable[[str], None]
    folder: str = ""

    def title(self, text: str) -> None:
        """A new chapter."""
        self.write("")
        self.write(click.style(text, bold=True))

    def note(self, text: str) -> None:
        """What happened outside of newleaf, or what is to be seen now."""
        self.write(click.style(f"  → {self._short(text)}", fg="cyan"))

    def command(self, words: Iterable[str]) -> None:
        """A command, as one would type it."""
        self.write(f"  $ {self._short(' '.join(words))}")

    def output(self, lines: Iterable[str]) -> None:
        """What a command said."""
        for line in lines:
            self.write(f"    {self._short(line)}".rstrip())

    def _short(self, text: str) -> str:
        """The folder at the beginning of a path as `~`."""
        return re.sub(rf"(?<![\w/]){re.escape(self.folder)}(?![\w-])", "~", text) if self.folder else text


class LiveLine:
    """One line below all others, drawn anew all the while; on standard error, where somebody watches."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.is_drawn = draws_progress()
        self._write = write
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """A line above it."""
        with self._lock:
            self._draw("")
            self._write(text)

    @contextmanager
    def showing(self, text: Callable[[], str]) -> Iterator[None]:
        """Shows what `text` says, while the block runs."""
        if not self.is_drawn:
            yield
            return
        stop = threading.Event()
        thread = threading.Thread(target=self._keep_drawing, args=(text, stop), name="live line")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _keep_drawing(self, text: Callable[[], str], stop: threading.Event) -> None:
        while not stop.wait(REDRAW_SECONDS):
            with self._lock:
                self._draw(text())
        with self._lock:
            self._draw("")

    def _draw(self, text: str) -> None:
        if self.is_drawn:
            width = max(shutil.get_terminal_size().columns - 2 * INDENT - 1, 0)
            shown = click.style(fit_for(sys.stderr)(f"  → {text[:width]}"), fg="cyan") if text else ""
            sys.stderr.write(f"{BEGINNING}{shown}")
            sys.stderr.flush()


def proof_table(proofs: Sequence[Proof], width: int) -> list[str]:
    """A row for each claim: whether it holds, and what was seen, in as many lines as the width asks for."""
    left = max(len(proof.claim) for proof in proofs) + INDENT
    rows = []
    for proof in proofs:
        first, *more = textwrap.wrap(proof.evidence, max(width - left - INDENT, NARROWEST))
        mark, colour = ("✓", "green") if proof.holds else ("✗", "red")
        rows.append(f"{click.style(mark, fg=colour)} {proof.claim:{left - INDENT}}  {first}")
        rows += [f"{'':{left}}  {line}" for line in more]
    return [click.style(f"  {'what was to be proved':{left - INDENT}}  what was seen", bold=True), *rows]


def fit_for(stream: TextIO) -> Callable[[str], str]:
    """Replaces marks that the stream's encoding does not have."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        "".join(PLAIN_MARKS).encode(encoding)
    except UnicodeEncodeError:
        return lambda text: _plain(text).encode(encoding, "replace").decode(encoding)
    return lambda text: text


def write_line(text: str) -> None:
    """A line on standard output, at once: whoever reads it from a pipe is as curious."""
    click.echo(fit_for(sys.stdout)(text))


def _plain(text: str) -> str:
    for mark, word in PLAIN_MARKS.items():
        text = text.replace(mark, word)
    return text
