"""The layers of src/newleaf hold, and every rule that says so has been seen to find what breaks it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.layer_rules import MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_IMPORT_DEPTH, RULES, Tree

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def newleaf() -> Tree:
    return Tree(ROOT / "src", ROOT / "tests")


@pytest.mark.parametrize("rule", RULES)
def test_src_newleaf_keeps(rule: str, newleaf: Tree) -> None:
    violations = list(RULES[rule](newleaf))
    assert not violations, "\n".join(["", *violations])


def plant(folder: Path, files: dict[str, str]) -> Tree:
    """A source tree made of these files; `tests/` beside `newleaf/` when a path says so."""
    for name, text in files.items():
        path = folder / ("" if name.startswith("tests/") else "src/newleaf") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return Tree(folder / "src", folder / "tests")


def long_chain(imports: int) -> dict[str, str]:
    files = {f"core/m{i}.py": f"import newleaf.core.m{i + 1}" for i in range(imports)}
    return {**files, f"core/m{imports}.py": ""}


def long_function(lines: int) -> str:
    return "def f():\n" + "    1\n" * (lines - 1)


BREAKS = {
    "a layer imports the one above": (
        "direction",
        {"core/a.py": "\nfrom newleaf.system import git", "system/git.py": ""},
        ["src/newleaf/core/a.py:2: core may not import newleaf.system.git"],
    ),
    "a layer imports its sibling by a relative path": (
        "direction",
        {"agent/a.py": "from ..launcher.b import c", "launcher/b.py": "c = 1"},
        ["src/newleaf/agent/a.py:1: agent may not import newleaf.launcher.b"],
    ),
    "launcher imports agent, hub imports launcher": (
        "direction",
        {
            "agent/a.py": "",
            "launcher/a.py": "import newleaf.agent.a",
            "hub/a.py": "import newleaf.launcher.a",
        },
        [
            "src/newleaf/hub/a.py:1: hub may not import newleaf.launcher.a",
            "src/newleaf/launcher/a.py:1: launcher may not import newleaf.agent.a",
        ],
    ),
    "a layer imports what puts it together, for its types only": (
        "direction",
        {
            "compose.py": "",
            "update/a.py": """
                from typing import TYPE_CHECKING
                if TYPE_CHECKING:
                    from newleaf import compose
                """,
        },
        ["src/newleaf/update/a.py:4: update may not import newleaf.compose"],
    ),
    "compose imports the command line": (
        "direction",
        {"compose.py": "import newleaf.cli.main", "cli/main.py": ""},
        ["src/newleaf/compose.py:1: compose may not import newleaf.cli.main"],
    ),
    "a layer imports the package itself": (
        "direction",
        {"__init__.py": "", "agent/a.py": "from newleaf import ready"},
        ["src/newleaf/agent/a.py:1: agent may not import newleaf"],
    ),
    "a folder that is no layer": (
        "direction",
        {"utils/a.py": ""},
        ["src/newleaf/utils/a.py:1: utils is no layer"],
    ),
    "two modules import each other": (
        "cycles",
        {"core/a.py": "from newleaf.core import b", "core/b.py": "from newleaf.core.a import x"},
        ["src/newleaf/core/b.py: cycle newleaf.core.a -> newleaf.core.b -> newleaf.core.a"],
    ),
    "a cycle that only types close": (
        "cycles",
        {
            "core/a.py": "import newleaf.core.b",
            "core/b.py": "import newleaf.core.c",
            "core/c.py": "import typing\nif typing.TYPE_CHECKING:\n    import newleaf.core.a",
        },
        ["src/newleaf/core/c.py: cycle newleaf.core.a -> newleaf.core.b -> newleaf.core.c -> newleaf.core.a"],
    ),
    "a chain of imports one too long": (
        "depth",
        long_chain(MAX_IMPORT_DEPTH + 1),
        [
            "src/newleaf/core/m0.py:1: 10 imports deep: "
            + " -> ".join(f"newleaf.core.m{i}" for i in range(11))
        ],
    ),
    "an import inside a method": (
        "no_lazy_imports",
        {"agent/a.py": "class A:\n    async def go(self):\n        import json"},
        ["src/newleaf/agent/a.py:3: go() imports json lazily"],
    ),
    "an import by name": (
        "no_lazy_imports",
        {"update/a.py": "import importlib\ndef load(name):\n    return importlib.import_module(name)"},
        ["src/newleaf/update/a.py:3: import_module() imports lazily"],
    ),
    "the package loads a layer at once": (
        "root_is_light",
        {"__init__.py": "from newleaf.core.a import b", "core/a.py": "b = 1"},
        ["src/newleaf/__init__.py:1: imports newleaf.core.a.b outside __getattr__"],
    ),
    "the launcher needs a library, by itself and by way of core": (
        "standard_library_only",
        {
            "launcher/a.py": "import msgspec",
            "core/states.py": "from newleaf.core import release",
            "core/release.py": "import re\nimport click",
        },
        [
            "src/newleaf/launcher/a.py:1: imports the library msgspec",
            "src/newleaf/core/release.py:2: imports the library click, and newleaf.core.states with it",
        ],
    ),
    "a package of the launcher's needs a library": (
        "standard_library_only",
        {"core/__init__.py": "import msgspec", "core/errors.py": ""},
        ["src/newleaf/core/__init__.py:1: imports the library msgspec, and newleaf.core.errors with it"],
    ),
    "core imports what touches the world": (
        "core_is_pure",
        {"core/a.py": "import os.path\nfrom urllib.request import urlopen\nfrom time import monotonic"},
        [
            "src/newleaf/core/a.py:1: imports os.path",
            "src/newleaf/core/a.py:2: imports urllib.request.urlopen",
            "src/newleaf/core/a.py:3: imports time.monotonic",
        ],
    ),
    "core asks the clock and the disk": (
        "core_is_pure",
        {"core/a.py": "def f(p, d):\n    p.read_text()\n    d.now()\n    open(p)"},
        [
            "src/newleaf/core/a.py:2: calls read_text()",
            "src/newleaf/core/a.py:3: calls now()",
            "src/newleaf/core/a.py:4: calls open()",
        ],
    ),
    "a file and a function too long": (
        "shape",
        {"core/a.py": "\n" * (MAX_FILE_LINES + 1), "core/b.py": long_function(MAX_FUNCTION_LINES + 1)},
        [
            "src/newleaf/core/a.py:1: 401 lines, 400 at most",
            "src/newleaf/core/b.py:1: f() has 61 lines, 60 at most",
        ],
    ),
    "modules and a package without tests": (
        "tested",
        {"__init__.py": "def __getattr__(name): ...", "core/__init__.py": '"""Words."""', "core/a.py": ""},
        [
            "src/newleaf/__init__.py:1: has no test_newleaf.py",
            "src/newleaf/core/a.py:1: has no test_a.py",
        ],
    ),
    "one test file for two modules of one name": (
        "tested",
        {"agent/status.py": "", "cli/status.py": "", "tests/agent/test_status.py": ""},
        ["src/newleaf/cli/status.py:1: shares its name, and has no cli/test_status.py"],
    ),
}


@pytest.mark.parametrize("situation", BREAKS)
def test_what_breaks_a_rule_is_named(situation: str, tmp_path: Path) -> None:
    rule, files, violations = BREAKS[situation]
    assert list(RULES[rule](plant(tmp_path, files))) == violations


def test_every_rule_is_proven() -> None:
    assert {rule for rule, _, _ in BREAKS.values()} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_good_tree_breaks_none(rule: str, tmp_path: Path) -> None:
    good = {
        "__init__.py": """
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from newleaf.compose import Updater
            def __getattr__(name):
                from newleaf import compose
                return getattr(compose, name)
            """,
        "compose.py": "from newleaf.agent import watcher\nfrom newleaf.integrations import asgi",
        "core/errors.py": "import enum",
        "core/records.py": "from newleaf.core import errors",
        "core/settings.py": "import msgspec\nfrom urllib.parse import urlsplit\nfrom pathlib import Path",
        "system/git.py": "import subprocess\nfrom ..core.records import x",
        "agent/watcher.py": "import newleaf.system.git",
        "launcher/child.py": "import os\nfrom newleaf.core.records import x",
        "integrations/asgi.py": "from newleaf.agent import watcher",
        "cli/main.py": "def main():\n    from newleaf import compose",
        "tests/test_newleaf.py": "",
        "tests/test_compose.py": "",
        **{
            f"tests/{name}.py": ""
            for name in (
                "core/test_errors",
                "core/test_records",
                "core/test_settings",
                "system/test_git",
                "agent/test_watcher",
                "launcher/test_child",
                "integrations/test_asgi",
                "cli/test_main",
            )
        },
    }
    assert list(RULES[rule](plant(tmp_path, good))) == []


def test_an_empty_tree_breaks_none(tmp_path: Path) -> None:
    tree = plant(tmp_path, {"__init__.py": '"""Words."""'})
    assert [violation for rule in RULES.values() for violation in rule(tree)] == []
