"""Reads what lies in an app's repository, as `core.adoption.findings` has it.

Facts only: what they mean is for `core.adoption.proposal` to say. Nothing of the repository is run or
imported, links that lead out of it are not followed, and of a file at most a mebibyte is read. Files whose
format belongs to another program are read as far as they are understood, without complaint.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec.structs import replace

from newleaf.core.adoption.findings import BuildStep, DeployScript, Findings, Project, Start, Unit
from newleaf.core.adoption.start_files import (
    read_compose,
    read_dockerfile,
    read_makefile,
    read_plist,
    read_procfile,
    read_unit,
)
from newleaf.system.python_project import (
    LOCKS,
    MANIFESTS,
    build_hook,
    builds_extension,
    is_project,
    read_project,
)

MAX_BYTES = 1024 * 1024
MAX_PATHS = 50_000
MAX_DEPTH = 4
PROGRAMS = "git git-lfs uv poetry pdm make npm pnpm yarn cargo ssh-keygen systemctl".split()
UV_PLACES = ("~/.local/bin", "~/.cargo/bin", "/opt/homebrew/bin", "/usr/local/bin")
SKIPPED = frozenset(".git .venv venv env node_modules __pycache__ build dist .tox .nox site-packages".split())
ASIDE = frozenset("tests test testing docs doc examples example fixtures vendor third_party".split())
"""Folders whose projects, containers and scripts are not the app."""

DATA = re.compile(r"(data|var|storage|uploads?|media|db|database|state)|.*\.(db|sqlite3?)")
_PULLS = re.compile(r"\bgit\s+(-\S+\s+(\S+\s+)?)*?(pull|reset\s+--hard)\b")
_PUSHES = re.compile(r"\b(rsync|scp|ssh|ansible-playbook|kamal|fab|cap|fly|dokku)\s|ssh-(action|deploy)")
_SCRIPT_NAME = re.compile(r"(.*[-_.])?(deploy|update|upgrade|pull|redeploy|release)([-_.].*)?")
_LFS = re.compile(r"^\s*([^\s#]\S*)\s.*\bfilter=lfs\b", re.MULTILINE)
_SUBMODULE = re.compile(r"^\s*path\s*=\s*(.+?)\s*$", re.MULTILINE)
_OWN_MIGRATION = re.compile(r"v\d+\.\d+\.\d+/\d+_[^/]+\.py")
_FOREIGN_MIGRATION = re.compile(
    r"(.*/)?(alembic\.ini|migrations/(env\.py|alembic\.ini|0001_[^/]+\.(py|sql)|versions/.*))"
)
_WITHOUT_COMMENTS = re.compile(r"^\s*#.*$", re.MULTILINE)


def look(top: Path, tracked: frozenset[str] | None = None) -> Findings:
    """Everything `init` wants to know of the files below `top`.

    `tracked` are the paths that git tracks; without them, the files as they lie there count.
    """
    return _Look(top, tracked or frozenset(list_files(top))).findings()


def list_files(top: Path) -> Iterator[str]:
    """The files below `top`, without environments, caches and what was built."""
    count = 0
    for folder, folders, files in os.walk(top):
        below = Path(folder).relative_to(top).as_posix()
        kept = sorted(name for name in folders if name not in SKIPPED)
        folders[:] = [name for name in kept if not Path(folder, name, "pyvenv.cfg").exists()]
        for name in sorted(files):
            count += 1
            if count > MAX_PATHS:
                return
            path = name if below == "." else f"{below}/{name}"
            # A name that is no text can neither be shown nor written into a settings file.
            yield path.encode(errors="replace").decode()


def programs(search_path: str | None = None) -> frozenset[str]:
    """Which of the programs that matter here are found on `search_path`.

    Unless given it is PATH, and for uv the places where its installers put it.
    """
    found = {name for name in PROGRAMS if shutil.which(name, path=search_path)}
    if search_path is None and shutil.which("uv", path=os.pathsep.join(map(os.path.expanduser, UV_PLACES))):
        found.add("uv")
    return frozenset(found)


class _Look:
    """One reading of one repository."""

    def __init__(self, top: Path, paths: frozenset[str]) -> None:
        self.top = top
        self.paths = paths
        self.near = tuple(sorted(path for path in paths if _is_near(path)))
        self.unread: list[str] = []

    def findings(self) -> Findings:
        projects = tuple(self._projects())
        jobs = tuple(self._jobs())
        makefile = read_makefile(self._text("Makefile") or self._text("GNUmakefile") or "")
        units = tuple(job for job in jobs if isinstance(job, Unit))
        own, foreign = self._migrations()
        return Findings(
            projects=projects,
            starts=(*(job for job in jobs if isinstance(job, Start)), *self._starts()),
            units=units,
            make_targets=makefile,
            submodules=tuple(_SUBMODULE.findall(self._text(".gitmodules") or "")),
            lfs=tuple(self._lfs()),
            builds=tuple(self._builds(projects)),
            deploy_scripts=tuple(self._deploy_scripts(makefile, units)),
            images=tuple(path for path in self.near if _is_dockerfile(path)),
            secrets=tuple(self._secrets(projects)),
            data=tuple(self._data()),
            migrations=own,
            foreign_migrations=foreign,
            paths=self.paths,
            untracked=tuple(self._untracked(projects)),
            programs=programs(),
            unread=tuple(self.unread),
        )

    def _projects(self) -> Iterator[Project]:
        names: dict[str, set[str]] = defaultdict(set)
        for path in self.near:
            folder, _, name = path.rpartition("/")
            names[folder or "."].add(name)
        folders = [folder for folder in names if is_project(folder, frozenset(names[folder]), self._text)]
        if not folders:
            folders = [folder for folder in names if "requirements.txt" in names[folder]]
        if "." not in folders and names["."] & {"requirements.txt", "main.py", "app.py", "__main__.py"}:
            folders.append(".")
        for folder in sorted(folders):
            project = read_project(folder, self.paths, self._text)
            is_member = not project.locks and "pyproject.toml" in project.manifests
            yield replace(project, locks=("uv.lock",)) if is_member and self._lock_above(folder) else project

    def _lock_above(self, folder: str) -> bool:
        """Whether a uv workspace further up has the lock file."""
        above = Path(folder).parents if folder != "." else ()
        return any((parent / "uv.lock").as_posix() in self.paths for parent in above)

    def _jobs(self) -> Iterator[Start | Unit]:
        for path in self.near:
            found: Start | Unit | None = None
            if path.endswith(".service"):
                found = read_unit(path, self._text(path) or "")
            elif path.endswith(".plist"):
                found = read_plist(path, self._bytes(path) or b"")
            if found:
                yield found

    def _starts(self) -> Iterator[Start]:
        for path in self.near:
            name = path.rpartition("/")[2]
            if name == "Procfile":
                yield from read_procfile(path, self._text(path) or "")
            elif _is_dockerfile(path):
                yield from read_dockerfile(path, self._text(path) or "")
            elif re.fullmatch(r"(docker-)?compose\.ya?ml", name):
                yield from read_compose(path, self._text(path) or "")

    def _lfs(self) -> Iterator[str]:
        for path in sorted(self.paths):
            if path.rpartition("/")[2] == ".gitattributes":
                folder = path.removesuffix(".gitattributes")
                yield from (folder + pattern for pattern in _LFS.findall(self._text(path) or ""))

    def _builds(self, projects: Iterable[Project]) -> Iterator[BuildStep]:
        for path in self.near:
            if path.rpartition("/")[2] == "package.json" and self._has_build_script(path):
                yield BuildStep("node", path, self._node_build(path.removesuffix("package.json").rstrip("/")))
        for project in projects:
            place = "" if project.path == "." else f"{project.path}/"
            if builds_extension(project.path, self._text) or f"{place}Cargo.toml" in self.paths:
                source = "Cargo.toml" if f"{place}Cargo.toml" in self.paths else project.manifests[0]
                yield BuildStep("extension", place + source, "installing the project compiles it")
            hook = build_hook(project.path, self._text)
            if hook:
                yield BuildStep("script", place + hook, "the project's own build runs it")

    def _has_build_script(self, path: str) -> bool:
        try:
            package = json.loads(self._text(path) or "")
        except (ValueError, RecursionError):
            return False
        scripts = package.get("scripts") if isinstance(package, dict) else None
        return isinstance(scripts, dict) and "build" in scripts

    def _node_build(self, folder: str) -> str:
        place = f"{folder}/" if folder else ""
        if f"{place}pnpm-lock.yaml" in self.paths:
            commands = "pnpm install --frozen-lockfile && pnpm run build"
        elif f"{place}yarn.lock" in self.paths:
            commands = "yarn install --frozen-lockfile && yarn build"
        else:
            install = "npm ci" if f"{place}package-lock.json" in self.paths else "npm install"
            commands = f"{install} && npm run build"
        return f"cd {folder} && {commands}" if folder else commands

    def _deploy_scripts(self, makefile: dict[str, str], units: Iterable[Unit]) -> Iterator[DeployScript]:
        for path in self.near:
            why = _known_deployer(path)
            if not why and _may_deploy(path):
                why = _deploys(self._text(path) or "", path)
            if why:
                yield DeployScript(path, why)
        for target, recipe in makefile.items():
            why = _deploys(recipe, target)
            if why:
                yield DeployScript(f"make {target}", why)
        for unit in units:
            why = _deploys("\n".join(unit.commands), unit.name)
            if why:
                yield DeployScript(unit.source, why)

    def _secrets(self, projects: Iterable[Project]) -> Iterator[str]:
        for folder in sorted({".", *(project.path for project in projects)}):
            path = ".env" if folder == "." else f"{folder}/.env"
            if (self.top / path).exists():
                yield path

    def _untracked(self, projects: Iterable[Project]) -> Iterator[str]:
        """Files that matter to an update and lie there without being part of the repository."""
        for folder in sorted({".", *(project.path for project in projects)}):
            for name in (*MANIFESTS, *LOCKS, "requirements.txt", "Makefile"):
                path = name if folder == "." else f"{folder}/{name}"
                if path not in self.paths and (self.top / path).exists():
                    yield path

    def _data(self) -> Iterator[str]:
        """What .gitignore keeps out of git and looks like data: as it lies there, else as it is named."""
        lines = (self._text(".gitignore") or "").splitlines()
        patterns = dict.fromkeys(line.strip().strip("/") for line in lines if not line.startswith(("#", "!")))
        for pattern in patterns:
            if not DATA.fullmatch(pattern.rpartition("/")[2]) or ".." in pattern.split("/"):
                continue
            if "*" not in pattern:
                yield pattern
            else:
                yield from sorted(path.relative_to(self.top).as_posix() for path in self.top.glob(pattern))

    def _migrations(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        own: set[str] = set()
        foreign: set[str] = set()
        for path in self.paths:
            head, found, tail = f"/{path}".partition("/migrations/")
            if found and _OWN_MIGRATION.fullmatch(tail):
                own.add(f"{head}/migrations".strip("/"))
            elif not _is_aside(path) and _FOREIGN_MIGRATION.fullmatch(path):
                foreign.add(f"{head}/migrations".strip("/") if found else path)
        return tuple(sorted(own)), tuple(sorted(foreign))

    def _text(self, path: str) -> str | None:
        content = self._bytes(path)
        return None if content is None else content.decode("utf-8-sig", errors="replace")

    def _bytes(self, path: str) -> bytes | None:
        """The content of a regular file inside the repository; None for anything else."""
        if path not in self.paths:
            return None
        try:
            real = (self.top / path).resolve(strict=True)
            found = real.stat()
            if not stat.S_ISREG(found.st_mode) or not real.is_relative_to(self.top.resolve()):
                return None
            if found.st_size > MAX_BYTES:
                self.unread.append(path)
                return None
            return real.read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError):
            self.unread.append(path)
            return None


def _is_aside(path: str) -> bool:
    folders = path.split("/")[:-1]
    return any(folder in ASIDE or folder in SKIPPED for folder in folders)


def _is_near(path: str) -> bool:
    return path.count("/") <= MAX_DEPTH and not _is_aside(path)


def _is_dockerfile(path: str) -> bool:
    return bool(re.fullmatch(r"(Docker|Container)file(\..+)?|.+\.Dockerfile", path.rpartition("/")[2]))


def _known_deployer(path: str) -> str | None:
    """Files that are a deployment tool's by their name alone."""
    known = {
        "fabfile.py": "Fabric deploys over ssh",
        "Capfile": "Capistrano deploys over ssh",
        "ansible.cfg": "Ansible deploys over ssh",
        "ecosystem.config.js": "pm2 keeps and deploys processes",
        "config/deploy.yml": "Kamal deploys containers",
    }
    name = path.rpartition("/")[2]
    is_playbook = re.fullmatch(r"(playbook|deploy|site)s?\.ya?ml", name) and not path.startswith(".github/")
    ansible = "Ansible deploys over ssh" if is_playbook and "/workflows/" not in path else None
    return known.get(path) or known.get(name) or ansible


def _may_deploy(path: str) -> bool:
    name = path.rpartition("/")[2]
    is_ci = path.startswith((".github/workflows/", ".gitlab-ci", ".forgejo/", ".woodpecker"))
    is_script = name.endswith((".sh", ".bash", ".fish", ".py")) or "." not in name
    return is_ci or name.endswith((".sh", ".bash")) or bool(is_script and _SCRIPT_NAME.fullmatch(name))


def _deploys(text: str, name: str) -> str | None:
    """Why a script, a recipe or a CI job looks like a deployment; None when it does not."""
    commands = _WITHOUT_COMMENTS.sub("", text)
    is_ci = name.startswith(".")
    if not is_ci and (found := _PULLS.search(commands)):
        return f"runs `{' '.join(found[0].split())}`"
    sends = _PUSHES.search(commands)
    if sends and (is_ci or _SCRIPT_NAME.fullmatch(name.rpartition("/")[2])):
        return "a CI job reaches hosts over ssh" if is_ci else f"reaches hosts with `{sends[0].strip()}`"
    return None
