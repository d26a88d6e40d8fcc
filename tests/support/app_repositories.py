"""Repositories of apps as people have them, as files by path, for tests of what is found in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

UV_PROJECT: dict[str, str] = {
    "pyproject.toml": """
[project]
name = "Sessions_Daemon"
version = "1.2.0"
requires-python = ">=3.11"
dependencies = ["httpx>=0.27", "newleaf[redis]>=0.1"]

[project.scripts]
sessions = "sessions.__main__:main"

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
""",
    "uv.lock": "version = 1\n",
    "src/sessions/__init__.py": "",
    "src/sessions/__main__.py": "print('runs')\n",
    "tests/test_sessions.py": "",
    "Makefile": ".PHONY: install test\ninstall:\n\tuv sync\ntest:\n\tpytest\n",
    "deploy/sessions.service": """
[Service]
WorkingDirectory=/opt/sessions
ExecStart=/opt/sessions/.venv/bin/python -m sessions --config /etc/sessions.toml
Restart=always
[Install]
WantedBy=multi-user.target
""",
    "migrations/v1.1.0/001_rename_key.py": "",
    ".gitignore": ".venv/\n.env\ndata/\n*.sqlite3\n__pycache__/\n",
}

POETRY_PROJECT: dict[str, str] = {
    "pyproject.toml": """
[tool.poetry]
name = "mail-sorter"
version = "0.4.1"

[tool.poetry.dependencies]
python = "^3.11"
aiosmtpd = "*"

[tool.poetry.scripts]
mail-sorter = "mail_sorter.cli:main"

[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
""",
    "poetry.lock": "# generated\n",
    "mail_sorter/__init__.py": '__version__ = "0.4.1"\n',
    "mail_sorter/cli.py": "def main(): ...\n",
    "Procfile": "worker: poetry run mail-sorter --watch\n",
}

REQUIREMENTS_PROJECT: dict[str, str] = {
    "requirements.txt": "aiogram==3.4\n",
    "bot.py": "print('runs')\n",
    "README.md": "",
    "update.sh": "#!/bin/sh\ncd /opt/bot && git pull --ff-only && systemctl restart bot\n",
}

MONOREPO: dict[str, str] = {
    "pyproject.toml": """
[project]
name = "everything"
version = "0"
[tool.uv.workspace]
members = ["apps/*"]
""",
    "uv.lock": "version = 1\n",
    "apps/api/pyproject.toml": '[project]\nname = "api"\nversion = "2.0.0"\n',
    "apps/api/src/api/__init__.py": "",
    "apps/api/src/api/__main__.py": "",
    "apps/worker/pyproject.toml": '[project]\nname = "worker"\ndynamic = ["version"]\n',
    "apps/worker/worker/__init__.py": '__version__ = "2.1.0"\n',
    "apps/worker/worker/__main__.py": "",
    "libs/shared/pyproject.toml": '[project]\nname = "shared"\nversion = "1"\n',
    "libs/shared/src/shared/__init__.py": "",
}

DOCKER_ONLY: dict[str, str] = {
    "Dockerfile": 'FROM nginx:1.27\nCOPY site /usr/share/nginx/html\nCMD ["nginx", "-g", "daemon off;"]\n',
    "compose.yaml": "services:\n  site:\n    build: .\n",
    "site/index.html": "<h1>hello</h1>",
}


def lay(top: Path, files: Mapping[str, str]) -> Path:
    """Writes the files of a repository below `top`."""
    for path, content in files.items():
        file = top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return top
