from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.core.adoption.adoption_errors import MinorUnknown
from newleaf.core.adoption.findings import CheckoutFacts, Findings, GitSetting, Project, Start
from newleaf.core.adoption.host_proposal import is_offered, newest_version, restart_command, tag_prefix
from newleaf.core.adoption.proposal import Proposal, propose
from newleaf.core.adoption.start_choice import StartChoice
from newleaf.core.adoption.wish import Entry, Wish

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


def host_values(proposal: Proposal) -> dict[str, Any]:
    return values(proposal.host_entries)


def test_the_hosts_file_has_the_channel_and_the_branch() -> None:
    assert host_values(proposed()) == {"deployment.channel": "alpha", "source.branch": "main"}


KNOWN = frozenset({"origin/main", "origin/dev"})


@pytest.mark.parametrize(
    ("facts", "chosen"),
    [
        ({"branch": "dev", "remote_branches": KNOWN}, "dev"),
        ({"branch": "mine", "remote_branches": KNOWN, "default_branch": "trunk"}, "trunk"),
        ({"branch": "mine", "upstream_remote": "origin", "upstream_branch": "dev"}, "dev"),
        (
            {"branch": "dev", "upstream_remote": "fork", "upstream_branch": "x", "remote_branches": KNOWN},
            "dev",
        ),
        ({"branch": "never-fetched"}, "never-fetched"),
        ({"branch": "dev", "remotes": {}}, "dev"),
        ({"branch": None, "default_branch": "trunk"}, "trunk"),
        ({"branch": None}, "main"),
    ],
)
def test_the_branch_is_one_that_the_remote_has(facts: dict[str, Any], chosen: str) -> None:
    checkout = replace(CHECKOUT, **facts)
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
        ("core.sshcommand", "ssh -i key", "global", True),
        ("core.sshcommand", "sh -c x", "global", False),
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
    assert is_offered(GitSetting(key, value, scope), URL) is offered


@pytest.mark.parametrize(
    ("key", "value", "offered"),
    [
        ("http.proxy", "http://proxy.example.org:3128", True),
        ("http.https://example.org/.proxy", "http://proxy.example.org", True),
        ("http.https://*.example.org.proxy", "http://proxy.example.org", True),
        ("credential.https://code.example.com.helper", "cloud", False),
        ("url.https://mirror.example.net/.insteadof", "git@example.org:", True),
        ("url.https://mirror.example.net/.insteadof", "https://example.com/", False),
    ],
)
def test_of_the_machines_settings_those_for_other_remotes_stay(key: str, value: str, offered: bool) -> None:
    assert is_offered(GitSetting(key, value, "system"), URL) is offered


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
