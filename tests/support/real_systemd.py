"""A real `systemd --user` for tests, shut off from the machine it runs on.

It has a process, a mount and an IPC namespace of its own, in which every file system but its own folder, its
own part of the control groups and a fresh /run is read-only: a unit of the machine's own that ran here by
mistake could otherwise clean the real /tmp. It knows no units but a few empty targets and those of the test,
and runs no generators. When the tests end, in whatever way, everything in it does. It needs root, or a
machine that lets users have namespaces, and control groups that can be written; where these are missing,
`why_not()` says so.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.kills import wait_until

SYSTEMD = next(
    (path for path in map(Path, ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")) if path.exists()), None
)
PROGRAMS = ("setpriv", "unshare", "nsenter", "mount", "systemctl")
TARGETS = ("basic", "default", "shutdown", "sockets", "timers", "paths", "sysinit", "exit")
PATIENCE_SECONDS = 20.0

INSIDE = r"""
set -eu
mount --make-rprivate /
for keep in "$FOLDER" $GROUPS_OF_ITS_OWN; do mount --bind "$keep" "$keep"; done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system
while read -r _ _ _ _ at _; do
    at=$(printf '%b' "$at")
    case "$at" in "$FOLDER" | "$FOLDER"/* | /run | /proc) continue ;; esac
    for keep in $GROUPS_OF_ITS_OWN; do [ "$at" = "$keep" ] && continue 2; done
    mount -o remount,bind,ro "$at" || [ ! -e "$at" ]
done <"$FOLDER/mounts"
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
! touch /usr/newleaf-test /tmp/newleaf-test /etc/newleaf-test 2>/dev/null || exit 70
exec env -i HOME="$HOME" PATH="$PATH" XDG_RUNTIME_DIR="$XDG_RUNTIME_DIR" \
    SYSTEMD_UNIT_PATH="$SYSTEMD_UNIT_PATH" SYSTEMD_GENERATOR_PATH="$FOLDER/none" \
    SYSTEMD_ENVIRONMENT_GENERATOR_PATH="$FOLDER/none" \
    sh -c '"$0" --user --unit=default.target --log-target=console --log-level=info & wait' "$SYSTEMD"
"""


class RealSystemd:
    """A running one. `home` is its user's; `variables` lead `systemctl --user` to it, from inside alone."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.folder = folder
        self.home = folder / "home"
        self.runtime = folder / "run"
        self.targets = folder / "targets"
        self.log = log
        self.units = self.home / ".config" / "systemd" / "user"

    @property
    def variables(self) -> dict[str, str]:
        return {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime), "PATH": os.environ["PATH"]}

    def run(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A program that runs where systemd does: to one from outside it does not speak."""
        process = self.process
        assert process
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        enter = ["nsenter", *user, "--mount", "--pid", "--ipc", "--target", children[0], "--", *argv]
        known: dict[str, Any] = {"env": self.variables, "capture_output": True, "text": True}
        return subprocess.run(enter, check=False, **{**known, "timeout": PATIENCE_SECONDS, **options})

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Calls `systemctl --user`."""
        done = self.run("systemctl", "--user", "--no-pager", *words)
        assert not check or done.returncode == 0, done.stderr + self.log.read_text()[-2000:]
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit)


@contextlib.contextmanager
def real_systemd() -> Iterator[RealSystemd]:
    """One that runs, and is gone afterwards with everything in it."""
    assert SYSTEMD
    # A socket's path may have 107 bytes: pytest's folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="nl-systemd-")).resolve()
    made = RealSystemd(folder, folder / "log")
    for each in (made.units, made.runtime, made.targets, folder / "none"):
        each.mkdir(parents=True, mode=0o700)
    for name in TARGETS:
        (made.targets / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    groups = [path / f"newleaf-test-{os.getpid()}-{time.monotonic_ns()}" for path in _control_groups()]
    try:
        for group in groups:
            group.mkdir()
        made.process = process = _start(made, groups)
        socket = made.runtime / "systemd" / "private"
        wait_until(lambda: socket.exists() or process.poll() is not None, "systemd to listen")
        assert process.poll() is None, made.log.read_text()
        wait_until(lambda: made.systemctl("is-system-running", check=False) == "running", "systemd to run")
        yield made
    except AssertionError as error:
        raise AssertionError(f"{error}\n{made.log.read_text()[-3000:]}") from error
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()
        for group in groups:
            _remove_group(group)
        shutil.rmtree(folder)


def _start(made: RealSystemd, groups: list[Path]) -> subprocess.Popen[bytes]:
    (made.folder / "mounts").write_text(
        "".join(f"{line}\n" for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()))
    )
    variables = {
        **made.variables,
        "FOLDER": str(made.folder),
        "SYSTEMD": str(SYSTEMD),
        "SYSTEMD_UNIT_PATH": f"{made.units}:{made.targets}",
        "GROUPS_OF_ITS_OWN": " ".join(map(str, groups)),
    }
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare"]
    spaces = ["--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    # The shell joins the groups and becomes what is in them: nothing of the tests' own process is moved.
    join = "".join(f"echo $$ >'{group}/cgroup.procs' && " for group in groups)
    words = ["sh", "-c", f'{join}exec "$@"', "sh", *alone, *user, *spaces, "sh", "-c", INSIDE]
    with made.log.open("wb") as log:
        return subprocess.Popen(
            words,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _control_groups() -> list[Path]:
    """This process's own groups in the hierarchies that systemd keeps its services in."""
    root = Path("/sys/fs/cgroup")
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            found.append(root / "systemd" / path.lstrip("/"))
        elif not controllers:
            unified = root / "unified"
            found.append((unified if unified.is_dir() else root) / path.lstrip("/"))
    return [path for path in found if (path / "cgroup.procs").exists()]


def _remove_group(group: Path) -> None:
    """Removes a group and those below it, once the kernel has seen their processes end."""

    def is_gone() -> bool:
        for path, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        return not group.exists()

    wait_until(is_gone, "the control groups to be empty")


@functools.cache
def why_not() -> str:
    """Why none can be started here; empty where one can."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if SYSTEMD is None or missing:
        return f"no {' and no '.join(missing or ['systemd'])} here"
    if not _control_groups():
        return "no control groups that systemd can use"
    try:
        with real_systemd():
            return ""
    except (AssertionError, OSError) as error:
        return f"systemd does not start here: {str(error)[-500:]}"
