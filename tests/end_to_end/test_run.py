"""`newleaf run` for a server: updates under load, bad releases, verbs, jobs, watchdogs.

Promises 1, 2 and 3; lessons.md L1, L3, L26, L31, L32.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import threading
import time

from tests.support.deployment import wait_until
from tests.support.launched import launched
from tests.support.load import Connection, ask, load_on


def free_address() -> tuple[str, int]:
    """A port of the loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host, port = probe.getsockname()
        return host, port


def test_three_good_updates_and_two_bad_ones_under_load_then_no_request_fails() -> None:
    """Promises 1 and 3, lessons.md L1, L32, L42"""
    address = free_address()
    with launched(f"{address[0]}:{address[1]}", first=["waits"]) as one:
        good = ["1.1.0", "1.2.0", "1.3.0"]
        with load_on(address) as load:
            for version in good:
                one.release(version, "waits")
                done = one.update()
                assert (done.code, done.outcome, done.record["confirmed"]) == (0, "updated", True), one.output
                assert one.serving["version"] == version
            kept = one.serving["pid"]
            for version, conduct, reason in (
                ("1.4.0", "exits", "it ended with exit code 3"),
                ("1.5.0", "claims", "it reports commit ffffffffffff, and "),
            ):
                commit = one.release(version, "waits", conduct)
                done = one.update()
                assert (done.code, done.outcome) == (6, "rolled_back"), one.output
                assert reason in done.record["errors"][0]["message"]
                assert commit in one.deployment.record("denied.json")
                assert one.update().outcome == "held"
            assert ask(address) == "1.3.0"
        assert load.failures == []
        assert set(load.served) == {"1.0.0", *good}
        assert load.longest_wait < 2
        assert (one.serving["pid"], one.alive()) == (kept, [kept]), "the old one was never restarted"
        stories = [("updated", version) for version in good]
        stories += [("rolled_back", version) for version in ("1.4.0", "1.5.0")]
        assert [story for story in one.history() if story in stories] == stories
        status = one.verb("status").record
        assert status["running"]["version"] == "1.3.0"


def test_a_release_is_sick_on_its_own_socket_then_no_request_ever_reaches_it() -> None:
    """design.md § Launcher: a connect is no health check."""
    address = free_address()
    host, port = address
    probed = {"url": f"http://{host}:{port}/health", "ready": 2, "probation": 0.1}
    with launched(f"{host}:{port}", health=probed) as one, load_on(address) as load:
        kept = one.serving["pid"]
        for version, conduct, reason in (
            ("1.1.0", "sick", "it answers 500"),
            ("1.2.0", "impostor", "it answers for commit ffffffffffff"),
        ):
            one.release(version, "waits", conduct)
            done = one.update()
            assert (done.code, done.outcome) == (6, "rolled_back"), one.output
            assert reason in done.record["errors"][0]["message"]
        one.release("1.3.0", "waits")
        assert one.update().outcome == "updated"
        assert one.serving["pid"] != kept
    assert load.failures == []
    assert set(load.served) == {"1.0.0", "1.3.0"}


def test_a_health_command_fails_then_the_release_is_given_up_and_one_that_is_well_is_kept() -> None:
    command = ["sh", "-c", 'test "$(cat version)" != 1.1.0 || { echo too thin; exit 4; }']
    with launched(health={"command": command, "probation": 0.1}) as one:
        one.release("1.1.0")
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert "too thin" in done.record["errors"][0]["message"]
        one.release("1.2.0")
        done = one.update()
        assert done.outcome == "updated", (done, one.output)


def test_an_app_that_says_nothing_of_itself_is_confirmed_by_living_through_its_probation() -> None:
    """An app that was never changed for newleaf."""
    with launched(first=["mute"]) as one, load_on(one.socket) as load:
        commit = one.release("1.1.0", "mute")
        began = time.monotonic()
        assert one.update().record["confirmed"] is True
        assert time.monotonic() - began > 1.3
        assert one.confirmed(commit)
        one.release("1.2.0", "exits")
        assert one.update().code == 6
        assert one.serving["version"] == "1.1.0"
    assert load.failures == []


def test_connections_that_are_alive_and_an_answer_under_way_then_they_end_in_their_own_time() -> None:
    with launched() as one:
        streamed: list[str] = []
        with contextlib.closing(Connection(one.socket)) as kept:
            assert kept.ask() == "1.0.0"
            reader = threading.Thread(target=lambda: streamed.append(one.ask("/stream")))
            reader.start()
            wait_until((one.state / "streams").exists)
            one.release("1.1.0")
            update = one.updating()
            # Until the old process hears that it is to end, it answers whom it knows; then it says that the
            # connection ends with this answer, and the next one is another process's.
            wait_until(lambda: kept.ask() == "1.1.0")
            reader.join()
            update.communicate()
        assert streamed == ["1.0.0\n" * 10]
        assert update.returncode == 0
        wait_until(lambda: one.alive() == [one.serving["pid"]])
        assert "did not stop in time" not in one.output


