"""A bus behind Sentinel, as a url names it."""

from __future__ import annotations

import pytest

from newleaf.core.missions.sentinels import Sentinels, read_sentinels


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("redis://h:6379/0", None),
        ("unix:///run/redis.sock", None),
        ("redis+sentinel://h/main", Sentinels((("h", 26379),), "main")),
        ("redis+sentinel://a:1,b:2/main/3", Sentinels((("a", 1), ("b", 2)), "main", 3)),
        ("redis+sentinel://[::1]:1/main", Sentinels((("::1", 1),), "main")),
        (
            "rediss+sentinel://u:p%40@a/main/0?sentinel_password=s",
            Sentinels((("a", 26379),), "main", 0, "u", "p@", "s", has_tls=True),
        ),
        ("redis+sentinel://:p@a/main", Sentinels((("a", 26379),), "main", password="p")),
    ],
)
def test_read(url: str, found: Sentinels | None) -> None:
    assert read_sentinels(url) == found


@pytest.mark.parametrize(
    "url",
    ["redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel:///main", "redis+sentinel://a b/main",
     "redis+sentinel://h:x/main", "http+sentinel://h/main", "redis+sentinel://h/main/x"],
)  # fmt: skip
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be like"):
        read_sentinels(url)


def test_an_option_that_nothing_here_obeys_is_refused_without_a_word_of_it() -> None:
    with pytest.raises(ValueError, match="has an option that newleaf does not know") as caught:
        read_sentinels("rediss+sentinel://h/main?sentinel_password=s&ssl_ca_certs=canary")
    assert "canary" not in str(caught.value)


def test_shown_then_without_its_secrets() -> None:
    """threats.md T29"""
    assert "canary" not in repr(read_sentinels("redis+sentinel://u:canary@h/main?sentinel_password=canary"))
