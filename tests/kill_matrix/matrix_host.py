"""What a layout must tell the kill matrix of its hosts, and the answers of both layouts.

A host lies in one folder, which can be copied aside and back again: its remote, its home, its app. Whatever
the matrix asserts of *where* things lie goes through `MatrixHost`; what is asserted is the same for all.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Protocol

from tests.kill_matrix.scenarios import FIRST, LOCAL_LINE, Scenario
from tests.support.data import Look, look
from tests.support.deployment import Deployment
from tests.support.repositories import Content
from tests.support.wheels import UV, write_wheel

SECRET = b"TOKEN=made-up\x00\r\n"


class MatrixHost(Protocol):
    """One host of the matrix, in one layout."""

    layout: str
    deployment: Deployment

    def settle(self) -> None:
        """Makes the first release live, with dependencies, data and local files; there is no other yet."""
        ...

    def live(self) -> str:
        """The commit that a start of the daemon would load."""
        ...

    def app(self) -> Path:
        """The folder that the daemon is started in."""
        ...

    def halfway(self) -> list[str]:
        """What of the live release is not as its commit has it; nothing, but while it is being changed."""
        ...

    def keepsakes(self) -> dict[str, object]:
        """What belongs to the people of the host, and must be the same whatever happens."""
        ...

    def leftovers(self) -> set[str]:
        """What lies on the host, attempts' and objects' names left out, so that two hosts can be compared."""
        ...


class InPlaceHost:
    """A checkout that moves from release to release; data and dependencies lie in it."""

    layout = "in_place"

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def settle(self) -> None:
        checkout = self.deployment.checkout
        secret = checkout.write(".env", SECRET)
        os.utime(secret, ns=(10**18, 10**18))
        checkout.write("settings.ini", checkout.read("settings.ini").replace("colour = grey", LOCAL_LINE))
        make_data(checkout.path / "data")
        self.deployment.host_settings("")
        assert self.deployment.run("update").outcome == "up_to_date"

    def live(self) -> str:
        return self.deployment.head()

    def app(self) -> Path:
        return self.deployment.checkout.path

    def halfway(self) -> list[str]:
        found = self.deployment.checkout.changes()
        return [line for line in found if line.strip() != "M settings.ini"]

    def keepsakes(self) -> dict[str, object]:
        checkout = self.deployment.checkout
        secret = checkout.path / ".env"
        return {
            ".env": (secret.read_bytes(), secret.stat().st_mtime_ns, secret.stat().st_mode),
            "local edit": LOCAL_LINE in checkout.read("settings.ini"),
            "stashes": checkout.stashes(),
            "remote": self.deployment.remote.heads(),
        }

    def leftovers(self) -> set[str]:
        top = self.deployment.folder
        places = [self.deployment.state, self.deployment.checkout.path]
        paths = [Path(root, name) for place in places for root, _, names in os.walk(place) for name in names]
        return {name for path in paths if (name := anonymous(str(path.relative_to(top))))}


class SlotsHost:
    """A folder for each release; data lies beside them, and what people of the host have put there."""

    layout = "slots"

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def settle(self) -> None:
        state, remote = self.deployment.state, self.deployment.remote
        made = self.deployment.run("init", "--slots", "--from", remote.url, folder=self.deployment.home)
        assert made.code == 0, made
        secret = state / "shared" / ".env"
        secret.write_bytes(SECRET)
        os.utime(secret, ns=(10**18, 10**18))
        make_data(state / "shared" / "data")
        (state / "left").mkdir(mode=0o700)
        (state / "left" / "note.txt").write_text("mine\n")

    def live(self) -> str:
        return self.app().resolve().name

    def app(self) -> Path:
        return self.deployment.state / "current"

    def halfway(self) -> list[str]:
        """Files of the live release that are not its commit's."""
        tree = self.deployment.remote.git("ls-tree", "-r", self.live()).splitlines()
        asked = {path: about.split()[2] for about, path in (line.split("\t") for line in tree)}
        files = [str(self.app().resolve() / path) for path in asked]
        found = self.deployment.remote.git("hash-object", *files).splitlines()
        return [path for path, has in zip(asked, found, strict=True) if has != asked[path]]

    def keepsakes(self) -> dict[str, object]:
        state = self.deployment.state
        secret = self.app() / ".env"
        return {
            ".env": (secret.read_bytes(), secret.stat().st_mtime_ns, secret.stat().st_mode),
            "left": (state / "left" / "note.txt").read_text(),
            "remote": self.deployment.remote.heads(),
        }

    def leftovers(self) -> set[str]:
        top = self.deployment.folder
        found = [
            Path(root, name)
            for root, folders, names in os.walk(self.deployment.state)
            for name in [*names, *(name for name in folders if Path(root, name).is_symlink())]
        ]
        beside = [*self.deployment.state.glob("releases/*"), *self.deployment.state.glob("envs/*")]
        return {name for path in [*found, *beside] if (name := anonymous(str(path.relative_to(top))))}


