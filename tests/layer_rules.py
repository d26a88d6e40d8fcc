"""The rules that keep newleaf's folders apart, as functions from a source tree to what breaks them.

A rule takes a `Tree` and yields one line per violation, `path:line: what`. `test_layers.py` asks
them of src/newleaf, and proves each on a small tree that breaks it. Nothing is imported: sources
are parsed, so a rule sees what stands in a function or under TYPE_CHECKING as well.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_IMPORT_DEPTH = 9

BELOW: dict[str, set[str]] = {
    "core": set(),
    "system": {"core"},
    "update": {"core", "system"},
    "agent": {"core", "system", "update"},
    "launcher": {"core", "system"},
    "hub": {"core", "system"},
}
"""Which layers a layer may import besides itself. Agent, launcher and hub meet in core's records."""
BELOW["integrations"] = set(BELOW)
BELOW["compose"] = set(BELOW)
BELOW["newleaf"] = set(BELOW)
BELOW["cli"] = set(BELOW)
BELOW["__main__"] = {"cli"}

NEVER_LAZY = {"core", "system", "update", "agent", "launcher"}
"""After a checkout in place, an import inside a function would load new code into the old process."""
LOADS_THE_APP = "newleaf.update.slots.preflight_child"
"""A program of its own, whose task is to import the app's code."""

STANDARD_LIBRARY_ONLY = {
    *(f"newleaf.core.{name}" for name in ("crashes", "errors", "states", "records", "verdict")),
    *(
        f"newleaf.system.{name}"
        for name in ("go", "inherited_sockets", "notify_socket", "planned_restart", "process_table", "uptime")
    ),
}
"""What the launcher takes from core and system, and with it into its memory."""

TOUCHES_THE_WORLD = frozenset(
    """asyncio concurrent ctypes fcntl ftplib getpass glob http importlib io logging multiprocessing os
    platform platformdirs pwd random secrets select selectors shutil signal socket sqlite3 ssl subprocess
    sys tempfile threading time urllib uuid""".split()
)
"""Input, output, the clock, the environment, chance. What is pure in them: `PURE`."""
PURE = {"urllib.parse", "http.HTTPStatus"}

WORLDLY_METHODS = frozenset(
    """exists expanduser is_dir is_file is_symlink iterdir lstat mkdir now read_bytes read_text rglob rmdir
    symlink_to today unlink utcnow write_bytes write_text""".split()
)
WORLDLY_FUNCTIONS = {"open", "print", "input"}
"""A Path may be named in core, and a datetime computed with; neither may be asked about the world."""


