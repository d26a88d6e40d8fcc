"""What every test relies on."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator

import pytest

# Whoever runs the tests may have signals ignored (nohup does, and a shell for its background jobs), and
# programs inherit that: newleaf leaves ignored what was ignored, so a test that sends one would wait in vain.
for ignored in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(ignored, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def own_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test's own, with what its examples leave in it; its path has room for the sockets of a server."""
    with tempfile.TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield
