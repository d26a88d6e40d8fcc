"""Units for systemd: the daemon, its sockets when asked, and the update with its timer.

Rules: everything is absolute, nothing of the installing shell's environment stays but a PATH that was made
for it; `%`, quotes and backslashes are escaped, and a `$` is never a variable. Under the launcher the unit
is `Type=notify`; a bare daemon counts as started once its program runs, and `newleaf guard` goes before it.
Exit status 42 means "start me again", and is no failure. The names of settings: systemd.service(5),
systemd.timer(5), systemd.socket(5), as of systemd 240. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from newleaf.core.records import EXIT_CODES
from newleaf.core.services.service_errors import ListenUnfit, ServiceTextUnfit
from newleaf.core.services.subject import MARK, ServiceFile, Subject, Wish, require_fit
from newleaf.core.services.timer import Timer

RESTART_PAUSE_SECONDS = 1
CALENDAR_SPREAD_SECONDS = 300
"""Hosts with the same times of day do not all go at once (lessons.md L44)."""
FIRST_SECONDS = 120
"""From the manager's start to the first update, where a span is the timer."""
BACKLOG = 2048
"""What the launcher gives its own sockets: a shorter one drops connections in a burst."""
SOCKET_PATH_BYTES = 107

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")
_LOST = re.compile(r"[^\x20-\x7e]|[\"'\\]")
"""systemd 252 writes such a path down escaped, and does not know it again when it reads its files anew."""
_NUMERIC = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}):[0-9]+\Z")


def names(app: str) -> tuple[str, ...]:
    """Every unit that newleaf may write for an app, in the order in which they are taken away."""
    stem = f"newleaf-{app}"
    return (f"{stem}-update.timer", f"{stem}-update.service", f"{stem}.socket", f"{stem}.service")


def render(subject: Subject, wish: Wish) -> Iterator[ServiceFile]:
    """The units, in the order in which they are started.

    Raises: ServiceTextUnfit, ListenUnfit.
    """
    timer, update, sockets, daemon = names(subject.app)
    if wish.has_socket:
        yield _unit(sockets, _sockets(subject), subject, is_started=True)
    if subject.settings.app.command:
        yield _unit(daemon, _daemon(subject, wish, sockets), subject, is_started=True)
    if wish.timer:
        yield _unit(update, _update(subject, wish), subject)
        yield _unit(timer, _timer(subject, wish.timer), subject, is_started=True)


def state_line(subject: Subject) -> str:
    """The line by which a unit says whose it is."""
    return f"# State: {require_fit(str(subject.state))}"


