"""The operator's seat: calls the endpoint as people do, with curl where there is one.

The token is never an argument, which everybody on a machine can read: it lies in a file of its owner's alone.
"""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newleaf.cli.demo.demo_host import Host

SECONDS = 10
UPDATE, REGISTRATIONS, ORDERS = "ops/factory/update", "factory/registrations", "ops/orders"
Answer = tuple[int, dict[str, Any]]
"""The status, and the record."""


@dataclass(frozen=True)
class Operator:
    """Who calls the endpoint below `url` from a seat at headquarters, with the token in a file of headers."""

    host: Host
    url: str
    token: Path | None = None

    def holding(self, name: str, token: str) -> Operator:
        """The same seat, with a token, whose file has this name."""
        file = self.host.sandbox.folder / f"{name}-token"
        file.touch(0o600)
        file.write_text(f"Authorization: Bearer {token}\n")
        return Operator(self.host, self.url, file)

    def get(self, path: str) -> Answer:
        return self._call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Shown, as one would type it, with what is answered."""
        text = json.dumps(body)
        token = ["-H", f"@{self.token}"] if self.token else []
        self.host.screen.command(["curl", *token, "-d", f"'{text}'", f"{self.url}/{path}"])
        status, record = self._call("POST", path, text)
        self.host.screen.output([f"{status} {json.dumps(record)}"])
        return status, record

    def _call(self, method: str, path: str, body: str | None) -> Answer:
        has_curl = shutil.which("curl", path=self.host.sandbox.path)
        status, text = (self._by_curl if has_curl else self._by_python)(method, f"{self.url}/{path}", body)
        return status, json.loads(text)

    def _by_curl(self, method: str, url: str, body: str | None) -> tuple[int, str]:
        argv = ["curl", "--silent", "--show-error", "--max-time", str(SECONDS), "--noproxy", "*"]
        argv += ["--request", method]
        argv += ["--header", f"@{self.token}"] if self.token else []
        argv += ["--data", body] if body is not None else []
        said = self.host.sandbox.run(*argv, "--write-out", "\n%{http_code}", url, cwd=self.host.checkout)
        text, _, status = said.text.rpartition("\n")
        return int(status), text

    def _by_python(self, method: str, url: str, body: str | None) -> tuple[int, str]:
        lines = self.token.read_text().splitlines() if self.token else []
        headers = dict(line.split(": ", 1) for line in lines)
        data = body.encode() if body is not None else None
        request = urllib.request.Request(url, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
