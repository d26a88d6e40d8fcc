"""The launcher and the agent beside the daemon: how soon, how large, how busy, each in one number.

Rules: what a process takes is read from /proc, so that these numbers are there on Linux alone; an hour's
worth of restarts is that many, one after another, without pauses; processor time over a day is that of a
look, and of a second without one, as often as a day has them.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from bench.facts import NUMBERS, Fact, Facts, measure_all
from bench.ground import Ground
from bench.measure import DidNotWork
from bench.restarts import PAUSE_SECONDS, under_load
from bench.web_app import SECONDS, WebApp, wait_until
from bench.web_keepers import Launched
from newleaf.system import files
from newleaf.system.control_socket import line_to

NAME = "launcher"
HEAD = "under the launcher"
POLLS_A_DAY = 24 * 60
DAY_SECONDS = 86_400
MIB = 1 << 20

__all__ = ["HEAD", "NAME", "NUMBERS", "Measured", "measure"]


@dataclass(frozen=True)
class Scale:
    """How often, and for how long."""

    times: int
    restarts: int
    watched_seconds: float


FULL, QUICK = Scale(10, 60, 30.0), Scale(2, 5, 3.0)


class Measured(Facts):
    """What came of it."""

    head = HEAD


def measure(ground: Ground, *, quick: bool) -> Measured:
    """Measures one after another; what does not work leaves the others alone."""
    scale = QUICK if quick else FULL
    kinds = (_crash_loop, _bad_release, _detection, _memory, _days)
    return Measured(*measure_all(NAME, [partial(kind, ground, scale) for kind in kinds]))


# --- verdicts ---------------------------------------------------------------------------


def _crash_loop(ground: Ground, scale: Scale) -> list[Fact]:
    """From the first exit, which the daemon notes itself, to the record of the verdict in the journal."""
    took = []
    app = WebApp(ground, "crash-loop", "sequential")
    with Launched.running(app) as launched:
        for _ in range(scale.times):
            exits = launched.host.state / "exits"
            exits.unlink(missing_ok=True)
            app.publish_crash()
            launched.update_in_vain()
            took.append(_verdict_time(launched.host.state) - float(exits.read_text().splitlines()[0]))
            app.await_version()
    return [
        Fact("crash loop to verdict, sequential, median", statistics.median(took), "s"),
        Fact("crash loop to verdict, sequential, longest", max(took), "s", 3.0),
    ]


def _verdict_time(state: Path) -> float:
    lines = map(json.loads, (state / "journal.jsonl").read_text().splitlines())
    reverts = [line["at"] for line in lines if line["state"] == "revert"]
    return datetime.fromisoformat(reverts[-1]).timestamp()


def _bad_release(ground: Ground, scale: Scale) -> list[Fact]:
    """Releases that do not start, under load."""
    app = WebApp(ground, "bad-release")
    with Launched.running(app) as launched, under_load(app.port) as figures:
        before = app.ask()
        for _ in range(scale.times):
            app.publish_crash()
            launched.update_in_vain()
        time.sleep(PAUSE_SECONDS)
        if app.ask() != before:
            raise DidNotWork("another process answers after a bad release")
    count = figures["served"] + figures["failed"]
    name = f"{scale.times} bad releases, overlap: of {count:,} requests, failed"
    return [Fact(name, figures["failed"], "", 0, "0")]


# --- from detection to new code -----------------------------------------------------------


def _detection(ground: Ground, scale: Scale) -> list[Fact]:
    """From when the agent knows of a commit, and writes its signal, to the first answer of the commit's code.

    And from a signal that somebody else writes, which the agent has yet to notice.
    """
    found, told, imports = [], [], []
    app = WebApp(ground, "detection", poll_seconds=1)
    with Launched.running(app, agent=True) as launched:
        _agent_of(launched)
        signal = launched.host.state / "update_available.json"
        for _ in range(scale.times):
            time.sleep(PAUSE_SECONDS)
            app.publish()
            wait_until(signal.exists, "the agent has not found the commit")
            began = signal.stat().st_mtime
            answer = app.await_version()
            found.append(time.time() - began)
            imports.append(answer["import_ms"] / 1000)
            _await_confirmed(launched)
    app = WebApp(ground, "signal")
    with Launched.running(app, agent=True) as launched:
        _agent_of(launched)
        state = launched.host.state
        for _ in range(scale.times):
            time.sleep(PAUSE_SECONDS)
            current = (state / "current").resolve().name
            began = time.time()
            record = {"current": current, "available": app.publish(), "channel": "alpha"}
            files.write_record(state / "update_available.json", record)
            app.await_version()
            told.append(time.time() - began)
            _await_confirmed(launched)
    own = statistics.median(imports)
    most = round(2 * own + 0.3, 2)
    must = f"≤ 2 x import + 0.3 s = {most:g} s"
    return [
        Fact("the daemon's own import, median", own, "s"),
        Fact("detection to new code serving, median", statistics.median(found), "s", most, must),
        Fact("signal of another program to new code serving, median", statistics.median(told), "s"),
    ]


def _await_confirmed(launched: Launched) -> None:
    """An attempt is over before the next begins."""
    wait_until(lambda: _last_state(launched.host.state) == "done", "the update is not confirmed")


def _last_state(state: Path) -> str:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return str(json.loads((state / "journal.jsonl").read_text().splitlines()[-1])["state"])
    return ""


# --- what the processes take ------------------------------------------------------------


def _memory(ground: Ground, scale: Scale) -> list[Fact]:
    """The launcher as it begins, and after an hour's worth of restarts; the agent as it watches."""
    _require_proc()
    app = WebApp(ground, "memory")
    with Launched.running(app, agent=True) as launched:
        agent = _agent_of(launched)
        time.sleep(PAUSE_SECONDS)
        first, agent_first = _resident(launched.process.pid), _resident(agent)
        _reload(launched, 1)
        after_one = _resident(launched.process.pid)
        _reload(launched, scale.restarts - 1)
        after_all, pss = _resident(launched.process.pid), _resident(launched.process.pid, "Pss")
        agent_last = _resident(_agent_of(launched))
    return [
        Fact("launcher resident, idle", first / MIB, "MiB", 14.0),
        Fact("launcher resident, after a restart", after_one / MIB, "MiB", 14.0),
        Fact(f"launcher resident, after {scale.restarts} restarts", after_all / MIB, "MiB", 14.0),
        Fact("of that its own share (PSS)", pss / MIB, "MiB"),
        Fact("agent resident, idle", agent_first / MIB, "MiB", 40.0),
        Fact(f"agent resident, after {scale.restarts} restarts", agent_last / MIB, "MiB", 40.0),
    ]


