"""The process in which migrations run: what it gives them, and what it keeps from them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.data.data_errors import MigrationFailed
from newleaf.update.data.migrations import CHILD, Done, find_python
from tests.support.migrations import App

A, B = "1.1.0/001_a.py", "1.1.0/002_b.py"
TELLS = """
import json, os, sys
from pathlib import Path

def check():
    return Path("told.json").exists()

def migrate():
    facts = {"file": __file__, "name": __name__, "cwd": os.getcwd(), "argv": sys.argv, "path": sys.path,
             "prefix": sys.prefix, "stdin": sys.stdin.read(),
             "env": {key: os.environ.get(key) for key in os.environ if key.startswith("NEWLEAF")}}
    facts.update(more())
    Path("told.json").write_text(json.dumps(facts))
    return True

def more():
    return {}
"""


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def tell(app: App, more: str = "") -> dict[str, Any]:
    """What a migration sees around it."""
    app.write(f"v{A}", TELLS + more)
    app.run("1.0.0", "1.1.0")
    facts: dict[str, Any] = json.loads((app.folder / "told.json").read_text())
    return facts


def interpreter(version: str) -> str | None:
    """A Python of this version on this machine: on PATH, or where its managers keep them."""
    kept = [
        *Path.home().glob(f".pyenv/versions/{version}.*"),
        *Path.home().glob(".local/share/uv/python/cpython-*"),
    ]
    places = [str(place / "bin") for place in kept]
    for place in [*os.environ["PATH"].split(":"), *places]:
        python = f"{place}/python{version}"
        # A manager's stand-in may be there without a Python behind it.
        if (
            os.path.exists(python)
            and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return python
    return None


def test_it_runs_from_the_release_folder_with_the_apps_facts(app: App) -> None:
    """lessons.md L18."""
    facts = tell(app)
    assert facts["cwd"] == str(app.folder)
    assert facts["file"] == str(app.migrations / "v1.1.0/001_a.py")
    assert facts["argv"] == [facts["file"]]
    assert facts["path"][:2] == [str(app.migrations / "v1.1.0"), str(app.folder)]
    assert facts["stdin"] == ""
    assert facts["env"] == {
        "NEWLEAF_STATE_DIR": str(app.state),
        "NEWLEAF_COMMIT": "c" * 40,
        "NEWLEAF_VERSION": "1.1.0",
    }


def test_it_runs_with_the_releases_own_interpreter_where_newleaf_is_not_installed(app: App) -> None:
    """lessons.md L18: never the old process, never newleaf's own environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", app.folder / ".venv"], check=True)
    app.python = str(find_python(app.folder))
    facts = tell(
        app,
        """
        def more():
            from importlib.util import find_spec
            return {"newleaf": find_spec("newleaf") is not None}
        """.replace("\n        ", "\n"),
    )
    assert facts["prefix"] == str(app.folder / ".venv")
    assert facts["newleaf"] is False


def test_none_of_newleafs_files_can_be_imported_by_their_bare_names(app: App) -> None:
    names = sorted(file.stem for file in CHILD.parent.glob("*.py") if file.stem != "__init__")
    more = f"\ndef more():\n    from importlib.util import find_spec\n    names = {names}\n"
    facts = tell(app, more + '    return {"found": [n for n in names if find_spec(n)]}\n')
    assert facts["found"] == ["migrations"], "the app's own folder"
    assert str(CHILD.parent) not in facts["path"]


PYTHONS = [found for minor in range(8, 15) if (found := interpreter(f"3.{minor}"))]
"""Those of this machine: at least the one that runs the tests, in CI one after the other."""


@pytest.mark.parametrize("python", PYTHONS or [sys.executable], ids=os.path.basename)
def test_it_runs_on_the_pythons_that_apps_have(app: App, python: str) -> None:
    app.python = python
    app.write_marking(A, B)
    assert app.run() == [Done(A, ran=True), Done(B, ran=True)]
    assert len(app.run("9.0.0", "1.0.0")) == 2
    app.write(f"v{A}", "def check(): return 1\ndef migrate(): ...")
    with pytest.raises(MigrationFailed, match="returned 1, neither True nor False"):
        app.run()


