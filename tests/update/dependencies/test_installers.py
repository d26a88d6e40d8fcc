"""uv, pip and own commands as they are really called."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from newleaf.core.dependencies.install_errors import (
    InstallerMissing,
    InstallFailed,
    InstallTimedOut,
    ManifestUnreadable,
)
from newleaf.core.errors import DiskFull, NewleafError, ProgramMissing
from newleaf.core.settings.sections import Update
from newleaf.system.commands import Runner
from newleaf.update.dependencies.installers import Installer, telling_lines, uv_arguments
from newleaf.update.dependencies.needs import read_needs
from newleaf.update.dependencies.surroundings import Surroundings
from tests.support.installs import SECRET, Install, is_running, lose_a_module
from tests.support.wheels import App, OfflineHost, write_backend


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_an_installer_that_finds_the_disk_full_is_told_as_that(environment: Install, said: list[str]) -> None:
    """lessons.md L24."""
    with pytest.raises(DiskFull):
        environment(install=("cp", "pyproject.toml", "/dev/full")).install(said.append)


def test_the_time_limit_covers_the_whole_process_group(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L22: the grandchild ends with it."""
    app.write("install.sh", "(sleep 60; echo survived > survived) & echo $! > pid; echo begun; sleep 60\n")
    with pytest.raises(InstallTimedOut, match=r"did not end within 1\.5 s") as failure:
        environment(install=("sh", "install.sh"), install_timeout=1.5).install(said.append)
    assert failure.value.lines == ("begun",)
    grandchild = int((app.folder / "pid").read_text())
    deadline = time.monotonic() + 10
    while is_running(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(grandchild)


def test_a_secret_is_in_no_line_and_no_error(environment: Install, said: list[str]) -> None:
    """threats.md T29."""
    command = (
        "sh",
        "-c",
        f"echo token {SECRET}; echo error: {SECRET} https://u:{SECRET}@example.org >&2; exit 1",
    )
    with pytest.raises(InstallFailed) as failure:
        environment(install=command).install(said.append)
    record = failure.value.as_record()
    assert SECRET not in "\n".join(said)
    assert SECRET not in json.dumps(record["lines"])


def test_two_hundred_lines_are_kept(environment: Install, said: list[str]) -> None:
    with pytest.raises(InstallFailed) as failure:
        environment(install=("sh", "-c", "seq 1 500; exit 3")).install(said.append)
    assert failure.value.lines == tuple(str(n) for n in range(301, 501))
    assert len(said) == 500


def test_an_own_command_that_is_missing_is_named(environment: Install, said: list[str]) -> None:
    with pytest.raises(ProgramMissing, match=r"no-such-program"):
        environment(install=("no-such-program",)).install(said.append)


def test_children_see_the_users_environment_without_what_leads_astray(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    astray = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "NEWLEAF_STATE_DIR", "GIT_DIR")
    host.variables |= dict.fromkeys(astray, "/astray") | {"HTTPS_PROXY": "http://proxy.example.org"}
    with pytest.raises(NewleafError):
        environment(install=("sh", "-c", "env; exit 1")).install(said.append)
    seen = dict(line.split("=", 1) for line in said if "=" in line)
    assert not set(astray) & set(seen)
    assert seen["HTTPS_PROXY"] == "http://proxy.example.org"
    assert seen["HOME"] == host.environ["HOME"]


@pytest.fixture
def without_uv(app: App, host: OfflineHost) -> App:
    """pip finds the wheels by the user's own settings, as it would find an index."""
    (host.programs / "uv").unlink()
    host.variables["PIP_FIND_LINKS"] = str(app.folder / "wheels")
    return app


def test_without_uv_pip_installs_and_says_that_the_lock_is_not_enforced(
    without_uv: App, environment: Install, said: list[str]
) -> None:
    environment().install(said.append)
    assert without_uv.imported("leaflet") == "1.0.0"
    assert "uv.lock is not enforced (uv is not installed): pip picks versions by pyproject.toml" in said
    assert environment().owed() is None
    assert (without_uv.environment / ".gitignore").read_text().endswith("*\n")
    without_uv.project("leaflet==2.0.0")
    assert environment().owed() == "what the project says of itself changed"
    environment().install(said.append)
    assert (environment().owed(), without_uv.imported("leaflet")) == (None, "2.0.0")


def test_pip_installs_requirements_and_then_the_project_into_an_environment_without_pip(
    without_uv: App, environment: Install, said: list[str]
) -> None:
    """Environments that uv made have none. One test, because making a pip takes seconds."""
    app = without_uv
    app.uv("venv", "--quiet")
    (app.folder / "pyproject.toml").unlink()
    (app.folder / "uv.lock").unlink()
    app.write("requirements.txt", "-r base.txt\n")
    app.write("base.txt", "leaflet==1.0.0\n")
    assert environment().owed() == "it is not known what is installed in .venv"
    environment().install(said.append)
    assert (environment().owed(), app.imported("leaflet")) == (None, "1.0.0")
    app.write("base.txt", "leaflet==2.0.0\n")
    assert environment().owed() == "the requirements changed"

    app.write("sessions/__init__.py", "VERSION = 'from the tree'\n")
    extras = '[project.optional-dependencies]\ntree = ["twig"]\n'
    app.project("leaflet", more=extras + write_backend(app.folder))
    with pytest.raises(ManifestUnreadable, match="no optional dependencies called 'fruit'"):
        environment(extras=("fruit",)).install(said.append)
    environment(extras=("tree",)).install(said.append)
    assert environment(extras=("tree",)).owed() is None
    assert [app.imported(name) for name in ("leaflet", "sessions", "twig")] == [
        "2.0.0",
        "from the tree",
        "1.0.0",
    ]
    lose_a_module(app)
    assert environment(extras=("tree",)).owed() == "files of leaflet 2.0.0 are missing"


def test_what_must_not_come_from_an_index_is_refused_without_uv(
    without_uv: App, environment: Install, said: list[str]
) -> None:
    """A stranger's package of the same name would be installed."""
    without_uv.project("leaflet", more='[tool.uv.sources]\nleaflet = { path = "libs/leaflet" }')
    with pytest.raises(InstallerMissing, match=r"leaflet must not come from an index .* uv is not installed"):
        environment().install(said.append)
    assert not without_uv.environment.exists()


# --- words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("update", "arguments"),
    [
        ({}, ["--no-dev"]),
        ({"extras": "all", "groups": "all"}, ["--all-extras", "--all-groups"]),
        ({"extras": ("-a", "b"), "groups": ("ops",)}, ["--extra=-a", "--extra=b", "--group=ops", "--no-dev"]),
        ({"groups": ("dev",)}, ["--group=dev"]),
        ({"install_project": False}, ["--no-dev", "--no-install-project"]),
        ({"install_project": True}, ["--no-dev"]),
    ],
)
def test_uv_is_told_what_the_settings_say(app: App, update: dict[str, Any], arguments: list[str]) -> None:
    """Promise 6: what comes from a fetched tree is never an option of its own."""
    needs = read_needs(app.folder, Update(**update), "a", has_uv=True)
    assert uv_arguments(needs) == ["sync", "--frozen", *arguments]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((), "it said nothing"),
        (("", "  "), "it said nothing"),
        (("a", "b "), "b"),
        (("a", "error: x", "  cause: y", "hint: z", "more"), "error: x; cause: y; hint: z"),
        (("error: " + "x" * 400,), "error: " + "x" * 292 + "…"),
        (("No such file or directory", "bye"), "No such file or directory; bye"),
    ],
)
def test_the_telling_lines_are_told(lines: tuple[str, ...], told: str) -> None:
    assert telling_lines(lines) == told


def test_the_time_limit_covers_all_calls_together(app: App, said: list[str]) -> None:
    """lessons.md L22: an inner limit never reaches beyond the outer one."""
    surroundings = Surroundings(Runner(), app.host.environ)
    needs = read_needs(app.folder, Update(install_timeout=1.5), "a", has_uv=True)
    # The first call has taken nearly all of the time.
    installer = Installer(needs, surroundings, said.append, time.monotonic() - 1.2)
    began = time.monotonic()
    with pytest.raises(InstallTimedOut, match=r"second did not end within 1\.5 s"):
        installer.run("second", ["sleep", "30"])
    assert time.monotonic() - began < 5
