"""The fields are named in the docs, by which daemons in other languages send them."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.launch import notify_fields

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    "field", [value for name, value in vars(notify_fields).items() if name.endswith("_FIELD")]
)
def test_a_field_of_newleafs_own_is_documented(field: str) -> None:
    assert field.startswith("X_NEWLEAF_")
    assert any(field in page.read_text() for page in DOCS.rglob("*.md") if "adr" not in page.parts)
