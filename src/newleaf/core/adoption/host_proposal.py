"""What `init` would write into host.toml: the channel, the way to the remote, how to restart the daemon.

Rules: of the user's git settings only those that lead to a remote are taken over, of the machine's only
those that lead to this one, of the checkout's own none; a value that holds a credential never is. How
to restart is a suggestion, written as a comment.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from newleaf.core.adoption.adoption_errors import MinorUnknown
from newleaf.core.adoption.findings import CheckoutFacts, Findings, GitSetting, Project
from newleaf.core.adoption.obstacles import choose_branch, choose_remote
from newleaf.core.adoption.start_choice import StartChoice
from newleaf.core.adoption.wish import Entry, Wish, app_name
from newleaf.core.releases.channels import parse_version
from newleaf.core.secrets import has_secret
from newleaf.core.settings.git_settings import LFS, find_fault

OFFERED = re.compile(
    r"http\.(.+\.)?(proxy|sslcainfo|sslcapath|sslcert|sslkey)|credential\.(.+\.)?(helper|username|usehttppath)"
    r"|url\..+\.insteadof|core\.sshcommand",
    re.IGNORECASE | re.DOTALL,
)
"""The git settings that lead to a remote."""

_TAG = re.compile(r"(?P<prefix>.*?)(?P<version>[0-9]+(?:\.[0-9]+)+.*)\Z", re.DOTALL)


def host_entries(findings: Findings, checkout: CheckoutFacts, name: str, wish: Wish) -> Iterator[Entry]:
    """The settings of the host.

    Raises: MinorUnknown.
    """
    prefix = tag_prefix(checkout.tags, name)
    newest = newest_version(checkout.tags, prefix) if prefix is not None else None
    yield Entry(
        "deployment.channel",
        wish.follows,
        "alpha: each commit; beta: each release; stable: patches of one minor",
    )
    if wish.follows == "stable":
        minor = wish.host_settings.get("deployment.pinned_minor") or ".".join((newest or "").split(".")[:2])
        if not minor:
            raise MinorUnknown
        yield Entry("deployment.pinned_minor", minor, "the minor version to stay in")
    yield Entry("source.branch", choose_branch(checkout), "what alpha follows")
    remote = choose_remote(checkout)
    if remote and remote[0] != "origin" and not has_secret(remote[1]):
        yield Entry("source.url", remote[1], f"there is no remote called origin; this is {remote[0]}")
    if prefix not in (None, "v"):
        yield Entry("source.tag_prefix", prefix, "what stands before the version in this repository's tags")
    settings = _git_settings(findings, checkout)
    if settings:
        yield Entry("source.git_config", settings, "taken over from this user's git settings")


def _git_settings(findings: Findings, checkout: CheckoutFacts) -> dict[str, Any]:
    """The user's own settings that lead to the remote, and git-lfs where the repository needs it."""
    taken: dict[str, list[str]] = {}
    remote = choose_remote(checkout)
    for setting in checkout.settings:
        if is_offered(setting, remote[1] if remote else ""):
            values = taken.setdefault(setting.key, [])
            if not setting.value:
                values.clear()
            else:
                values.append(setting.value)
    found: dict[str, Any] = {
        key: values[0] if len(values) == 1 else values for key, values in taken.items() if values
    }
    if findings.lfs and "git-lfs" in findings.programs:
        found |= {f"filter.lfs.{name}": command for name, command in LFS.items()}
    return found


def is_offered(setting: GitSetting, url: str) -> bool:
    """Whether a setting of git is taken over, being of the user or for the remote at `url`, and no secret."""
    if setting.scope not in ("global", "system") or not OFFERED.fullmatch(setting.key):
        return False
    if setting.scope == "system" and not _leads_to(setting, url):
        return False
    return not has_secret(f"{setting.key} {setting.value}") and find_fault(setting.key, setting.value) is None


def _leads_to(setting: GitSetting, url: str) -> bool:
    """Whether a setting for some addresses is for this one."""
    section, _, rest = setting.key.partition(".")
    subsection = rest.rpartition(".")[0]
    if section.lower() == "url":
        return url.startswith(setting.value)
    host = re.search(r"(?:.*?//)?(?:[^/@]*@)?(?:\*\.)?([^/:]+)", subsection)
    return not host or host[1] in url


def restart_suggestion(start: StartChoice, project: Project) -> Iterator[Entry]:
    """How the found keeper restarts the daemon, for a daemon that does not do it by itself."""
    command = restart_command(start)
    if command and not project.needs_newleaf:
        yield Entry(
            "restart.mode",
            "command",
            "this daemon does not import newleaf, so it is restarted",
            suggested=True,
        )
        yield Entry("restart.command", list(command), "needs the right to do so", suggested=True)


def restart_command(choice: StartChoice) -> tuple[str, ...] | None:
    """The keeper's own command that restarts the daemon and those beside it."""
    start = choice.start
    if start is None or start.kind not in ("systemd", "launchd"):
        return None
    if start.kind == "systemd":
        names = [other.name for other in (start, *choice.others)]
        return ("systemctl", *(["--user"] if start.user_level else []), "restart", *names)
    if start.user_level:
        return ("sh", "-c", f"launchctl kickstart -k gui/$(id -u)/{start.name}")
    return ("launchctl", "kickstart", "-k", f"system/{start.name}")


def tag_prefix(tags: tuple[str, ...], name: str) -> str | None:
    """What stands before the versions in a repository's tags; None when no tag has a version.

    Of several, the one that names the app, else the one of most tags.
    """
    counted: Counter[str] = Counter()
    for tag in tags:
        found = _TAG.match(tag)
        if found and parse_version(found["version"]):
            counted[found["prefix"]] += 1
    if not counted:
        return None
    own = [prefix for prefix in counted if app_name(prefix.removesuffix("v").rstrip("-_/@.")) == name]
    return own[0] if own else min(counted, key=lambda prefix: (-counted[prefix], prefix != "v", prefix))


def newest_version(tags: tuple[str, ...], prefix: str) -> str | None:
    """The highest final version among the tags, else the highest prerelease."""
    versions = [
        version
        for tag in tags
        if tag.startswith(prefix) and (version := parse_version(tag.removeprefix(prefix)))
    ]
    newest = max(versions, key=lambda version: (not version.is_prerelease, version), default=None)
    return str(newest) if newest else None
