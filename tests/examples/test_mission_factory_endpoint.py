"""How the mission factory's operator calls the endpoint: with curl, and where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from examples.mission_factory.endpoint import Operator
from examples.stage.http_server import Answer, serving
from newleaf.cli.demo.demo_host import Host
from newleaf.cli.demo.sandbox import Sandbox
from newleaf.cli.demo.screen import Screen


@pytest.mark.parametrize("path", [os.environ["PATH"], "/nonexistent"])
def test_there_is_curl_or_none_then_the_operator_asks_the_same(tmp_path: Path, path: str) -> None:
    shown: list[str] = []
    host = Host(Sandbox(tmp_path, path), Screen(shown.append), app="factory")
    host.checkout.mkdir()
    answers = {"GET": Answer(200, body=b'{"ok": true}'), "POST": Answer(409, body=b'{"ok": false}')}
    with serving(lambda request: answers[request.method]) as server:
        operator = Operator(host, f"{server.url}/api/v1").holding("ops", "canary-3f9a1c")
        assert operator.get("health") == (200, {"ok": True})
        assert operator.post("orders", {"branch": "main"}) == (409, {"ok": False})
    asked = [(each.method, each.target, each.body) for each in server.received]
    assert asked == [("GET", "/api/v1/health", b""), ("POST", "/api/v1/orders", b'{"branch": "main"}')]
    assert {each.headers["authorization"] for each in server.received} == {"Bearer canary-3f9a1c"}
    assert "canary" not in "".join(shown)
