"""What `init --slots` proposes."""

from __future__ import annotations

import pytest

from newleaf.core.adoption.slot_proposal import choose_shared, said_entries, slot_entries
from newleaf.core.adoption.wish import Entry

URL = "git@example.org:team/shop.git"


def test_what_git_does_not_track_is_shared() -> None:
    """lessons.md L23."""
    assert choose_shared(["data", ".env", "conf/local.toml"], ".") == (".env", "conf/local.toml", "data")


@pytest.mark.parametrize(
    "path",
    [
        ".venv",
        "venv",
        "src/shop/__pycache__",
        "build",
        "dist",
        ".pytest_cache",
        ".mypy_cache",
        ".uv_cache/x",
        "shop.egg-info",
        "node_modules",
        ".git",
        "a/.coverage",
        "native/fast.so",
        "newleaf.toml",
        "pyproject.toml.newleaf-old",
        "x.pyc",
    ],
)
def test_what_is_made_anew_is_not_shared(path: str) -> None:
    assert choose_shared([path], ".") == ()


@pytest.mark.parametrize("path", ["environment", "builds", "targets", "my.so.txt", "data/venvs"])
def test_a_name_that_only_resembles_one_is_shared(path: str) -> None:
    assert choose_shared([path], ".") == (path,)


def test_in_a_monorepo_only_the_apps_own_folder_counts() -> None:
    untracked = ["services/shop/data", "services/shopping/data", "data", "services/shop/.venv"]
    assert choose_shared(untracked, "services/shop") == ("data",)


def test_the_hosts_file_says_all_that_no_release_says() -> None:
    app = [Entry("app.name", "shop", "the folder")]
    host = [Entry("source.url", "elsewhere", "x"), Entry("deployment.channel", "beta", "asked for")]

    entries = slot_entries(URL, app, host, ("data",))

    assert {entry.key: entry.value for entry in entries} == {
        "app.name": "shop",
        "app.layout": "slots",
        "app.shared": ["data"],
        "source.url": URL,
        "deployment.channel": "beta",
    }
    assert len(entries) == 5


def test_nothing_shared_is_not_written_down() -> None:
    assert "app.shared" not in {entry.key for entry in slot_entries(URL, [], [], ())}


def test_settings_of_a_file_that_is_not_tracked_are_the_hosts() -> None:
    entries = said_entries({"app.shared": ("a", "b"), "app.name": "shop"})
    assert [(entry.key, entry.value) for entry in entries] == [
        ("app.shared", ["a", "b"]),
        ("app.name", "shop"),
    ]
