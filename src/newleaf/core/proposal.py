"""From what was found to what `init` writes and says: newleaf.toml, host.toml, notes.

Rules: the app's file holds what the app knows of itself and no key that is the host's alone; what is
only likely is written as a comment; what is there already is kept, and differences are said. The
host's file holds what this host decides: the channel, where from, and the git settings of the user
that reach the remote. A value that holds a credential is never taken over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from newleaf.core.adoption_errors import AppNameMissing, MinorUnknown
from newleaf.core.channels import parse_version
from newleaf.core.findings import CheckoutFacts, Findings, GitSetting, Project
from newleaf.core.git_settings import LFS, find_fault
from newleaf.core.obstacles import Note, Situation, choose_remote, find_obstacles
from newleaf.core.secrets import has_secret
from newleaf.core.start_choice import CLAIMS, StartChoice, choose_project, choose_start

OFFERED = re.compile(
    r"http\.(.+\.)?(proxy|sslcainfo|sslcapath|sslcert|sslkey)|credential\.(.+\.)?(helper|username|usehttppath)"
    r"|url\..+\.insteadof",
    re.IGNORECASE | re.DOTALL,
)
"""The user's own git settings that lead to the remote."""

_TAG = re.compile(r"(?P<prefix>.*?)(?P<version>[0-9]+(?:\.[0-9]+)+.*)\Z", re.DOTALL)
_POETRY = (
    "env",
    "POETRY_VIRTUALENVS_IN_PROJECT=true",
    "poetry",
    "install",
    "--no-interaction",
    "--only",
    "main",
)
_MAKES_ENVIRONMENT = "test -x .venv/bin/python || python3 -m venv .venv"


@dataclass(frozen=True)
class Entry:
    """One setting to write, and why; a suggested one is written as a comment."""

    key: str
    value: Any
    why: str
    suggested: bool = False


@dataclass(frozen=True)
class Wish:
    """What the person asked for, where they stand, and what this machine has already."""

    channel: str | None = None
    name: str | None = None
    place: str = "."
    sharing: tuple[str, ...] = ()
    app_settings: Mapping[str, Any] = field(default_factory=dict)
    """What newleaf.toml says already, by key; empty when there is none."""
    host_settings: Mapping[str, Any] = field(default_factory=dict)
    """What host.toml says already."""

    @property
    def follows(self) -> str:
        """The channel: what was asked for, else what this host follows already."""
        return self.channel or str(self.host_settings.get("deployment.channel", "alpha"))


@dataclass(frozen=True)
class Proposal:
    """What `init` would write and say."""

    name: str
    project: Project
    app_entries: tuple[Entry, ...]
    host_entries: tuple[Entry, ...]
    notes: tuple[Note, ...]

    def noted(self, level: str) -> tuple[Note, ...]:
        """The notes of one level."""
        return tuple(note for note in self.notes if note.level == level)


@dataclass(frozen=True)
class _Install:
    value: tuple[str, ...] | str = "auto"
    why: str = ""


def propose(findings: Findings, checkout: CheckoutFacts, wish: Wish) -> Proposal:
    """What to write and say for one repository.

    Raises: AppNameMissing, MinorUnknown.
    """
    project, rivals = _project(findings, wish)
    name = choose_name(findings, checkout, wish)
    start = choose_start(findings, project, name)
    install = _install(findings, project)
    situation = Situation(
        findings=findings,
        checkout=checkout,
        project=project,
        rivals=rivals,
        start=start,
        install=install.value if isinstance(install.value, str) else " ".join(install.value),
        sharing=wish.sharing,
    )
    host = tuple(_host_entries(findings, checkout, name, wish))
    app = tuple(_app_entries(situation, name, install))
    notes = [
        *find_obstacles(situation),
        *_found(situation),
        *_chosen(start, install, host),
        *_restart_notes(situation),
    ]
    return Proposal(name, project, app, (*host, *_restart_suggestion(start, project)), tuple(notes))


def choose_name(findings: Findings, checkout: CheckoutFacts, wish: Wish) -> str:
    """The app's name: what its file says, else what was asked for, else that of the project or the place.

    Raises: AppNameMissing.
    """
    project, _ = _project(findings, wish)
    return wish.app_settings.get("app.name") or wish.name or _name(project, checkout)


