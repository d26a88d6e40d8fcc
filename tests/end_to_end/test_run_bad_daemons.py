"""Daemons that do what no daemon should, under `newleaf run`.

lessons.md L32, L34; threats.md T20, T21, T30.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.deployment import wait_until
from tests.support.launched import COMMAND, NOTHING, SOCKET, launched, short_folder

KIB = 1024


# --- it cannot be started ---------------------------------------------------------------


def test_the_command_is_missing_then_the_launcher_says_so_and_ends_with_1() -> None:
    with launched(start=False, app={"command": ["no-such-program"]}) as one:
        one.launch("--no-agent")
        assert one.process is not None
        assert one.process.wait(10) == 1
        assert "the daemon cannot be started: no-such-program: No such file or directory" in one.output
        assert not one.status()


def test_a_release_has_no_command_that_exists_then_it_is_given_up_and_the_old_process_serves_on() -> None:
    with launched() as one:
        kept = one.serving["pid"]
        text = (one.deployment.app / "newleaf.toml").read_text()
        missing = text.replace(COMMAND[0], "/no/such/python")
        one.release("1.1.0", **{"newleaf.toml": missing})
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert "/no/such/python: No such file" in done.record["errors"][0]["message"]
        assert (one.serving["pid"], one.ask()) == (kept, "1.0.0")


def test_it_exits_at_once_then_it_is_started_more_and_more_slowly_and_somebody_is_told() -> None:
    """lessons.md L32: nothing to go back to."""
    with launched(start=False, first=["exits"]) as one:
        one.launch("--no-agent")
        one.says("ALARM: 1.0.0 (")
        one.says("started again in 1.6 s")
        wait_until(lambda: one.published()["status"] == "inconsistent")
        gaps = [
            after - before
            for before, after in zip(one.times("starts"), one.times("starts")[1:], strict=False)
        ]
        assert all(gap >= pause for gap, pause in zip(gaps, (0.1, 0.2, 0.4, 0.8), strict=False))
        assert not one.has_ended
        assert one.output.count("ALARM") == 1
        assert one.end() == 0


def test_it_hangs_at_its_start_then_it_is_ended_and_the_update_goes_back() -> None:
    with launched(health={"ready": 0.8}) as one:
        one.release("1.1.0", "hangs")
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert "it was not ready within 0.8 s" in done.record["errors"][0]["message"]
        assert one.alive() == [one.serving["pid"]]


@pytest.mark.parametrize("listens", [SOCKET, NOTHING], ids=["overlap", "sequential"])
def test_it_forks_away_then_it_counts_as_ended_and_nothing_of_it_is_left(listens: str) -> None:
    with launched(listens) as one:
        one.release("1.1.0", "forks")
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert "it ended with exit code 0" in done.record["errors"][0]["message"]
        one.await_serving("1.0.0")
        forked = {pid for pid, version in one.starts if version == "1.1.0"}
        wait_until(lambda: not living_groups() & forked)


def living_groups() -> set[int]:
    """The process groups of this machine that something is left of."""
    words = ["ps", "-A", "-o", "pgid=,stat="]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = (line.split() for line in found.stdout.splitlines())
    return {int(group) for group, state in lines if not state.startswith("Z")}


def test_it_claims_to_be_ready_and_dies_then_the_release_is_given_up() -> None:
    with launched() as one:
        one.release("1.1.0", "dies")
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert "it ended with exit code 9" in done.record["errors"][0]["message"]
        one.await_serving("1.0.0")


def test_another_process_says_ready_in_its_place_then_that_is_not_heard() -> None:
    """threats.md T30"""
    with launched(health={"ready": 1}) as one:
        one.release("1.1.0", "hears")
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert "it was not ready within 1 s" in done.record["errors"][0]["message"]


# --- what it prints ---------------------------------------------------------------------


def test_it_floods_its_output_then_the_files_are_rotated_and_it_serves_all_the_same() -> None:
    with launched(first=["floods"], run=("--no-agent", "--log-files")) as one:
        folder = one.state / "logs"
        wait_until((folder / "daemon.log.1").exists, 30)
        assert one.ask() == "1.0.0"
        assert one.verb("status").code == 0
        one.release("1.1.0")
        assert one.update().outcome == "updated"
        assert one.ask() == "1.1.0"
        sizes = [path.stat().st_size for path in folder.glob("daemon.log*")]
        assert len(sizes) <= 5
        assert max(sizes) <= 10 * KIB * KIB + 64 * KIB


def limit_files() -> None:
    """No file may grow beyond this, in the launcher and what it starts."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * KIB, resource.RLIM_INFINITY))


