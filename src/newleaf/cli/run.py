"""`run` becomes the launcher; `reload`, `stop` and `logs` speak with it; the other two verbs serve it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import click

from newleaf.cli.invocation import Invocation, draws_progress, pass_invocation
from newleaf.core.launch.launcher_errors import LauncherRefused
from newleaf.core.records import EXIT_CODES
from newleaf.core.texts import defused
from newleaf.launcher.programs import LAUNCHER

RELOAD_SECONDS = 600.0


@click.command(short_help="Run the daemon: hold its sockets, hand over, go back from bad releases.")
@click.option("--log-files", is_flag=True, help="Keep the daemon's output in rotated files.")
@click.option("--no-agent", is_flag=True, help="Run no agent beside the daemon.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_invocation
def run(invocation: Invocation, log_files: bool, no_agent: bool, command: tuple[str, ...]) -> int:
    """Runs the daemon in the foreground, from the settings or by the COMMAND after --.

    Ends with 0 after SIGTERM, with 1 when the daemon cannot be started at all.
    """
    from newleaf.compose.launching import make_post, require_no_launcher, write_launcher
    from newleaf.system.place import record_identity

    host = invocation.host()
    require_no_launcher(host.state)
    post = make_post(host, command, log_files=log_files, agent=not no_agent)
    record_identity(host.place, host.name)
    write_launcher(host, post)
    # So that it is compiled by now: one that compiles itself stays larger for as long as it runs.
    subprocess.run([*LAUNCHER, "--prove"], check=False, stdin=subprocess.DEVNULL)
    launcher = [*LAUNCHER, str(host.state)]
    if not invocation.json:
        os.execv(sys.executable, launcher)  # noqa: S606 - this process becomes it
    return _run_and_answer(invocation, launcher)


def _run_and_answer(invocation: Invocation, launcher: list[str]) -> int:
    """Runs the launcher to its end, and answers then: what it and the daemon say is no part of the answer."""
    from newleaf.system.foreground import run_job

    status = run_job(launcher, sys.stderr.fileno(), stdout=sys.stderr)
    outcome = "ok" if not status else next((w for w, code in EXIT_CODES.items() if code == status), "failed")
    invocation.answer({"outcome": outcome, "exit": status})
    return status


@click.command(short_help="Start the daemon anew, without an update.")
@pass_invocation
def reload(invocation: Invocation) -> None:
    """Has the launcher hand over to a fresh process of the release that is here."""
    from newleaf.system.control_socket import line_to

    with line_to(invocation.host().state) as line:
        line.say("reload")
        while (said := line.hear(RELOAD_SECONDS))["event"] not in ("running", "failed"):
            if draws_progress():
                invocation.say(f"  {said['event']}")
    if said["event"] == "failed":
        raise LauncherRefused(reason=said["reason"])
    invocation.answer({"outcome": "ok"}, ["a fresh process serves"])


@click.command(short_help="Stop the daemon and its launcher.")
@pass_invocation
def stop(invocation: Invocation) -> None:
    """Has the daemon end in its own time, then its launcher."""
    from newleaf.system.control_socket import line_to

    host = invocation.host()
    with line_to(host.state) as line:
        line.say("stop")
        if not line.await_end(host.settings.app.stop_seconds + RELOAD_SECONDS):
            raise LauncherRefused(reason="the daemon does not end")
    invocation.answer({"outcome": "ok"}, ["stopped"])


@click.command(short_help="The daemon's output.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--lines", type=click.IntRange(0), default=20, show_default=True, help="How many.")
@pass_invocation
def logs(invocation: Invocation, follow: bool, lines: int) -> None:
    """Shows the daemon's output, where the launcher keeps it in files."""
    from newleaf.core.launch.launcher_errors import NoLogFiles
    from newleaf.system.control_socket import ask_launcher
    from newleaf.system.log_files import LogReader

    host = invocation.host()
    launcher = ask_launcher(host.state)
    # Where none runs: what the last one has left.
    path = launcher.get("log") if launcher else host.state / "logs" / "daemon.log"
    if path is None or not Path(path).is_file():
        raise NoLogFiles(name=host.name)
    with contextlib.closing(LogReader(Path(path))) as reader:
        tail = reader.last_lines(lines)
        invocation.answer({"outcome": "ok", "path": str(path), "lines": tail}, tail)
        if follow and not invocation.json:
            for text in reader.follow():
                click.echo(defused(text))


@click.command("launch-plan", hidden=True)
@pass_invocation
def launch_plan(invocation: Invocation) -> None:
    """Writes anew what the launcher runs, for the release that a start would load now."""
    from newleaf.compose.launching import rewrite_launcher
    from newleaf.core.launch.launcher_errors import NoLauncher

    host = invocation.host()
    if rewrite_launcher(host) is None:
        raise NoLauncher(path=host.state / "launcher.json")


@click.command(hidden=True)
@click.argument("word", type=click.Choice(["confirmed", "failed", "left", "alarm"]))
@click.option("--reason", default="")
@pass_invocation
def settle(invocation: Invocation, word: str, reason: str) -> int:
    """Deals with a verdict of the launcher's that no attempt waits for."""
    from newleaf.compose.settling import settle as settle_verdict
    from newleaf.core.errors import LockedError

    try:
        return settle_verdict(invocation.host(), word, reason)
    except LockedError as error:
        # The launcher tries again; that is no news for anybody.
        return error.exit_code