def test_an_old_process_does_not_end_then_it_is_killed_and_that_is_said() -> None:
    with launched(first=["deaf"], app={"stop_seconds": 0.5}) as one, load_on(one.socket) as load:
        one.release("1.1.0")
        assert one.update().outcome == "updated"
        one.says("1.0.0 (", 2)
        one.says("did not stop in time and is killed")
        wait_until(lambda: one.alive() == [one.serving["pid"]])
    # What it had taken itself is lost with it, and nothing else.
    assert len(load.failures) <= load.clients


# --- verbs ------------------------------------------------------------------------------


def test_reload_then_a_fresh_process_and_no_request_fails() -> None:
    with launched(run=("--no-agent", "--log-files")) as one, load_on(one.socket) as load:
        before = one.serving["pid"]
        done = one.verb("reload")
        assert done.code == 0, done
        assert one.serving["pid"] != before
        assert one.confirmed()
        wait_until(lambda: one.alive() == [one.serving["pid"]])
        launcher = one.verb("status").record["launcher"]
        assert launcher["pid"] == one.pid
        assert [child["role"] for child in launcher["children"]] == ["serving"]
        assert stat.S_IMODE((one.state / "control.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE((one.state / "logs" / "daemon.log").stat().st_mode) == 0o600
    assert load.failures == []


def test_a_reload_of_what_is_no_good_any_more_then_it_says_so_and_the_old_process_serves() -> None:
    with launched() as one:
        before = one.serving["pid"]
        (one.deployment.app / "conduct").write_text("exits")
        done = one.verb("reload")
        assert (done.code, done.outcome) == (1, "failed")
        assert "exit code 3" in str(done.record["errors"])
        assert (one.serving["pid"], one.alive()) == (before, [before])
        assert one.ask() == "1.0.0"


def test_logs_follow_what_the_daemon_prints() -> None:
    with launched(run=("--no-agent", "--log-files")) as one:
        follower = one.deployment.start("logs", "-f")
        try:
            one.release("1.1.0", "exits")
            assert one.update().code == 6
            assert follower.stdout is not None
            assert follower.stdout.readline() == "no good\n"
        finally:
            os.killpg(follower.pid, signal.SIGKILL)
            follower.communicate()
        assert one.verb("logs").record["lines"] == ["no good"]
        assert "no good" not in one.output


def test_stop_then_the_daemon_ends_first_and_the_launcher_with_0() -> None:
    with launched() as one:
        done = one.verb("stop")
        assert done.code == 0, done
        assert one.process is not None
        assert one.process.wait(5) == 0
        assert one.alive() == []
        assert len(one.times("ends")) == 1
        assert one.verb("reload").record["errors"][0]["code"] == "no_launcher"


# --- jobs and watchdogs -----------------------------------------------------------------


def test_a_job_runs_then_the_handover_waits_for_it() -> None:
    """Promise 2, lessons.md L26, L27"""
    with launched() as one:
        job = one.deployment.start("busy", "--", "sleep", "60")
        wait_until(lambda: "busy" in str(one.verb("why").record))
        one.release("1.1.0")
        done = one.update()
        assert (done.code, done.outcome) == (4, "waiting"), done
        assert [gate["gate"] for gate in done.record["waiting_for"]] == ["idle"]
        assert job.poll() is None
        assert one.versions == ["1.0.0"]
        os.killpg(job.pid, signal.SIGTERM)
        job.communicate()
        assert one.update().outcome == "updated"


def test_a_handover_then_watchdogs_are_told_while_it_goes_on_and_not_after() -> None:
    """lessons.md L31"""
    with launched(health={"probation": 0.1}) as one:
        marker = one.state / "planned-restart"
        assert not marker.exists()
        one.release("1.1.0", "hangs")
        one.deployment.host_settings((one.state / "host.toml").read_text())
        update = one.updating()
        wait_until(lambda: "1.1.0" in one.versions)
        assert "1.1.0" in marker.read_text()
        assert one.verb("status").record["planned_restart"]["reason"].startswith("handing over to 1.1.0")
        hanging = one.starts[-1][0]
        os.kill(hanging, signal.SIGKILL)
        update.communicate()
        assert update.returncode == 6
        wait_until(lambda: not marker.exists())
        one.release("1.2.0")
        assert one.update().outcome == "updated"
        wait_until(lambda: not marker.exists())
