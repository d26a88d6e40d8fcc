"""Calls over HTTP, against servers on this machine that answer well, badly, or never."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.releases.source_errors import AddressRefused, HttpFailed, HttpTimedOut, UrlInvalid
from newleaf.system.http import HttpClient, HttpRequest, HttpResponse, host_of, read_url
from tests.support.http_server import Answer, LocalServer, Received, serving

HERE = frozenset({"127.0.0.1"})


def call(url: str, **fields: object) -> HttpResponse:
    request = HttpRequest(url, "the test", **{"private_hosts": HERE, **fields})  # type: ignore[arg-type]
    return HttpClient().send(request)


def always(answer: Answer) -> Callable[[Received], Answer]:
    return lambda _: answer


def test_answer_then_status_headers_and_body() -> None:
    answer = Answer(201, {"X-Kind": "plain"}, b"made")
    with serving(always(answer)) as server:
        found = call(
            server.url + "/a/b?c=d", method="POST", headers={"Accept": "text/plain"}, body=b"content"
        )
    assert (found.status, found.headers["x-kind"], found.body) == (201, "plain", b"made")
    (asked,) = server.received
    assert (asked.method, asked.target, asked.body) == ("POST", "/a/b?c=d", b"content")
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert asked.headers["accept"] == "text/plain"
    assert asked.headers["accept-encoding"] == "identity"


def test_error_status_then_returned_not_raised() -> None:
    with serving(always(Answer(503, body=b"busy"))) as server:
        assert call(server.url).status == 503


def test_chunked_answer_then_its_body() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with serving(always(Answer(raw=raw))) as server:
        assert call(server.url).body == b"abcde"


# --- limits ---------------------------------------------------------------------------


def test_server_drips_then_the_total_deadline_ends_it() -> None:
    """threats.md T5: each byte comes in time, the whole does not."""
    with serving(always(Answer(body=b"x" * 1000, drip_seconds=0.05))) as server:
        began = time.monotonic()
        with pytest.raises(HttpTimedOut):
            call(server.url, timeout_seconds=0.4)
        assert time.monotonic() - began < 6


def test_server_drips_its_body_then_the_total_deadline_ends_it() -> None:
    """threats.md T5."""
    slow = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000
    with serving(always(Answer(raw=slow, drip_seconds=0.01))) as server, pytest.raises(HttpTimedOut):
        call(server.url, timeout_seconds=0.5)


def test_redirects_then_one_deadline_for_all() -> None:
    """threats.md T5."""

    def handler(request: Received) -> Answer:
        time.sleep(0.15)
        return Answer(302, {"Location": "/again"})

    with serving(handler) as server, pytest.raises(HttpTimedOut):
        call(server.url, timeout_seconds=0.4, max_redirects=20)
    assert len(server.received) <= 4


@pytest.mark.parametrize("announced", [True, False])
def test_body_past_the_limit_then_failure(announced: bool) -> None:
    """threats.md T5."""
    raw = None if announced else b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 65_537
    with (
        serving(always(Answer(body=b"x" * 65_537, raw=raw))) as server,
        pytest.raises(HttpFailed, match="65536 bytes"),
    ):
        call(server.url, max_body_bytes=65_536)


def test_body_at_the_limit_then_taken() -> None:
    with serving(always(Answer(body=b"x" * 65_536))) as server:
        assert len(call(server.url, max_body_bytes=65_536).body) == 65_536


BROKEN = {
    "nothing": b"",
    "not http": b"hello\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc",
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n",
    "bad chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_broken_answer_then_failure_of_ours(raw: bytes) -> None:
    with serving(always(Answer(raw=raw))) as server, pytest.raises(HttpFailed) as caught:
        call(server.url)
    assert caught.value.message.startswith("the test: 127.0.0.1 ")


def test_nobody_listens_then_failure() -> None:
    with serving(always(Answer())) as server:
        url = server.url
    with pytest.raises(HttpFailed, match="cannot be reached"):
        call(url)


# --- addresses ------------------------------------------------------------------------

SPELLINGS = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"]
SPELLINGS.append("[::ffff:127.0.0.1]")
ELSEWHERE = ["169.254.169.254", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "10.0.0.1", "[::1]"]


@pytest.mark.parametrize("host", SPELLINGS)
def test_this_machine_in_any_spelling_then_refused_before_a_connection(host: str) -> None:
    """threats.md T28."""
    with serving(always(Answer())) as server, pytest.raises(AddressRefused) as caught:
        call(f"http://{host}:{server.port}/hook", private_hosts=frozenset())
    assert server.connections == 0
    assert host.strip("[]") in caught.value.message
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("host", ELSEWHERE)
def test_private_address_then_refused(host: str) -> None:
    """threats.md T28."""
    with pytest.raises(AddressRefused):
        call(f"http://{host}/", private_hosts=frozenset())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
def test_private_address_named_then_called(host: str) -> None:
    """threats.md T28: allowed by name."""
    with serving(always(Answer(body=b"here"))) as server:
        found = call(f"http://{host}:{server.port}", private_hosts=frozenset({host}))
    assert found.body == b"here"


def test_name_with_port_then_that_port_alone() -> None:
    with serving(always(Answer())) as server:
        named = frozenset({f"127.0.0.1:{server.port}"})
        assert call(server.url, private_hosts=named).status == 200
        with pytest.raises(AddressRefused):
            call("http://127.0.0.1:1/", private_hosts=named)


def test_other_host_named_then_still_refused() -> None:
    with serving(always(Answer())) as server, pytest.raises(AddressRefused):
        call(server.url, private_hosts=frozenset({"localhost", "example.org"}))


# --- redirects ------------------------------------------------------------------------

TO_PRIVATE = [
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://169.254.169.254/",
    "http://[64:ff9b::7f00:1]/",
]


@pytest.mark.parametrize("location", TO_PRIVATE)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_a_private_address_then_refused(location: str, status: int) -> None:
    """threats.md T28: the host that was named is left, and what it points to was not."""
    with serving(always(Answer())) as inner:
        answer = Answer(status, {"Location": location.format(port=inner.port)})
        with serving(always(answer)) as server, pytest.raises(AddressRefused):
            call(server.url, method="POST", body=b"text", max_redirects=3)
    assert inner.connections == 0


def test_redirect_to_another_named_host_then_refused_all_the_same() -> None:
    """threats.md T28: a host is named for calls of our own, not for what others make of them."""
    both = frozenset({"127.0.0.1", "localhost"})
    with serving(always(Answer())) as inner:
        answer = Answer(302, {"Location": f"http://localhost:{inner.port}/"})
        with serving(always(answer)) as server, pytest.raises(AddressRefused):
            call(server.url, max_redirects=1, private_hosts=both)
    assert inner.connections == 0


def test_redirects_not_allowed_then_the_answer_itself() -> None:
    with serving(always(Answer(302, {"Location": "http://169.254.169.254/"}))) as server:
        assert call(server.url).status == 302
    assert len(server.received) == 1


def test_redirects_too_often_then_failure() -> None:
    with serving(always(Answer(302, {"Location": "/again"}))) as server:
        with pytest.raises(HttpFailed, match="too often"):
            call(server.url, max_redirects=2)
        assert len(server.received) == 3


@pytest.mark.parametrize(("status", "method", "body"), [(307, "POST", b"text"), (303, "GET", b"")])
def test_redirect_on_the_same_host_then_followed(status: int, method: str, body: bytes) -> None:
    def handler(request: Received) -> Answer:
        return Answer(status, {"Location": "/new"}) if request.target == "/old" else Answer(body=b"there")

    with serving(handler) as server:
        found = call(server.url + "/old", method="POST", body=b"text", max_redirects=1)
    assert found.body == b"there"
    assert (server.received[1].target, server.received[1].method) == ("/new", method)
    assert server.received[1].body == body


def test_redirect_to_another_origin_then_credentials_stay_behind() -> None:
    """threats.md T29."""
    secret = {"Authorization": "Bearer canary", "Cookie": "canary", "X-Kept": "yes"}
    with (
        serving(always(Answer(body=b"there"))) as other,
        serving(always(Answer(302, {"Location": other.url}))) as server,
    ):
        call(server.url, headers=secret, max_redirects=1)
    assert server.received[0].headers["authorization"] == "Bearer canary"
    assert "canary" not in str(other.received[0].headers)
    assert other.received[0].headers["x-kept"] == "yes"


def test_redirect_to_the_same_origin_then_credentials_go_along() -> None:
    def handler(request: Received) -> Answer:
        return Answer(302, {"Location": "/new"}) if request.target == "/" else Answer()

    with serving(handler) as server:
        call(server.url, headers={"Authorization": "Bearer kept"}, max_redirects=1)
    assert server.received[1].headers["authorization"] == "Bearer kept"


@pytest.mark.parametrize("location", ["ftp://example.org/", "http://u:p@example.org/", "file:///etc/passwd"])
def test_redirect_to_what_is_no_web_address_then_refused(location: str) -> None:
    with serving(always(Answer(302, {"Location": location}))) as server, pytest.raises(UrlInvalid):
        call(server.url, max_redirects=1)


# --- addresses as text ----------------------------------------------------------------

BAD_URLS = [
    "",
    "example.org",
    "ftp://example.org/",
    "file:///etc/passwd",
    "unix:run.sock",
    "http://",
    "http:///path",
    "http://user@example.org/",
    "https://canary:canary@example.org/",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://example.org:port/",
    "http://[::1/",
    "http://example.org/a b",
    "http://example.org/\r\nX: y",
    "http://example.org/\x00",
    "http://exämple.org/",
    "http://example.org/" + "x" * 5000,
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_wrong_address_then_usage_error_without_the_secret(url: str) -> None:
    """threats.md T29."""
    with pytest.raises(UrlInvalid) as caught:
        read_url(url, "notify.urls")
    assert caught.value.exit_code == 2
    assert "canary" not in caught.value.message
    assert len(caught.value.message) < 300


def test_host_of_an_address() -> None:
    assert host_of("https://Example.org:8443/x") == "example.org"
    assert host_of("http://[::1/") == ""


def failing(server: LocalServer) -> dict[str, Callable[[], object]]:
    """Ways to fail with a secret in the address, the headers and the body."""
    secret = partial(call, headers={"Authorization": "Bearer canary"}, body=b"canary", method="POST")
    url = f"{server.url}/canary?token=canary"
    return {
        "broken": lambda: secret(url),
        "refused": lambda: secret(url, private_hosts=frozenset()),
        "too large": lambda: secret(url, max_body_bytes=0),
        "closed": lambda: secret("http://127.0.0.1:1/canary"),
        "header": lambda: call(url, headers={"Authorization": "canary\ncanary"}),
    }


@pytest.mark.parametrize("way", ["broken", "refused", "too large", "closed", "header"])
def test_failure_then_no_secret_in_what_is_said(way: str) -> None:
    """threats.md T29: the path of a webhook is a secret; what the server says is not repeated."""
    with (
        serving(always(Answer(raw=b"canary canary\r\n\r\n"))) as server,
        pytest.raises(NewleafError) as caught,
    ):
        failing(server)[way]()
    assert "canary" not in caught.value.message + caught.value.advice
    assert "canary" not in repr(HttpRequest("http://x/", "x", headers={"A": "canary"}, body=b"canary"))
