"""What a folder says of itself as a Python project: pyproject.toml, setup.py, requirements, lock files.

Read as text and syntax only; nothing of the repository is imported or run. A file that cannot be
read is a fact too (`Project.problem`), never an error.
"""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Callable, Iterable
from typing import Any, Literal

from newleaf.core.adoption.findings import Project

MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg")
LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")
START_FILES = tuple(
    f"{name}.py"
    for name in ("main", "app", "bot", "server", "daemon", "run", "worker", "service", "__main__")
)
NOT_THE_APP = frozenset(("tests", "test", "docs", "examples", "scripts", "migrations", "build", "dist"))
EXTENSION_BACKENDS = ("maturin", "scikit_build_core", "mesonpy", "skbuild")
EXTENSION_TOOLS = frozenset(
    ("cython", "pybind11", "nanobind", "setuptools-rust", "cffi", "cmake", "scikit-build")
)
_REQUIREMENTS = re.compile(r"(requirements[^/]*|requirements/[^/]+)\.(txt|in)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"^__version__\s*(?::[^=\n]*)?=\s*[\"']", re.MULTILINE)

Version = Literal["static", "dynamic", "missing"]
ReadText = Callable[[str], str | None]
"""Gives the text of a file of the repository, or None."""


def read_project(folder: str, paths: Iterable[str], read: ReadText) -> Project:
    """The project in `folder` ("." for the top), given all paths of the repository."""
    inside = _inside(folder, paths)
    prefix = "" if folder == "." else f"{folder}/"

    def text(path: str) -> str | None:
        return read(prefix + path) if path in inside else None

    pyproject, problem = _parse_toml(text("pyproject.toml"))
    setup = _read_setup(text("setup.py"), text("setup.cfg"))
    project, poetry = _table(pyproject, "project"), _table(pyproject, "tool", "poetry")
    packages = _packages(inside)
    version, version_file = _version(pyproject, setup, packages, inside, text)
    requirements = tuple(sorted(path for path in inside if _REQUIREMENTS.fullmatch(path)))
    backend = _table(pyproject, "build-system").get("build-backend")
    return Project(
        path=folder,
        name=_first_text(project.get("name"), poetry.get("name"), setup.get("name")),
        version=version,
        version_file=version_file,
        build_backend=backend if isinstance(backend, str) else _default_backend(pyproject),
        scripts=tuple(
            dict.fromkeys((*_table(project, "scripts"), *_table(poetry, "scripts"), *setup["scripts"]))
        ),
        manifests=tuple(name for name in MANIFESTS if name in inside),
        locks=tuple(name for name in LOCKS if name in inside),
        requirements=requirements,
        needs_newleaf=_needs("newleaf", pyproject, setup, [text(path) or "" for path in requirements]),
        src_layout=any(path.startswith("src/") and path.endswith(".py") for path in inside),
        packages=tuple(sorted(packages)),
        modules=tuple(sorted(name for name, place in packages.items() if f"{place}/__main__.py" in inside)),
        files=tuple(name for name in START_FILES if name in inside),
        workspace=bool(_table(pyproject, "tool", "uv", "workspace")),
        problem=problem,
    )


def is_project(folder: str, names: frozenset[str], read: ReadText) -> bool:
    """Whether the files `names` in `folder` make it a project (a pyproject.toml for tools alone does not)."""
    if "setup.py" in names or names & set(LOCKS):
        return True
    if "pyproject.toml" not in names:
        return False
    parsed, problem = _parse_toml(read("pyproject.toml" if folder == "." else f"{folder}/pyproject.toml"))
    return problem is not None or "project" in parsed or "poetry" in _table(parsed, "tool")


def builds_extension(folder: str, read: ReadText) -> bool:
    """Whether installing the project compiles something."""
    prefix = "" if folder == "." else f"{folder}/"
    parsed, _ = _parse_toml(read(f"{prefix}pyproject.toml"))
    system = _table(parsed, "build-system")
    backend = system.get("build-backend")
    required = {_requirement_name(line) for line in _texts(system.get("requires"))}
    if isinstance(backend, str) and backend.split(".")[0] in EXTENSION_BACKENDS:
        return True
    return bool(required & EXTENSION_TOOLS) or "ext_modules" in _setup_keywords(read(f"{prefix}setup.py"))


def build_hook(folder: str, read: ReadText) -> str | None:
    """The script that the build runs, where pyproject.toml names one."""
    parsed, _ = _parse_toml(read("pyproject.toml" if folder == "." else f"{folder}/pyproject.toml"))
    poetry = _table(parsed, "tool", "poetry").get("build")
    if poetry:
        return _first_text(poetry, poetry.get("script") if isinstance(poetry, dict) else None) or "build.py"
    hooks = _table(parsed, "tool", "hatch", "build", "hooks")
    if "custom" in hooks:
        return _first_text(_table(hooks, "custom").get("path")) or "hatch_build.py"
    return None


# --- pyproject.toml ---------------------------------------------------------------------


def _parse_toml(text: str | None) -> tuple[dict[str, Any], str | None]:
    try:
        return tomllib.loads(text or ""), None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return {}, f"not TOML: {error}"


def _table(parent: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The table below `keys`; an empty one for whatever is not a table."""
    found: Any = parent
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _first_text(*values: object) -> str | None:
    return next((value for value in values if isinstance(value, str) and value), None)


def _default_backend(pyproject: dict[str, Any]) -> str | None:
    """A [build-system] without a backend means setuptools, says PEP 517."""
    return "setuptools.build_meta:__legacy__" if _table(pyproject, "build-system") else None


def _version(
    pyproject: dict[str, Any],
    setup: dict[str, Any],
    packages: dict[str, str],
    inside: frozenset[str],
    text: ReadText,
) -> tuple[Version, str | None]:
    project, poetry = _table(pyproject, "project"), _table(pyproject, "tool", "poetry")
    if _first_text(project.get("version"), poetry.get("version")):
        return "static", "pyproject.toml"
    places = [f"{place}/__init__.py" for place in packages.values()]
    for path in sorted(places, key=lambda place: (not place.startswith("src/"), place)):
        if path in inside and _VERSION.search(text(path) or ""):
            return "dynamic", path
    if setup.get("version"):
        return "static", setup["version"]
    dynamic = "version" in _texts(project.get("dynamic"))
    return ("dynamic" if dynamic else "missing"), None


def _needs(name: str, pyproject: dict[str, Any], setup: dict[str, Any], requirements: list[str]) -> bool:
    lines = [*_texts(_table(pyproject, "project").get("dependencies")), *setup["requires"]]
    lines += _table(pyproject, "tool", "poetry", "dependencies")
    lines += [line for text in requirements for line in text.splitlines()]
    return name in {_requirement_name(line) for line in lines}


def _requirement_name(line: str) -> str:
    found = _NAME.match(line.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


# --- setup.py and setup.cfg -------------------------------------------------------------


def _read_setup(script: str | None, config: str | None) -> dict[str, Any]:
    """`name`, `scripts`, `requires`, and as `version` the file that states it."""
    found: dict[str, Any] = {}
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(config or "")
    except configparser.Error:
        parser = configparser.ConfigParser(interpolation=None)
    found["name"] = parser.get("metadata", "name", fallback=None)
    version = parser.get("metadata", "version", fallback="attr:")
    found["version"] = None if version.startswith(("attr:", "file:")) else "setup.cfg"
    entry_points = parser.get("options.entry_points", "console_scripts", fallback="")
    found["scripts"] = _console_scripts(entry_points.splitlines())
    found["requires"] = parser.get("options", "install_requires", fallback="").splitlines()
    keywords = _setup_keywords(script)
    if isinstance(keywords.get("name"), str):
        found["name"] = keywords["name"]
    if isinstance(keywords.get("version"), str):
        found["version"] = "setup.py"
    if isinstance(keywords.get("entry_points"), dict):
        found["scripts"] += _console_scripts(_texts(keywords["entry_points"].get("console_scripts")))
    found["requires"] += _texts(keywords.get("install_requires"))
    return found


def _setup_keywords(script: str | None) -> dict[str, Any]:
    """What setup() is called with, as far as it is written out; anything computed is None."""
    try:
        tree = ast.parse(script or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "setup":
            return {keyword.arg: _literal(keyword.value) for keyword in node.keywords if keyword.arg}
    return {}


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def _console_scripts(lines: list[str]) -> tuple[str, ...]:
    return tuple(line.partition("=")[0].strip() for line in lines if "=" in line)


# --- the tree ---------------------------------------------------------------------------


def _inside(folder: str, paths: Iterable[str]) -> frozenset[str]:
    if folder == ".":
        return frozenset(paths)
    start = f"{folder}/"
    return frozenset(path.removeprefix(start) for path in paths if path.startswith(start))


def _packages(inside: frozenset[str]) -> dict[str, str]:
    """Import name → folder, of the packages that lie directly in src/ or in the project's folder."""
    found: dict[str, str] = {}
    for path in sorted(inside, reverse=True):
        parts = path.split("/")
        if parts[-1] not in ("__init__.py", "__main__.py") or not parts[:-1]:
            continue
        name = parts[-2]
        is_top = parts[:-2] in ([], ["src"])
        if is_top and name.isidentifier() and name not in NOT_THE_APP and parts[:-1] != ["src"]:
            found[name] = "/".join(parts[:-1])
    return found
