"""Tiny packages and apps for tests of installing: wheels zipped by hand, an offline host, real uv and pip."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
PYTHON = os.path.realpath(sys.executable)

BACKEND = '''
"""A build backend that needs nothing: the project is the package of its own name."""
import pathlib, sys
sys.path.insert(0, {support!r})
from wheels import write_wheel

def _write(folder, files):
    import tomllib
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    needs = list(project.get("dependencies", []))
    for extra, lines in project.get("optional-dependencies", {{}}).items():
        needs += [f"{{line}} ; extra == '{{extra}}'" for line in lines]
    return write_wheel(pathlib.Path(folder), project["name"], project["version"], needs, files).name

def build_wheel(folder, config_settings=None, metadata_directory=None):
    return _write(folder, {{str(p): p.read_text() for p in pathlib.Path().glob("*/__init__.py")}})

def build_editable(folder, config_settings=None, metadata_directory=None):
    return _write(folder, {{"app.pth": str(pathlib.Path.cwd())}})
'''


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    needs: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """A wheel of a package whose module says VERSION; `files` are instead of the module."""
    metadata = f"{name}-{version}.dist-info"
    content = dict(files) if files is not None else {f"{name}/__init__.py": f"VERSION = '{version}'\n"}
    content[f"{metadata}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {need}\n" for need in needs
    )
    extras = {need.split("'")[1] for need in needs if "extra == '" in need}
    content[f"{metadata}/METADATA"] += "".join(f"Provides-Extra: {extra}\n" for extra in sorted(extras))
    content[f"{metadata}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(_record_line(path, text.encode()) for path, text in content.items())
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
        archive.writestr(f"{metadata}/RECORD", f"{record}{metadata}/RECORD,,\n")
    return wheel


def _record_line(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


@dataclass
class OfflineHost:
    """A host with uv, a Python and a folder of wheels, and without a network."""

    folder: Path
    has_uv: bool = True
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.programs = self.folder / "bin"
        self.programs.mkdir(parents=True)
        (self.folder / "home").mkdir()
        (self.programs / "python3").symlink_to(PYTHON)
        if self.has_uv:
            assert UV, "the tests need uv: make setup"
            (self.programs / "uv").symlink_to(UV)

    @property
    def environ(self) -> dict[str, str]:
        """The environment that newleaf is started with there."""
        return {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "UV_CACHE_DIR": str(self.folder / "cache"),
            "UV_OFFLINE": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **self.variables,
        }

    def script(self, name: str, text: str) -> Path:
        """A program on PATH, instead of the one of that name."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path


@dataclass
class App:
    """An app's folder with pyproject.toml, lock file and a folder of wheels."""

    folder: Path
    host: OfflineHost

    @property
    def environment(self) -> Path:
        return self.folder / ".venv"

    @property
    def site(self) -> Path:
        (site,) = self.environment.glob("lib/python*/site-packages")
        return site

    def wheel(self, name: str, version: str, needs: Sequence[str] = ()) -> Path:
        return write_wheel(self.folder / "wheels", name, version, needs)

    def write(self, path: str, text: str) -> Path:
        written = self.folder / path
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(text)
        return written

    def project(self, *dependencies: str, more: str = "") -> None:
        """pyproject.toml of an app that is not itself installed, unless `more` makes it so."""
        quoted = ", ".join(f'"{dependency}"' for dependency in dependencies)
        self.write(
            "pyproject.toml",
            '[project]\nname = "sessions"\nversion = "1.0.0"\nrequires-python = ">=3.11"\n'
            f"dependencies = [{quoted}]\n{more}\n"
            + ("" if "[tool.uv]" in more else '[tool.uv]\nno-index = true\nfind-links = ["wheels"]\n'),
        )

    def lock(self) -> None:
        self.uv("lock")

    def uv(self, *arguments: str) -> str:
        """Runs the real uv, as a person in the app's folder would."""
        assert UV
        done = subprocess.run(
            [UV, *arguments],
            cwd=self.folder,
            env=self.host.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def imported(self, module: str) -> str:
        """The VERSION that the environment's own Python sees."""
        code = f"import {module}; print({module}.VERSION)"
        done = subprocess.run(
            [self.environment / "bin" / "python", "-c", code],
            cwd=self.folder.parent,
            env=self.host.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def write_backend(folder: Path) -> str:
    """Puts a build backend into a project's folder; returns its [build-system] table."""
    (folder / "backend.py").write_text(BACKEND.format(support=str(Path(__file__).parent)))
    return '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
