"""An app with one dependency, a host without a network, and what befalls environments between two updates."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.settings.sections import Update
from newleaf.system.commands import Runner
from newleaf.update.dependencies.environments import InPlaceEnvironment
from newleaf.update.dependencies.surroundings import Surroundings
from tests.support.wheels import App, OfflineHost

SECRET = "canary-3f9a1c"
Install = Callable[..., InPlaceEnvironment]
"""Makes the environment of the app as a process of its own would: nothing is carried over but files."""


@pytest.fixture
def host(tmp_path: Path) -> OfflineHost:
    return OfflineHost(tmp_path / "host")


@pytest.fixture
def app(tmp_path: Path, host: OfflineHost) -> App:
    """An app with one locked dependency, leaflet 1.0.0; 2.0.0 and twig are there to be had."""
    app = App(tmp_path / "app", host)
    app.wheel("leaflet", "1.0.0")
    app.wheel("leaflet", "2.0.0")
    app.wheel("twig", "1.0.0")
    app.project("leaflet==1.0.0")
    app.lock()
    return app


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def environment(app: App, tmp_path: Path) -> Install:
    """The environment of the app as a process of its own sees it: nothing is carried over but files."""

    def make(commit: str = "a" * 40, **update: Any) -> InPlaceEnvironment:
        surroundings = Surroundings(Runner(secrets=(SECRET,)), app.host.environ)
        return InPlaceEnvironment(app.folder, Update(**update), surroundings, tmp_path / "state", commit)

    (tmp_path / "state").mkdir()
    return make


def move_to(app: App, dependency: str) -> None:
    """The tree moves to a commit whose lock file is another."""
    app.project(dependency)
    app.lock()


def installed_with(environment: Install, said: list[str], **update: Any) -> InPlaceEnvironment:
    environment(**update).install(said.append)
    assert environment(**update).owed() is None
    return environment(**update)


def kill_once_said(app: App, environment: InPlaceEnvironment, word: str) -> None:
    """Installs in a process of its own, and kills it and its children once a line says `word`."""
    code = (
        "from pathlib import Path\n"
        "from newleaf.core.settings.sections import Update\n"
        "from newleaf.system.commands import Runner\n"
        "from newleaf.update.dependencies.environments import InPlaceEnvironment\n"
        "from newleaf.update.dependencies.surroundings import Surroundings\n"
        "runner = Runner(on_start=lambda group: print('group', group, flush=True))\n"
        f"host = Surroundings(runner, {app.host.environ!r})\n"
        f"folder, state = Path({str(app.folder)!r}), Path({str(environment.state)!r})\n"
        "one = InPlaceEnvironment(folder, Update(), host, state, 'a')\n"
        "one.install(lambda line: print(line, flush=True))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    group = 0
    for line in process.stdout:
        if line.startswith("group "):
            group = int(line.split()[1])
        if word in line:
            break
    process.kill()
    os.killpg(group, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or " Z " not in stat.read_text()


def another_python() -> tuple[str, str]:
    """A Python of another minor version than this one: its number and its path."""
    for minor in {11, 12, 13, 14} - {sys.version_info.minor}:
        beside = Path(sys.base_prefix).parent.glob(f"*/bin/python3.{minor}")
        for python in [*beside, Path(shutil.which(f"python3.{minor}") or "/gone")]:
            if (
                python.exists()
                and subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0
            ):
                return f"3.{minor}", str(python)
    pytest.skip("this machine has one Python only")


def lose_a_module(app: App) -> None:
    (app.site / "leaflet" / "__init__.py").unlink()


def lose_a_package(app: App) -> None:
    shutil.rmtree(app.site / "leaflet")


def lose_the_metadata(app: App) -> None:
    shutil.rmtree(app.site / "leaflet-1.0.0.dist-info")


def lose_the_python(app: App) -> None:
    """What is left after the Python it was made with is uninstalled."""
    (app.environment / "bin" / "python").unlink()
    (app.environment / "bin" / "python").symlink_to("/gone/bin/python3")


def lose_the_programs(app: App) -> None:
    shutil.rmtree(app.environment / "bin")


def lose_the_configuration(app: App) -> None:
    (app.environment / "pyvenv.cfg").unlink()


def lose_the_packages(app: App) -> None:
    """What is left when the host's Python was replaced by one of another minor version."""
    site = app.site
    site.parent.rename(site.parents[1] / "python3.2")


def replace_the_python(app: App) -> None:
    """A program that is no Python at all."""
    python = app.environment / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)


def forbid_the_python(app: App) -> None:
    python = app.environment / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\n")
    python.chmod(0o644)


def replace_a_package(app: App) -> None:
    """Somebody installed another package of the same name and version by hand."""
    record = app.site / "leaflet-1.0.0.dist-info" / "RECORD"
    lose_a_module(app)
    (app.site / "leaflet" / "__init__.py").write_text("VERSION = 'mine'\n")
    record.write_text(record.read_text())
