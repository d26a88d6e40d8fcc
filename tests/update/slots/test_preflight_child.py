"""The process in which a release is tried: what is loaded, what is never run. Real Python children."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from newleaf.update.slots import preflight_child
from newleaf.update.slots.preflight import CHILD
from newleaf.update.slots.preflight_child import has_guard, is_python

CANARY = "open('canary', 'w').close()\n"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The folder of a release, with a package in `src`."""
    for name in ("src/shop/__init__.py", "src/shop/core.py"):
        write(tmp_path, name, "VALUE = 1\n")
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(
    app: Path,
    started: str | None = None,
    script: str | None = None,
    imported: tuple[str, ...] = (),
    **env: str,
) -> subprocess.CompletedProcess[str]:
    order: dict[str, Any] = {"started": started, "script": script, "imported": list(imported)}
    return subprocess.run(
        [sys.executable, str(CHILD)],
        cwd=app,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(app / "src"), **env},
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def assert_loads(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stderr) == (0, "")


def assert_fails(done: subprocess.CompletedProcess[str], last: str) -> None:
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(last), done.stderr


def has_byte_code(path: Path) -> bool:
    return Path(importlib.util.cache_from_source(str(path))).exists()


# --- modules that are started -----------------------------------------------------------


def test_a_guarded_main_is_loaded_and_not_run(app: Path) -> None:
    write(
        app,
        "src/shop/__main__.py",
        f"from shop.core import VALUE\nimport sys\nif __name__ == '__main__':\n    {CANARY}",
    )
    assert_loads(load(app, "shop"))
    assert not (app / "canary").exists()


def test_an_unguarded_main_is_not_run_and_its_imports_are_made(app: Path) -> None:
    write(app, "src/shop/__main__.py", f"'''Starts.'''\nfrom shop.core import VALUE\n{CANARY}")
    assert_loads(load(app, "shop"))
    assert not (app / "canary").exists()
    assert has_byte_code(app / "src/shop/__main__.py")
    assert has_byte_code(app / "src/shop/core.py")


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__':\n    pass\n"])
def test_a_missing_import_in_main_is_found(app: Path, guard: str) -> None:
    write(app, "src/shop/__main__.py", f"import sys\nimport no_such_thing\nsys.exit(0)\n{guard}")
    assert_fails(load(app, "shop"), "ModuleNotFoundError: No module named 'no_such_thing'")


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__':\n    pass\n"])
def test_a_name_that_a_module_has_not_is_found(app: Path, guard: str) -> None:
    write(app, "src/shop/__main__.py", f"from shop.core import NOTHING\n{guard}")
    assert_fails(load(app, "shop"), "ImportError: cannot import name 'NOTHING'")


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__':\n    pass\n"])
def test_a_syntax_error_is_found_wherever_it_stands(app: Path, guard: str) -> None:
    write(app, "src/shop/__main__.py", f"import sys\n{guard}def late(:\n")
    assert_fails(load(app, "shop"), "SyntaxError")
    write(app, "src/shop/__main__.py", f"import sys\n{guard}def late():\n    return\nreturn\n")
    assert_fails(load(app, "shop"), "SyntaxError: 'return' outside function")
    write(app, "src/shop/__main__.py", "import shop.broken\n")
    write(app, "src/shop/broken.py", "def x(:\n")
    assert_fails(load(app, "shop"), "SyntaxError")


def test_leaving_while_it_is_loaded_is_a_failure(app: Path) -> None:
    write(app, "src/shop/core.py", "import sys\nsys.exit(0)\n")
    write(app, "src/shop/__main__.py", "import shop.core\n")
    assert_fails(load(app, "shop"), "SystemExit: 0")


def test_relative_imports_of_a_main_are_made(app: Path) -> None:
    write(app, "src/shop/__main__.py", f"from . import core\nfrom .core import VALUE\n{CANARY}")
    assert_loads(load(app, "shop"))
    write(app, "src/shop/__main__.py", f"from .gone import VALUE\n{CANARY}")
    assert_fails(load(app, "shop"), "ModuleNotFoundError: No module named 'shop.gone'")


