"""Environments that do not work any more, in each way that happens: seen, and made anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from newleaf.core.settings.sections import Update
from newleaf.system.commands import Runner
from newleaf.update.dependencies.environments import InPlaceEnvironment
from newleaf.update.dependencies.surroundings import Surroundings
from tests.support.installs import (
    Install,
    another_python,
    forbid_the_python,
    installed_with,
    lose_a_module,
    lose_a_package,
    lose_the_configuration,
    lose_the_metadata,
    lose_the_packages,
    lose_the_programs,
    lose_the_python,
    replace_a_package,
    replace_the_python,
)
from tests.support.wheels import App, OfflineHost


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lose_a_module, "files of leaflet 1.0.0 are missing"),
        (lose_a_package, "files of leaflet 1.0.0 are missing"),
        (lose_the_metadata, "leaflet 1.0.0 is gone"),
        (lose_the_python, "the Python of .venv is gone: /gone/bin/python3"),
        (lose_the_programs, ".venv has no Python"),
        (lose_the_configuration, ".venv has no readable pyvenv.cfg"),
        (lose_the_packages, "leaflet 1.0.0 is gone"),
        (replace_the_python, "the Python of .venv does not run"),
        (forbid_the_python, "the Python of .venv cannot be executed"),
        (replace_a_package, "leaflet 1.0.0 was replaced by somebody else"),
    ],
)
def test_a_broken_environment_is_owed_and_made_anew(
    app: App, environment: Install, said: list[str], damage: Callable[[App], None], reason: str
) -> None:
    """lessons.md L16: uv and pip take most of these for good."""
    installed_with(environment, said)
    damage(app)
    assert environment().owed() == reason
    environment().install(said.append)
    assert f"{reason}: installing anew; the old environment is kept until the new one is complete" in said
    assert environment().owed() is None
    assert app.imported("leaflet") == "1.0.0"
    assert not (app.folder / ".venv.newleaf-old").exists()


def test_an_environment_that_was_moved_is_made_anew(
    tmp_path: Path, app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L16: its programs start the Python of the old place."""
    installed_with(environment, said)
    moved = app.folder.rename(tmp_path / "moved")
    elsewhere = InPlaceEnvironment(
        moved, Update(), Surroundings(Runner(), app.host.environ), tmp_path / "state", "a"
    )
    assert elsewhere.owed() == f".venv was made in {app.folder / '.venv'}, and cannot be moved"
    elsewhere.install(said.append)
    assert elsewhere.owed() is None


def test_another_python_is_asked_for_and_there_then_the_environment_is_made_anew(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    """lessons.md L16."""
    other = another_python()
    (host.programs / f"python{other[0]}").symlink_to(other[1])
    installed_with(environment, said)
    app.write(".python-version", other[0])
    assert environment().owed() == "another Python is asked for"
    environment().install(said.append)
    assert environment().owed() is None
    assert (app.environment / "lib" / f"python{other[0]}").is_dir()
