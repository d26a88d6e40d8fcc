"""HTTP for newleaf's own few calls: GitHub's API, notices, the idle address, the lease.

Rules: connections are made by `system.connections`, to judged addresses alone (threats.md T28); one deadline
covers a call with all its redirects, and the body has a limit (T5); a redirect is followed only as often
as the caller allows, judged like the first address, never from https to http, and credentials stay with the
origin they were given for; messages name the host alone: the rest of an address may be a secret (T29).

It keeps no connection, no cookie and no cache, and decompresses nothing. Why it is no library's:
docs/adr/0004-http-client.md.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urljoin, urlsplit

from newleaf.core.releases.source_errors import HttpFailed, HttpTimedOut, UrlInvalid
from newleaf.core.secrets import MASK, mask_path
from newleaf.system.connections import PORTS, Deadline, Destination, dial, proxy_for

MAX_BODY_BYTES = 1024 * 1024
MAX_URL_CHARACTERS = 4096
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True)
class HttpRequest:
    """One call. `what` names it in messages; `private_hosts` names hosts that may have private addresses."""

    url: str
    what: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_seconds: float = 10.0
    max_body_bytes: int = MAX_BODY_BYTES
    max_redirects: int = 0
    private_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HttpResponse:
    """What came back, whatever its status. Header names are in lower case; of equal ones the last counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class HttpClient:
    """Makes calls. `environment` is asked for proxies alone; `ca_file` replaces the system's authorities."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None

    def send(self, request: HttpRequest) -> HttpResponse:
        """Makes the call, following redirects as far as the request allows.

        Raises: UrlInvalid, AddressRefused, HttpFailed, HttpTimedOut.
        """
        deadline = Deadline(request.timeout_seconds)
        for _ in range(request.max_redirects + 1):
            response = self._send_once(request, deadline)
            location = response.headers.get("location")
            if response.status not in REDIRECTS or not location or not request.max_redirects:
                return response
            request = _redirected(request, response.status, location)
        raise HttpFailed(what=request.what, host=host_of(request.url), reason="redirects too often")

    def _send_once(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        url = read_url(request.url, request.what)
        host, port = url.hostname or "", url.port or PORTS[url.scheme]
        to = Destination(request.what, url.scheme, host, port, request.private_hosts)
        with _explained(request, host):
            proxy = proxy_for(self.environment, url.scheme, host, port)
            with dial(to, proxy, deadline, self.ca_file) as (connected, through_proxy):
                target = (url.path or "/") + (f"?{url.query}" if url.query else "")
                headers = {**_standing_headers(url), **request.headers}
                if through_proxy and url.scheme == "http":
                    target = f"http://{url.netloc}{target}"
                    if proxy and proxy.authorization:
                        headers["Proxy-Authorization"] = proxy.authorization
                connection = http.client.HTTPConnection(host, port)
                connection.sock = connected
                connection.request(request.method, target, body=request.body, headers=headers)
                return _received(connection.getresponse(), request, host)


def read_url(text: str, what: str) -> SplitResult:
    """The parts of an http or https address without credentials.

    Raises: UrlInvalid.
    """
    reason = _url_fault(text)
    if reason:
        raise UrlInvalid(what=what, url=_shown(text), reason=reason)
    return urlsplit(text)


def host_of(url: str) -> str:
    """The host that an address names, for messages and for `private_hosts`."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _url_fault(text: str) -> str | None:
    if not text.isascii() or not text.isprintable() or " " in text:
        return "must be printable ASCII without spaces"
    if len(text) > MAX_URL_CHARACTERS:
        return f"is longer than {MAX_URL_CHARACTERS} characters"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return "is no valid address"
    if url.scheme not in PORTS:
        return "must be http or https"
    if "@" in url.netloc:
        return "must not hold credentials"
    return "names no host" if not url.hostname or port == 0 else None


def _shown(text: str) -> str:
    """As much of a wrong address as is certainly no secret."""
    host = host_of(text)
    return f"…{host}/{MASK}" if "@" in text and host else mask_path(text)


def _standing_headers(url: SplitResult) -> dict[str, str]:
    return {
        "Host": url.netloc,
        "User-Agent": "newleaf",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def _received(response: http.client.HTTPResponse, request: HttpRequest, host: str) -> HttpResponse:
    body = response.read(request.max_body_bytes + 1)
    if len(body) > request.max_body_bytes:
        reason = f"sent more than {request.max_body_bytes} bytes"
        raise HttpFailed(what=request.what, host=host, reason=reason)
    if response.length:
        raise HttpFailed(what=request.what, host=host, reason="broke off in the middle of its answer")
    headers = {name.lower(): value for name, value in response.getheaders()}
    return HttpResponse(response.status, headers, body)


def _redirected(request: HttpRequest, status: int, location: str) -> HttpRequest:
    """The request that a redirect asks for: the same one, except that 303 asks for a plain GET."""
    url = urljoin(request.url, location)
    old, new = read_url(request.url, request.what), read_url(url, request.what)
    if old.scheme == "https" and new.scheme == "http":
        raise HttpFailed(what=request.what, host=old.hostname, reason="redirects from https to http")
    request = replace(request, url=url)
    if status == http.client.SEE_OTHER:
        request = replace(request, method="GET", body=None)
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        kept = {name: value for name, value in request.headers.items() if name.lower() not in CREDENTIALS}
        request = replace(request, headers=kept)
    # A host is named for itself: what another one points to was not meant.
    return request if old.hostname == new.hostname else replace(request, private_hosts=frozenset())


@contextlib.contextmanager
def _explained(request: HttpRequest, host: str) -> Iterator[None]:
    """Turns the library's exceptions into ours, without repeating anything that the server said."""
    try:
        yield
    except TimeoutError as error:
        raise HttpTimedOut(what=request.what, host=host, seconds=request.timeout_seconds) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise HttpFailed(what=request.what, host=host, reason=_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "cannot be found: the name does not resolve"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"shows a certificate that is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"does not agree on TLS: {error.reason or 'it broke off'}"
    if isinstance(error, OSError):
        return f"cannot be reached: {error.strerror or 'it closed the connection'}"
    if isinstance(error, http.client.IncompleteRead):
        return "broke off in the middle of its answer"
    # A ValueError quotes the header that is wrong, and that may be the token.
    return "does not answer as HTTP" if isinstance(error, http.client.HTTPException) else "cannot be asked so"
