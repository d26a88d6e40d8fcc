"""launchd, spoken to by `launchctl`: the machine's own, or this user's.

Rules: nothing is asked of a person; a daemon that runs already is not started anew, because its work would
be lost (lessons.md L26); a job that is run at times is, for nothing is lost by that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from newleaf.core.services.service_errors import ServiceManagerFailed
from newleaf.system.commands import Command, Finished, Runner
from newleaf.system.services import find_program

SECONDS = 60.0
UPDATES = ".update"


class Launchd(Struct, frozen=True):
    """One launchd. `folder` holds the files; `patience_seconds` is how long a service may take to stop."""

    runner: Runner
    environ: Mapping[str, str]
    is_system: bool
    folder: Path
    patience_seconds: float = 0.0

    def runs(self) -> bool:
        """Whether it can be spoken to from here."""
        return find_program("launchctl", self.environ.get("PATH", "")) is not None

    def activate(self, names: Sequence[str], changed: Sequence[str]) -> list[str]:
        """Has `names` run, now and after the next boot, in this order.

        Returns what was done, a line each. Raises: ServiceManagerFailed.
        """
        return [line for name in names for line in self._activate(name, is_changed=name in changed)]

    def _activate(self, name: str, *, is_changed: bool) -> Iterator[str]:
        label = name.removesuffix(".plist")
        if not self._is_loaded(label):
            self._load(label)
            yield f"{label} is loaded"
        elif is_changed and label.endswith(UPDATES):
            self._check("bootout", self._target(label))
            self._load(label)
            yield f"{label} goes by the new times"
        elif is_changed:
            again = f"{self.line('bootout', self._target(label))} && {self._bootstrap_line(label)}"
            yield f"{label} runs on as it was; to have it as it is now: {again}"

    def deactivate(self, names: Sequence[str]) -> None:
        """Stops these, and has launchd forget them. Raises: ServiceManagerFailed."""
        for label in (name.removesuffix(".plist") for name in names):
            if self._is_loaded(label):
                self._check("bootout", self._target(label))

    def forget(self, names: Sequence[str]) -> None:
        """launchd has forgotten what was booted out."""

    def state(self, name: str) -> str:
        """Whether launchd has this."""
        return "loaded" if self._is_loaded(name.removesuffix(".plist")) else "not loaded"

    def line(self, *words: str) -> str:
        """What a person would type."""
        return " ".join([*(["sudo"] if self.is_system else []), "launchctl", *words])

    @property
    def domain(self) -> str:
        """Where its jobs live."""
        return "system" if self.is_system else f"gui/{os.getuid()}"

    def _target(self, label: str) -> str:
        return f"{self.domain}/{label}"

    def _path(self, label: str) -> str:
        return str(self.folder / f"{label}.plist")

    def _bootstrap_line(self, label: str) -> str:
        return self.line("bootstrap", self.domain, self._path(label))

    def _is_loaded(self, label: str) -> bool:
        return self._run("print", self._target(label)).status == 0

    def _load(self, label: str) -> None:
        # One that was disabled once would be refused.
        self._check("enable", self._target(label))
        self._check("bootstrap", self.domain, self._path(label))

    def _check(self, *words: str) -> None:
        finished = self._run(*words)
        if finished.status != 0:
            look = self.line("print", self.domain)
            raise ServiceManagerFailed(
                what=self.line(*words), status=finished.status, lines=finished.tail, look=look
            )

    def _run(self, *words: str) -> Finished:
        env = {name: self.environ[name] for name in ("PATH", "HOME") if name in self.environ}
        limit = SECONDS + self.patience_seconds
        return self.runner.run(Command(("launchctl", *words), "launchctl", Path("/"), env, limit))