def quote(text: str) -> str:
    """A word of a command, or an assignment, as systemd reads it: a specifier is none, a space no end."""
    escaped = require_fit(text).replace("%", "%%")
    if _PLAIN.match(escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def command_line(words: Iterable[str]) -> str:
    """A command; one with a `$` in it is marked as free of variables."""
    listed = list(words)
    if re.search(r"[\"'\\]", listed[0]):
        # systemd takes no program with such a name; a shell does, and becomes it.
        listed = ["/bin/sh", "-c", 'exec "$@"', "sh", *listed]
    mark = ":" if any("$" in word for word in listed) else ""
    return mark + " ".join(map(quote, listed))


def _plain(text: str) -> str:
    """A value that is taken as it stands, to the end of its line."""
    if text != text.strip() or text.endswith("\\"):
        raise ServiceTextUnfit(text=text, reason="it begins or ends with a space, or ends with a backslash")
    return require_fit(text).replace("%", "%%")


def _unit(name: str, lines: Iterable[str], subject: Subject, *, is_started: bool = False) -> ServiceFile:
    text = "\n".join((f"# {MARK}", state_line(subject), "", *lines, ""))
    return ServiceFile(name, text.encode(), is_started)


def _daemon(subject: Subject, wish: Wish, sockets: str) -> Iterator[str]:
    budget = subject.budget
    yield "[Unit]"
    yield f"Description={subject.app}, kept up to date by newleaf"
    yield from _after_network(wish)
    if wish.has_socket:
        yield f"Requires={sockets}"
    # The first start, and as many more as the app's own budget allows (lessons.md L34).
    yield f"StartLimitIntervalSec={int(budget.seconds)}"
    yield f"StartLimitBurst={budget.times + 1}"
    yield ""
    yield "[Service]"
    yield from _bare(subject) if subject.is_bare else _launched(subject)
    yield f"Restart={'always' if subject.restarts_always else 'on-failure'}"
    yield f"RestartSec={RESTART_PAUSE_SECONDS}"
    yield f"RestartForceExitStatus={subject.settings.restart.exit_code}"
    yield "KillMode=mixed"
    yield f"TimeoutStopSec={subject.stop_seconds}"
    yield from _who(subject, wish)
    yield ""
    yield "[Install]"
    yield f"WantedBy={'multi-user.target' if wish.is_system else 'default.target'}"


def _launched(subject: Subject) -> Iterator[str]:
    yield "Type=notify"
    yield "NotifyAccess=main"
    yield f"ExecStart={command_line(subject.verb('run'))}"
    # By the shell, which has a `kill` of its own: not every machine has the program.
    yield "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'"
    yield f"TimeoutStartSec={subject.start_seconds}"
    yield f"WorkingDirectory={_plain(str(subject.state))}"


def _bare(subject: Subject) -> Iterator[str]:
    yield "Type=exec"
    yield f"ExecStartPre={command_line(subject.verb('guard'))}"
    yield f"ExecStart={command_line(subject.command)}"
    yield f"SuccessExitStatus={subject.settings.restart.exit_code}"
    yield f"WorkingDirectory={_plain(str(subject.folder))}"
    for name, value in subject.variables.items():
        yield f"Environment={quote(f'{name}={value}')}"


def _update(subject: Subject, wish: Wish) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Update of {subject.app} by newleaf"
    yield from _after_network(wish)
    yield ""
    yield "[Service]"
    yield "Type=oneshot"
    yield f"ExecStart={command_line(subject.verb('update'))}"
    # Another update runs; or this one is staged and waits for a gate. The next run goes on.
    yield f"SuccessExitStatus={EXIT_CODES['locked']} {EXIT_CODES['waiting']}"
    # Every step of an update has a limit of its own.
    yield "TimeoutStartSec=infinity"
    yield "KillMode=mixed"
    yield f"WorkingDirectory={_plain(str(subject.state))}"
    yield from _who(subject, wish)


def _timer(subject: Subject, timer: Timer) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Updates of {subject.app} by newleaf, by themselves"
    yield ""
    yield "[Timer]"
    for time in timer.times:
        yield f"OnCalendar=*-*-* {time.hour:02}:{time.minute:02}:00"
    if timer.times:
        yield f"RandomizedDelaySec={CALENDAR_SPREAD_SECONDS}"
        # A host that was off at that time goes when it is on again.
        yield "Persistent=true"
    else:
        yield f"OnStartupSec={min(FIRST_SECONDS, timer.seconds)}"
        yield f"OnUnitActiveSec={timer.seconds}"
        yield f"RandomizedDelaySec={int(timer.seconds * subject.settings.watch.jitter)}"
    yield ""
    yield "[Install]"
    yield "WantedBy=timers.target"


def _sockets(subject: Subject) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Sockets of {subject.app}, held for newleaf"
    yield ""
    yield "[Socket]"
    for address in subject.settings.app.listen:
        yield f"ListenStream={_listen(subject, address)}"
    yield f"Backlog={BACKLOG}"
    yield "BindIPv6Only=ipv6-only"
    yield "SocketMode=0660"
    yield "RemoveOnStop=true"
    yield ""
    yield "[Install]"
    yield "WantedBy=sockets.target"


def _listen(subject: Subject, address: str) -> str:
    if address.startswith("unix:"):
        path = str(subject.state / address.removeprefix("unix:"))
        if len(path.encode()) > SOCKET_PATH_BYTES:
            raise ListenUnfit(address=path, reason=f"it is longer than {SOCKET_PATH_BYTES} bytes")
        if _LOST.search(path):
            raise ListenUnfit(address=path, reason="systemd loses a socket with such a name when it reloads")
        return _plain(path)
    numeric = address.replace("localhost:", "127.0.0.1:", 1)
    if not _NUMERIC.match(numeric):
        raise ListenUnfit(address=address, reason="a host must be a number there, 127.0.0.1 say")
    return numeric


def _after_network(wish: Wish) -> Iterator[str]:
    """The user's own systemd knows no network."""
    if wish.is_system:
        yield "Wants=network-online.target"
        yield "After=network-online.target"


def _who(subject: Subject, wish: Wish) -> Iterator[str]:
    if wish.is_system:
        yield f"User={_plain(subject.user)}"
    yield f"Environment={quote(f'PATH={subject.search}')}"