def test_nothing_more_can_be_written_to_its_log_then_the_daemon_serves_on_and_what_is_lost_is_counted() -> (
    None
):
    """A full disk is met alike: see the launcher's own tests of its log."""
    with launched(start=False, first=["floods"]) as one:
        one.launch("--no-agent", "--log-files", before=limit_files)
        wait_until(lambda: one.status().get("dropped_bytes", 0) > 0)
        assert one.ask() == "1.0.0"
        one.await_confirmed()
        assert not one.has_ended
        assert one.versions == ["1.0.0"]


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/proc").is_dir(), reason="only root mounts")
def test_the_disk_of_its_log_is_full_then_the_daemon_serves_on_and_what_is_lost_is_counted() -> None:
    with launched(start=False, first=["floods"]) as one:
        folder = one.state / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("nothing can be mounted here")
        try:
            one.launch("--no-agent", "--log-files")
            wait_until(lambda: one.status().get("dropped_bytes", 0) > 0)
            assert one.ask() == "1.0.0"
            assert "could not be kept" in one.deployment.text("status")[1]
            one.end()
        finally:
            one.clean_up()
            subprocess.run(["umount", "-l", str(folder)], check=True)


# --- where it listens -------------------------------------------------------------------


def test_its_port_is_taken_then_the_launcher_says_by_which_address_and_ends_with_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        host, port = holder.getsockname()
        with launched(f"{host}:{port}", start=False) as one:
            one.launch("--no-agent")
            assert one.process is not None
            assert one.process.wait(10) == 1
            assert f"{host}:{port} of app.listen is in use by another process" in one.output
            assert one.versions == []


def test_the_path_of_its_socket_is_too_long_then_the_launcher_says_so_and_ends_with_2() -> None:
    with launched(f"unix:{'x' * 120}.sock", start=False) as one:
        one.launch("--no-agent")
        assert one.process is not None
        assert one.process.wait(10) == 2
        assert "its path is longer than 103 bytes" in one.output
        assert "NEWLEAF_STATE_DIR" in one.output


def test_a_file_lies_where_its_socket_is_to_be_then_it_is_left_alone() -> None:
    """threats.md T20"""
    with short_folder() as folder, launched(start=False) as one:
        precious = folder / "precious"
        precious.write_text("keep me")
        one.socket.symlink_to(precious)
        one.launch("--no-agent")
        assert one.process is not None
        assert one.process.wait(10) in (1, 2)
        assert precious.read_text() == "keep me"
        assert one.socket.is_symlink()


# --- where it is told to write ----------------------------------------------------------


def test_a_symlink_in_place_of_a_launchers_file_then_what_it_leads_to_is_untouched() -> None:
    """threats.md T20"""
    with short_folder() as folder, launched(start=False) as one:
        precious = folder / "precious"
        precious.write_text("{}")
        before = precious.stat().st_mtime_ns
        for name in ("launcher.lock", "launcher-state.json", "daemon.pid", "launcher.json"):
            path = one.state / name
            path.unlink(missing_ok=True)
            path.symlink_to(precious)
            one.launch("--no-agent")
            if not one.has_ended:
                wait_until(lambda: one.serving or one.has_ended)
                one.end()
            path.unlink(missing_ok=True)
        assert (precious.read_text(), precious.stat().st_mtime_ns) == ("{}", before)


def test_a_state_directory_that_others_can_write_then_it_is_not_launched() -> None:
    """threats.md T21"""
    with launched(start=False) as one:
        one.state.chmod(0o777)
        one.launch("--no-agent")
        assert one.process is not None
        assert one.process.wait(10) == 2
        assert f"chmod 700 {one.state}" in one.output.replace("'", "")
        assert one.versions == []
        one.state.chmod(0o700)


def test_it_is_killed_by_somebody_then_it_is_back_within_a_second() -> None:
    with launched() as one:
        began = time.monotonic()
        os.kill(one.serving["pid"], signal.SIGKILL)
        assert one.ask() == "1.0.0"
        assert time.monotonic() - began < 5
        one.says("it was ended by signal 9; started again in 0.1 s")