def test_a_module_is_started_like_a_package(app: Path) -> None:
    write(app, "worker.py", f"import shop.core\n{CANARY}")
    assert_loads(load(app, "worker"))
    assert not (app / "canary").exists()
    assert has_byte_code(app / "worker.py")
    write(app, "worker.py", "import shop.core\nif __name__ == '__main__':\n    raise SystemExit\n")
    assert_loads(load(app, "worker"))


@pytest.mark.parametrize("name", ["gone", "shop.gone", "gone.x", "shop"])
def test_a_module_that_cannot_be_started_is_found(app: Path, name: str) -> None:
    """A package without `__main__` cannot be started, though it can be imported."""
    assert_fails(load(app, name), "ModuleNotFoundError: No module named")


def test_a_main_that_copes_with_what_is_missing_is_let_cope(app: Path) -> None:
    copes = "try:\n    import no_such_thing\nexcept ImportError:\n    no_such_thing = None\n"
    write(app, "src/shop/__main__.py", f"{copes}import shop.core\n{CANARY}")
    assert_loads(load(app, "shop"))
    write(app, "src/shop/__main__.py", f"{copes}import shop.gone\n{CANARY}")
    assert_fails(load(app, "shop"), "ModuleNotFoundError: No module named 'shop.gone'")


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import shop.core\nexcept ImportError:\n    pass\nelse:\n    {}",
        "try:\n    import shop.core\nfinally:\n    {}",
        "try:\n    import gone\nexcept ImportError:\n    {}",
        "try:\n    {}finally:\n    pass\n",
        "with open('x', 'w'):\n    {}",
        "for _ in '1':\n    {}",
        "if True:\n    {}",
        "class Start:\n    {}",
        "import shop.core; {}",
    ],
)
def test_nothing_that_starts_something_is_run(app: Path, text: str) -> None:
    """The daemon would run twice, on the same data."""
    write(app, "src/shop/__main__.py", text.format(CANARY))
    assert_loads(load(app, "shop"))
    assert sorted(os.listdir(app)) == ["src"]


def test_imports_after_something_that_they_may_need_are_not_made(app: Path) -> None:
    """Else a release that starts well would be denied: it sets a path or a variable first."""
    write(app, "lib/helper.py", "import os\nos.environ['SHOP']\n")
    write(
        app,
        "src/shop/__main__.py",
        "import os, sys\nTYPE = 1\ndef f(): ...\n"
        "sys.path.insert(0, 'lib')\nos.environ['SHOP'] = '1'\nimport helper\n",
    )
    assert_loads(load(app, "shop"))


def test_what_does_nothing_does_not_end_the_imports(app: Path) -> None:
    write(
        app,
        "src/shop/__main__.py",
        "'''Text.'''\nfrom __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import gone_at_runtime\nNAME: str = 'x'\nclass A: ...\n"
        "def f(): ...\nimport no_such_thing\n",
    )
    assert_fails(load(app, "shop"), "ModuleNotFoundError: No module named 'no_such_thing'")


# --- modules that are loaded, scripts, programs -----------------------------------------


def test_imported_modules_are_imported_whole(app: Path) -> None:
    write(app, "asgi.py", f"import shop.core\napp = object()\n{CANARY}")
    assert_loads(load(app, imported=("asgi", "shop.core")))
    assert (app / "canary").exists()
    assert_fails(load(app, imported=("asgi", "gone")), "ModuleNotFoundError: No module named 'gone'")


def test_a_server_is_loaded_with_what_it_serves(app: Path) -> None:
    write(app, "src/server/__init__.py", "")
    write(app, "src/server/__main__.py", f"import server\nif __name__ == '__main__':\n    {CANARY}")
    assert_loads(load(app, "server", imported=("shop.core",)))
    assert has_byte_code(app / "src/shop/core.py")
    assert_fails(load(app, "server", imported=("gone",)), "ModuleNotFoundError: No module named 'gone'")


