from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.settings.toml import format_file, format_key, format_value


@dataclass(frozen=True)
class Entry:
    key: str
    value: Any
    why: str = ""
    suggested: bool = False


# Lone surrogates cannot be written as UTF-8, so no file holds them.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1)
VALUES = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(TEXTS, SCALARS, max_size=4)


@given(VALUES)
def test_any_value_of_a_setting_comes_back_as_it_was(value: object) -> None:
    assert tomllib.loads(f"x = {format_value(value)}")["x"] == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_comes_back_as_it_was(value: float) -> None:
    assert tomllib.loads(f"x = {format_value(value)}")["x"] == value


@given(TEXTS)
def test_any_name_comes_back_as_it_was(name: str) -> None:
    assert tomllib.loads(f"{format_key(name)} = 1") == {name: 1}


@given(TEXTS, TEXTS)
def test_no_comment_and_no_suggestion_changes_what_is_said(why: str, value: str) -> None:
    text = format_file([Entry("a.b", 1, why), Entry("a.c", value, why, suggested=True)], [why])
    assert tomllib.loads(text) == {"a": {"b": 1}}


def test_file_has_a_comment_above_each_key() -> None:
    entries = [
        Entry("app.name", "sessions", "the app's name"),
        Entry("update.install", ("make", "install"), "from the Makefile"),
        Entry("app.listen", ["127.0.0.1:8080"], ""),
        Entry("restart.mode", "command", "only likely", suggested=True),
        Entry("source.git_config", {"http.proxy": "http://p"}, "your own"),
        Entry("watch.poll_seconds", 60.0, ""),
        Entry("deployment.prereleases", True, ""),
    ]
    assert format_file(entries, ["What the app knows of itself."]) == (
        "# What the app knows of itself.\n"
        "\n"
        "[app]\n"
        "# the app's name\n"
        'name = "sessions"\n'
        'listen = ["127.0.0.1:8080"]\n'
        "\n"
        "[update]\n"
        "# from the Makefile\n"
        'install = ["make", "install"]\n'
        "\n"
        "[restart]\n"
        "# only likely\n"
        '# mode = "command"\n'
        "\n"
        "[source]\n"
        "# your own\n"
        'git_config = { "http.proxy" = "http://p" }\n'
        "\n"
        "[watch]\n"
        "poll_seconds = 60\n"
        "\n"
        "[deployment]\n"
        "prereleases = true\n"
    )


@pytest.mark.parametrize("value", [None, object(), b"x", {1, 2}])
def test_what_no_setting_holds_is_not_written(value: object) -> None:
    with pytest.raises(TypeError, match="no setting holds"):
        format_value(value)
