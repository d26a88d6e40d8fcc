"""What the launcher runs, resolved: the content of `launcher.json`.

The command line writes it from the settings, because the launcher reads none of them; it is made anew
whenever another release is to be started. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from newleaf.core.durations import Rate
from newleaf.core.release import Release

OVERLAP = "overlap"
SEQUENTIAL = "sequential"


class Health(NamedTuple):
    """When a release that was just started counts as good; times in seconds."""

    ready: float = 30.0
    probation: float = 60.0
    url: str | None = None
    command: tuple[str, ...] = ()
    max_starts: int = 3

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self.url or self.command)


class Plan(NamedTuple):
    """How one release is run.

    `variables` are added to the launcher's own environment. `attempt` is the open attempt that brought the
    release, None where none waits for a verdict. `exit_code` is how the daemon asks to be started anew.
    """

    app: str
    release: Release
    command: tuple[str, ...]
    folder: str
    variables: Mapping[str, str]
    listen: tuple[str, ...] = ()
    handover: str = SEQUENTIAL
    stop_seconds: float = 30.0
    exit_code: int = 42
    budget: Rate = Rate(5, 1800.0)
    health: Health = Health()
    attempt: str | None = None

    @property
    def max_starts(self) -> int:
        """How often an unproven release is started before it is given up."""
        return 1 if self.handover == OVERLAP else self.health.max_starts

    def as_record(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "release": self.release.as_record(),
            "budget": list(self.budget),
            "health": self.health._asdict(),
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Plan:
        """Raises: ValueError, KeyError or TypeError for what no newleaf wrote."""
        release = Release.read(record["release"])
        if release is None or not record["command"]:
            raise ValueError("it names no release, or no command")
        known = {name: record[name] for name in cls._fields if name in record}
        known["health"] = Health(**{**record["health"], "command": tuple(record["health"]["command"])})
        texts = {name: tuple(record[name]) for name in ("command", "listen")}
        return cls(**{**known, **texts, "release": release, "budget": Rate(*record["budget"])})


class Post(NamedTuple):
    """What one launcher was told when it was started.

    `program` starts newleaf for this host; `top` is the tree, or the link to it, that a start would load;
    `override` is a command given by hand in place of the app's; `log_files` has the daemon's output kept in
    files, `agent` an agent run beside it.
    """

    program: tuple[str, ...]
    top: str
    override: tuple[str, ...] = ()
    log_files: bool = False
    agent: bool = True

    def as_record(self) -> dict[str, Any]:
        return self._asdict()

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Post:
        """Raises: KeyError or TypeError for what no newleaf wrote."""
        program, override = tuple(record["program"]), tuple(record["override"])
        return cls(program, str(record["top"]), override, bool(record["log_files"]), bool(record["agent"]))
