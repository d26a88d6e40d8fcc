from __future__ import annotations

import json
import re
from typing import Any

import pytest

from newleaf.core.settings.model import KEYS
from newleaf.core.settings.schema import settings_schema


def entry(key: str) -> dict[str, Any]:
    section, name = key.split(".")
    found = settings_schema()["properties"][section]["properties"][name]
    assert isinstance(found, dict)
    return found


def test_schema_is_json_and_says_its_draft() -> None:
    schema = json.loads(json.dumps(settings_schema()))
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_schema_has_every_key_and_no_other() -> None:
    tables = settings_schema()["properties"]
    assert [f"{table}.{name}" for table, content in tables.items() for name in content["properties"]] == list(
        KEYS
    )


def test_schema_takes_no_unknown_table_or_key() -> None:
    schema = settings_schema()
    assert schema["additionalProperties"] is False
    assert all(table["additionalProperties"] is False for table in schema["properties"].values())


def test_schema_requires_nothing_because_it_serves_both_files() -> None:
    schema = settings_schema()
    assert "required" not in schema
    assert all("required" not in table for table in schema["properties"].values())


@pytest.mark.parametrize("key", list(KEYS))
def test_each_key_has_its_meaning_and_says_whose_it_is(key: str) -> None:
    said = entry(key)["description"]
    assert said.startswith(KEYS[key].meaning)
    assert ("the host alone decides" in said) == KEYS[key].host_only


def test_defaults_are_said_where_they_are_values() -> None:
    assert entry("watch.poll_seconds")["default"] == 300.0
    assert entry("update.steps")["default"] == ["install", "migrate"]
    assert "default" not in entry("app.name")
    assert "default" not in entry("source.url")
    assert "default" not in entry("app.layout")


def test_words_patterns_and_bounds_are_checked_by_editors() -> None:
    assert entry("deployment.channel")["enum"] == ["alpha", "beta", "stable"]
    assert entry("restart.exit_code")["maximum"] == 255
    pattern = entry("app.name")["pattern"]
    assert re.search(pattern, "sessions")
    assert not re.search(pattern, "Sessions")
    assert "\\Z" not in json.dumps(settings_schema())
