"""Fixtures for all tests of this layer."""

from __future__ import annotations

from tests.support.installs import app, environment, host, said

__all__ = ["app", "environment", "host", "said"]
