from __future__ import annotations

import pytest

from newleaf.core.adoption.findings import Project
from newleaf.system.python_project import build_hook, builds_extension, is_project, read_project
from tests.support.app_repositories import MONOREPO, POETRY_PROJECT, REQUIREMENTS_PROJECT, UV_PROJECT


def project(files: dict[str, str], folder: str = ".") -> Project:
    return read_project(folder, files, files.get)


def test_a_uv_project_is_read() -> None:
    assert project(UV_PROJECT) == Project(
        path=".",
        name="Sessions_Daemon",
        version="static",
        version_file="pyproject.toml",
        build_backend="hatchling.build",
        scripts=("sessions",),
        manifests=("pyproject.toml",),
        locks=("uv.lock",),
        needs_newleaf=True,
        src_layout=True,
        packages=("sessions",),
        modules=("sessions",),
    )


def test_a_poetry_project_is_read() -> None:
    found = project(POETRY_PROJECT)
    assert (found.name, found.version, found.scripts) == ("mail-sorter", "static", ("mail-sorter",))
    assert found.uses_poetry
    assert found.is_installable
    assert not found.needs_newleaf
    assert not found.src_layout


def test_requirements_alone_are_read() -> None:
    found = project(
        REQUIREMENTS_PROJECT | {"requirements/prod.txt": "newleaf==1\n", "requirements-dev.txt": ""}
    )
    assert found.requirements == ("requirements-dev.txt", "requirements.txt", "requirements/prod.txt")
    assert found.files == ("bot.py",)
    assert found.needs_newleaf
    assert not found.is_installable
    assert found.version == "missing"


def test_a_project_of_a_monorepo_sees_its_own_files_alone() -> None:
    found = project(MONOREPO, "apps/worker")
    assert found == Project(
        path="apps/worker",
        name="worker",
        version="dynamic",
        version_file="worker/__init__.py",
        manifests=("pyproject.toml",),
        packages=("worker",),
        modules=("worker",),
    )
    assert project(MONOREPO).workspace


SETUP = """
from setuptools import setup
from shop import VERSION
setup(
    name="shop",
    version="3.1",
    install_requires=["newleaf", "redis"],
    entry_points={"console_scripts": ["shop = shop.cli:main"]},
    ext_modules=make_extensions(),
    packages=find_packages(),
)
raise SystemExit("never run")
"""


def test_setup_py_is_read_without_being_run() -> None:
    files = {"setup.py": SETUP, "shop/__init__.py": "", "shop/__main__.py": ""}
    found = project(files)
    assert (found.name, found.version, found.version_file) == ("shop", "static", "setup.py")
    assert found.scripts == ("shop",)
    assert found.needs_newleaf
    assert found.is_installable
    assert builds_extension(".", files.get)


def test_setup_cfg_is_read() -> None:
    config = (
        "[metadata]\nname = shop\nversion = attr: shop.__version__\n"
        "[options]\ninstall_requires =\n    newleaf\n"
        "[options.entry_points]\nconsole_scripts =\n    shopd = shop:main\n"
    )
    found = project({"setup.cfg": config, "setup.py": "from setuptools import setup\nsetup()\n"})
    assert (found.name, found.version, found.scripts, found.needs_newleaf) == (
        "shop",
        "missing",
        ("shopd",),
        True,
    )
    config = config.replace("attr: shop.__version__", "1.0")
    assert project({"setup.cfg": config}).version_file == "setup.cfg"


@pytest.mark.parametrize(
    ("files", "version", "place"),
    [
        ({"pyproject.toml": '[project]\nname="a"\ndynamic=["version"]'}, "dynamic", None),
        ({"pyproject.toml": '[project]\nname="a"'}, "missing", None),
        (
            {
                "pyproject.toml": '[project]\ndynamic=["version"]',
                "src/a/__init__.py": '__version__: str = "1"',
            },
            "dynamic",
            "src/a/__init__.py",
        ),
        ({"pyproject.toml": "", "a/__init__.py": '\n__version__ = "1"\n'}, "dynamic", "a/__init__.py"),
        ({"pyproject.toml": "", "tests/__init__.py": '__version__ = "1"\n'}, "missing", None),
    ],
)
def test_where_the_version_stands_is_known(files: dict[str, str], version: str, place: str | None) -> None:
    found = project(files)
    assert (found.version, found.version_file) == (version, place)


def test_several_packages_are_known_apart_from_tests_and_namespaces() -> None:
    paths = (
        "a/__init__.py",
        "a/sub/__main__.py",
        "b/__main__.py",
        "tests/__init__.py",
        "src/c/__init__.py",
        "d-e/__init__.py",
    )
    found = project(dict.fromkeys(("pyproject.toml", *paths), ""))
    assert found.packages == ("a", "b", "c")
    assert found.modules == ("b",)


@pytest.mark.parametrize(
    "text",
    [
        "[project",
        "[project]\nname = 'a'\nname = 'b'",
        "[" * 3000,
        "project = 3",
        "[project]\nscripts = 4\nname = 7",
    ],
)
def test_a_strange_manifest_is_a_fact_and_no_failure(text: str) -> None:
    found = project({"pyproject.toml": text, "setup.py": "def (", "setup.cfg": "no section\n"})
    assert found.name is None
    assert (found.problem is None) == (text.startswith(("project =", "[project]\nscripts")))


@pytest.mark.parametrize(
    ("files", "yes"),
    [
        ({"pyproject.toml": '[project]\nname="a"'}, True),
        ({"pyproject.toml": '[tool.poetry]\nname="a"'}, True),
        ({"pyproject.toml": "[tool.ruff]\nline-length=100"}, False),
        ({"pyproject.toml": "broken ["}, True),
        ({"setup.py": ""}, True),
        ({"setup.cfg": "[flake8]"}, False),
        ({"poetry.lock": ""}, True),
        ({"requirements.txt": ""}, False),
    ],
)
def test_a_folder_is_a_project_by_what_lies_in_it(files: dict[str, str], yes: bool) -> None:
    assert is_project(".", frozenset(files), files.get) is yes


@pytest.mark.parametrize(
    ("manifest", "yes"),
    [
        ('[build-system]\nrequires=["maturin>=1"]\nbuild-backend="maturin"', True),
        ('[build-system]\nrequires=["scikit-build-core"]\nbuild-backend="scikit_build_core.build"', True),
        ('[build-system]\nrequires=["setuptools", "Cython>=3"]\nbuild-backend="setuptools.build_meta"', True),
        ('[build-system]\nrequires=["hatchling"]\nbuild-backend="hatchling.build"', False),
        ("", False),
    ],
)
def test_a_project_that_compiles_is_known(manifest: str, yes: bool) -> None:
    assert builds_extension("a", {"a/pyproject.toml": manifest}.get) is yes


@pytest.mark.parametrize(
    ("manifest", "script"),
    [
        ('[tool.poetry]\nbuild = "build.py"', "build.py"),
        ('[tool.poetry.build]\nscript = "make.py"', "make.py"),
        ("[tool.hatch.build.hooks.custom]", "hatch_build.py"),
        ('[tool.hatch.build.hooks.custom]\npath = "b.py"', "b.py"),
        ("[tool.hatch.build.hooks.vcs]", None),
    ],
)
def test_a_build_hook_is_known(manifest: str, script: str | None) -> None:
    assert build_hook(".", {"pyproject.toml": manifest}.get) == script


def test_a_build_system_without_backend_is_setuptools() -> None:
    assert project({"pyproject.toml": '[build-system]\nrequires=["setuptools"]'}).is_installable
