"""Which trees may lie on a disk."""

from __future__ import annotations

import pytest

from newleaf.core.releases.tree_rules import LINK, SUBMODULE, Entry, find_faults, quote

ID = "a" * 40


def faults_of(*entries: Entry, **targets: str) -> list[str]:
    return find_faults(entries, targets)


@pytest.mark.parametrize(
    "path", ["a", "a/b.c", ".gitignore", ".github/workflows/ci.yml", "x.git", "git~x", "..a", "a b"]
)
def test_a_plain_path_is_fine(path: str) -> None:
    assert faults_of(Entry("100644", ID, path)) == []


@pytest.mark.parametrize(
    "path",
    [
        "../a",
        "a/../b",
        "./a",
        "/a",
        "a//b",
        ".git/hooks/x",
        ".GIT/config",
        "a/.git/config",
        "git~1/config",
        "GIT~1",
        ".git ",
        ".git.",
        ".git::$INDEX_ALLOCATION/x",
        ".g\u200cit/config",
    ],
)
def test_a_path_that_leads_out_or_into_git_is_a_fault(path: str) -> None:
    """threats.md T17."""
    assert len(faults_of(Entry("100644", ID, path))) == 1


def test_a_submodule_is_a_fault() -> None:
    """threats.md T17."""
    (fault,) = faults_of(Entry(SUBMODULE, ID, "vendor/x"))
    assert "submodule" in fault
    assert "vendor/x" in fault


def test_an_unknown_mode_is_a_fault() -> None:
    assert faults_of(Entry("160755", ID, "x")) != []


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "b"),
        ("d/a", "../b"),
        ("d/e/a", "../../b/c"),
        ("a", "d/../b"),
        ("a", "."),
        ("a", "./b"),
        ("a", "..b"),
    ],
)
def test_a_link_inside_the_tree_is_fine(path: str, target: str) -> None:
    assert find_faults([Entry(LINK, ID, path)], {path: target}) == []


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "/etc/passwd"),
        ("a", "../b"),
        ("d/a", "../../b"),
        ("a", "d/../../b"),
        ("a", ".."),
        ("a", ""),
        ("a", "b\0c"),
        ("a", "x" * 5000),
        ("a", ".git/config"),
        ("a", "d/.GIT"),
    ],
)
def test_a_link_out_of_the_tree_or_into_git_is_a_fault(path: str, target: str) -> None:
    """threats.md T17."""
    assert len(find_faults([Entry(LINK, ID, path)], {path: target})) == 1


@pytest.mark.parametrize("way", ["here/..", "here/here/..", "here/d/../.."])
def test_a_link_that_leads_out_by_way_of_another_link_is_a_fault(way: str) -> None:
    """threats.md T17: `here` is the top itself, so `here/..` is the folder above it."""
    entries = [Entry(LINK, ID, "here"), Entry(LINK, ID, "out")]

    faults = find_faults(entries, {"here": ".", "out": f"{way}/x"})

    assert len(faults) == 1
    assert "'out'" in faults[0]


def test_paths_are_quoted_as_git_reads_them() -> None:
    assert quote("plain name") == "plain name"
    assert quote('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'


def test_a_last_return_is_quoted_because_git_would_drop_it() -> None:
    assert quote("icon\r") == '"icon\\r"'
    assert quote("tab\t caf\udce9") == "tab\t caf\udce9"
