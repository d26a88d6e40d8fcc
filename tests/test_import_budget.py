"""What a start of newleaf must not load: an app's environment and a small host pay for every import."""

from __future__ import annotations

import subprocess
import sys

import pytest

TOO_HEAVY = {"fastapi", "httpx", "pydantic", "redis", "rich", "starlette", "uvicorn"}

LOADED = "import importlib, sys; importlib.import_module(sys.argv[1]); print(*sys.modules)"


@pytest.mark.parametrize(
    "module",
    [
        "newleaf",
        "newleaf.cli.main",
        "newleaf.cli.guard",
        "newleaf.cli.mission",
        "newleaf.compose",
        "newleaf.compose.guarding",
        "newleaf.compose.missions",
        "newleaf.integrations.missions",
    ],
)
def test_import_loads_no_heavy_library(module: str) -> None:
    fresh = subprocess.run(
        [sys.executable, "-c", LOADED, module], capture_output=True, text=True, check=False, timeout=30
    )
    assert fresh.returncode == 0, fresh.stderr
    loaded = {name.partition(".")[0] for name in fresh.stdout.split()}
    assert "newleaf" in loaded
    assert not loaded & TOO_HEAVY
