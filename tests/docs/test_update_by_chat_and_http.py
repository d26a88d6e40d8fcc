"""docs/how-to/update-by-chat.md and those about HTTP: their code is code, and names what is there."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import newleaf

HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to"
PAGES = ("update-by-chat.md", "update-by-http.md", "order-updates-over-http.md")


def blocks() -> Iterator[str]:
    for page in PAGES:
        yield from re.findall(r"```python\n(.*?)```", (HOW_TO / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("block", list(blocks()), ids=lambda block: block.split()[3])
def test_a_block_of_code_then_it_can_be_read_and_finds_what_it_imports(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("newleaf"):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, name.name) for name in node.names)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "newleaf"
        ):
            assert node.attr in newleaf.__all__
