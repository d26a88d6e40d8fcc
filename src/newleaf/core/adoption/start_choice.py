"""Which of the ways to start that were found is the daemon's, and which project of the repository it is.

Rules, in their order: what a service manager runs on hosts today comes before what a platform or an
image would run, and that before what could be run; of several of one kind, the one named like
the app, then `web`, then the first. A way that cannot be carried over to this host is passed over,
with its reason. Tests, examples and other projects of the repository are no candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from newleaf.core.adoption.findings import Findings, Project, Start
from newleaf.core.adoption.start_command import ENVIRONMENT, Carried, carry_over

KEEPERS = ("systemd", "launchd", "procfile", "docker", "compose")
CLAIMS = {
    "systemd": "what systemd runs",
    "launchd": "what launchd runs",
    "procfile": "a process line",
    "docker": "what the container runs",
    "compose": "a service's command",
    "script": "an entry point",
    "module": "a package with __main__.py",
    "file": "a file that looks like the start",
}


class StartChoice(Struct, frozen=True):
    """The chosen way to start, the daemons found beside it, and what could not be used."""

    start: Start | None = None
    argv: tuple[str, ...] = ()
    others: tuple[Start, ...] = ()
    unusable: tuple[tuple[Start, str], ...] = ()


def choose_start(findings: Findings, project: Project, name: str) -> StartChoice:
    """How the daemon of `project`, an app called `name`, is started."""
    candidates = sorted(_candidates(findings, project, name), key=lambda start: _rank(start, name))
    unusable: list[tuple[Start, str]] = []
    for start in candidates:
        carried = _carried(start, project, findings)
        if carried.argv:
            others = tuple(other for other in candidates if other.kind == start.kind and other is not start)
            beside = others if start.kind in KEEPERS else ()
            return StartChoice(start, carried.argv, beside, tuple(unusable))
        unusable.append((start, carried.reason))
    return StartChoice(unusable=tuple(unusable))


def choose_project(findings: Findings, place: str) -> tuple[Project, tuple[Project, ...]]:
    """The project meant by someone who stands in folder `place`, and the others that it could be as well."""
    above = [project for project in findings.projects if _is_in(place, project.path)]
    nearest = max(above, key=lambda project: len(project.path), default=None)
    if nearest and nearest.path != ".":
        return nearest, ()
    runnable = [project for project in findings.projects if _can_start(findings, project)]
    if nearest and (nearest in runnable or len(findings.projects) == 1):
        return nearest, ()
    if len(runnable) == 1:
        return runnable[0], ()
    return nearest or Project(), tuple(runnable)


def daemons(findings: Findings, project: Project, name: str) -> tuple[Start, ...]:
    """The processes that are kept for this project today."""
    return tuple(start for start in _candidates(findings, project, name) if start.kind in KEEPERS)


def _candidates(findings: Findings, project: Project, name: str) -> Iterable[Start]:
    elsewhere = [other.path for other in findings.projects if other.path not in (".", project.path)]
    for start in findings.starts:
        folder = start.source.rpartition("/")[0] or "."
        nested = any(_is_in(folder, path) and not _is_in(project.path, path) for path in elsewhere)
        if not nested:
            yield start
    scripts = [script for script in project.scripts if script == name] or list(project.scripts)
    if project.is_installable and len(scripts) == 1:
        yield Start("script", _source(project, "pyproject.toml"), scripts[0], (scripts[0],))
    packages = [module for module in project.modules if module.replace("_", "-") == name] or list(
        project.modules
    )
    if len(packages) == 1:
        yield Start("module", _source(project, packages[0]), packages[0], ("python", "-m", packages[0]))
    for file in project.files[:1]:
        yield Start("file", _source(project, file), file, ("python", file))


def _carried(start: Start, project: Project, findings: Findings) -> Carried:
    if start.kind == "script":
        return Carried((f"{ENVIRONMENT}/{start.name}",))
    return carry_over(start, project, findings.paths)


def _rank(start: Start, name: str) -> tuple[int, bool, bool, str]:
    stem = re.sub(
        r"\.service\Z", "", start.name.rpartition(".")[2] if start.kind == "launchd" else start.name
    )
    return (list(CLAIMS).index(start.kind), stem != name, start.name != "web", start.source)


def _can_start(findings: Findings, project: Project) -> bool:
    own = any(_is_in(start.source.rpartition("/")[0] or ".", project.path) for start in findings.starts)
    has_own = own and project.path != "."
    return bool(has_own or project.scripts or project.modules or project.files)


def _is_in(folder: str, parent: str) -> bool:
    return parent in (".", folder) or folder.startswith(f"{parent}/")


def _source(project: Project, name: str) -> str:
    return name if project.path == "." else f"{project.path}/{name}"
