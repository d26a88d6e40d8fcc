"""What newleaf's own missions may say."""

from __future__ import annotations

from typing import Any

import pytest

from newleaf.core.missions.kinds import PAUSE, RESUME, ROLLBACK, UPDATE, find_fault


@pytest.mark.parametrize(
    ("kind", "context"),
    [
        (UPDATE, {}),
        (UPDATE, {"branch": "main"}),
        (UPDATE, {"branch": "main", "version": "1.3.0"}),
        (UPDATE, {"version": "a" * 40}),
        (UPDATE, {"branch": None, "version": None}),
        (ROLLBACK, {}),
        (PAUSE, {}),
        (RESUME, {}),
    ],
)
def test_it_says_no_more_than_it_may_then_it_is_obeyed(kind: str, context: dict[str, Any]) -> None:
    assert find_fault(kind, context, "main") is None


@pytest.mark.parametrize(
    ("kind", "context", "rule"),
    [
        (UPDATE, {"url": "https://evil"}, "unknown_context"),
        (UPDATE, {"command": "rm -rf /"}, "unknown_context"),
        (UPDATE, {"branch": "main", "force": True}, "unknown_context"),
        (ROLLBACK, {"to": "a" * 40}, "unknown_context"),
        (PAUSE, {"why": "x"}, "unknown_context"),
        (UPDATE, {"branch": "other"}, "another_branch"),
        (UPDATE, {"branch": "--upload-pack=x"}, "another_branch"),
        (UPDATE, {"branch": ""}, "another_branch"),
        (UPDATE, {"branch": ["main"]}, "another_branch"),
        (UPDATE, {"version": "--now"}, "bad_version"),
        (UPDATE, {"version": 1.3}, "bad_version"),
        (UPDATE, {"version": "1.3\n"}, "bad_version"),
        (UPDATE, {"version": ""}, "bad_version"),
        (UPDATE, {"version": "1" * 101}, "bad_version"),
    ],
)
def test_t26_it_says_more_then_it_is_refused(kind: str, context: dict[str, Any], rule: str) -> None:
    """threats.md T15, T26"""
    found = find_fault(kind, context, "main")
    assert found is not None
    assert found.rule == rule
