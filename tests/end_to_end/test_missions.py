"""From an order on the bus to the last word of the process that runs it: real git, real Redis."""

from __future__ import annotations

import time
from pathlib import Path

from newleaf.core.missions.kinds import ROLLBACK
from newleaf.core.missions.results import FAILED, SUCCESS
from tests.support.buses import headquarters, on_bus
from tests.support.deployment import Deployment, wait_until
from tests.support.small_keeper import SmallKeeper

SELDOM = "[watch]\npoll_seconds = 3600\n"
FACTORY = """\
import asyncio, os, signal, sys
import newleaf
from newleaf.integrations.missions import SUCCESS, MissionConsumer, MissionResult

class Work:
    mission_kind = "app:work"
    async def handle(self, envelope, context):
        print("work", context["n"], "begins")
        await asyncio.sleep(context.get("seconds", 0))
        print("work", context["n"], "ends")
        return MissionResult(SUCCESS, None, {"n": context["n"], "pid": os.getpid()})

async def take(consumer):
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, consumer.stop)
    newleaf.ready()
    print("serves", os.getpid())
    await consumer.run()
    if consumer.restart_requested:
        sys.exit(42)

"""
BY_UPDATER = f"""{FACTORY}
async def main():
    async with newleaf.Updater() as updater:
        await take(MissionConsumer(newleaf.doors(updater=updater), [Work()]))

asyncio.run(main())
"""
BY_FLAG = f"""{FACTORY}
asyncio.run(take(MissionConsumer(newleaf.doors(), [Work()])))
"""


def make(folder: Path, url: str, daemon: str) -> Deployment:
    made = Deployment.make(folder, {"daemon.py": daemon}, restart={"mode": "exit"})
    on_bus(made, url, SELDOM)
    return made


def test_l4_an_update_is_ordered_while_work_is_done_then_between_two_and_the_new_process_tells(
    tmp_path: Path,
) -> None:
    """lessons.md L1, L4, L26, L29, L36: with an updater in the daemon."""
    with headquarters() as hq:
        deployment = make(tmp_path, hq.url, BY_UPDATER)
        with SmallKeeper(deployment).kept() as keeper:
            commit = deployment.release("1.1.0")
            first = hq.order(target="mini-1", kind="app:work", context={"n": 1, "seconds": 1.0})
            keeper.says("work 1 begins")
            orders = [hq.order(target=target, context={"branch": "main"}) for target in ("*", "mini-1")]
            second = hq.order(target="mini-1", kind="app:work", context={"n": 2})
            for order in orders:
                report = hq.report(order)
                assert report.status == SUCCESS, report
                assert (report.job_id, report.result["updated_to"]) == (order, commit)
                assert (report.result["version"], report.result["confirmed"]) == ("1.1.0", True)
            assert [hq.report(order).status for order in (first, second)] == [SUCCESS, SUCCESS]
            assert keeper.ends == [42], "one restart"
            assert keeper.output.index("work 1 ends") < keeper.output.index("leaves for a restart")
            assert deployment.head() == commit
            attempts = {line["attempt"] for line in deployment.lines("history.jsonl")} - {None}
            assert len(attempts) == 1, "one update was made"
            time.sleep(0.3)
            assert [len(hq.reports(order)) for order in orders] == [1, 1]
    assert keeper.ends == [42, 0]


def test_l42_a_release_is_left_by_order_then_no_order_brings_it_again_and_a_newer_one_comes(
    tmp_path: Path,
) -> None:
    """lessons.md L42, on the mission trigger; without an updater: the daemon leaves at the flag."""
    with headquarters() as hq:
        deployment = make(tmp_path, hq.url, BY_FLAG)
        start = deployment.head()
        with SmallKeeper(deployment).kept() as keeper:
            bad = deployment.release("1.1.0")
            # The first one by name: what is for everybody is not for who has not enrolled yet.
            assert hq.report(hq.order(target="mini-1")).result["updated_to"] == bad
            back = hq.report(hq.order(target="mini-1", kind=ROLLBACK))
            assert (back.status, back.result["updated_to"]) == (SUCCESS, start), back
            time.sleep(1.1)  # an attempt is known by the second in which it began
            for context in ({}, {"version": "1.1.0"}, {"version": bad}):
                denied = hq.report(hq.order(target="*", context=context))
                assert (denied.status, denied.result["outcome"]) == (FAILED, "held"), denied
                assert deployment.head() == start
            good = deployment.release("1.2.0")
            assert hq.report(hq.order(target="*")).result["updated_to"] == good
            wait_until(lambda: keeper.ends == [42, 42, 42])


def test_a_version_that_the_remote_does_not_have_then_a_failure_with_its_reason(tmp_path: Path) -> None:
    with headquarters() as hq:
        deployment = make(tmp_path, hq.url, BY_FLAG)
        with SmallKeeper(deployment).kept():
            report = hq.report(hq.order(target="mini-1", context={"version": "9.9.9"}))
            assert (report.status, report.result["updated_to"]) == (FAILED, None)
            assert "9.9.9" in report.error
