"""Who is let in at a door; `test_asgi.py` and `test_ops.py` try it with real requests."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from newleaf.core.credentials import Recent
from newleaf.integrations import http_gate
from newleaf.integrations.http_gate import MAX_TOKEN_BYTES, Gate, caller_of, too_long, too_often

ONE: dict[str, Any] = {"client": ("10.0.0.1", 1)}
OTHER: dict[str, Any] = {"client": ("10.0.0.2", 1)}


def test_t23_what_is_too_long_then_413_and_never_looked_at() -> None:
    assert too_long(b"x" * MAX_TOKEN_BYTES) is None
    refused = too_long(b"x" * (MAX_TOKEN_BYTES + 1))
    assert refused is not None
    assert refused.status == 413


def test_t23_ten_failures_of_one_caller_then_it_is_not_judged_and_another_is() -> None:
    gate, judged = Gate(), []

    def wrong() -> bool:
        judged.append(1)
        return False

    refusals = [gate.judge(ONE, wrong) for _ in range(12)]
    assert [refused.status for refused in refusals if refused] == [401] * 10 + [429] * 2
    assert len(judged) == 10
    assert gate.judge(OTHER, lambda: True) is None


def test_too_often_then_for_how_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = Recent(2)
    monkeypatch.setattr(http_gate, "monotonic", lambda: 10.0)
    recent.note("a", 0.5)
    assert too_often(recent, "a", "enough") is None
    recent.note("a", 1)
    refused = too_often(recent, "a", "enough")
    assert refused is not None
    assert (refused.headers["Retry-After"], refused.record["error"]) == ("51", "enough")
    monkeypatch.setattr(http_gate, "monotonic", lambda: 60.5)
    assert too_often(recent, "a", "enough") is None


def test_secrets_are_read_at_once_then_one_after_another_beside_the_loop() -> None:
    gate, most, now, lock = Gate(), 0, 0, threading.Lock()

    def read() -> int:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        with lock:
            now -= 1
        return 7

    async def many() -> list[int]:
        return list(await asyncio.gather(*(gate.read(read) for _ in range(20))))

    assert asyncio.run(many()) == [7] * 20
    assert most == 1


def test_a_caller_then_its_address_alone_and_nobody_on_a_unix_socket() -> None:
    assert (caller_of(ONE), caller_of({"client": None}), caller_of({})) == ("10.0.0.1", "", "")
