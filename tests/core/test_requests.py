"""What a trigger asks for."""

from __future__ import annotations

from newleaf.core.requests import Request


def test_a_plain_request_skips_no_gate_and_names_no_target() -> None:
    request = Request()
    assert (request.to, request.branch, request.now, request.force_busy) == (None, None, False, False)
    assert request.wait_seconds == 0
