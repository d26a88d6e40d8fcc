"""Who would start this process again if it left: the question before a daemon leaves by itself.

Rules: a launcher is one, if it is this process's own parent; systemd and launchd by what they tell the
process that they started, which its children inherit and must not believe of themselves; process 1 when it is
the parent; anything else has to be declared with NEWLEAF_KEEPER. Asked at the start: later an orphan looks as
if process 1 had started it. Nobody found means that the process stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from newleaf.system.go import LAUNCHER

DECLARED = "NEWLEAF_KEEPER"
NONE = "none"

_NOT_KEPT = ("", "0", NONE, "no", "false")
_OF_A_TERMINAL = "application."


def name_keeper(environ: Mapping[str, str], pid: int, parent: int) -> str | None:
    """What keeps the process `pid` whose parent is `parent`; None when nothing is seen to."""
    declared = environ.get(DECLARED)
    if declared is not None:
        return None if declared.strip().lower() in _NOT_KEPT else "declared"
    if environ.get(LAUNCHER) == str(parent):
        return "launcher"
    if _is_systemds(environ, pid, parent):
        return "systemd"
    label = environ.get("XPC_SERVICE_NAME", "0")
    if label != "0" and not label.startswith(_OF_A_TERMINAL):
        return "launchd"
    return "init" if parent == 1 else None


def _is_systemds(environ: Mapping[str, str], pid: int, parent: int) -> bool:
    """Whether it is a unit's main process, or the child of the script that is."""
    main = environ.get("SYSTEMD_EXEC_PID")  # since systemd 248
    return bool(environ.get("INVOCATION_ID")) and (main is None or main in (str(pid), str(parent)))
