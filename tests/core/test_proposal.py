from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from newleaf.core.adoption_errors import AppNameMissing, MinorUnknown
from newleaf.core.findings import BuildStep, CheckoutFacts, Findings, GitSetting, Project, Start
from newleaf.core.fragments import read_toml
from newleaf.core.proposal import (
    Entry,
    Proposal,
    Wish,
    app_name,
    is_offered,
    newest_version,
    propose,
    restart_command,
    tag_prefix,
    with_next_steps,
)
from newleaf.core.start_choice import StartChoice
from newleaf.core.toml import format_file

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


def host_values(proposal: Proposal) -> dict[str, Any]:
    return values(proposal.host_entries)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sessions", "sessions"),
        ("Sessions_Daemon", "sessions_daemon"),
        ("my.shop app", "my-shop-app"),
        ("2048-bot", "bot"),
        ("-x-", "x"),
        ("Über", "ber"),
        ("42", None),
        ("", None),
    ],
)
def test_an_apps_name_is_made_of_any_name(text: str, name: str | None) -> None:
    assert app_name(text) == name


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


# --- the host's file --------------------------------------------------------------------


def test_the_hosts_file_has_the_channel_and_the_branch() -> None:
    assert host_values(proposed()) == {"deployment.channel": "alpha", "source.branch": "main"}


@pytest.mark.parametrize(
    ("branch", "default", "chosen"),
    [("feature/x", "main", "feature/x"), (None, "trunk", "trunk"), (None, None, "main")],
)
def test_the_branch_is_the_one_checked_out_else_the_remotes_default(
    branch: str | None, default: str | None, chosen: str
) -> None:
    checkout = replace(CHECKOUT, branch=branch, default_branch=default)
    assert host_values(proposed(checkout=checkout))["source.branch"] == chosen


def test_a_remote_by_another_name_is_said_unless_it_holds_credentials() -> None:
    """threats.md T29."""
    checkout = replace(CHECKOUT, remotes={"upstream": URL})
    assert host_values(proposed(checkout=checkout))["source.url"] == URL
    checkout = replace(CHECKOUT, remotes={"upstream": "https://me:canary@example.org/x"})
    proposal = proposed(checkout=checkout)
    assert "source.url" not in host_values(proposal)
    assert "canary" not in repr(proposal)


def test_stable_stays_in_the_minor_of_the_newest_release() -> None:
    checkout = replace(CHECKOUT, tags=("v1.9.3", "v1.10.2", "v2.0.0rc1", "nightly"))
    proposal = proposed(checkout=checkout, wish=Wish(channel="stable"))
    assert host_values(proposal)["deployment.pinned_minor"] == "1.10"
    with pytest.raises(MinorUnknown):
        proposed(wish=Wish(channel="stable"))


@pytest.mark.parametrize(
    ("tags", "prefix"),
    [
        (("v1.0.0", "v1.1.0", "1.0.0"), "v"),
        (("1.0.0", "1.1.0", "v0.1.0"), ""),
        (("release-1.0", "release-1.1"), "release-"),
        (("worker-v1.0.0", "worker-v1.1.0", "shop-v0.9.0"), "shop-v"),
        (("shop/1.0.0", "other/1.0.0", "other/1.1.0"), "shop/"),
        (("a-1.0", "v1.0"), "v"),
        (("nightly", "2024"), None),
        ((), None),
    ],
)
def test_the_tags_prefix_is_read_off_the_tags(tags: tuple[str, ...], prefix: str | None) -> None:
    assert tag_prefix(tags, "shop") == prefix


def test_another_prefix_than_v_is_said() -> None:
    checkout = replace(CHECKOUT, tags=("shop-v1.0.0",))
    assert host_values(proposed(checkout=checkout))["source.tag_prefix"] == "shop-v"
    assert "source.tag_prefix" not in host_values(proposed(checkout=replace(CHECKOUT, tags=("v1.0.0",))))


def test_the_newest_version_is_the_highest_final_one() -> None:
    """lessons.md L15."""
    assert newest_version(("v1.9.0", "v1.10.0", "v2.0.0rc1", "x9.0.0"), "v") == "1.10.0"
    assert newest_version(("v2.0.0rc1",), "v") == "2.0.0rc1"
    assert newest_version((), "v") is None


