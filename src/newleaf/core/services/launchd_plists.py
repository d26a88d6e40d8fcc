"""Property lists for launchd: the daemon, and the update at times of day or after a span.

Rules: as for systemd, with what launchd has: it cannot run a command before the daemon, so a shell calls
`newleaf guard` first and then becomes the daemon; it starts nothing twice within ten seconds, and knows no
chance. What newleaf itself says goes to the state directory's logs/. The names of keys: launchd.plist(5).
Pure.
"""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from newleaf.core.services.subject import MARK, ServiceFile, Subject, Wish, require_fit

LOGS = "logs"
THROTTLE_SECONDS = 10
PRIVATE_UMASK = 0o077


def labels(app: str) -> tuple[str, str]:
    """The update's and the daemon's names for launchd."""
    return (f"newleaf.{app}.update", f"newleaf.{app}")


def names(app: str) -> tuple[str, ...]:
    """Every file that newleaf may write for an app, in the order in which they are taken away."""
    return tuple(f"{label}.plist" for label in labels(app))


def render(subject: Subject, wish: Wish) -> Iterator[ServiceFile]:
    """The property lists, in the order in which they are started.

    Raises: ServiceTextUnfit.
    """
    update, daemon = labels(subject.app)
    if subject.settings.app.command:
        record = {"Label": daemon, **_daemon(subject), **_common(subject, wish, "service")}
        yield _file(record)
    if wish.timer:
        times = [{"Hour": time.hour, "Minute": time.minute} for time in wish.timer.times]
        when = {"StartCalendarInterval": times} if times else {"StartInterval": wish.timer.seconds}
        work = {"ProgramArguments": list(subject.verb("update")), "WorkingDirectory": str(subject.state)}
        yield _file({"Label": update, **work, **when, **_common(subject, wish, "update-service")})


def state_text(subject: Subject) -> str:
    """What stands in every list, and says whose it is."""
    return f"<string>{escape(str(subject.state))}</string>"


def _daemon(subject: Subject) -> dict[str, Any]:
    folder, words = subject.state, subject.verb("run", "--log-files")
    if subject.is_bare:
        guarded = f'{shlex.join(subject.verb("guard"))} && exec "$@"'
        folder, words = subject.folder, ("/bin/sh", "-c", guarded, f"newleaf-{subject.app}", *subject.command)
    return {
        "ProgramArguments": list(words),
        "WorkingDirectory": str(folder),
        "RunAtLoad": True,
        "KeepAlive": True if subject.restarts_always else {"SuccessfulExit": False},
        "ThrottleInterval": THROTTLE_SECONDS,
        "ExitTimeOut": subject.stop_seconds,
    }


def _common(subject: Subject, wish: Wish, log: str) -> dict[str, Any]:
    logs = subject.state / LOGS
    variables = {"PATH": subject.search, "NEWLEAF_STATE_DIR": str(subject.state)}
    if subject.is_bare and log == "service":
        variables.update(subject.variables)
    who: dict[str, Any] = {}
    if wish.is_system:
        # For the machine's own jobs launchd sets no home.
        who["UserName"] = subject.user
        variables["HOME"] = str(subject.home)
    return {
        "EnvironmentVariables": variables,
        "StandardOutPath": str(logs / f"{log}.out.log"),
        "StandardErrorPath": str(logs / f"{log}.err.log"),
        "Umask": PRIVATE_UMASK,
        **who,
    }


def _file(record: dict[str, Any]) -> ServiceFile:
    _require_fit(record)
    head, element, rest = plistlib.dumps(record, sort_keys=False).decode().partition("<plist ")
    text = f"{head}<!-- {MARK} -->\n{element}{rest}"
    return ServiceFile(f"{record['Label']}.plist", text.encode(), is_started=True)


def _require_fit(value: Any) -> None:
    if isinstance(value, str):
        require_fit(value)
    elif isinstance(value, dict):
        for each in value.values():
            _require_fit(each)
    elif isinstance(value, list):
        for each in value:
            _require_fit(each)