@dataclass(frozen=True)
class Import:
    """One imported name: `from a.b import c` is `a.b.c`."""

    name: str
    line: int
    inside: str
    """The outermost function it stands in; empty at module level."""
    type_only: bool

    @property
    def loads(self) -> bool:
        """Whether it is made when the module is loaded."""
        return not self.inside and not self.type_only


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    path: Path
    shown: str
    text: str

    @cached_property
    def syntax(self) -> ast.Module:
        return ast.parse(self.text, self.shown)

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def layer(self) -> str:
        """The folder or file right below newleaf; the package's own `__init__` is `newleaf`."""
        return (self.name.split(".") + self.name.split("."))[1]

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(self._imports_in(self.syntax.body, inside="", type_only=False))

    def _imports_in(self, nodes: Iterable[ast.AST], inside: str, *, type_only: bool) -> Iterator[Import]:
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from (Import(name.name, node.lineno, inside, type_only) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = self._source_of(node)
                yield from (
                    Import(f"{source}.{name.name}", node.lineno, inside, type_only) for name in node.names
                )
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from self._imports_in(node.body, inside, type_only=True)
                yield from self._imports_in(node.orelse, inside, type_only=type_only)
            else:
                function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name
                children = ast.iter_child_nodes(node)
                yield from self._imports_in(children, inside or function or "", type_only=type_only)

    def _source_of(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        parents = parents[: len(parents) - node.level + 1]
        return ".".join([*parents, *([node.module] if node.module else [])])

    def calls(self) -> Iterator[tuple[int, str, str]]:
        """Every call: its line, and what is called, as a function or as a method (the other is empty)."""
        for node in ast.walk(self.syntax):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield node.lineno, node.func.id, ""
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield node.lineno, "", node.func.attr

    def at(self, line: int, what: str) -> str:
        return f"{self.shown}:{line}: {what}"


class Tree:
    """A package `newleaf` below `sources`, and the folder with its tests."""

    def __init__(self, sources: Path, tests: Path) -> None:
        self.tests = tests
        self.modules: dict[str, Module] = {}
        for path in sorted((sources / "newleaf").rglob("*.py")):
            parts = path.relative_to(sources).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            shown = path.relative_to(sources.parent).as_posix()
            self.modules[name] = Module(name, path, shown, path.read_text("utf-8"))

    def __iter__(self) -> Iterator[Module]:
        return iter(self.modules.values())

    def resolve(self, name: str) -> str | None:
        """The module of this tree in which `name` lies, or None for somebody else's."""
        while name:
            if name in self.modules:
                return name
            name = name.rpartition(".")[0]
        return None

    @cached_property
    def graph(self) -> dict[str, set[str]]:
        """Who imports whom, type-only and lazy imports included.

        The root's `__getattr__` stands above the layers: it hands out what others made.
        """
        return {
            module.name: {
                target
                for found in module.imports
                if (module.layer, found.inside) != ("newleaf", "__getattr__")
                if (target := self.resolve(found.name)) and target != module.name
            }
            for module in self
        }


def direction(tree: Tree) -> Iterator[str]:
    """Imports point down."""
    for module in tree:
        allowed = BELOW.get(module.layer)
        if allowed is None:
            yield module.at(1, f"{module.layer} is no layer")
            continue
        for found in module.imports:
            target = tree.resolve(found.name)
            layer = tree.modules[target].layer if target else module.layer
            if layer != module.layer and layer not in allowed:
                yield module.at(found.line, f"{module.layer} may not import {target}")


def cycles(tree: Tree) -> Iterator[str]:
    """No module imports itself by way of others."""
    state: dict[str, str] = {}

    def walk(name: str, trail: list[str]) -> Iterator[str]:
        state[name] = "open"
        for target in sorted(tree.graph[name]):
            if state.get(target) == "open":
                circle = [*trail[trail.index(target) :], target]
                yield f"{tree.modules[name].shown}: cycle {' -> '.join(circle)}"
            elif target not in state:
                yield from walk(target, [*trail, target])
        state[name] = "done"

    for name in tree.graph:
        if name not in state:
            yield from walk(name, [name])


def depth(tree: Tree) -> Iterator[str]:
    """To load a module, at most nine others are loaded one for the sake of the next."""
    loaded = {
        module.name: {
            target for found in module.imports if found.loads and (target := tree.resolve(found.name))
        }
        for module in tree
    }
    longest: dict[str, list[str]] = {}

    def chain(name: str, above: frozenset[str]) -> list[str]:
        if name not in longest:
            below = (chain(target, above | {name}) for target in loaded[name] - above - {name})
            longest[name] = [name, *max(below, key=len, default=[])]
        return longest[name]

    for module in tree:
        found = chain(module.name, frozenset())
        if len(found) - 1 > MAX_IMPORT_DEPTH:
            yield module.at(1, f"{len(found) - 1} imports deep: {' -> '.join(found)}")


def no_lazy_imports(tree: Tree) -> Iterator[str]:
    """What may run across a checkout has loaded its code when it started."""
    for module in tree:
        if module.layer in NEVER_LAZY and module.name != LOADS_THE_APP:
            for found in module.imports:
                if found.inside:
                    yield module.at(found.line, f"{found.inside}() imports {found.name} lazily")
            for line, function, method in module.calls():
                if {function, method} & {"import_module", "__import__"}:
                    yield module.at(line, f"{function or method}() imports lazily")


def root_is_light(tree: Tree) -> Iterator[str]:
    """`import newleaf` loads no layer: everybody who imports any part of newleaf pays for it."""
    for module in tree:
        for found in module.imports if module.layer == "newleaf" else ():
            if tree.resolve(found.name) and not found.inside and not found.type_only:
                yield module.at(found.line, f"imports {found.name} outside __getattr__")


def standard_library_only(tree: Tree) -> Iterator[str]:
    """The launcher and what it takes from core load nothing that is installed, not even by way of others."""
    loaded_by = {m.name: m.name for m in tree if m.layer == "launcher" or m.name in STANDARD_LIBRARY_ONLY}
    waiting = list(loaded_by)
    while waiting:
        name = waiting.pop()
        package = name.rpartition(".")[0]  # is loaded first; the root is `root_is_light`'s to judge
        for target in sorted(tree.graph[name] | ({package} & set(tree.modules)) - {"newleaf"}):
            if target not in loaded_by:
                loaded_by[target] = loaded_by[name]
                waiting.append(target)
        for found in tree.modules[name].imports:
            library = found.name.partition(".")[0]
            if library not in {"newleaf", *sys.stdlib_module_names}:
                for_whom = "" if loaded_by[name] == name else f", and {loaded_by[name]} with it"
                yield tree.modules[name].at(found.line, f"imports the library {found.name}{for_whom}")


def core_is_pure(tree: Tree) -> Iterator[str]:
    """Core decides from what it is given: no I/O, no clock, no environment, no randomness."""
    for module in tree:
        if module.layer != "core":
            continue
        for found in module.imports:
            pure = any(f"{found.name}.".startswith(f"{name}.") for name in PURE)
            if found.name.partition(".")[0] in TOUCHES_THE_WORLD and not pure:
                yield module.at(found.line, f"imports {found.name}")
        for line, function, method in module.calls():
            if function in WORLDLY_FUNCTIONS or method in WORLDLY_METHODS:
                yield module.at(line, f"calls {function or method}()")


def shape(tree: Tree) -> Iterator[str]:
    """No file and no function is longer than one reads at a sitting."""
    for module in tree:
        lines = module.text.count("\n")
        if lines > MAX_FILE_LINES:
            yield module.at(1, f"{lines} lines, {MAX_FILE_LINES} at most")
        for node in ast.walk(module.syntax):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield module.at(
                        node.lineno, f"{node.name}() has {lines} lines, {MAX_FUNCTION_LINES} at most"
                    )


def tested(tree: Tree) -> Iterator[str]:
    """Every module has its `test_<name>.py`, in a folder of the layer's name where two share one."""
    files = {path.relative_to(tree.tests) for path in tree.tests.rglob("test_*.py")}
    stems = [module.path.stem.strip("_") for module in tree if not module.is_package]
    for module in tree:
        # A package that only says what it holds has nothing to test; one with code is tested by its name.
        if module.is_package and not any(isinstance(node, ast.FunctionDef) for node in module.syntax.body):
            continue
        stem = module.path.parent.name if module.is_package else module.path.stem.strip("_")
        named = {path for path in files if path.name == f"test_{stem}.py"}
        if not named:
            yield module.at(1, f"has no test_{stem}.py")
        elif stems.count(stem) > 1 and not any(module.path.parent.name in path.parts for path in named):
            yield module.at(1, f"shares its name, and has no {module.path.parent.name}/test_{stem}.py")


RULES: dict[str, Callable[[Tree], Iterator[str]]] = {
    rule.__name__: rule
    for rule in (
        direction,
        cycles,
        depth,
        no_lazy_imports,
        root_is_light,
        standard_library_only,
        core_is_pure,
        shape,
        tested,
    )
}
