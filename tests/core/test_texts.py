"""Text from elsewhere, before it comes to a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.texts import cut_middle, defused


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe ✓\n\tindented", "Größe ✓\n\tindented"),
        ("\x1b[32m\x1b[1mgreen\x1b[0m", "\x1b[32m\x1b[1mgreen\x1b[0m"),
        ("\x1b[2J\x1b[H gone", "?[2J?[H gone"),
        ("\x1b]0;title\x07", "?]0;title?"),
        ("\x1b]52;c;cm0=\x1b\\", "?]52;c;cm0=?\\"),
        ("over\rwritten", "over?written"),
        ("\x9b31m\x00\x08\x7f", "?31m???"),
        ("\x1b", "?"),
        ("\x1b[31", "?[31"),
    ],
)
def test_what_would_command_a_terminal_is_shown_and_not_done(text: str, shown: str) -> None:
    assert defused(text) == shown


@given(st.text())
def test_only_colours_are_left_of_all_commands(text: str) -> None:
    shown = defused(text)
    assert len(shown) == len(text)
    assert defused(shown) == shown
    assert all(part.partition("m")[0].strip("0123456789;") == "[" for part in shown.split("\x1b")[1:])


@given(st.text(alphabet="a🌿\n", max_size=60), st.integers(10, 40))
def test_whatever_is_cut_then_it_fits_and_keeps_its_ends(text: str, limit: int) -> None:
    cut = cut_middle(text, limit)
    assert len(cut.encode("utf-16-le")) // 2 <= limit
    assert cut == text or (text.startswith(cut.split("…")[0][:-1]) and text.endswith(cut.split("…")[1][1:]))
