from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.core.adoption.adoption_errors import AppNameMissing
from newleaf.core.adoption.findings import BuildStep, CheckoutFacts, Findings, GitSetting, Project, Start
from newleaf.core.adoption.proposal import Proposal, propose
from newleaf.core.adoption.wish import Entry, Wish
from newleaf.core.settings.fragments import read_toml
from newleaf.core.settings.toml import format_file

URL = "git@example.org:team/shop.git"
CHECKOUT = CheckoutFacts(top="/srv/shop", head="a" * 40, branch="main", remotes={"origin": URL})
PROJECT = Project(name="shop", manifests=("pyproject.toml",), locks=("uv.lock",))
UV = frozenset({"git", "uv"})


def proposed(
    project: Project = PROJECT, checkout: CheckoutFacts = CHECKOUT, wish: Wish | None = None, **findings: Any
) -> Proposal:
    facts: dict[str, Any] = {"projects": (project,), "programs": UV, **findings}
    return propose(Findings(**facts), checkout, wish or Wish())


def values(entries: tuple[Entry, ...], *, suggested: bool = False) -> dict[str, Any]:
    return {entry.key: entry.value for entry in entries if entry.suggested is suggested}


def app_values(proposal: Proposal) -> dict[str, Any]:
    return values(proposal.app_entries)


@pytest.mark.parametrize(
    ("project", "checkout", "wish", "name"),
    [
        (PROJECT, CHECKOUT, Wish(), "shop"),
        (Project(), CHECKOUT, Wish(), "shop"),
        (Project(name="42"), replace(CHECKOUT, remotes={"origin": "/srv/git/Till.git/"}), Wish(), "till"),
        (Project(), replace(CHECKOUT, remotes={}), Wish(), "shop"),
        (PROJECT, CHECKOUT, Wish(name="kiosk"), "kiosk"),
        (PROJECT, CHECKOUT, Wish(name="kiosk", app_settings={"app.name": "till"}), "till"),
    ],
)
def test_the_name_comes_from_the_nearest_that_has_one(
    project: Project, checkout: CheckoutFacts, wish: Wish, name: str
) -> None:
    proposal = proposed(project, checkout, wish)
    assert (proposal.name, app_values(proposal)["app.name"]) == (name, name)


def test_no_name_at_all_is_an_error_that_says_what_was_tried() -> None:
    with pytest.raises(AppNameMissing, match="'42', '1', '99'"):
        proposed(Project(name="42"), CheckoutFacts("/99", remotes={"origin": "https://example.org/1.git"}))


# --- what to install --------------------------------------------------------------------

NODE = BuildStep("node", "package.json", "npm ci && npm run build")
MAKE_ENVIRONMENT = "test -x .venv/bin/python || python3 -m venv .venv; "
MAKES = {"install": "uv sync\nnpm ci && npm run build"}
INSTALLS: dict[str, tuple[Project, Mapping[str, Any], object]] = {
    "uv": (PROJECT, {}, None),
    "uv, and a Makefile that does the same": (PROJECT, {"make_targets": {"install": "uv sync"}}, None),
    "a Makefile that builds as well": (
        PROJECT,
        {"builds": (NODE,), "make_targets": MAKES},
        ["make", "install"],
    ),
    "something to build, and a Makefile that does not": (
        PROJECT,
        {"builds": (NODE,), "make_targets": {"install": "uv sync"}},
        None,
    ),
    "poetry": (
        Project(locks=("poetry.lock",), build_backend="poetry.core.masonry.api"),
        {"programs": frozenset({"poetry"})},
        [
            "env",
            "POETRY_VIRTUALENVS_IN_PROJECT=true",
            "poetry",
            "install",
            "--no-interaction",
            "--only",
            "main",
        ],
    ),
    "poetry, which is not there": (Project(name="a", locks=("poetry.lock",)), {}, None),
    "pdm": (
        Project(locks=("pdm.lock",)),
        {"programs": frozenset({"pdm"})},
        ["pdm", "sync", "--prod", "--no-editable"],
    ),
    "requirements": (Project(requirements=("requirements.txt",)), {}, None),
    "requirements elsewhere": (
        Project(requirements=("requirements/base.txt", "requirements/prod.txt")),
        {},
        [
            "sh",
            "-c",
            MAKE_ENVIRONMENT + ".venv/bin/python -m pip install -r requirements/prod.txt",
        ],
    ),
    "setup.py": (Project(manifests=("setup.py",)), {}, None),
    "a Makefile alone": (Project(), {"make_targets": {"install": "pip install x"}}, ["make", "install"]),
    "nothing": (Project(), {}, "none"),
}


@pytest.mark.parametrize("situation", INSTALLS)
def test_what_installs_is_chosen_by_what_lies_there(situation: str) -> None:
    project, findings, command = INSTALLS[situation]
    assert app_values(proposed(project, **findings)).get("update.install") == command


# --- the rest of the app's file ---------------------------------------------------------


@pytest.mark.parametrize(
    ("project", "place"),
    [
        (replace(PROJECT, version="static", version_file="pyproject.toml"), None),
        (replace(PROJECT, version="dynamic", version_file="src/shop/__init__.py"), None),
        (replace(PROJECT, version="dynamic", version_file="shop/__init__.py"), "shop/__init__.py"),
        (replace(PROJECT, version="dynamic"), None),
    ],
)
def test_the_version_file_is_said_where_it_would_not_be_found(project: Project, place: str | None) -> None:
    assert app_values(proposed(project)).get("app.version_file") == place


