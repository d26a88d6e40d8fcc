"""The lease from a FleetLock server: granted, taken, given back; and every error is a no."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.gates import Lease
from newleaf.core.job_errors import LeaseDenied
from newleaf.system import lease as lease_module
from newleaf.system.http import HttpClient
from newleaf.system.lease import LeaseClient
from tests.support.fleetlock_server import fleetlock
from tests.support.http_server import Answer, serving


def client(url: str, host: str = "mini-1/sessions") -> LeaseClient:
    return LeaseClient(url, host, HttpClient())


def test_free_lease_is_granted_and_can_be_asked_for_again() -> None:
    with fleetlock() as server:
        assert client(server.url).acquire() == Lease(is_granted=True)
        assert client(server.url).acquire() == Lease(is_granted=True)
        assert server.owners == {"default": {"mini-1/sessions"}}


def test_second_host_is_denied_until_the_first_gives_the_lease_back() -> None:
    with fleetlock() as server:
        first, second = client(server.url, "mini-1"), client(server.url, "mini-2")
        assert first.acquire().is_granted
        denied = second.acquire()
        assert not denied.is_granted
        assert "all slots are taken" in denied.reason
        first.release()
        assert second.acquire().is_granted


def test_lease_that_was_never_taken_can_be_given_back() -> None:
    with fleetlock() as server:
        client(server.url).release()
        assert server.owners == {"default": set()}


def test_groups_have_leases_of_their_own() -> None:
    with fleetlock() as server:
        assert LeaseClient(server.url, "mini-1", HttpClient(), group="canary").acquire().is_granted
        assert LeaseClient(server.url, "mini-2", HttpClient()).acquire().is_granted


def test_server_below_a_path_is_found() -> None:
    with fleetlock(path="/locks/") as server:
        assert client(server.url).acquire().is_granted
        assert server.server
        assert server.server.received[0].target == "/locks/v1/pre-reboot"


def test_call_is_as_the_protocol_says() -> None:
    with fleetlock() as server:
        client(server.url).acquire()
        assert server.server
        call = server.server.received[0]
    assert (call.method, call.headers["fleet-lock-protocol"]) == ("POST", "true")
    assert json.loads(call.body) == {"client_params": {"id": "mini-1/sessions", "group": "default"}}


def test_many_hosts_at_once_never_have_more_leases_than_there_are() -> None:
    with fleetlock(slots=3) as server, ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda n: client(server.url, f"host-{n}").acquire().is_granted, range(12)))
        assert sum(granted) == 3
        assert server.most_at_once == 3


@pytest.mark.parametrize("status", [201, 204, 302, 400, 409, 500, 503])
def test_any_answer_but_200_is_a_no(status: int) -> None:
    with serving(lambda _: Answer(status, {"Location": "/v1/elsewhere"})) as server:
        denied = client(server.url).acquire()
    assert not denied.is_granted
    assert f"says no ({status})" in denied.reason


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b'{"kind": 1}', b"[" * 5000, b'{"value": {"deep": 1}}', b"\xff\xfe"]
)
def test_answer_that_makes_no_sense_is_a_no_with_its_status(body: bytes) -> None:
    with serving(lambda _: Answer(409, {}, body)) as server:
        denied = client(server.url).acquire()
    assert not denied.is_granted
    assert "says no (409)" in denied.reason


def test_words_of_the_server_are_kept_short_and_on_one_line() -> None:
    body = json.dumps({"kind": "x", "value": "first\nsecond \x1b[31m" + "y" * 5000}).encode()
    with serving(lambda _: Answer(409, {}, body)) as server:
        reason = client(server.url).acquire().reason
    assert "first second" in reason
    assert reason.isprintable()
    assert len(reason) < 300


def test_server_that_is_not_there_is_a_no() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        denied = client(url).acquire()
    assert not denied.is_granted
    assert "127.0.0.1" in denied.reason


def test_server_that_never_answers_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "CALL_SECONDS", 0.2)
    with serving(lambda _: Answer(200, drip_seconds=0.3)) as server:
        assert not client(server.url).acquire().is_granted


def test_lease_that_cannot_be_given_back_is_an_error() -> None:
    with serving(lambda _: Answer(500)) as server, pytest.raises(LeaseDenied) as failed:
        client(server.url).release()
    assert failed.value.message == "the lease server at 127.0.0.1 says no (500)"
    with pytest.raises(NewleafError):
        client(server.url).release()
