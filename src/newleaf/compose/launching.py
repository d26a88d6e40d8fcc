"""What the launcher of a host runs, put together from the settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from newleaf.compose.host import Host
from newleaf.core.errors import CorruptFile
from newleaf.core.launch.launcher_errors import LauncherRuns, NoCommand
from newleaf.core.launch.plan import Health, Plan, Post
from newleaf.core.release import Release
from newleaf.core.verdict import parse_budget
from newleaf.system import control_socket, files
from newleaf.update.data.migrations import child_environment

LAUNCHER_FILE = "launcher.json"


def make_post(host: Host, override: Sequence[str], *, log_files: bool, agent: bool) -> Post:
    """How this host's launcher is started."""
    program = (sys.executable, "-m", "newleaf", "--state-dir", str(host.state))
    return Post(program, str(host.place.top), tuple(override), log_files, agent)


def write_launcher(host: Host, post: Post) -> Plan:
    """Writes what is to be run, and how, for the release that a start would load now.

    Raises: NoCommand, and what settings and layout give reason to.
    """
    plan = make_plan(host, host.layout.live(), post.override)
    files.write_record(host.state / LAUNCHER_FILE, {"post": post.as_record(), "plan": plan.as_record()})
    return plan


def rewrite_launcher(host: Host) -> Plan | None:
    """The same for a launcher that was started already; None where none ever was.

    Raises: as `write_launcher`, CorruptFile.
    """
    path = host.state / LAUNCHER_FILE
    record = files.read_record(path)
    if record is None:
        return None
    try:
        post = Post.read(record["post"])
    except (KeyError, TypeError) as error:
        raise CorruptFile(path=path, reason=f"it is not what newleaf writes ({error})") from error
    return write_launcher(host, post)


def make_plan(host: Host, release: Release, override: Sequence[str] = ()) -> Plan:
    """How one release is run, by its own copy of the app's settings.

    Raises: NoCommand.
    """
    settings = host.settings_of(release.commit)
    app, health, folder = settings.app, settings.health, host.laid.folder(release.commit)
    command = tuple(override) or app.command
    if not command:
        raise NoCommand
    facts = {"NEWLEAF_STATE_DIR": str(host.state)}
    return Plan(
        app.name,
        release,
        command,
        str(folder),
        child_environment({}, folder, app.python_path or (), facts),
        app.listen,
        app.handover,
        app.stop_seconds,
        settings.restart.exit_code,
        parse_budget(settings.restart.budget),
        Health(health.ready, health.probation, health.url, health.command or (), health.max_starts),
    )


def require_no_launcher(state: Path) -> None:
    """Raises: LauncherRuns."""
    launcher = control_socket.ask_launcher(state)
    if launcher:
        raise LauncherRuns(pid=launcher["pid"])