def app_name(text: str) -> str | None:
    """`text` as the name of an app; None when nothing is left of it."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")
    return re.sub(r"\A[^a-z]+", "", name) or None


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


# --- the app's file ---------------------------------------------------------------------


def _project(findings: Findings, wish: Wish) -> tuple[Project, tuple[Project, ...]]:
    said = wish.app_settings.get("app.path")
    known = [project for project in findings.projects if project.path == said]
    if known:
        return known[0], ()
    return choose_project(findings, wish.place)


def _name(project: Project, checkout: CheckoutFacts) -> str:
    remote = choose_remote(checkout)
    repository = re.sub(r"\.git\Z", "", remote[1].rstrip("/")) if remote else ""
    tried = [project.name or "", re.split(r"[/:]", repository)[-1], checkout.top.rpartition("/")[2]]
    name = next((made for text in tried if (made := app_name(text))), None)
    if name is None:
        raise AppNameMissing(tried=", ".join(repr(text) for text in tried if text))
    return name


def _app_entries(situation: Situation, name: str, install: _Install) -> Iterator[Entry]:
    project, findings = situation.project, situation.findings
    yield Entry("app.name", name, "its state lives in ~/." + name)
    if project.path != ".":
        yield Entry("app.path", project.path, "the app's folder in this repository")
        yield Entry(
            "watch.paths", [project.path], "alpha: only commits that touch these are deployed", suggested=True
        )
    if situation.start.start:
        start = situation.start.start
        yield Entry(
            "app.command", list(situation.start.argv), f"{CLAIMS[start.kind]} in {start.source}; check it"
        )
    version = _version_file(project)
    if version:
        yield version
    if install.value != "auto":
        value = list(install.value) if isinstance(install.value, tuple) else install.value
        yield Entry("update.install", value, install.why)
    if findings.foreign_migrations and not findings.migrations and _occupied(project, findings):
        yield Entry("update.migrations", "newleaf_migrations", "migrations/ belongs to another tool")
    if findings.data:
        why = "copied before migrations run, and restored when one fails"
        yield Entry("update.state_paths", list(findings.data), why, suggested=True)


def _version_file(project: Project) -> Entry | None:
    path = project.version_file
    if project.version == "dynamic" and path and not re.fullmatch(r"src/[^/]+/__init__\.py", path):
        return Entry("app.version_file", path, "where __version__ stands")
    return None


def _occupied(project: Project, findings: Findings) -> bool:
    own = "migrations" if project.path == "." else f"{project.path}/migrations"
    return own in findings.foreign_migrations


def _install(findings: Findings, project: Project) -> _Install:
    recipe = findings.make_targets.get("install")
    builds = [step for step in findings.builds if step.kind == "node"]
    if recipe is not None and builds and re.search(r"\b(npm|pnpm|yarn)\b|\bbuild\b|\$\(MAKE\)", recipe):
        return _Install(("make", "install"), "the Makefile's target also makes what the app needs built")
    if project.locks[:1] == ("uv.lock",):
        return _Install()
    if project.uses_poetry and "poetry" in findings.programs:
        return _Install(_POETRY, "poetry reads its own lock file")
    if "pdm.lock" in project.locks and "pdm" in findings.programs:
        return _Install(("pdm", "sync", "--prod", "--no-editable"), "pdm reads its own lock file")
    if "requirements.txt" in project.requirements or project.is_installable or project.name:
        return _Install()
    if project.requirements:
        chosen = next((path for path in project.requirements if "prod" in path), project.requirements[0])
        command = f"{_MAKES_ENVIRONMENT}; .venv/bin/python -m pip install -r {chosen}"
        return _Install(("sh", "-c", command), "the requirements are not in requirements.txt")
    if recipe is not None:
        return _Install(("make", "install"), "the Makefile has a target for it")
    return _Install("none", "nothing here says what to install")


# --- the host's file --------------------------------------------------------------------


def _host_entries(findings: Findings, checkout: CheckoutFacts, name: str, wish: Wish) -> Iterator[Entry]:
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
    yield Entry("source.branch", checkout.branch or checkout.default_branch or "main", "what alpha follows")
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
    for setting in checkout.settings:
        if is_offered(setting):
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


def is_offered(setting: GitSetting) -> bool:
    """Whether a setting of git is taken over: the user's or the machine's, and no secret."""
    if setting.scope not in ("global", "system") or not OFFERED.fullmatch(setting.key):
        return False
    return not has_secret(f"{setting.key} {setting.value}") and find_fault(setting.key, setting.value) is None


def _restart_suggestion(start: StartChoice, project: Project) -> Iterator[Entry]:
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


# --- what is said -----------------------------------------------------------------------


def _found(situation: Situation) -> Iterator[Note]:
    findings, project, checkout = situation.findings, situation.project, situation.checkout
    remote = situation.remote
    where = f"branch {checkout.branch}" if checkout.branch else "a detached HEAD"
    if remote and not has_secret(remote[1]):
        yield Note("found", f"git: {where}, remote {remote[0]} {remote[1]}, {len(checkout.tags)} tag(s)")
    if findings.projects:
        yield Note("found", f"project {_describe(project)}")
    for start in findings.starts[:6]:
        kept = f", restart {start.restart}" if start.restart else ""
        yield Note("found", f"{CLAIMS[start.kind]}: {start.name} in {start.source}{kept}")
    targets = [target for target in ("install", "run", "start", "deploy") if target in findings.make_targets]
    if targets:
        yield Note("found", f"Makefile with {', '.join(targets)}")
    if findings.migrations:
        yield Note("found", f"migrations in {', '.join(findings.migrations)}")
    if findings.secrets:
        yield Note("found", f"{', '.join(findings.secrets)}: it stays as it is, byte for byte")
    if findings.data:
        yield Note("found", f"data outside git: {', '.join(findings.data)}: updates leave it alone")
    if checkout.linked_worktree:
        yield Note("found", "this is a linked worktree: its siblings are left alone")


def _describe(project: Project) -> str:
    locks = [*project.locks, *project.requirements][:2] or ["no lock file"]
    manager = "poetry" if project.uses_poetry else ("uv" if "uv.lock" in project.locks else "pip")
    layout = "src layout" if project.src_layout else "flat layout"
    version = {"static": "version", "dynamic": "dynamic version", "missing": "no version"}[project.version]
    where = f" in {project.version_file}" if project.version_file else ""
    name = project.name or (project.path if project.path != "." else "without a name")
    return f"{name}: {manager} ({', '.join(locks)}), {layout}, {version}{where}"


def _chosen(start: StartChoice, install: _Install, host: tuple[Entry, ...]) -> Iterator[Note]:
    if start.start:
        yield Note("chosen", f"{CLAIMS[start.start.kind]} in {start.start.source} starts the daemon")
    for rejected, reason in start.unusable:
        yield Note("chosen", f"not {rejected.name} in {rejected.source}: it {reason}")
    if install.value != "auto":
        yield Note("chosen", f"install by the app's own command: {install.why}")
    values = {entry.key: entry.value for entry in host}
    yield Note(
        "chosen", f"channel {values['deployment.channel']}, branch {values['source.branch']}, in place"
    )
    taken = values.get("source.git_config")
    if taken:
        yield Note("chosen", f"git settings of this user: {', '.join(taken)}")


def _restart_notes(situation: Situation) -> Iterator[Note]:
    """Who restarts the daemon decides what an update is worth."""
    if situation.project.needs_newleaf or not situation.findings.projects:
        return
    command = restart_command(situation.start)
    text = "the daemon does not import newleaf: an update alone does not restart it"
    if command:
        cure = f"restart.mode and restart.command are in host.toml as comments: {' '.join(command)}"
    else:
        cure = 'set restart.mode = "command" and restart.command, or call newleaf.ready() in the daemon'
    yield Note("attention", text, cure)


def with_next_steps(proposal: Proposal, steps: tuple[str, ...]) -> Proposal:
    """The proposal that ends with what to do now."""
    return replace(proposal, notes=(*proposal.notes, *(Note("next", step) for step in steps)))
