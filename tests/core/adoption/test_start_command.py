from __future__ import annotations

import pytest

from newleaf.core.adoption.findings import Project, Start, StartKind
from newleaf.core.adoption.start_command import carry_over

PATHS = ("main.py", "src/shop/__main__.py", "bin/serve.sh", "serve", "conf/shop.toml", "apps/api/main.py")
PROJECT = Project(scripts=("shop",))


def carried(kind: StartKind, command: str | tuple[str, ...], folder: str | None = None) -> object:
    found = carry_over(Start(kind, "F", "n", command, working_directory=folder), PROJECT, PATHS)
    return found.argv or found.reason


CASES: dict[str, tuple[StartKind, str | tuple[str, ...], tuple[str, ...]]] = {
    "an environment elsewhere": (
        "systemd",
        ("/opt/shop/.venv/bin/python", "-m", "shop"),
        (".venv/bin/python", "-m", "shop"),
    ),
    "an environment with another name": ("systemd", ("/srv/venv/bin/shop", "-v"), (".venv/bin/shop", "-v")),
    "the machine's python": ("procfile", "python3.12 main.py", (".venv/bin/python", "main.py")),
    "a server from the environment": ("docker", ("uvicorn", "shop:app"), (".venv/bin/uvicorn", "shop:app")),
    "the project's own program": ("docker", ("/usr/local/bin/shop",), (".venv/bin/shop",)),
    "uv run with options": (
        "procfile",
        "uv run --frozen --extra web python -m shop",
        (".venv/bin/python", "-m", "shop"),
    ),
    "uv run of a module": (
        "docker",
        ("uv", "run", "-m", "shop", "-v"),
        (".venv/bin/python", "-m", "shop", "-v"),
    ),
    "uv run of a file": ("docker", ("uv", "run", "main.py"), (".venv/bin/python", "main.py")),
    "uv run after two dashes": ("docker", ("uv", "run", "--", "shop", "-v"), (".venv/bin/shop", "-v")),
    "poetry run": ("procfile", "poetry run shop", (".venv/bin/shop",)),
    "a small init": (
        "docker",
        ("/usr/bin/tini", "-g", "--", "python", "main.py"),
        (".venv/bin/python", "main.py"),
    ),
    "another user": ("docker", ("gosu", "app", "shop"), (".venv/bin/shop",)),
    "env in front": (
        "systemd",
        ("/usr/bin/env", "python3", "-m", "shop"),
        (".venv/bin/python", "-m", "shop"),
    ),
    "variables in front": ("procfile", "LEVEL=debug shop", ("env", "LEVEL=debug", ".venv/bin/shop")),
    "a file of the image": ("docker", ("python", "/app/main.py"), (".venv/bin/python", "main.py")),
    "a file deep in the image": (
        "docker",
        ("python", "/srv/apps/api/main.py"),
        (".venv/bin/python", "apps/api/main.py"),
    ),
    "a file in the user's home": (
        "systemd",
        ("%h/shop/.venv/bin/python", "%h/shop/main.py"),
        (".venv/bin/python", "main.py"),
    ),
    "a file that is itself the program": ("docker", ("/app/main.py",), (".venv/bin/python", "main.py")),
    "a script of the repository": ("docker", ("/app/bin/serve.sh", "-v"), ("bin/serve.sh", "-v")),
    "a script at its top": ("procfile", "./serve", ("./serve",)),
    "a path of the host": (
        "systemd",
        ("/opt/shop/.venv/bin/shop", "/etc/shop.toml", "--data", "/var/lib/shop"),
        (".venv/bin/shop", "/etc/shop.toml", "--data", "/var/lib/shop"),
    ),
    "a configuration of the repository": (
        "systemd",
        ("/opt/shop/.venv/bin/shop", "-c", "/opt/shop/conf/shop.toml"),
        (".venv/bin/shop", "-c", "conf/shop.toml"),
    ),
    "a program of the machine": ("systemd", ("/usr/bin/node", "x"), ("/usr/bin/node", "x")),
    "exec": ("procfile", "exec shop", (".venv/bin/shop",)),
    "a shell's variable": (
        "procfile",
        "gunicorn --bind :$PORT shop:app",
        ("sh", "-c", 'PATH="$PWD/.venv/bin:$PATH"; exec gunicorn --bind :$PORT shop:app'),
    ),
    "a shell's variables, set and used": (
        "procfile",
        "A=1 shop --port ${PORT:-80}",
        ("sh", "-c", 'PATH="$PWD/.venv/bin:$PATH"; exec env A=1 shop --port ${PORT:-80}'),
    ),
    "two commands": (
        "procfile",
        "uv run shop check && uv run shop",
        ("sh", "-c", 'PATH="$PWD/.venv/bin:$PATH"; shop check && uv run shop'),
    ),
    "systemd's variables": (
        "systemd",
        ("/opt/shop/.venv/bin/shop", "--name", "my ${NAME}", "$OPTIONS", "a b"),
        ("sh", "-c", 'PATH="$PWD/.venv/bin:$PATH"; exec .venv/bin/shop --name "my ${NAME}" $OPTIONS \'a b\''),
    ),
}


@pytest.mark.parametrize("situation", CASES)
def test_a_command_is_carried_over(situation: str) -> None:
    kind, command, argv = CASES[situation]
    assert carried(kind, command) == argv


@pytest.mark.parametrize(
    ("kind", "command", "reason"),
    [
        ("compose", "", "its image alone knows the command"),
        ("docker", ("/app/gone.sh",), "runs /app/gone.sh, which is not in the repository"),
        ("docker", ("python", "/app/gone.py"), "names /app/gone.py, which is not in the repository"),
        ("systemd", ("/opt/shop/.venv/bin/shop", "%i"), "has systemd specifiers that only systemd fills in"),
        ("procfile", "shop 'half", "cannot be split into words: No closing quotation"),
        ("docker", ("tini", "--"), "names no program"),
    ],
)
def test_what_cannot_be_carried_over_is_said(
    kind: StartKind, command: str | tuple[str, ...], reason: str
) -> None:
    assert carried(kind, command) == reason


def test_the_keepers_folder_is_the_apps_folder() -> None:
    assert carried("docker", ("shop", "--root", "/srv/shop/"), "/srv/shop") == (
        ".venv/bin/shop",
        "--root",
        ".",
    )


def test_in_a_monorepo_paths_are_those_of_the_apps_folder() -> None:
    start = Start("docker", "apps/api/Dockerfile", "container", ("python", "/app/main.py"))
    found = carry_over(start, Project(path="apps/api"), PATHS)
    assert found.argv == (".venv/bin/python", "main.py")
