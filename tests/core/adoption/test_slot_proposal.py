"""What `init --slots` would write into host.toml."""

from __future__ import annotations

import pytest

from newleaf.core.adoption.slot_proposal import (
    choose_shared,
    is_made_anew,
    join_shared,
    outermost,
    said_entries,
    slot_entries,
    uncovered,
)
from newleaf.core.adoption.wish import Entry


def test_what_is_not_made_anew_is_shared() -> None:
    untracked = (".env", "data", "venv", ".venv", "a/__pycache__", "node_modules", "config.local.yaml")
    assert choose_shared(untracked, ".") == (".env", "config.local.yaml", "data")


def test_only_what_lies_in_the_apps_folder_is_shared_and_named_from_there() -> None:
    assert choose_shared(("bot/.env", "other/.env", "botany"), "bot") == (".env",)


@pytest.mark.parametrize(
    "path",
    ["venv", "a/b/__pycache__/c.pyc", "x.egg-info", "build/lib", ".coverage", "newleaf.toml", "m.pyc"],
)
def test_what_tools_make_is_made_anew(path: str) -> None:
    assert is_made_anew(path)


@pytest.mark.parametrize("path", [".env", ".env.production", "environments", "data/builder", "rebuild"])
def test_what_people_and_daemons_make_is_not(path: str) -> None:
    assert not is_made_anew(path)


@pytest.mark.parametrize(
    ("found", "said", "joined"),
    [
        ((), (), ()),
        ((".env",), (), (".env",)),
        ((), ("data",), ()),
        (("data/a", "data"), ("data",), ()),
        ((".env", "data/a"), ("data", "uploads"), (".env", "data", "uploads")),
        (("data",), ("data/a",), ("data",)),
    ],
)
def test_what_was_found_is_added_to_what_is_said(
    found: tuple[str, ...], said: tuple[str, ...], joined: tuple[str, ...]
) -> None:
    assert join_shared(found, said) == joined


def test_a_path_covers_what_lies_below_it_and_no_name_that_begins_alike() -> None:
    assert uncovered(("data", "data/a", "database"), ("./data/",)) == ("database",)
    assert outermost(("data/a", "data", "./data", "database")) == ("data", "database")


def test_the_hosts_file_says_layout_and_source_and_each_key_once() -> None:
    app = (Entry("app.name", "kiosk", ""), Entry("app.shared", ["data"], ""))
    host = (Entry("source.url", "file:///other", ""), Entry("deployment.channel", "beta", ""))
    entries = slot_entries("https://example.org/a.git", app, host, (".env", "data"))
    assert [(entry.key, entry.value) for entry in entries] == [
        ("app.name", "kiosk"),
        ("app.layout", "slots"),
        ("app.shared", [".env", "data"]),
        ("source.url", "https://example.org/a.git"),
        ("deployment.channel", "beta"),
    ]
    assert [entry.key for entry in slot_entries("u", app, (), ())].count("app.shared") == 1


def test_a_file_of_the_checkout_alone_is_taken_over() -> None:
    (entry,) = said_entries({"app.shared": ("data",)})
    assert (entry.key, entry.value) == ("app.shared", ["data"])
