"""One environment folder: where its mark lies, and what is noted in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.dependencies.install_errors import InstallFailed
from newleaf.core.settings.sections import Update
from newleaf.system.commands import Runner
from newleaf.update.dependencies.needs import read_needs
from newleaf.update.dependencies.surroundings import Surroundings
from newleaf.update.dependencies.venvs import Venv
from tests.support.wheels import App


def venv_of(app: App, **update: Any) -> Venv:
    needs = read_needs(app.folder, Update(**update), "a" * 40, has_uv=True)
    surroundings = Surroundings(Runner(), app.host.environ)
    return Venv(app.environment, needs, surroundings, app.folder.parent / "installed.json")


def test_without_an_environment_an_own_commands_mark_lies_beside(app: App) -> None:
    own = venv_of(app, install=("true",))
    assert own.is_optional
    assert own.fault(None) is None
    own.begin()
    mark = own.mark()
    assert mark
    assert mark.state == "installing"
    own.finish()
    mark = own.mark()
    assert mark
    assert (mark.state, mark.parts["command"], mark.interpreter) == ("installed", "true", None)
    assert not app.environment.exists()


def test_a_mark_in_the_environment_replaces_the_one_beside(app: App) -> None:
    own = venv_of(app, install=("true",))
    own.finish()
    app.uv("venv", "--quiet")
    assert own.mark() is None
    own.finish()
    assert own.mark()
    assert not own.beside.exists()


def test_a_success_notes_python_packages_and_what_was_asked(app: App) -> None:
    app.uv("sync", "--frozen")
    (app.environment / ".gitignore").unlink()
    venv = venv_of(app)
    venv.finish()
    mark = venv.mark()
    assert mark
    assert mark.interpreter
    assert mark.interpreter.path == os.path.realpath(app.environment / "bin" / "python")
    assert [Path(name).name for name in mark.inventory.packages] == ["leaflet-1.0.0.dist-info"]
    assert mark.parts == venv.needs.parts
    assert venv.fault(mark) is None
    assert (app.environment / ".gitignore").read_text() == "*\n"


def test_what_was_asked_is_noted_not_what_lies_there_by_then(app: App) -> None:
    """lessons.md L13: the tree may move while an installer runs."""
    app.uv("sync", "--frozen")
    venv = venv_of(app)
    app.project("leaflet==2.0.0")
    app.lock()
    venv.finish()
    mark = venv.mark()
    assert mark
    assert mark.parts != venv_of(app).needs.parts


def test_a_python_that_does_not_run_is_no_success(app: App) -> None:
    """lessons.md L16."""
    app.uv("sync", "--frozen")
    (app.environment / "bin" / "python").unlink()
    venv = venv_of(app)
    with pytest.raises(InstallFailed, match=r"uv failed: it ended well, but .*bin/python does not run"):
        venv.finish()
    assert venv.mark() is None


def test_the_python_must_be_the_one_that_is_asked_for(app: App) -> None:
    app.uv("sync", "--frozen")
    assert venv_of(app).wrong_python() is None
    app.write(".python-version", "3.99")
    wrong = venv_of(app).wrong_python()
    assert wrong
    assert "3.99 and >=3.11 is asked for" in wrong
    assert venv_of(app, install=("true",)).wrong_python() is None
