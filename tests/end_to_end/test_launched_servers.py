"""docs/how-to/serve-without-losing-a-request.md under `newleaf run`: the page's programs as they stand."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.launched import SOCKET, launched
from tests.support.load import ask, load_on
from tests.support.server_programs import ONE_WORKER, PROGRAMS, SERVERS


def files_of(server: str, version: str) -> Mapping[str, str]:
    """A release of an app that this server serves."""
    return {**PROGRAMS, "app.py": SERVERS[server].app, "version": version}


@pytest.mark.parametrize("server", SERVERS)
def test_a_good_and_a_bad_update_under_load_then_no_request_fails(server: str) -> None:
    """Promises 1 and 3: proven on its private socket, handed over, or given up."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()
    listen = f"127.0.0.1:{address[1]}"
    tables: dict[str, Any] = {
        "app": {"command": list(SERVERS[server].argv), "stop_seconds": 10},
        "health": {"url": f"http://{listen}/", "ready": 15},
        "files": files_of(server, "1.0.0"),
    }
    run = ("--no-agent",)
    with launched(listen, SOCKET, run=run, environment=ONE_WORKER, **tables) as one:
        with load_on(address) as load:
            one.deployment.release("1.1.0", files_of(server, "1.1.0"))
            done = one.update()
            assert (done.code, done.outcome, done.record["confirmed"]) == (0, "updated", True), one.output
            kept = one.serving["pid"]
            one.deployment.release("1.2.0", {**files_of(server, "1.2.0"), "app.py": "raise SystemExit(3)\n"})
            done = one.update()
            assert (done.code, done.outcome) == (6, "rolled_back"), one.output
            assert (ask(address), ask(one.socket)) == ("1.1.0", "1.1.0")
        assert load.failures == []
        assert set(load.served) == {"1.0.0", "1.1.0"}
        assert one.serving["pid"] == kept
