"""The process in which a release is tried: started by path, with the release's own interpreter.

Standard library only and no newer syntax than Python 3.8, because newleaf is not installed where this runs,
and nothing of newleaf may be importable here. It reads from standard input what is to be tried, and leaves
with 0 when all of it can be loaded; else with 1, and the traceback on standard error.

Rules: what is only loaded is imported. What the daemon's command runs (`-m`, or a file) is imported too when
it has a guard (`if __name__ == "__main__":`); without one, importing it would start the daemon, so the
imports that it begins with are made and the rest is compiled. Byte code is left where Python looks for it.
"""

from __future__ import annotations

import sys


def _forget_own_folder() -> None:
    """Takes newleaf's files off the import path, where starting by path has put them."""
    own = __file__.rpartition("/")[0]
    sys.path[:] = [entry for entry in sys.path if entry != own]


if __name__ == "__main__":
    _forget_own_folder()

# Only now: none of these may be looked for beside this file.
import ast  # noqa: E402
import contextlib  # noqa: E402
import importlib  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import traceback  # noqa: E402
from itertools import takewhile  # noqa: E402
from types import TracebackType  # noqa: E402

TRIED = "__newleaf_preflight__"


def try_all(order: dict[str, object]) -> None:
    """Loads everything that is named. Raises whatever the app's code raises."""
    for name in order["imported"]:  # type: ignore[attr-defined]
        sys.path.insert(0, os.getcwd())
        importlib.import_module(name)
    if order["started"]:
        sys.path.insert(0, os.getcwd())
        try_module(str(order["started"]))
    if order["script"]:
        try_script(str(order["script"]))


def try_module(name: str) -> None:
    """Loads what `python -m NAME` would run."""
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        importlib.import_module(name)
        name += ".__main__"
        spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("No module named " + repr(name), name=name)
    source = getattr(spec.loader, "get_source", lambda _: None)(name)
    if source is None or has_guard(source):
        importlib.import_module(name)
        return
    spec.loader.get_code(name)  # type: ignore[attr-defined]
    make_imports(source, str(spec.origin), spec.parent)


def try_script(path: str) -> None:
    """Loads what `python PATH` would run; a program of the environment is a script too."""
    if os.path.isdir(path):
        path = os.path.join(path, "__main__.py")
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    with open(path, "rb") as file:
        content = file.read()
    if not is_python(path, content):
        return
    source = importlib.util.decode_source(content)
    if has_guard(source):
        runpy.run_path(path, run_name=TRIED)
    else:
        make_imports(source, path, None)


def is_python(path: str, content: bytes) -> bool:
    """Whether a file is Python by its name or its first lines; other programs are not tried."""
    if path.endswith((".py", ".pyw")):
        return True
    first, _, rest = content.partition(b"\n")
    is_script = first.startswith(b"#!") and b"\0" not in content
    # Where the way to the interpreter is too long for a first line, the shell is asked to go there.
    return is_script and (b"python" in first or rest.startswith(b"'''exec'"))


def has_guard(source: str) -> bool:
    """Whether the module asks for its own name, as one does that may be imported as well as run."""
    body = ast.parse(source).body
    return any(isinstance(node, ast.If) and "__name__" in ast.dump(node.test) for node in body)


def make_imports(source: str, path: str, package: str | None) -> None:
    """Compiles a module whole, and runs the imports that it begins with."""
    tree = ast.parse(source, path)
    compile(source, path, "exec", dont_inherit=True)
    # After the first statement that does something, what it did may be needed.
    tree.body = [node for node in takewhile(_is_harmless, tree.body) if _imports(node)]
    exec(  # noqa: S102 - the app's own imports, as the daemon would make them
        compile(tree, path, "exec"), {"__name__": TRIED, "__package__": package, "__file__": path}
    )


def _is_harmless(node: ast.stmt) -> bool:
    """Whether nothing that is imported later could need what the statement does."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        return node.value is None or isinstance(node.value, (ast.Constant, ast.Name))
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return all(map(_imports, [*node.body, *node.orelse]))
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or _imports(node)


def _imports(node: ast.stmt) -> bool:
    """Whether a statement imports, or tries to and copes with what is missing."""
    if isinstance(node, ast.Try):
        coping = [each for handler in node.handlers for each in handler.body]
        plain = [*node.body, *node.orelse, *node.finalbody]
        return all(map(_imports, plain)) and all(map(_copes, coping))
    return isinstance(node, (ast.Import, ast.ImportFrom))


def _copes(node: ast.stmt) -> bool:
    is_plain = isinstance(node, (ast.Pass, ast.Import, ast.ImportFrom))
    return is_plain or (isinstance(node, ast.Assign) and isinstance(node.value, (ast.Constant, ast.Name)))


def main() -> int:
    """The exit status."""
    order = json.load(sys.stdin)
    sys.argv[1:] = []
    try:
        try_all(order)
    except BaseException as error:  # noqa: BLE001 - SystemExit at import is a release that cannot be started
        flush()
        traceback.print_exception(type(error), error, of_the_app(error.__traceback__))
        return 1
    return 0


def flush() -> None:
    """Lets go of what was printed, unless the app has closed or replaced where it goes."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def of_the_app(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first line of the app's own on; whole when there is none."""
    found = trace
    while found and (
        found.tb_frame.f_code.co_filename in (__file__, importlib.__file__)
        or "importlib" in found.tb_frame.f_code.co_filename
        or found.tb_frame.f_code.co_filename in ("<frozen runpy>", runpy.__file__)
    ):
        found = found.tb_next
    return found or trace


if __name__ == "__main__":
    status = main()
    flush()
    # Threads that an import has started must not keep this process.
    os._exit(status)