HOSTS: dict[str, type[InPlaceHost | SlotsHost]] = {
    InPlaceHost.layout: InPlaceHost,
    SlotsHost.layout: SlotsHost,
}


def make_host(layout: str, folder: Path, cache: Path, scenario: Scenario) -> tuple[MatrixHost, str, str]:
    """A host at the first release, and the commits of both; the second is published and not fetched yet."""
    folder.mkdir(parents=True)
    wheels = folder / "wheels"
    for version in ("1.0.0", "2.0.0"):
        write_wheel(wheels, "leaflet", version)
    deployment = Deployment.make(
        folder,
        {**FIRST, **project(folder, "1.0.0", "1.0.0")},
        app={"command": [".venv/bin/python", "app.py"], "shared": [".env"]},
        update={"install": "auto", "state_paths": ["data"]},
        restart=scenario.restart,
    )
    deployment.environment |= {
        "UV_CACHE_DIR": str(cache),
        "UV_OFFLINE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",
    }
    host = HOSTS[layout](deployment)
    host.settle()
    first = host.live()
    later = project(folder, "1.1.0", scenario.leaflet) if scenario.leaflet != "1.0.0" else {}
    return host, first, deployment.remote.commit({**later, **scenario.files}, "Second release")


def project(folder: Path, version: str, leaflet: str) -> dict[str, Content]:
    """pyproject.toml and uv.lock of the app, as its maintainer would commit them."""
    place = folder / "lock"
    place.mkdir(exist_ok=True)
    text = (
        f'[project]\nname = "sessions"\nversion = "{version}"\nrequires-python = ">=3.11"\n'
        f'dependencies = ["leaflet=={leaflet}"]\n'
        f'[tool.uv]\nno-index = true\nfind-links = ["{folder / "wheels"}"]\n'
    )
    (place / "pyproject.toml").write_text(text)
    assert UV, "the tests need uv: make setup"
    subprocess.run([UV, "lock", "--quiet", "--offline", "--python", sys.executable], cwd=place, check=True)
    return {"pyproject.toml": text, "uv.lock": (place / "uv.lock").read_text()}


# --- data and dependencies --------------------------------------------------------------


def make_data(folder: Path) -> None:
    """The data of a host that has run the first release for a while."""
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("three jobs\n")
    with closing(sqlite3.connect(folder / "app.db")) as database:
        database.execute("PRAGMA journal_mode = wal")
        database.execute("CREATE TABLE jobs (name TEXT)")
        database.executemany("INSERT INTO jobs VALUES (?)", [("a",), ("b",), ("c",)])
        database.commit()


def data_of(host: MatrixHost) -> Look:
    """What the data holds; a database that is not whole is an error."""
    return look(host.app() / "data")


def leaflet_of(host: MatrixHost) -> str:
    """The dependency that the environment of the live release has, as its files say."""
    packages = (host.app() / ".venv").resolve().glob("lib/python*/site-packages")
    found = [path for folder in packages for path in folder.glob("leaflet-*.dist-info")]
    if len(found) != 1:
        return f"{len(found)} of them"
    module = (found[0].parent / "leaflet" / "__init__.py").read_text()
    version = found[0].name.split("-")[1].removesuffix(".dist")
    return version if f"'{version}'" in module else f"{version} with the module of another"


# --- listings ---------------------------------------------------------------------------

_UNTOLD = (
    re.compile(r"/objects/"),
    re.compile(r"/__pycache__/"),
    re.compile(r"\.db-(wal|shm)$"),
    re.compile(r"/(ORIG_HEAD|FETCH_HEAD)$"),
    # A fetch that was killed once its objects were here is not made again: these follow with the next one.
    re.compile(r"/refs/newleaf/fetched/|/refs/remotes/origin/|/git/incoming/info/alternates$"),
)
_ATTEMPT = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")

_ASIDE = re.compile(r"/aside-\d+/")
"""A way back that was killed and made again keeps things in another folder."""


def anonymous(path: str) -> str | None:
    """A path without what differs from host to host; None for what says nothing."""
    if any(pattern.search(path) for pattern in _UNTOLD) and "tmp" not in path:
        return None
    return _ASIDE.sub("/aside/", _ATTEMPT.sub("ATTEMPT", path))
