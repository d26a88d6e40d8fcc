"""What the demo shows, on a terminal, in a pipe, and where there are no arrows."""

from __future__ import annotations

import io
import sys

import click
import pytest

from newleaf.cli.demo import screen
from newleaf.cli.demo.proofs import Check, Proof
from newleaf.cli.demo.screen import BEGINNING, LiveLine, Screen, fit_for, proof_table, write_line
from tests.support.kills import wait_until

FOLDER = "/tmp/newleaf-demo-x"


def shown(draw: str, *arguments: object) -> list[str]:
    lines: list[str] = []
    getattr(Screen(lines.append, FOLDER), draw)(*arguments)
    return [click.unstyle(line) for line in lines]


def test_chapter_stands_apart() -> None:
    assert shown("title", "2. v1.1.0") == ["", "2. v1.1.0"]


def test_command_is_shown_as_one_would_type_it_at_home() -> None:
    words = ["git", "clone", f"{FOLDER}/remote.git", f"{FOLDER}/notes"]
    assert shown("command", words) == ["  $ git clone ~/remote.git ~/notes"]


def test_output_is_indented_and_a_path_inside_another_is_left_whole() -> None:
    lines = ["", f"kept in {FOLDER}/.notes/aside{FOLDER}/notes", f"{FOLDER}-other"]
    assert shown("output", lines) == ["", f"    kept in ~/.notes/aside{FOLDER}/notes", f"    {FOLDER}-other"]


def test_note_points_at_what_happens() -> None:
    assert shown("note", f"look at {FOLDER}/notes") == ["  → look at ~/notes"]


def test_table_breaks_long_evidence_and_keeps_its_columns() -> None:
    proofs = [Proof("held", (Check("words", "a " * 30, "a " * 30),)), Proof("once", (Check("n", 2, 3),))]
    lines = [click.unstyle(line) for line in proof_table(proofs, 80)]
    column = lines[0].index("what was seen")
    assert lines[0].startswith("  what was to be proved ")
    assert lines[1].startswith("✓ the denied release is not tried again ")
    assert lines[-1].startswith("✗ each migration has run exactly once ")
    assert lines[-1][column:] == "n 3, expected 2"
    assert len(lines) > 3
    assert all(len(line) <= 80 and line[column - 1] == " " and line[column] != " " for line in lines[1:])


class Screenful(io.StringIO):
    """A terminal, as far as standard error can tell."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_live_line_is_drawn_again_and_again_below_the_lines_and_is_gone_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Screenful()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(screen, "REDRAW_SECONDS", 0.001)
    live, counts = LiveLine(lambda text: print(text, file=terminal)), iter(range(1000))
    with live.showing(lambda: f"{next(counts)} served"):
        wait_until(lambda: "3 served" in terminal.getvalue(), "the line to be drawn")
        live.write("an update")
    parts = click.unstyle(terminal.getvalue()).split("\r")
    assert parts[1:4] == ["  → 0 served", "  → 1 served", "  → 2 served"]
    assert "an update\n" in parts
    assert terminal.getvalue().endswith(BEGINNING)


def test_live_line_is_not_drawn_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    live = LiveLine(lines.append)
    with live.showing(lambda: "1 served"):
        live.write("an update")
    assert not live.is_drawn
    assert lines == ["an update"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("encoding", "expected"), [("utf-8", "✓ → x"), ("latin-1", "ok -> x"), ("ascii", "ok -> x")]
)
def test_marks_become_words_where_the_stream_has_none(encoding: str, expected: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert fit_for(stream)("✓ → x") == expected


def test_lines_in_a_pipe_have_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    write_line(click.style("done", fg="green"))
    assert capsys.readouterr().out == "done\n"