def test_it_has_no_newer_syntax_than_python_3_8_and_imports_the_standard_library_only() -> None:
    tree = ast.parse(CHILD.read_bytes(), feature_version=(3, 8))
    modules = {
        name.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert modules <= set(sys.stdlib_module_names)


def test_what_a_migration_prints_can_neither_fake_nor_spoil_the_answer(app: App) -> None:
    app.write(
        f"v{A}",
        """
        import json, os, sys
        def check():
            for stream in (sys.stdout, sys.stderr):
                print(json.dumps({"event": "done", "script": "v1.1.0/001_a.py", "ran": True}), file=stream)
            os.write(1, b'{"event": "done')
            os.write(2, bytes(range(256)))
            return False
        def migrate():
            sys.stdout.close()
            return False
        """,
    )
    with pytest.raises(MigrationFailed, match="returned False"):
        app.run()
    assert app.recorded["applied"] == []


def test_programs_that_a_migration_starts_do_not_get_the_descriptor(app: App) -> None:
    facts = tell(
        app,
        """
def more():
    import subprocess
    look = "import os, stat\\nfor fd in range(3, 64):\\n try: print(stat.S_ISSOCK(os.fstat(fd).st_mode))\\n"
    look += " except OSError: pass"
    run = subprocess.run([sys.executable, "-c", look], stdout=subprocess.PIPE, close_fds=False)
    return {"sockets": run.stdout.decode().count("True")}
""",
    )
    assert facts["sockets"] == 0


def test_nonsense_on_the_descriptor_is_a_failure(app: App) -> None:
    app.write(
        f"v{A}",
        """
        import os, stat, time
        def check():
            for fd in range(3, 64):
                try:
                    if stat.S_ISSOCK(os.fstat(fd).st_mode):
                        os.write(fd, b"hello\\n")
                except OSError:
                    pass
            time.sleep(60)
        def migrate(): ...
        """,
    )
    with pytest.raises(MigrationFailed, match="something else spoke on newleaf's descriptor"):
        app.run()


def test_each_script_finds_its_surroundings_as_they_were(app: App) -> None:
    app.write("v1.0.1/_helper.py", "NAME = 'old'")
    app.write(
        "v1.0.1/001_a.py",
        """
        import os, sys, tempfile, _helper
        applied = []
        def check(): return bool(applied)
        def migrate():
            os.chdir(tempfile.gettempdir())
            os.environ["NEWLEAF_COMMIT"] = "spoilt"
            os.environ["NEWLEAF_SPOILT"] = "yes"
            sys.path.clear()
            sys.argv.clear()
            applied.append(_helper.NAME)
            return True
        """,
    )
    app.write("v1.1.0/_helper.py", "NAME = 'new'")
    facts = tell(app, "\nimport _helper\ndef more():\n    return {'helper': _helper.NAME}\n")
    assert facts["helper"] == "new"
    assert facts["cwd"] == str(app.folder)
    assert facts["env"]["NEWLEAF_COMMIT"] == "c" * 40
    assert "NEWLEAF_SPOILT" not in facts["env"]
    assert facts["path"][:2] == [str(app.migrations / "v1.1.0"), str(app.folder)]


def test_all_are_compiled_before_the_first_one_runs(app: App) -> None:
    app.write_marking(A)
    app.write(f"v{B}", "def check(): return True\ndef migrate(): return True\nreturn\n")
    with pytest.raises(MigrationFailed, match=r"v1\.1\.0/002_b\.py failed: Python .* SyntaxError: 'return'"):
        app.run()
    assert app.ran == []


def test_the_scripts_leave_no_byte_code_in_the_tree(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    app.write_marking(A)
    app.run()
    assert [path.name for path in (app.migrations / "v1.1.0").iterdir()] == ["001_a.py"]


def test_a_thread_that_a_migration_left_does_not_hold_the_process(app: App) -> None:
    app.timeout_seconds = 10
    app.write(
        f"v{A}",
        """
        import threading, time
        done = []
        def check(): return bool(done)
        def migrate():
            threading.Thread(target=time.sleep, args=(60,)).start()
            done.append(1)
            return True
        """,
    )
    assert app.run() == [Done(A, ran=True)]


def test_a_hundred_migrations_start_one_process(app: App) -> None:
    for number in range(100):
        app.write(
            f"v1.1.0/{number:03}_x.py",
            """
            import os
            def check(): return os.path.exists(__file__ + ".done")
            def migrate():
                open(__file__ + ".done", "w").close()
                print(os.getpid())
                return True
            """,
        )
    assert len(app.run()) == 100
    assert len({line for line in app.said if line.isdigit()}) == 1
