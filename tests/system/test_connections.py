"""Connections: names resolved once, proxies, TLS, and a deadline that covers all of it."""

from __future__ import annotations

import base64
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from newleaf.core.releases.source_errors import AddressRefused, HttpFailed, HttpTimedOut, ProxyInvalid
from newleaf.system import connections
from newleaf.system.connections import Address, Deadline, Destination, proxy_for, resolve
from newleaf.system.http import HttpClient, HttpRequest
from tests.support.certificates import make_certificate
from tests.support.http_server import Answer, Received, serving

HERE = frozenset({"127.0.0.1", "localhost"})

LOOK_UP = connections._look_up


def echo(request: Received) -> Answer:
    return Answer(body=f"{request.method} {request.target}".encode())


def answers(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Lets names resolve to these addresses, one after the other; returns the list of what was asked."""
    asked: list[str] = []

    def look_up(host: str, port: int, flags: int) -> tuple[Address, ...]:
        if host not in names:
            return LOOK_UP(host, port, flags)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        asked.append(host)
        found = names[host]
        return LOOK_UP(found.pop(0) if len(found) > 1 else found[0], port, flags)

    monkeypatch.setattr(connections, "_look_up", look_up)
    return asked


# --- names ----------------------------------------------------------------------------


def test_name_changes_its_address_after_it_was_judged_then_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """threats.md T28: a name is resolved once, and what was judged is what is called."""
    with serving(echo) as server:
        asked = answers(monkeypatch, {"rebinds.example.org": ["127.0.0.1", "169.254.169.254"]})
        url = f"http://rebinds.example.org:{server.port}/x"
        named = frozenset({"rebinds.example.org"})
        found = HttpClient().send(HttpRequest(url, "the test", private_hosts=named))
    assert found.body == b"GET /x"
    assert server.received[0].headers["host"] == f"rebinds.example.org:{server.port}"
    assert asked == ["rebinds.example.org"]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1"])
def test_name_leads_to_a_private_address_then_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """threats.md T28: judged after resolving."""
    answers(monkeypatch, {"inside.example.org": [address]})
    with pytest.raises(AddressRefused, match="inside"):
        HttpClient().send(HttpRequest("https://inside.example.org/", "the test"))


def test_name_does_not_resolve_then_failure() -> None:
    with pytest.raises(HttpFailed, match="does not resolve"):
        HttpClient().send(HttpRequest("http://nowhere.invalid/", "the test"))


def test_label_too_long_then_failure() -> None:
    with pytest.raises(HttpFailed, match="does not resolve"):
        HttpClient().send(HttpRequest(f"http://{'x' * 70}.example.org/", "the test"))


def test_resolver_hangs_then_the_deadline_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """threats.md T5."""
    released = threading.Event()

    def hang(host: str, port: int, flags: int) -> tuple[Address, ...]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        released.wait(10)
        return ()

    monkeypatch.setattr(connections, "_look_up", hang)
    began = time.monotonic()
    try:
        with pytest.raises(HttpTimedOut):
            HttpClient().send(HttpRequest("http://slow.example.org/", "the test", timeout_seconds=0.2))
    finally:
        released.set()
    assert time.monotonic() - began < 5


def test_first_address_is_silent_then_the_next_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(echo) as server:
        both = resolve("127.0.0.1", 1, Deadline(1)) + resolve("127.0.0.1", server.port, Deadline(1))
        monkeypatch.setattr(connections, "resolve", lambda *_: both)
        request = HttpRequest(server.url, "the test", private_hosts=HERE)
        assert HttpClient().send(request).status == 200


def test_destination_named_in_other_case_then_the_same() -> None:
    assert Destination("x", "http", "hook.lan", 80, frozenset({"Hook.LAN"})).may_be_private
    assert Destination("x", "http", "::1", 80, frozenset({"[::1]"})).may_be_private
    assert Destination("x", "http", "::1", 80, frozenset({"::1"})).may_be_private
    assert not Destination("x", "http", "hook.lan", 80, frozenset({"lan"})).may_be_private


# --- TLS ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def test_certificate_trusted_then_called(certificate: Path) -> None:
    with serving(echo, certificate=certificate) as server:
        client = HttpClient(ca_file=str(certificate))
        found = client.send(HttpRequest(f"https://localhost:{server.port}/x", "the test", private_hosts=HERE))
    assert found.body == b"GET /x"


def test_certificate_not_trusted_then_failure_that_says_so(certificate: Path) -> None:
    with serving(echo, certificate=certificate) as server, pytest.raises(HttpFailed, match="not trusted"):
        HttpClient().send(HttpRequest(server.url, "the test", private_hosts=HERE))
    assert server.received == []


def test_certificate_of_another_name_then_failure(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {"other.example.org": ["127.0.0.1"]})
    with serving(echo, certificate=certificate) as server, pytest.raises(HttpFailed, match="not trusted"):
        HttpClient(ca_file=str(certificate)).send(
            HttpRequest(
                f"https://other.example.org:{server.port}/",
                "the test",
                private_hosts=frozenset({"other.example.org"}),
            )
        )


def test_server_speaks_no_tls_then_failure() -> None:
    def speak(listening: socket.socket) -> None:
        connected, _ = listening.accept()
        with connected:
            connected.sendall(b"HTTP/1.1 400 What\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=speak, args=(listening,))
        thread.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(HttpFailed):
            HttpClient().send(HttpRequest(url, "the test", private_hosts=HERE))
        thread.join(5)


def test_server_never_shakes_hands_then_the_deadline_ends_it() -> None:
    """threats.md T5."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(HttpTimedOut):
            HttpClient().send(HttpRequest(url, "the test", private_hosts=HERE, timeout_seconds=0.2))


def test_redirect_from_https_to_http_then_failure(certificate: Path) -> None:
    def down(request: Received) -> Answer:
        return Answer(302, {"Location": "http://example.org/"})

    with serving(down, certificate=certificate) as server, pytest.raises(HttpFailed, match="https to http"):
        HttpClient(ca_file=str(certificate)).send(
            HttpRequest(server.url, "the test", private_hosts=HERE, max_redirects=1)
        )


def test_ca_file_missing_then_failure(certificate: Path) -> None:
    with serving(echo, certificate=certificate) as server, pytest.raises(HttpFailed):
        HttpClient(ca_file=str(certificate / "missing")).send(
            HttpRequest(server.url, "the test", private_hosts=HERE)
        )


# --- proxies --------------------------------------------------------------------------


@dataclass
class TunnelServer:
    """A proxy for CONNECT: what it was asked, and where it leads whoever asks."""

    port: int = 0
    heads: list[str] = field(default_factory=list)


@contextmanager
def tunnelling(to_port: int, answer: bytes = b"HTTP/1.1 200 Made\r\n\r\n") -> Iterator[TunnelServer]:
    """A CONNECT proxy that leads every way to `to_port` on this machine."""
    proxy = TunnelServer()

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            near, _ = listening.accept()
            near.settimeout(5)
            with near:
                head = b""
                while b"\r\n\r\n" not in head:
                    received = near.recv(4096)
                    if not received:
                        return
                    head += received
                proxy.heads.append(head.decode())
                near.sendall(answer)
                with socket.create_connection(("127.0.0.1", to_port), timeout=5) as far:
                    relay(near, far)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        proxy.port = listening.getsockname()[1]
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield proxy
        with suppress(OSError), socket.create_connection(("127.0.0.1", proxy.port), timeout=1):
            pass
        thread.join(5)


def relay(near: socket.socket, far: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([near, far], [], [], 5)
        for side in ready:
            content = side.recv(65536)
            if not content:
                return
            (far if side is near else near).sendall(content)


def proxied(certificate: Path, port: int, user: str = "") -> HttpClient:
    return HttpClient({"https_proxy": f"http://{user}127.0.0.1:{port}"}, ca_file=str(certificate))


def test_https_through_a_proxy_then_a_tunnel_and_its_credentials(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, {"localhost": ["203.0.114.7"]})
    with serving(echo, certificate=certificate) as server, tunnelling(server.port) as proxy:
        found = proxied(certificate, proxy.port, "me:p%40ss@").send(
            HttpRequest("https://localhost/x", "the test", headers={"Authorization": "Bearer canary"})
        )
    assert found.body == b"GET /x"
    assert proxy.heads[0].startswith("CONNECT localhost:443 HTTP/1.1\r\n")
    assert base64.b64encode(b"me:p@ss").decode() in proxy.heads[0]
    assert "canary" not in proxy.heads[0]
    assert "proxy-authorization" not in server.received[0].headers


def test_name_that_only_the_proxy_knows_then_the_proxy_is_asked(certificate: Path) -> None:
    """The certificate is then still checked against the name."""
    with (
        serving(echo, certificate=certificate) as server,
        tunnelling(server.port) as proxy,
        pytest.raises(HttpFailed, match="not trusted"),
    ):
        proxied(certificate, proxy.port).send(HttpRequest("https://inner.invalid/", "the test"))
    assert proxy.heads[0].startswith("CONNECT inner.invalid:443")


@pytest.mark.parametrize("host", ["127.1", "169.254.169.254", "localhost", "[64:ff9b::7f00:1]"])
def test_private_address_and_a_proxy_then_still_refused(host: str, certificate: Path) -> None:
    """threats.md T28: a proxy is no way around."""
    with tunnelling(1) as proxy, pytest.raises(AddressRefused):
        proxied(certificate, proxy.port).send(HttpRequest(f"https://{host}/", "the test"))
    assert proxy.heads == []


def test_private_address_named_and_a_proxy_then_called_directly() -> None:
    with serving(echo) as server:
        client = HttpClient({"http_proxy": "http://127.0.0.1:1"})
        assert client.send(HttpRequest(server.url, "the test", private_hosts=HERE)).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Who are you\r\n\r\n",
        b"HTTP/1.1 502 canary\r\n\r\n",
        b"canary\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200",
        b"X" * 20_000,
    ],
)
def test_proxy_refuses_or_breaks_off_then_failure(
    answer: bytes, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, {"there.example.org": ["203.0.114.7"]})
    with tunnelling(1, answer) as proxy, pytest.raises(HttpFailed, match="proxy") as caught:
        proxied(certificate, proxy.port, "me:canary@").send(
            HttpRequest("https://there.example.org/", "the test")
        )
    assert "canary" not in caught.value.message


