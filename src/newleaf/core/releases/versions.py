"""The version that a tree says it has, from the bytes of its files.

Rules: `app.version_file` names the file, a pattern, or `tag`; `auto` tries pyproject.toml, then
`src/*/__init__.py`, then the tag. A version that a build backend would compute ("dynamic") is not
guessed: the next place is asked. Nothing of the tree is imported or run, and a file that cannot be
read, or says no version, says nothing.
"""

from __future__ import annotations

import ast
import posixpath
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from newleaf.core.releases.channels import parse_version

AUTO = ("pyproject.toml", "src/*/__init__.py", "tag")
MAX_FILE_BYTES = 1024 * 1024


def places(version_file: str) -> tuple[str, ...]:
    """Where to look, in order: patterns of paths, and `tag`."""
    return AUTO if version_file == "auto" else (version_file,)


def files_to_read(version_file: str, paths: Iterable[str], folder: str = ".") -> tuple[str, ...]:
    """Those of a tree's paths that may say the version of the app in `folder`, in the order of `places`."""
    ordered = sorted(paths)
    return tuple(
        path
        for place in places(version_file)
        if place != "tag"
        for path in ordered
        if _matches(path, posixpath.normpath(posixpath.join(folder, place)))
    )


def version_of_tree(
    version_file: str, files: Mapping[str, bytes], tag_version: str | None = None
) -> str | None:
    """The version, as `packaging` spells it; None when the tree says none.

    `files` are those of `files_to_read`, in its order; `tag_version` is that of the tag at the commit.
    """
    for path, content in files.items():
        found = version_in(path, content)
        if found:
            return found
    return tag_version if "tag" in places(version_file) else None


def version_in(path: str, content: bytes) -> str | None:
    """The version that one file says."""
    if len(content) > MAX_FILE_BYTES:
        return None
    try:
        text = content.decode("utf-8-sig")
        found = _in_module(text) if path.endswith(".py") else _in_manifest(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    version = parse_version(found) if isinstance(found, str) else None
    return str(version) if version else None


def _matches(path: str, pattern: str) -> bool:
    # A `*` stands for one name: fnmatch alone would let it span folders.
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


def _in_manifest(text: str) -> object:
    manifest = tomllib.loads(text)
    project, tool = _table(manifest, "project"), _table(manifest, "tool")
    if "version" in project:
        return project["version"]
    if _table(tool, "poetry-dynamic-versioning").get("enable"):
        return None
    return _table(tool, "poetry").get("version")


def _in_module(text: str) -> object:
    """The last plain `__version__ = "…"` at the module's top."""
    found: object = None
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        named = any(isinstance(target, ast.Name) and target.id == "__version__" for target in targets)
        value = getattr(node, "value", None)
        if named:
            found = value.value if isinstance(value, ast.Constant) else None
    return found


def _table(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}