@pytest.mark.parametrize(
    ("key", "value", "scope", "offered"),
    [
        ("http.proxy", "http://proxy.example.org:3128", "global", True),
        ("http.https://example.org/.sslcainfo", "/etc/ca.pem", "system", True),
        ("credential.helper", "store", "global", True),
        ("credential.https://example.org.username", "ada", "global", True),
        ("url.git@example.org:.insteadof", "https://example.org/", "global", True),
        ("http.proxy", "http://me:canary@proxy.example.org", "global", False),
        ("url.https://canary@example.org/.insteadof", "x:", "global", False),
        ("http.extraheader", "Authorization: basic canary", "global", False),
        ("http.sslverify", "false", "global", False),
        ("core.sshcommand", "ssh -i key", "global", False),
        ("core.hookspath", "/x", "global", False),
        ("http.proxy", "http://proxy.example.org", "local", False),
        ("credential.helper", "!touch x", "worktree", False),
        ("credential.helper", "store", "command", False),
    ],
)
def test_only_the_users_own_ways_to_the_remote_are_offered(
    key: str, value: str, scope: str, offered: bool
) -> None:
    """threats.md T18, T29: what stands in the checkout's own configuration is not taken over."""
    assert is_offered(GitSetting(key, value, scope)) is offered


def test_git_settings_are_taken_over_in_order_and_an_empty_one_forgets_those_before() -> None:
    given = [
        ("credential.helper", "a"),
        ("credential.helper", ""),
        ("credential.helper", "b"),
        ("http.proxy", "p"),
    ]
    given += [("credential.helper", "c")]
    checkout = replace(CHECKOUT, settings=tuple(GitSetting(key, value, "global") for key, value in given))
    proposal = proposed(checkout=checkout)
    assert host_values(proposal)["source.git_config"] == {"credential.helper": ["b", "c"], "http.proxy": "p"}
    assert "git settings of this user: credential.helper, http.proxy" in [n.text for n in proposal.notes]


def test_large_files_bring_their_filter_where_its_program_is_there() -> None:
    proposal = proposed(lfs=("*.bin",), programs=UV | {"git-lfs"})
    assert host_values(proposal)["source.git_config"]["filter.lfs.process"] == "git-lfs filter-process"
    assert "source.git_config" not in host_values(proposed(lfs=("*.bin",)))


# --- restarting -------------------------------------------------------------------------


def unit(name: str = "shop.service", *, user_level: bool = False) -> Start:
    return Start("systemd", f"ops/{name}", name, (".venv/bin/shop",), restart="always", user_level=user_level)


def job(*, user_level: bool) -> Start:
    return Start("launchd", "ops/a.plist", "org.example.shop", (".venv/bin/shop",), user_level=user_level)


@pytest.mark.parametrize(
    ("start", "others", "command"),
    [
        (unit(), (), ("systemctl", "restart", "shop.service")),
        (unit(user_level=True), (), ("systemctl", "--user", "restart", "shop.service")),
        (unit(), (unit("b.service"),), ("systemctl", "restart", "shop.service", "b.service")),
        (job(user_level=False), (), ("launchctl", "kickstart", "-k", "system/org.example.shop")),
        (job(user_level=True), (), ("sh", "-c", "launchctl kickstart -k gui/$(id -u)/org.example.shop")),
        (Start("procfile", "Procfile", "web", "shop"), (), None),
        (None, (), None),
    ],
)
def test_a_keepers_own_restart_is_known(
    start: Start | None, others: tuple[Start, ...], command: tuple[str, ...] | None
) -> None:
    assert restart_command(StartChoice(start, ("x",), others)) == command


def test_a_daemon_that_does_not_know_newleaf_is_suggested_a_restart_by_its_keeper() -> None:
    """lessons.md L1."""
    proposal = proposed(starts=(unit(),))
    assert values(proposal.host_entries, suggested=True) == {
        "restart.mode": "command",
        "restart.command": ["systemctl", "restart", "shop.service"],
    }
    assert [
        note for note in proposal.noted("attention") if "an update alone does not restart it" in note.text
    ]
    knowing = proposed(replace(PROJECT, needs_newleaf=True), starts=(unit(),))
    assert not values(knowing.host_entries, suggested=True)
    assert not knowing.noted("attention")


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


def test_what_cannot_work_is_said_first_and_what_to_do_last() -> None:
    proposal = with_next_steps(proposed(submodules=("lib",), data=("data",)), ("newleaf update",))
    levels = [note.level for note in proposal.notes]
    assert levels[0] == "cannot"
    assert levels[-1] == "next"
