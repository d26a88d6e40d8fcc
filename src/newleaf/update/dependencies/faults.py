"""Whether an environment works: its Python, its place, its packages' files (lessons.md L16). Reads only.

Rules: cheap looks come first; the Python is started only when it is not the file that the mark knows, or when
there is no mark; an environment that newleaf finished itself is held against its inventory, any other
against what its packages say of themselves.
"""

from __future__ import annotations

import os
from pathlib import Path

from newleaf.update.dependencies.fingerprints import Mark, describe_interpreter
from newleaf.update.dependencies.inventories import first_half_installed, first_loss, misplaced_script
from newleaf.update.dependencies.surroundings import Surroundings


def find_fault(environment: Path, mark: Mark | None, surroundings: Surroundings) -> str | None:
    """Why the environment must be made anew; None when nothing is wrong with it."""
    return (
        _shape_fault(environment)
        or _python_fault(environment, mark, surroundings)
        or _loss(environment, mark)
    )


def _shape_fault(environment: Path) -> str | None:
    name, python = environment.name, environment / "bin" / "python"
    if not os.path.lexists(environment):
        return f"there is no {name} yet"
    if not environment.is_dir():
        return f"{name} is no folder"
    if not os.path.lexists(python):
        return f"{name} has no Python"
    if not python.exists():
        return f"the Python of {name} is gone: {os.path.realpath(python)}"
    if not os.access(python, os.X_OK):
        return f"the Python of {name} cannot be executed"
    home = _home(environment / "pyvenv.cfg")
    if home is None:
        return f"{name} has no readable pyvenv.cfg"
    return None if home.is_dir() else f"the Python that {name} was made with is gone: {home}"


def _python_fault(environment: Path, mark: Mark | None, surroundings: Surroundings) -> str | None:
    name = environment.name
    if mark and mark.place != os.path.realpath(environment):
        return f"{name} was made in {mark.place}, and cannot be moved"
    known = mark.interpreter if mark else None
    if known and describe_interpreter(environment, known.version) == known:
        return None
    python = surroundings.ask(environment / "bin" / "python", environment.parent)
    if python is None:
        return f"the Python of {name} does not run"
    if not python.site.is_dir():
        return f"the Python of {name} is now {python.version}, and its packages are for another"
    return None


def _loss(environment: Path, mark: Mark | None) -> str | None:
    if mark and mark.state == "installed":
        return first_loss(environment, mark.inventory)
    misplaced = misplaced_script(environment)
    if misplaced:
        return f"{environment.name} was made elsewhere, and cannot be moved: {misplaced}"
    return first_half_installed(environment)


def configured_version(environment: Path) -> str | None:
    """The version of its Python that uv wrote into the environment's pyvenv.cfg."""
    return _configured(environment / "pyvenv.cfg", "version_info")


def _home(configuration: Path) -> Path | None:
    """The folder of the Python that an environment was made with, by its pyvenv.cfg."""
    home = _configured(configuration, "home")
    return Path(home) if home else None


def _configured(configuration: Path, name: str) -> str | None:
    try:
        lines = configuration.read_text(errors="replace").splitlines()
    except OSError:
        return None
    values = (line.partition("=") for line in lines)
    return next((value.strip() for key, _, value in values if key.strip() == name), None)
