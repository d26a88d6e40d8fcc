"""The story of the mission factory: headquarters, three factories, and orders of which each is done once.

What is claimed is looked at from outside: in the ledgers that the factories' own handlers write, on the
streams, in what the service managers have seen, in git and in each host's history.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from examples.mission_factory.bus import Bus, bus_at
from examples.mission_factory.endpoint import ORDERS, REGISTRATIONS, UPDATE, Operator
from examples.mission_factory.hosts import (
    APP,
    CAPABILITIES,
    FACTORIES,
    HEADQUARTERS,
    SCRIPT,
    Factory,
    build,
    deploy,
    serving,
)
from examples.stage.app_maintainer import AppMaintainer
from examples.stage.redis_server import redis_of
from examples.stage.stage import Stage
from newleaf.cli.demo.demo_host import Host
from newleaf.cli.demo.sandbox import wait_until

EXAMPLE = Path(__file__).parent
NEEDS = ("redis[hiredis]",)
NOBODYS = "newleaf_ops_of-nobody"


@dataclass(frozen=True)
class Story:
    """Who plays. `seconds` is what the long work takes."""

    stage: Stage
    bus: Bus
    maintainer: AppMaintainer
    headquarters: Host
    operator: Operator
    factories: dict[str, Factory]
    seconds: float

    # --- the acts ---------------------------------------------------------------------------

    def open(self) -> None:
        """Three factories make themselves known, and do ordinary work."""
        wait_until(lambda: self.bus.enrolled() == set(FACTORIES), "the factories to enroll")
        self.await_registered(dict.fromkeys(FACTORIES, "1.0.0"))
        self.headquarters.newleaf("fleet", "status")
        job = self.bus.order("*", "sign")
        for factory in self.factories.values():
            factory.await_made(job)
        self.stage.screen.note("headquarters gives work to all, and each does it")

    def order_one(self) -> None:
        """An order for one, which works; who may not order does not."""
        self.stage.screen.title(f"2. An order for the mill alone, during work of {self.seconds:g} s")
        stage, mill = self.stage, self.factories["mill"]
        commit = self.push("1.1.0", "Things are tried out")
        work = self.bus.order("mill", "millstone", self.seconds)
        mill.await_made(work, "begun")
        order = {"target_factory_id": "mill", "branch": "main"}
        nobody = self.operator.holding("nobodys", NOBODYS)
        stage.check("a wrong token: answered with", 401, nobody.post(UPDATE, order)[0])
        status, said = self.operator.post(UPDATE, order)
        ordered_at = time.time()
        stage.check("the order: answered with", (202, "mill"), (status, said.get("target_factory_id")))
        again, same = self.operator.post(UPDATE, order)
        stage.check("again: answered with", (409, said["job_id"]), (again, same.get("job_id")))
        unknown = self.operator.post(UPDATE, {"target_factory_id": "mint"})
        stage.check("for a factory that is not there", 404, unknown[0])
        followed = self.headquarters.newleaf("fleet", "update", "mill", "--wait", "--deadline", "60s")
        stage.check("who waits for it exits with", 0, followed.status)
        self.check_done(said["job_id"], commit, ["mill"])
        stage.check("ordered while it worked", True, ordered_at < mill.await_made(work)["at"])
        self.check_after(mill, work)
        others = [factory for factory in self.factories.values() if factory is not mill]
        stage.check("the others run", ["1.0.0"] * 2, [factory.version for factory in others])
        stage.check("the others went there", [0, 0], [factory.updates_to(commit) for factory in others])
        self.await_registered({"mill": "1.1.0", "kiln": "1.0.0", "press": "1.0.0"})

    def order_all(self) -> None:
        """An order for all: one works, one is killed in the middle, one is switched off."""
        self.stage.screen.title("3. An order for all: the kiln works, the mill is killed, the press is off")
        stage, (mill, kiln, press) = self.stage, (self.factories[name] for name in FACTORIES)
        stage.screen.note("the press is switched off")
        press.switch_off()
        commit = self.push("1.2.0", "Nothing that one would see")
        works = {factory: self.bus.order(factory.name, "oven", self.seconds) for factory in (mill, kiln)}
        for factory, work in works.items():
            factory.await_made(work, "begun")
        before, (status, said) = mill.attempt(), self.operator.post(UPDATE, {})
        self.kill(mill, "in the middle of its work")
        stage.check("the order: answered with", 202, status)
        stage.check("again: answered with", 409, self.operator.post(UPDATE, {"branch": "main"})[0])
        wait_until(lambda: mill.attempt() != before, "the mill's update to begin")
        self.kill(mill, f"in the middle of its update: {mill.host.attempt_state()}")
        self.bus.order("*", "crate")
        wait_until(lambda: set(self.bus.told(said["job_id"])) == {"mill", "kiln"}, "the two to tell")
        self.check_after(kiln, works[kiln])
        begun = [line["order"] for line in mill.ledger("begun")]
        stage.check("the mill's work was cut off, and begun again", True, begun.count(works[mill]) > 1)
        self.headquarters.newleaf("fleet", "status")
        stage.check("the press is where it was", "1.0.0", press.version)
        stage.screen.note("the press is switched on")
        press.switch_on()
        wait_until(lambda: "press" in self.bus.told(said["job_id"]), "the press to tell")
        self.check_done(said["job_id"], commit, FACTORIES)
        _, progress = self.operator.get(f"{ORDERS}/{said['job_id']}")
        said_last = progress["outcome"], progress["final"]
        stage.check("the endpoint says of the order", ("updated", True), said_last)
        self.await_registered(dict.fromkeys(FACTORIES, "1.2.0"))

    def pause(self) -> None:
        """A paused factory leaves its work where it is."""
        self.stage.screen.title("4. The kiln is paused, and its work is kept")
        stage, kiln = self.stage, self.factories["kiln"]
        stage.require(self.publish("kiln", "system:pause_factory"), "the pause")
        kept, everybodys = self.bus.order("kiln", "brick"), self.bus.order("*", "broom")
        for name in ("mill", "press"):
            self.factories[name].await_made(everybodys)
        stage.check("the kiln's work lies unread", 1, self.bus.unread("kiln"))
        begun = [line["order"] for line in kiln.ledger("begun")]
        stage.check("begun of it", [], [job for job in begun if job in {kept, everybodys}])
        stage.require(self.publish("kiln", "system:resume_factory"), "the end of the pause")
        for job in (kept, everybodys):
            kiln.await_made(job)

    def update_by_hand(self) -> None:
        """Somebody sits at a factory, and runs its script."""
        self.stage.screen.title("5. By hand, at the press")
        press = self.factories["press"]
        commit = self.push("1.3.0", "Something small")
        self.stage.screen.command([SCRIPT, "--branch", "main"])
        argv = ("sh", SCRIPT, "--branch", "main", "--wait", "60")
        said = press.host.sandbox.run(*argv, cwd=press.host.checkout, check=False)
        self.stage.screen.output([*said.text.splitlines(), *([] if not said.status else said.tail)])
        self.stage.check("it exits with", 0, said.status)
        said_so = f"back at {commit}" in said.text
        self.stage.check("it says that the press is back at the commit", True, said_so)
        self.await_registered({"mill": "1.2.0", "kiln": "1.2.0", "press": "1.3.0"})

    def look_around(self) -> None:
        """Every order was done once, by each factory that it was for."""
        self.stage.screen.title("6. Each order was done once: the ledgers, the results, the history")
        stage = self.stage
        for name, factory in self.factories.items():
            meant = sorted(job for target, job in self.bus.given if target in {"*", name})
            wait_until(partial(self.has_told, name, meant), f"{name} to tell of its work")
            made = Counter(line["order"] for line in factory.ledger("made"))
            once = sorted(job for job, times in made.items() if times == 1)
            stage.check(f"{name}: made, each once", meant, once)
            stage.check(f"{name}: made twice, or of others", [], sorted(set(made) - set(once)))
        stage.check("told twice", [], self.bus.told_twice())
        failed = [each for each in self.bus.results() if each["status"] != "SUCCESS"]
        stage.check("failed, dead", ([], 0), (failed, self.bus.dead()))
        ends = {name: factory.ends() for name, factory in self.factories.items()}
        stage.check(
            "the kiln's and the press's daemons ended with", [[42], [0, 42, 42]], list(ends.values())[1:]
        )
        killed, left = ends["mill"].count(-signal.SIGKILL), set(ends["mill"]) - {-signal.SIGKILL}
        stage.check("the mill's were killed, and otherwise left with", (2, {42}), (killed, left))
        stage.check("files with the operator's token", [str(self.operator.token)], self.holding_the_token())
        same = self.maintainer.refs(self.maintainer.remote) == self.maintainer.refs(self.maintainer.clone)
        stage.check("the remote is as its maintainer left it", True, same)

    # --- what is done, and looked at ------------------------------------------------------------

    def push(self, version: str, subject: str) -> str:
        commit = self.maintainer.publish_next(version, subject)
        self.stage.screen.note(f"git push: {version}, {subject.lower()}")
        return commit

    def publish(self, target: str, kind: str) -> int:
        """An order by hand, waited for; its exit code."""
        argv = ("mission", "publish", "--target", target, "--kind", kind, "--wait", "60s")
        return self.headquarters.newleaf(*argv, lines=2).status

    def kill(self, factory: Factory, when: str) -> None:
        """Kills the daemon that runs now."""

        def is_killed() -> bool:
            for pid in factory.service.running():
                self.stage.screen.command(["kill", "-9", str(pid)])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
            return False

        self.stage.screen.note(f"the {factory.name} is killed {when}")
        wait_until(is_killed, "a daemon to kill")

    def holding_the_token(self) -> list[str]:
        """Files in which the operator's token stands: threats.md T29."""
        assert self.operator.token
        secret = self.operator.token.read_bytes().split()[-1]
        files = (path for path in self.stage.folder.rglob("*") if path.is_file() and not path.is_symlink())
        return [str(path) for path in files if ".venv" not in path.parts and secret in path.read_bytes()]

    def has_told(self, name: str, jobs: list[str]) -> bool:
        return set(jobs) <= {each["job_id"] for each in self.bus.results() if each["host"] == name}

    def await_registered(self, versions: dict[str, str]) -> None:
        """The factories have said to headquarters that they run these, and what they can do."""
        found: dict[str, Any] = {}

        def look() -> bool:
            _, said = self.operator.get(REGISTRATIONS)
            found.update({each["name"]: each for each in said["registrations"]})
            return {name: each["version"] for name, each in found.items()} == versions

        wait_until(look, f"registrations of {versions}")
        can = {name: each["capabilities"] for name, each in found.items()}
        self.stage.check(f"registered: {', '.join(versions.values())}, with capabilities", CAPABILITIES, can)

    def check_done(self, job: str, commit: str, names: Collection[str]) -> None:
        """These factories, and no others, have updated once, and told it once."""
        results = self.bus.results(job)
        self.stage.check("results of", sorted(names), sorted(each["host"] for each in results))
        self.stage.check("updated to", {commit}, {each["result"]["updated_to"] for each in results})
        meant = [self.factories[name] for name in names]
        self.stage.check(
            "updates made, by each", [1] * len(names), [each.updates_to(commit) for each in meant]
        )
        self.stage.check("commits checked out", {commit}, {each.host.commit() for each in meant})

    def check_after(self, factory: Factory, work: str) -> None:
        """The work was made before the daemon left for the update, and the daemon left by itself."""
        made, end = factory.await_made(work), factory.service.events("ended")[0]
        self.stage.check(f"{factory.name}: its work was made before it left", True, made["at"] < end["at"])
        self.stage.check(f"{factory.name}: it left with", 42, end["status"])


def tell(stage: Stage, seconds: float = 6.0) -> None:
    """The whole story.

    Raises: DemoStuck, CommandFailed and its kin.
    """
    with redis_of(os.environ) as url, bus_at(url) as bus, contextlib.ExitStack() as stack:
        stage.screen.title("1. Headquarters, and three factories that run one repository")
        maintainer = stage.maintainer(APP, EXAMPLE)
        maintainer.publish_first()
        headquarters = deploy(stage, maintainer, HEADQUARTERS, bus)
        operator = stack.enter_context(serving(headquarters))
        factories = {name: build(stage, maintainer, name, bus, stack) for name in FACTORIES}
        story = Story(stage, bus, maintainer, headquarters, operator, factories, seconds)
        story.open()
        story.order_one()
        story.order_all()
        story.pause()
        story.update_by_hand()
        story.look_around()
