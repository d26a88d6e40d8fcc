"""systemd, spoken to by `systemctl` and `loginctl`: the machine's own, or this user's.

Rules: nothing is asked of a person; what runs already is not started anew, because its work would be lost
(lessons.md L26); a timer is, for nothing is lost by that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import CommandTimedOut, FailedError
from newleaf.core.services.service_errors import ServiceManagerFailed
from newleaf.system.commands import Command, Finished, Runner
from newleaf.system.services import find_program

BOOTED = Path("/run/systemd/system")
RUNTIME = Path("/run/user")
LINGERING = Path("/var/lib/systemd/linger")
SECONDS = 60.0
PASSED_ON = ("PATH", "HOME", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS")


class Systemd(Struct, frozen=True):
    """One systemd. `patience_seconds` is how long a service may take to start or to stop."""

    runner: Runner
    environ: Mapping[str, str]
    is_system: bool
    patience_seconds: float = 0.0

    def runs(self) -> bool:
        """Whether it does, and can be spoken to from here."""
        if not find_program("systemctl", self.environ.get("PATH", "")):
            return False
        return BOOTED.is_dir() if self.is_system else (self._runtime / "systemd" / "private").exists()

    def activate(self, names: Sequence[str], changed: Sequence[str]) -> list[str]:
        """Has `names` run, now and after the next boot, in this order; `changed` files are read anew.

        Returns what was done, a line each. Raises: ServiceManagerFailed.
        """
        if changed:
            self._check("daemon-reload")
        return [line for name in names for line in self._activate(name, is_changed=name in changed)]

    def _activate(self, name: str, *, is_changed: bool) -> Iterator[str]:
        facts = self.show(name)
        is_active = facts.get("ActiveState") in ("active", "activating", "reloading")
        if facts.get("UnitFileState") != "enabled" or not is_active:
            self._check("enable", "--now", name)
            yield f"{name} is enabled, and runs" if not is_active else f"{name} is enabled"
        elif is_changed and name.endswith(".timer"):
            self._check("restart", name)
            yield f"{name} goes by the new times"
        elif is_changed:
            yield f"{name} runs on as it was; to have it as it is now: {self.line('restart', name)}"

    def deactivate(self, names: Sequence[str]) -> None:
        """Stops these and has them start no more; the files stay. Raises: ServiceManagerFailed."""
        self._check("disable", "--now", *names)

    def forget(self, names: Sequence[str]) -> None:
        """After the files are gone: nothing is left of them. Raises: ServiceManagerFailed."""
        self._check("daemon-reload")
        self._run("reset-failed", *names)

    def show(self, name: str) -> dict[str, str]:
        """What systemd knows of a unit."""
        wanted = "LoadState,ActiveState,SubState,UnitFileState"
        said = self._run("show", f"--property={wanted}", name).text
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def state(self, name: str) -> str:
        """What a unit does now, in systemd's words."""
        facts = self.show(name)
        words = (facts.get(key, "") for key in ("UnitFileState", "ActiveState", "SubState"))
        return ", ".join(filter(None, words)) or "unknown"

    def lingers(self, user: str) -> bool:
        """Whether this user's services run without a login."""
        return self.is_system or (LINGERING / user).exists()

    def let_linger(self) -> bool:
        """Tries to have this user's services run without a login."""
        try:
            command = self._command("loginctl", "--no-ask-password", "enable-linger")
            return self.runner.run(command).status == 0
        except FailedError:
            return False

    def line(self, *words: str) -> str:
        """What a person would type."""
        return " ".join(["sudo systemctl" if self.is_system else "systemctl --user", *words])

    @property
    def _runtime(self) -> Path:
        said = self.environ.get("XDG_RUNTIME_DIR", "")
        return Path(said) if said else RUNTIME / str(os.getuid())

    def _check(self, *words: str) -> None:
        look = self.line("status", *[word for word in words[1:] if not word.startswith("-")])
        what = self.line(*words)
        try:
            finished = self._run(*words)
        except CommandTimedOut as error:
            lines = error.facts.get("lines", ())
            raise ServiceManagerFailed(what=what, status="none in time", lines=lines, look=look) from error
        if finished.status != 0:
            raise ServiceManagerFailed(what=what, status=finished.status, lines=finished.tail, look=look)

    def _run(self, *words: str) -> Finished:
        scope = () if self.is_system else ("--user",)
        return self.runner.run(self._command("systemctl", *scope, "--no-ask-password", "--no-pager", *words))

    def _command(self, *argv: str) -> Command:
        passed = {name: self.environ[name] for name in PASSED_ON if name in self.environ}
        env = {**passed, "XDG_RUNTIME_DIR": str(self._runtime), "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
        return Command(argv, argv[0], Path("/"), env, SECONDS + self.patience_seconds)
