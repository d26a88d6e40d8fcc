"""Failures of other programs that come with the end of what the program said. Standard library only."""

from __future__ import annotations

from newleaf.core.errors import FailedError


class OutputError(FailedError):
    """{reason}"""

    def as_record(self) -> dict[str, object]:
        """With the end of what was said."""
        return {**super().as_record(), "lines": list(self.lines)}

    @property
    def lines(self) -> tuple[str, ...]:
        """The end of the output, masked; at most 200 lines."""
        lines = self.facts.get("lines", ())
        return tuple(lines) if isinstance(lines, list | tuple) else ()