def test_another_tools_migrations_leave_the_folder_to_it() -> None:
    assert (
        app_values(proposed(foreign_migrations=("migrations",)))["update.migrations"] == "newleaf_migrations"
    )
    assert "update.migrations" not in app_values(proposed(foreign_migrations=("alembic.ini",)))
    assert "update.migrations" not in app_values(proposed(migrations=("migrations",)))
    api = Project(path="api", name="api")
    wish = Wish(place="api")
    found: dict[str, Any] = {"projects": (api,), "foreign_migrations": ("api/migrations",)}
    assert "update.migrations" in app_values(proposed(wish=wish, **found))


def test_data_is_suggested_and_not_decided() -> None:
    proposal = proposed(data=("data", "one.sqlite3"))
    assert values(proposal.app_entries, suggested=True) == {"update.state_paths": ["data", "one.sqlite3"]}
    assert "update.state_paths" not in app_values(proposal)


def test_in_a_monorepo_the_apps_folder_is_said_and_its_paths_suggested() -> None:
    api = Project(path="apps/api", name="api", modules=("api",))
    proposal = proposed(projects=(Project(workspace=True), api), wish=Wish(place="apps/api"))
    assert app_values(proposal)["app.path"] == "apps/api"
    assert values(proposal.app_entries, suggested=True)["watch.paths"] == ["apps/api"]
    again = proposed(
        projects=(Project(workspace=True), api, replace(api, path="b")),
        wish=Wish(app_settings={"app.path": "apps/api", "app.name": "api"}),
    )
    assert app_values(again)["app.path"] == "apps/api"
    assert not [note for note in again.notes if "several apps" in note.text]


def test_command_in_newleaf_toml_is_enough_to_start_by() -> None:
    told = Wish(app_settings={"app.name": "shop", "app.command": ["python", "serve.py"]})
    for wish, is_missed in ((None, True), (told, False)):
        notes = proposed(wish=wish).notes
        assert any("no way to start the daemon" in note.text for note in notes) is is_missed


def test_command_in_newleaf_toml_then_nothing_else_is_said_to_start_the_daemon() -> None:
    told = Wish(app_settings={"app.name": "shop", "app.command": ["python", "serve.py"]})
    for wish, is_chosen in ((None, True), (told, False)):
        notes = proposed(starts=(unit(),), wish=wish).notes
        assert any("starts the daemon" in note.text for note in notes) is is_chosen


def unit() -> Start:
    return Start("systemd", "ops/shop.service", "shop.service", (".venv/bin/shop",), restart="always")


# --- as a whole -------------------------------------------------------------------------

APP_FILE = """\
[app]
# its state lives in ~/.shop
name = "shop"
# what systemd runs in ops/shop.service; check it
command = [".venv/bin/shop"]

[update]
# copied before migrations run, and restored when one fails
# state_paths = ["data"]
"""
HOST_FILE = """\
[deployment]
# alpha: each commit; beta: each release; stable: patches of one minor
channel = "beta"

[source]
# what alpha follows
branch = "main"
# taken over from this user's git settings
git_config = { "http.proxy" = "http://proxy.example.org:3128" }

[restart]
# this daemon does not import newleaf, so it is restarted
# mode = "command"
# needs the right to do so
# command = ["systemctl", "restart", "shop.service"]
"""


def test_the_files_are_readable_and_each_side_keeps_to_its_own_keys() -> None:
    proxy = GitSetting("http.proxy", "http://proxy.example.org:3128", "global")
    proposal = proposed(
        checkout=replace(CHECKOUT, settings=(proxy,)),
        wish=Wish(channel="beta"),
        starts=(unit(),),
        data=("data",),
    )
    assert format_file(proposal.app_entries) == APP_FILE
    assert format_file(proposal.host_entries) == HOST_FILE
    assert read_toml(APP_FILE.encode(), "newleaf.toml", tracked=True).problems == ()
    assert read_toml(HOST_FILE.encode(), "host.toml").problems == ()


def test_what_was_found_is_said() -> None:
    proposal = proposed(
        replace(PROJECT, src_layout=True, version="static", version_file="pyproject.toml"),
        starts=(unit(),),
        make_targets={"install": "uv sync", "lint": "ruff"},
        migrations=("migrations",),
        secrets=(".env",),
        data=("data",),
        checkout=replace(CHECKOUT, tags=("v1.0.0",), linked_worktree=True),
    )
    assert [note.text for note in proposal.noted("found")] == [
        f"git: branch main, remote origin {URL}, 1 tag(s)",
        "project shop: uv (uv.lock), src layout, version in pyproject.toml",
        "what systemd runs: shop.service in ops/shop.service, restart always",
        "Makefile with install",
        "migrations in migrations",
        ".env: it stays as it is, byte for byte",
        "data outside git: data: updates leave it alone",
        "this is a linked worktree: its siblings are left alone",
    ]


def test_what_was_chosen_is_said_with_its_reason() -> None:
    gone = Start("docker", "Dockerfile", "container", ("/app/gone.sh",))
    proposal = proposed(Project(modules=("shop",), name="shop"), starts=(gone,))
    assert [note.text for note in proposal.noted("chosen")] == [
        "a package with __main__.py in shop starts the daemon",
        "not container in Dockerfile: it runs /app/gone.sh, which is not in the repository",
        "channel alpha, branch main, in place",
    ]


def test_what_cannot_work_is_said_first() -> None:
    proposal = proposed(submodules=("lib",), data=("data",))
    assert proposal.notes[0].level == "cannot"


def test_a_daemon_that_does_not_know_newleaf_is_said_to_stay_as_it_is() -> None:
    """lessons.md L1."""
    (note,) = proposed(starts=(unit(),)).noted("attention")
    assert "an update alone does not restart it" in note.text
    assert "systemctl restart shop.service" in note.cure
    assert not proposed(replace(PROJECT, needs_newleaf=True), starts=(unit(),)).noted("attention")
