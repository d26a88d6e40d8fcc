from __future__ import annotations

import pytest

from newleaf.core.settings import kinds
from newleaf.core.settings.kinds import (
    Kind,
    choice,
    either,
    host,
    list_of,
    matching,
    one_or_list,
    url,
    whole_number,
)


def test_whole_number_stays_within_its_bounds() -> None:
    kind = whole_number(0, 255)
    assert [kind.read(0), kind.read(255)] == [0, 255]
    for value in (-1, 256, True, "5", 1.0):
        with pytest.raises(ValueError, match="whole number"):
            kind.read(value)


def test_choice_names_the_words_and_what_was_said_instead() -> None:
    with pytest.raises(ValueError, match='must be one of alpha, beta; not "nightly"'):
        choice("alpha", "beta").read("nightly")


@pytest.mark.parametrize("value", [1, None, ["alpha"], "x" * 100])
def test_choice_repeats_nothing_long_or_strange(value: object) -> None:
    with pytest.raises(ValueError, match=r"not a (number|list|text)|not nothing"):
        choice("alpha").read(value)


@pytest.mark.parametrize("value", ["ab\n", "xab", "abx", "", "\n"])
def test_pattern_holds_for_the_whole_text(value: str) -> None:
    with pytest.raises(ValueError, match="must"):
        matching("a|ab", "ab").read(value)


@pytest.mark.parametrize("value", ["Sessions", "1a", "-a", "_a", "a b", "a/b", "a\n", "ä", "", "a.b", 5])
def test_name_of_an_app_that_could_not_be_a_folder_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        kinds.NAME.read(value)


@pytest.mark.parametrize("value", ["a", "sessions", "my-app_2"])
def test_name_of_an_app_is_taken(value: str) -> None:
    assert kinds.NAME.read(value) == value


@pytest.mark.parametrize("value", ["mini 1", "a/b", "a:b", "-a", "*", "", "a\n", "x" * 256])
def test_name_of_a_host_that_a_key_could_not_hold_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must"):
        kinds.HOST_NAME.read(value)


@pytest.mark.parametrize("value", ["1.3", "0.10", "12.0"])
def test_minor_version_is_two_numbers(value: str) -> None:
    assert kinds.MINOR.read(value) == value


@pytest.mark.parametrize("value", ["1", "1.3.0", "v1.3", "1.x", "01.3", "1.03", "1.3\n", " 1.3", "", None])
def test_what_is_no_minor_version_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        kinds.MINOR.read(value)


@pytest.mark.parametrize("value", [1.10, 1.3, 1])
def test_minor_version_that_is_a_number_is_refused(value: object) -> None:
    """lessons.md L15."""
    with pytest.raises(ValueError, match="in quotes"):
        kinds.MINOR.read(value)


def test_tag_prefix_may_be_empty_but_is_no_option() -> None:
    """threats.md T15."""
    assert [kinds.PREFIX.read(value) for value in ("", "v", "app/v", "app@")] == ["", "v", "app/v", "app@"]
    for value in ("-v", "v v", "v\n", 1, None, "v*", ".."):
        with pytest.raises(ValueError, match="must"):
            kinds.PREFIX.read(value)


def test_address_has_one_of_its_schemes() -> None:
    kind = url("https", "http")
    assert kind.read("https://example.org/x?y") == "https://example.org/x?y"
    for value in ("ftp://example.org", "https://", "https:///x", "example.org", "https://a b", "HTTP", 1):
        with pytest.raises(ValueError, match="must"):
            kind.read(value)


def test_list_says_which_entry_is_wrong() -> None:
    with pytest.raises(ValueError, match="entry 2 must be a text, not a number"):
        list_of(kinds.TEXT).read(["a", 1])
    with pytest.raises(ValueError, match="must be a list, not a text"):
        list_of(kinds.TEXT).read("a")


def test_one_value_stands_for_a_list_of_one() -> None:
    kind = one_or_list(kinds.TEXT)
    assert kind.read("a") == ("a",)
    assert kind.read(["a", "b"]) == ("a", "b")
    assert kind.read_environment('["a"]') == ["a"]
    assert kind.read_environment("Mon 01:00-02:00") == "Mon 01:00-02:00"


def test_fixed_value_is_taken_beside_the_kind() -> None:
    kind = either("all", kinds.TEXTS)
    assert kind.read("all") == "all"
    assert kind.read(["all"]) == ("all",)
    assert kind.read_environment("all") == "all"
    assert kind.read_environment('["a"]') == ["a"]
    with pytest.raises(ValueError, match="must be a list"):
        kind.read("some")


def test_false_is_not_taken_for_zero_nor_true_for_it() -> None:
    assert kinds.TEXT_OR_FALSE.read(False) is False
    assert kinds.TEXT_OR_FALSE.read_environment("false") is False
    assert kinds.TEXT_OR_FALSE.read("app.main") == "app.main"
    for value in (0, True, ""):
        with pytest.raises(ValueError, match="must"):
            kinds.TEXT_OR_FALSE.read(value)


def test_installation_is_a_word_or_a_command() -> None:
    assert kinds.INSTALL.read("auto") == "auto"
    assert kinds.INSTALL.read("none") == "none"
    assert kinds.INSTALL.read("make install") == ("make", "install")
    assert kinds.INSTALL.read(["auto"]) == ("auto",)


@pytest.mark.parametrize(
    "value",
    [[], ["install"], ["install", "install"], ["install", "migrate", "install"], "install", ["x", "y"], None],
)
def test_steps_are_each_once(value: object) -> None:
    assert kinds.STEPS.read(["migrate", "install"]) == ("migrate", "install")
    with pytest.raises(ValueError, match="each once"):
        kinds.STEPS.read(value)


def test_extras_in_a_variable_are_a_word_or_a_list() -> None:
    assert kinds.TEXTS_OR_ALL.read(kinds.TEXTS_OR_ALL.read_environment("all")) == "all"
    assert kinds.TEXTS_OR_ALL.read(kinds.TEXTS_OR_ALL.read_environment('["a"]')) == ("a",)


@pytest.mark.parametrize(
    "value",
    ["redis://h:6379/0", "rediss://u:p@h", "unix:///run/redis.sock", "unix://u:p@/run/redis.sock?db=1"],
)
def test_redis_is_reached_by_tcp_tls_or_socket(value: str) -> None:
    assert kinds.REDIS.read(value) == value


@pytest.mark.parametrize(
    "value", ["redis://h:6379/0", "unix:///run/redis.sock", "rediss+sentinel://a:1,b:2/main/0"]
)
def test_a_bus_may_be_behind_sentinel(value: str) -> None:
    assert kinds.BUS.read(value) == value


@pytest.mark.parametrize("value", ["http://h", "redis+sentinel://h", "redis+sentinel:///main", "redis://a b"])
def test_what_is_no_bus_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be an address that begins with redis"):
        kinds.BUS.read(value)


@pytest.mark.parametrize(
    "value", ["http://h", "redis://", "redis:///0", "unix://", "unix://x", "h:6379", "redis://a b"]
)
def test_what_is_no_redis_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be an address that begins with redis"):
        kinds.REDIS.read(value)


def test_host_marks_a_key_as_the_hosts_alone() -> None:
    assert host(kinds.TEXT, "x").host_only
    assert not kinds.Key(kinds.TEXT, "x").host_only


def test_each_kind_has_a_word_and_a_schema() -> None:
    found = [kind for kind in vars(kinds).values() if isinstance(kind, Kind)]
    assert len(found) > 30
    assert all(kind.word and kind.schema for kind in found)
