"""The tables themselves: what they are is tested key by key in test_settings.py."""

from __future__ import annotations

import msgspec
import pytest

from newleaf.core.settings import sections
from newleaf.core.settings.kinds import Key
from newleaf.core.settings.model import SECTIONS

TABLES = list(SECTIONS.values())


@pytest.mark.parametrize("table", TABLES)
def test_each_field_carries_its_key(table: type[msgspec.Struct]) -> None:
    """Annotations are data: `from __future__ import annotations` in that module would turn them into text."""
    assert list(table.__annotations__) == list(table.__struct_fields__)
    for annotation in table.__annotations__.values():
        (said,) = annotation.__metadata__
        assert isinstance(said, Key)


@pytest.mark.parametrize("table", TABLES)
def test_each_table_says_what_it_is(table: type[msgspec.Struct]) -> None:
    assert (table.__doc__ or "").endswith(".")


def test_tables_are_frozen_and_compare_by_value() -> None:
    assert sections.Watch(jitter=0.5) == sections.Watch(jitter=0.5) != sections.Watch()
    with pytest.raises(AttributeError):
        sections.Watch().jitter = 0.5  # type: ignore[misc]


def test_tables_share_no_default() -> None:
    assert sections.Source().git_config is not sections.Source().git_config