def test_http_through_a_proxy_then_the_whole_address_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {"there.example.org": ["203.0.114.7"]})
    with serving(echo) as proxy:
        client = HttpClient({"http_proxy": f"http://me:secret@127.0.0.1:{proxy.port}"})
        found = client.send(HttpRequest("http://there.example.org/x?y", "the test"))
    assert found.body == b"GET http://there.example.org/x?y"
    assert proxy.received[0].headers["proxy-authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("environment", "url_scheme", "expected"),
    [
        ({}, "https", None),
        ({"https_proxy": "http://proxy.lan:3128"}, "https", ("proxy.lan", 3128)),
        ({"https_proxy": "http://proxy.lan:3128"}, "http", None),
        ({"HTTPS_PROXY": "proxy.lan:3128"}, "https", ("proxy.lan", 3128)),
        ({"https_proxy": "http://low", "HTTPS_PROXY": "http://high"}, "https", ("low", 80)),
        ({"HTTP_PROXY": "http://proxy.lan"}, "http", None),
        ({"all_proxy": "http://proxy.lan"}, "http", ("proxy.lan", 80)),
        ({"https_proxy": "http://proxy.lan", "no_proxy": "example.org"}, "https", None),
        ({"https_proxy": "http://proxy.lan", "no_proxy": ".example.org"}, "https", None),
        ({"https_proxy": "http://proxy.lan", "no_proxy": "a, *"}, "https", None),
        ({"https_proxy": "http://proxy.lan", "no_proxy": "example.org:443"}, "https", None),
        ({"https_proxy": "http://proxy.lan", "NO_PROXY": "hooks.example.org"}, "https", None),
        ({"https_proxy": "http://proxy.lan", "no_proxy": "example.org:8443"}, "https", ("proxy.lan", 80)),
        ({"https_proxy": "http://proxy.lan", "no_proxy": "ample.org,org.x,"}, "https", ("proxy.lan", 80)),
    ],
)
def test_environment_then_the_proxy(
    environment: dict[str, str], url_scheme: str, expected: tuple[str, int] | None
) -> None:
    found = proxy_for(environment, url_scheme, "hooks.example.org", 443)
    assert (found and (found.host, found.port)) == expected


@pytest.mark.parametrize("text", ["socks5://canary@x:1", "https://proxy.lan", "http://", "http://x:port"])
def test_proxy_of_another_kind_then_usage_error_without_the_secret(text: str) -> None:
    with pytest.raises(ProxyInvalid) as caught:
        proxy_for({"https_proxy": text}, "https", "example.org", 443)
    assert "canary" not in caught.value.message


def test_proxy_then_its_credentials_are_not_shown() -> None:
    found = proxy_for({"https_proxy": "http://me:canary@proxy.lan"}, "https", "example.org", 443)
    assert found
    assert "canary" not in repr(found)
    assert found.authorization
    assert found.authorization not in repr(found)
