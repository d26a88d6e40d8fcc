from __future__ import annotations

from datetime import date

import pytest

from newleaf.core.settings.values import (
    describe,
    from_flag,
    from_json,
    from_number,
    from_text_or_list,
    read_command,
    read_flag,
    read_fraction,
    read_git_config,
    read_inner_path,
    read_integer,
    read_positive_duration,
    read_table,
    read_text,
    read_version,
)


@pytest.mark.parametrize(
    ("value", "argv"),
    [
        ("make install", ("make", "install")),
        ("sh -c 'a && b'", ("sh", "-c", "a && b")),
        ("a  'b c' d\\ e", ("a", "b c", "d e")),
        ("echo $HOME; ls | wc", ("echo", "$HOME;", "ls", "|", "wc")),
        ("run # not a comment", ("run", "#", "not", "a", "comment")),
        (["make", "install"], ("make", "install")),
        (("make", "install"), ("make", "install")),
        (["a", "", "b c", "d\ne"], ("a", "", "b c", "d\ne")),
    ],
)
def test_command_is_split_as_a_shell_splits_words_and_no_shell_is_run(
    value: object, argv: tuple[str, ...]
) -> None:
    assert read_command(value) == argv


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "''",
        "a 'b",
        'a "b',
        "a\\",
        "a\nb",
        [],
        [""],
        ["a", 1],
        ["a", None],
        ["a\0"],
        5,
        True,
        None,
        {},
    ],
)
def test_what_is_no_command_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"must|cannot be split"):
        read_command(value)


@pytest.mark.parametrize(
    "value", ["", " ", "\t", "a\nb", "a\0", "a\x7f", "\x1b[31m", 1, 1.5, True, None, [], {}, b"a"]
)
def test_what_is_no_text_of_one_line_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        read_text(value)


@pytest.mark.parametrize("value", [1.10, 1.3, 2, 0])
def test_version_that_is_a_number_is_refused_and_the_loss_explained(value: object) -> None:
    """lessons.md L15."""
    with pytest.raises(ValueError, match=r"text in quotes: as a number, 1\.10 is read as 1\.1"):
        read_version(value)


@pytest.mark.parametrize("value", [True, None, "", []])
def test_version_that_is_nothing_like_one_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        read_version(value)


@pytest.mark.parametrize("value", [0, 1, "true", "yes", None, []])
def test_flag_is_true_or_false_only(value: object) -> None:
    with pytest.raises(ValueError, match="must be true or false"):
        read_flag(value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_whole_number_is_no_other_thing(value: object) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        read_integer(value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), True, "0.1", None])
def test_fraction_is_from_0_to_1(value: object) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        read_fraction(value)
    assert read_fraction(1) == 1.0


def test_duration_that_must_be_longer_than_nothing_is() -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        read_positive_duration("0s")
    assert read_positive_duration("10m") == 600.0


@pytest.mark.parametrize("value", ["/etc", "~/x", "..", "../x", "a/../../b", "a/..", "", 3, "a\nb"])
def test_path_that_leaves_the_repository_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        read_inner_path(value)


@pytest.mark.parametrize("value", [".", "src", "services/app", ".env", "a..b", "./x"])
def test_path_inside_the_repository_is_taken(value: str) -> None:
    assert read_inner_path(value) == value


def test_table_holds_texts() -> None:
    assert read_table({"a": "b", "n": 1, "t": True}) == {"a": "b", "n": "1", "t": "true"}


@pytest.mark.parametrize("value", [None, [], "a=b", {"a": []}, {"a": None}, {"a": 1.5}, {"a": {"b": "c"}}])
def test_what_is_no_table_of_texts_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        read_table(value)


def test_git_settings_may_be_nested_and_have_several_values() -> None:
    read = read_git_config(
        {"http": {"proxy": "http://p", "sslVerify": True}, "credential.helper": ["", "store"], "a.b": 1}
    )
    assert read == {
        "http.proxy": "http://p",
        "http.sslVerify": "true",
        "credential.helper": ("", "store"),
        "a.b": "1",
    }


@pytest.mark.parametrize("value", [None, "a=b", {"a": [1.5]}, {"a": [[]]}, {"a": {"b": None}}])
def test_what_is_no_table_of_git_settings_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        read_git_config(value)


def test_values_are_described_without_being_repeated() -> None:
    values: list[object] = ["x", 1, 1.5, True, None, [], (), {}, date(2026, 1, 1)]
    assert [describe(value) for value in values] == [
        "a text",
        "a number",
        "a number",
        "true or false",
        "nothing",
        "a list",
        "a list",
        "a table",
        "a date",
    ]


# --- from the environment ------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "[", "{'a': 1}", "nope", "[" * 100_000])
def test_variable_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be JSON"):
        from_json(text)


def test_variable_is_a_list_only_when_it_begins_like_one() -> None:
    assert from_text_or_list("make install") == "make install"
    assert from_text_or_list(' ["make", "install"]') == ["make", "install"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("1", True),
        ("YES", True),
        ("on", True),
        ("false", False),
        ("0", False),
        ("off", False),
    ],
)
def test_flag_in_a_variable_has_several_words(text: str, value: bool) -> None:
    assert from_flag(text) is value


def test_flag_that_is_none_is_left_to_the_reader() -> None:
    assert from_flag("perhaps") == "perhaps"


def test_number_in_a_variable_is_read_or_left_to_the_reader() -> None:
    read = [from_number(text) for text in ("5", "-7", "0.5", "five", "")]
    assert read == [5, -7, 0.5, "five", ""]