def test_a_script_is_loaded_and_not_run(app: Path) -> None:
    for guard in ("", "if __name__ == '__main__':\n    "):
        write(app, "bin/run.py", f"import beside\nimport shop.core\n{guard}{CANARY}")
        write(app, "bin/beside.py", "")
        assert_loads(load(app, script="bin/run.py"))
        write(app, "bin/run.py", f"import gone\n{guard}{CANARY}")
        assert_fails(load(app, script="bin/run.py"), "ModuleNotFoundError: No module named 'gone'")
    assert not (app / "canary").exists()


def test_a_script_in_another_encoding_is_read_as_python_reads_it(app: Path) -> None:
    (app / "run.py").write_bytes(b"# -*- coding: latin-1 -*-\nNAME = 'caf\xe9'\nimport gone\n")
    assert_fails(load(app, script="run.py"), "ModuleNotFoundError: No module named 'gone'")


def test_a_script_that_is_gone_is_found(app: Path) -> None:
    assert_fails(load(app, script="gone.py"), "FileNotFoundError")


def test_a_folder_is_started_by_its_main(app: Path) -> None:
    write(app, "tool/__main__.py", f"import beside\n{CANARY}")
    write(app, "tool/beside.py", "")
    assert_loads(load(app, script="tool"))
    (app / "tool/beside.py").unlink()
    assert_fails(load(app, script="tool"), "ModuleNotFoundError: No module named 'beside'")
    assert not (app / "canary").exists()


HEADS = {
    "direct": "#!/srv/app/.venv/bin/python3\n",
    "env": "#!/usr/bin/env python\n",
    "trampoline of pip": "#!/bin/sh\n'''exec' \"/a long/way/python\" \"$0\" \"$@\"\n' '''\n",
    "trampoline of uv": (
        "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n"
    ),
}
CONSOLE = (
    "# -*- coding: utf-8 -*-\nimport sys\nfrom shop.core import {name}\n"
    "if __name__ == '__main__':\n    sys.exit({name}())\n"
)


@pytest.mark.parametrize("head", HEADS)
def test_a_console_script_is_loaded_whatever_its_first_line_is(app: Path, head: str) -> None:
    program = write(app, ".venv/bin/shop", HEADS[head] + CONSOLE.format(name="VALUE"))
    assert_loads(load(app, script=".venv/bin/shop"))
    program.write_text(HEADS[head] + CONSOLE.format(name="gone"))
    assert_fails(load(app, script=".venv/bin/shop"), "ImportError: cannot import name 'gone'")


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh\n# starts python\nexec python -m shop\n",
        b"#!/usr/bin/perl\nuse strict; # not python\n",
        b"\x7fELF\x02\x01python",
        b"PK\x03\x04 python",
        b"#!/usr/bin/env python3\nPK\x03\x04\0\0",
        b"",
        b"python",
    ],
)
def test_another_program_is_not_tried(app: Path, content: bytes) -> None:
    """A shell script that names Python is a shell script; a zip archive is no source."""
    (app / "bin").mkdir()
    (app / "bin" / "start").write_bytes(content)
    assert_loads(load(app, script="bin/start"))


def test_a_file_is_python_by_its_name_or_its_first_lines() -> None:
    assert is_python("app.py", b"")
    assert is_python("app.pyw", b"\0")
    assert is_python("app", b"#!python")
    assert not is_python("app", b"import sys\n")


@pytest.mark.parametrize(
    ("source", "guarded"),
    [
        ("if __name__ == '__main__': pass", True),
        ("if '__main__' == __name__: pass", True),
        ("import x\nif __name__ in ('__main__', 'y'):\n    pass", True),
        ("x = __name__", False),
        ("# if __name__ == '__main__':", False),
        ("def f():\n    if __name__ == '__main__': pass", False),
    ],
)
def test_a_guard_is_known_by_what_it_asks(source: str, guarded: bool) -> None:
    assert has_guard(source) is guarded


# --- around it --------------------------------------------------------------------------


