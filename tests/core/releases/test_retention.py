"""Which releases stay: the rules, a case each (lessons.md L24)."""

from __future__ import annotations

import pytest

from newleaf.core.releases.retention import Claims, Holdings, Superfluous, superfluous

ALL = Holdings({name: f"env-{name}" for name in "abcde"}, [f"env-{name}" for name in "abcde"])


def gone(claims: Claims, keep: int, holdings: Holdings = ALL) -> str:
    return "".join(superfluous(holdings, claims, keep).releases)


@pytest.mark.parametrize(
    ("pinned", "used", "good", "keep", "going"),
    [
        ("", "", "", 3, "abcde"),
        ("ab", "", "", 3, "cde"),
        ("", "c", "", 3, "abde"),
        ("", "", "edcba", 3, "ab"),
        ("", "", "edcba", 1, "abcd"),
        ("", "", "edcba", 9, ""),
        # A pinned or used one takes no place among the good ones, and a good one that is gone takes none.
        ("a", "", "edcb", 2, "bc"),
        ("e", "", "edcba", 2, "abc"),
        ("", "", "xyedcba", 2, "abc"),
        # A release that was good more than once counts once, at its newest.
        ("", "", "aeaedcba", 2, "bcd"),
        # What is pinned and lies nowhere is nothing to remove.
        ("x", "y", "", 3, "abcde"),
    ],
)
def test_what_no_rule_keeps_goes(pinned: str, used: str, good: str, keep: int, going: str) -> None:
    assert gone(Claims(set(pinned), set(used), tuple(good)), keep) == going


def test_an_environment_stays_with_the_release_that_links_to_it() -> None:
    holdings = Holdings({"a": "shared", "b": "shared", "c": "own", "d": None}, ["shared", "own", "nobodys"])

    found = superfluous(holdings, Claims({"b", "d"}, set(), ()), 1)

    assert found == Superfluous(("a", "c"), ("nobodys", "own"))


def test_an_environment_that_is_used_stays_without_its_release() -> None:
    found = superfluous(ALL, Claims(set(), {"env-a"}, ()), 1)

    assert "env-a" not in found.environments
    assert "a" in found.releases


def test_nothing_superfluous_is_falsy_and_anything_is_not() -> None:
    assert not Superfluous((), ())
    assert Superfluous(("a",), ())
    assert Superfluous((), ("env-a",))
