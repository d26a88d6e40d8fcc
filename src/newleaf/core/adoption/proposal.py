"""From what was found to what `init` writes and says: newleaf.toml, host.toml, notes.

Rules: the app's file holds what the app knows of itself and no key that is the host's alone; what is only
likely is written as a comment; what newleaf.toml says already is kept. The host's file:
`core.adoption.host_proposal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from newleaf.core.adoption.adoption_errors import AppNameMissing
from newleaf.core.adoption.findings import CheckoutFacts, Findings, Project
from newleaf.core.adoption.host_proposal import host_entries, restart_command, restart_suggestion
from newleaf.core.adoption.obstacles import Note, Situation, choose_remote, find_obstacles
from newleaf.core.adoption.start_choice import CLAIMS, choose_project, choose_start
from newleaf.core.adoption.wish import Entry, Wish, app_name
from newleaf.core.secrets import has_secret

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


class Proposal(Struct, frozen=True):
    """What `init` would write and say."""

    name: str
    project: Project
    app_entries: tuple[Entry, ...]
    host_entries: tuple[Entry, ...]
    notes: tuple[Note, ...]

    def noted(self, level: str) -> tuple[Note, ...]:
        """The notes of one level."""
        return tuple(note for note in self.notes if note.level == level)


class _Install(Struct, frozen=True):
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
        has_command="app.command" in wish.app_settings,
        slots=wish.slots,
    )
    host = tuple(host_entries(findings, checkout, name, wish))
    app = tuple(_app_entries(situation, name, install))
    notes = [
        *find_obstacles(situation),
        *_found(situation),
        *_started(situation),
        *_chosen(install, host, "a folder for each release" if wish.slots else "in place"),
        *_restart_notes(situation),
    ]
    return Proposal(name, project, app, (*host, *restart_suggestion(start, project)), tuple(notes))


def choose_name(findings: Findings, checkout: CheckoutFacts, wish: Wish) -> str:
    """The app's name: what its file says, else what was asked for, else that of the project or the place.

    Raises: AppNameMissing.
    """
    project, _ = _project(findings, wish)
    return wish.app_settings.get("app.name") or wish.name or _name(project, checkout)


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
    # With slots it depends on what is shared: who makes them tells it.
    if findings.secrets and not situation.slots:
        yield Note("found", f"{', '.join(findings.secrets)}: it stays as it is, byte for byte")
    if findings.data and not situation.slots:
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


def _started(situation: Situation) -> Iterator[Note]:
    """How the daemon is started, where there is something to choose: what the app's file says stands."""
    start = situation.start
    if situation.has_command:
        return
    if start.start:
        yield Note("chosen", f"{CLAIMS[start.start.kind]} in {start.start.source} starts the daemon")
    for rejected, reason in start.unusable:
        yield Note("chosen", f"not {rejected.name} in {rejected.source}: it {reason}")


def _chosen(install: _Install, host: tuple[Entry, ...], layout: str) -> Iterator[Note]:
    if install.value != "auto":
        yield Note("chosen", f"install by the app's own command: {install.why}")
    values = {entry.key: entry.value for entry in host}
    followed = f"channel {values['deployment.channel']}, branch {values['source.branch']}"
    yield Note("chosen", f"{followed}, {layout}")
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