def test_threads_that_are_left_running_do_not_keep_it(app: Path) -> None:
    threads = "import threading, time\nthreading.Thread(target=lambda: time.sleep(600)).start()\n"
    write(app, "src/shop/core.py", f"{threads}print('loaded')\n")
    done = load(app, imported=("shop.core",))
    assert_loads(done)
    assert done.stdout == "loaded\n"


def test_an_app_that_closes_its_output_is_loaded_all_the_same(app: Path) -> None:
    for text in ("sys.stdout.close()", "sys.stdout = sys.stderr = None", "os.close(1)"):
        write(app, "src/shop/core.py", f"import os, sys\nprint('said')\n{text}\n")
        assert load(app, imported=("shop.core",)).returncode == 0, text


def test_the_traceback_comes_after_all_that_was_said(app: Path) -> None:
    write(app, "src/shop/core.py", "print('said')\nraise ValueError\n")
    order = json.dumps({"started": None, "script": None, "imported": ["shop.core"]})
    command = [sys.executable, str(CHILD)]
    env = {"PYTHONPATH": str(app / "src")}
    merged = ["sh", "-c", 'exec "$@" 2>&1', "sh", *command]
    done = subprocess.run(
        merged, cwd=app, env=env, input=order, text=True, check=False, stdout=subprocess.PIPE
    )
    assert done.stdout.startswith("said\nTraceback")


def test_the_traceback_begins_with_the_apps_own_code(app: Path) -> None:
    write(app, "src/shop/core.py", "def deep():\n    raise ValueError('bad')\ndeep()\n")
    write(app, "src/shop/__main__.py", "import shop.core\n")
    done = load(app, "shop")
    assert "preflight_child" not in done.stderr
    assert "importlib" not in done.stderr
    assert done.stderr.count('File "') == 3
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ValueError: bad\n")


def test_nothing_of_newleaf_can_be_imported_by_accident(app: Path) -> None:
    """Its files lie beside the child, which is started by path."""
    write(
        app,
        "src/shop/core.py",
        "import sys\nprint(sys.path)\ntry:\n    import slots, preflight\nexcept ImportError:\n    pass\n"
        "else:\n    raise ValueError\n",
    )
    done = load(app, imported=("shop.core",))
    assert_loads(done)
    assert str(CHILD.parent) not in done.stdout


def test_the_app_sees_no_arguments_and_no_order(app: Path) -> None:
    write(app, "src/shop/core.py", "import sys\nassert sys.argv[1:] == [] and sys.stdin.read() == ''\n")
    assert_loads(load(app, imported=("shop.core",)))


def test_byte_code_is_left_for_the_tree_and_the_module(app: Path) -> None:
    """contracts.md § Traps: a fresh tree takes three times as long."""
    write(app, "src/shop/__main__.py", "import shop.core\nif __name__ == '__main__':\n    pass\n")
    assert_loads(load(app, "shop"))
    for name in ("__init__", "core", "__main__"):
        assert has_byte_code(app / "src/shop" / f"{name}.py")


def test_the_child_needs_nothing_newer_than_the_oldest_python() -> None:
    """It runs with the app's interpreter, whatever newleaf itself runs with."""
    source = Path(preflight_child.__file__).read_text()
    ast.parse(source, feature_version=(3, 8))
    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert imported <= sys.stdlib_module_names


def test_it_runs_with_other_pythons_that_are_here(app: Path) -> None:
    write(app, "src/shop/__main__.py", f"import shop.core\n{CANARY}")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(app / "src")}
    order = json.dumps({"started": "shop", "script": None, "imported": []})
    for python in other_pythons():
        subprocess.run([python, str(CHILD)], cwd=app, env=env, input=order, text=True, check=True)
    assert not (app / "canary").exists()


def other_pythons() -> list[str]:
    """Those on PATH that run (a shim of pyenv may lead nowhere), and pyenv's own."""
    found: list[str] = []
    for minor in range(8, 16):
        found += filter(None, [shutil.which(f"python3.{minor}")])
        found += map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
    return list(filter(runs, found))


def runs(python: str) -> bool:
    return subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0