def _reload(launched: Launched, times: int) -> None:
    for _ in range(times):
        with line_to(launched.host.state) as line:
            line.say("reload")
            while (said := line.hear(SECONDS))["event"] != "running":
                if said["event"] == "failed":
                    raise DidNotWork(f"a reload failed: {said['reason']}")


def _days(ground: Ground, scale: Scale) -> list[Fact]:
    """The agent's looks at a local remote, once a second, and what it takes while it only waits."""
    _require_proc()
    seconds, launcher = scale.watched_seconds, 0.0
    spent = {}
    for poll_seconds in (1, 3600):
        app = WebApp(ground, f"poll-{poll_seconds}", poll_seconds=poll_seconds)
        with Launched.running(app, agent=True) as launched:
            agent = _agent_of(launched)
            time.sleep(2 * PAUSE_SECONDS)
            before = _processor_seconds(agent), _processor_seconds(launched.process.pid)
            time.sleep(seconds)
            spent[poll_seconds] = _processor_seconds(agent) - before[0]
            launcher = _processor_seconds(launched.process.pid) - before[1]
    waiting = spent[3600] / seconds
    a_look = max(spent[1] / seconds - waiting, 0.0)
    day = a_look * POLLS_A_DAY + waiting * DAY_SECONDS
    return [
        Fact("agent, a look at a local remote", a_look * 1000, "CPU-ms"),
        Fact("agent, a day of looks 60 s apart", day, "CPU-s", 60.0),
        Fact("launcher, a day", launcher / seconds * DAY_SECONDS, "CPU-s"),
    ]


def _agent_of(launched: Launched) -> int:
    """The agent's process, once there is one."""
    found: list[int] = []

    def look() -> bool:
        with line_to(launched.host.state) as line:
            line.say("status")
            found[:] = [pid for pid in [line.hear()["agent"]] if pid]
        return bool(found)

    wait_until(look, "no agent is started")
    return found[0]


def _resident(pid: int, what: str = "Rss") -> int:
    """Bytes in memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise DidNotWork(f"{what} of process {pid} is not known")


def _processor_seconds(pid: int) -> float:
    """What its threads have taken, to the nanosecond, and its children that have ended, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    threads = (each.read_text().split()[0] for each in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(int, threads)) / 1e9 + sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def _require_proc() -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        raise DidNotWork("there is no /proc that tells")
