"""The version that a tree says it has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.releases.versions import MAX_FILE_BYTES, files_to_read, version_in, version_of_tree

MANIFEST = b'[project]\nname = "sessions"\nversion = "1.3.0"\n'
DYNAMIC = b'[project]\nname = "sessions"\ndynamic = ["version"]\n'
MODULE = b'"""Sessions."""\n__version__ = "1.4.0"\n'

TREE = (
    "README.md",
    "pyproject.toml",
    "src/sessions/__init__.py",
    "src/sessions/web/__init__.py",
    "src/__init__.py",
    "apps/chat/pyproject.toml",
    "apps/chat/src/chat/__init__.py",
)


@pytest.mark.parametrize(
    ("version_file", "folder", "expected"),
    [
        ("auto", ".", ("pyproject.toml", "src/sessions/__init__.py")),
        ("auto", "apps/chat", ("apps/chat/pyproject.toml", "apps/chat/src/chat/__init__.py")),
        ("pyproject.toml", ".", ("pyproject.toml",)),
        ("src/sessions/web/__init__.py", ".", ("src/sessions/web/__init__.py",)),
        ("src/*/__init__.py", ".", ("src/sessions/__init__.py",)),
        ("tag", ".", ()),
        ("elsewhere.toml", ".", ()),
    ],
)
def test_setting_then_the_files_to_read_in_order(
    version_file: str, folder: str, expected: tuple[str, ...]
) -> None:
    assert files_to_read(version_file, reversed(TREE), folder) == expected


@pytest.mark.parametrize(
    ("version_file", "files", "expected"),
    [
        ("auto", {"pyproject.toml": MANIFEST, "src/sessions/__init__.py": MODULE}, "1.3.0"),
        ("auto", {"pyproject.toml": DYNAMIC, "src/sessions/__init__.py": MODULE}, "1.4.0"),
        ("auto", {"pyproject.toml": DYNAMIC, "src/sessions/__init__.py": b""}, "1.5.0"),
        ("auto", {}, "1.5.0"),
        ("tag", {}, "1.5.0"),
        ("pyproject.toml", {"pyproject.toml": DYNAMIC}, None),
        ("src/*/__init__.py", {"src/sessions/__init__.py": MODULE}, "1.4.0"),
    ],
)
def test_places_in_order_then_the_first_that_says_one(
    version_file: str, files: dict[str, bytes], expected: str | None
) -> None:
    assert version_of_tree(version_file, files, tag_version="1.5.0") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'project = {version = "1.20"}', "1.20"),
        (b'project = {version = "1.3.0-rc.1"}', "1.3.0rc1"),
        (b"\xef\xbb\xbf" + MANIFEST, "1.3.0"),
        (b"[tool.poetry]\nversion = '2.0'", "2.0"),
        (b"[tool.poetry]\nversion = '0.0.0'\n[tool.poetry-dynamic-versioning]\nenable = true", None),
        (DYNAMIC + b"[tool.poetry]\nversion = '2.0'", "2.0"),
        (DYNAMIC + b"[tool.hatch.version]\npath = 'x'", None),
        (b"project = {version = 1.2}", None),
        (b'project = {version = "next"}', None),
        (b'project = "no table"', None),
        (b"[project\nversion", None),
        (b"\xff\xfe", None),
        (b"", None),
        (b'project = {version = "' + b"9" * 5000 + b'"}', None),
        (b"x = " + b"[" * 5000, None),
        (MANIFEST + b"#" * MAX_FILE_BYTES, None),
    ],
)
def test_manifest_then_its_static_version(text: bytes, expected: str | None) -> None:
    assert version_in("pyproject.toml", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"__version__ = '1.2'", "1.2"),
        (b"__version__: str = '1.2'", "1.2"),
        (b"version = __version__ = '1.2'", "1.2"),
        (b"__version__ = '1.1'\n__version__ = '1.2'", "1.2"),
        (b"__version__ = '1.1'\n__version__ = compute()", None),
        (b"from ._version import __version__", None),
        (b"__version__: str", None),
        (b"__version__ = 1.2", None),
        (b"def f():\n    __version__ = '1.2'", None),
        (b"raise SystemExit", None),
        (b"__version__ = '1.2", None),
        (b"\0", None),
        (b"(" * 5000, None),
    ],
)
def test_module_then_its_literal_version(text: bytes, expected: str | None) -> None:
    assert version_in("src/sessions/__init__.py", text) == expected


@given(st.binary(max_size=200), st.sampled_from(["pyproject.toml", "src/a/__init__.py"]))
def test_any_bytes_then_no_exception(content: bytes, path: str) -> None:
    assert version_in(path, content) is None or path
