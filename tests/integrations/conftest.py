"""What the doors' tests share."""

from __future__ import annotations

from tests.support.pretended_host import host

__all__ = ["host"]
