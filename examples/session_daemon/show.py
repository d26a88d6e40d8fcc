"""The session daemon's story, played for real: `make session-daemon`.

A daemon keeps long sessions going. From `git push` to the last word in Redis it is updated twice, once
through a power cut in the middle of a migration, and then held at a minor version by its own configuration.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import redis

from examples.stage.app_maintainer import AppMaintainer
from examples.stage.redis_server import redis_of
from examples.stage.stage import Stage, play
from newleaf.cli.demo.demo_host import Host, query
from newleaf.cli.demo.sandbox import wait_until
from newleaf.cli.demo.service import Service
from newleaf.core.secrets import mask_text

EXAMPLE = Path(__file__).parent
PATIENCE_SECONDS = 10.0
GOAL = 100_000
"""Steps of the session that goes on through everything."""
ENOUGH_STEPS = 30


@dataclass
class Words:
    """The words that were SET at the host's key, each of them, as the Redis itself tells."""

    url: str
    key: str
    stage: Stage
    seen: list[dict[str, Any]] = field(default_factory=list)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watches for the length of the block; afterwards the key is gone: it may be the user's own Redis."""
        with redis.Redis.from_url(self.url) as client:
            watching = threading.Event()
            thread = threading.Thread(target=self._watch, args=(client, watching), name="words", daemon=True)
            thread.start()
            watching.wait(PATIENCE_SECONDS)
            try:
                yield
            finally:
                client.delete(self.key)
                thread.join(PATIENCE_SECONDS)

    def of(self, version: str) -> list[str]:
        """The words about a release, or about none that is known, in order, each once in a row."""
        words: list[str] = []
        for each in self.seen:
            release = each["target"] or each["running"] or {}
            is_meant = release.get("version", version if words else None) == version
            if is_meant and words[-1:] != [each["status"]]:
                words.append(each["status"])
        return words

    def await_deployed(self, version: str) -> None:
        """Raises: DemoStuck."""
        wait_until(lambda: self.of(version)[-1:] == ["deployed"], f"Redis to say that {version} is deployed")

    def _watch(self, client: redis.Redis, watching: threading.Event) -> None:
        with client.monitor() as monitor:  # type: ignore[no-untyped-call]
            watching.set()
            for told in monitor.listen():
                command, key, text = [*told["command"].split(" ", 2), "", ""][:3]
                if key == self.key and command == "DEL":
                    return
                if key == self.key and command == "SET":
                    self._note(json.loads(text))

    def _note(self, word: dict[str, Any]) -> None:
        if self.seen[-1:] != [word]:
            self.seen.append(word)
            release = word["target"] or word["running"] or {}
            said = f"{word['status']} {release.get('version') or ''}".rstrip()
            self.stage.screen.note(f"Redis: {said}")


@dataclass(frozen=True)
class Story:
    """Who plays, and where."""

    stage: Stage
    maintainer: AppMaintainer
    host: Host
    words: Words

    @classmethod
    def make(cls, stage: Stage, url: str) -> Story:
        name = f"example-{os.getpid()}"
        host = stage.host(name, "sessions")
        words = Words(url, f"system_status:{name}:deploy", stage)
        return cls(stage, stage.maintainer("sessions", EXAMPLE), host, words)

    @cached_property
    def python(self) -> Path:
        return self.host.checkout / ".venv/bin/python"

    # --- the acts ---------------------------------------------------------------------------

    def deploy(self) -> None:
        """A host gets the app, its configuration, and a session to keep going."""
        self.stage.screen.title("1. The daemon is deployed as its developer would: clone, make install")
        self.maintainer.publish_first()
        self.host.clone(self.maintainer.remote)
        self.host.newleaf("init", "--yes", lines=1)
        self.configure(channel="beta")
        self.stage.screen.command(["make", "install"])
        self.host.sandbox.run("make", "install", cwd=self.host.checkout)
        self.sessions("start", "voyage", str(GOAL))

    def update(self, service: Service) -> None:
        """A release with a migration, from `git push` to the last word in Redis."""
        self.stage.screen.title("2. git push: signal, migrate, make install, exit 42, deployed")
        self.maintainer.publish_next("1.1.0", "Sessions have titles")
        signal_file = self.host.state / "update_available.json"
        wait_until(signal_file.exists, "the signal")
        self.stage.check("the signal says", "1.1.0", json.loads(signal_file.read_text())["available"])
        self.words.await_deployed("1.1.0")
        self.check_words("1.1.0", ["updating", "migrating", "installing", "restarting", "deployed"])
        self.stage.check("the daemon left with", [42], [each["status"] for each in service.events("ended")])
        self.stage.check("its titles", [("Voyage",)], query(self.database, "SELECT title FROM session"))
        self.await_steps("1.1.0")
        said = self.sessions("version"), self.sessions("migrate")
        self.stage.check("its own version command says 1.1.0", True, " 1.1.0 " in said[0])
        self.stage.check("its own migrate command has nothing left to do", True, "nothing to run" in said[1])

    def survive(self, service: Service) -> None:
        """The next release's migration is cut off by a power cut, and goes on."""
        self.stage.screen.title("3. git push, and a power cut in the middle of the migration")
        wait_until(lambda: self.steps() >= ENOUGH_STEPS, "a migration that takes its time")
        self.maintainer.publish_next("1.2.0", "Steps have prints")
        wait_until(lambda: 0 < self.prints() < self.steps(), "the migration to be half done")
        said = f"{self.prints()} of {self.steps()} prints are made"
        killed = [pid for daemon in service.running() for pid in self.power_cut(daemon)]
        self.stage.screen.note(f"{said}; kill -9 of {len(killed)} processes")
        self.words.await_deployed("1.2.0")
        self.await_steps("1.2.0")
        self.check_words("1.2.0", ["migrating", "migrating", "installing", "deployed"])
        # In one look: steps go on meanwhile.
        without = "SELECT session, number FROM step EXCEPT SELECT session, number FROM print"
        self.stage.check("steps without their print", [], query(self.database, without))
        self.stage.check("migrations", ["1.1.0/001_titles.py", "1.2.0/001_prints.py"], self.host.applied())

    def hold(self) -> None:
        """The operator pins a minor version, in the app's own words."""
        self.stage.screen.title("4. Its own configuration holds it at 1.2: 1.2.1 is taken, 1.3.0 is not")
        self.configure(channel="stable", pin="1.2")
        with self.keeping():
            self.maintainer.publish_next("1.3.0", "Something new")
            self.maintainer.publish_next("1.2.1", "Something mended")
            self.words.await_deployed("1.2.1")
            self.stage.check("1.3.0 was left alone", [], self.words.of("1.3.0"))
            self.await_steps("1.2.1")

    def look_back(self) -> None:
        """What the session went through."""
        self.stage.screen.title("5. What the session has seen of all this")
        rows = query(self.database, "SELECT version, min(number), max(number), count(*) FROM step GROUP BY 1")
        for version, first, last, _ in sorted(rows):
            self.stage.screen.note(f"{version} took its steps {first} to {last}")
        numbers = [number for (number,) in query(self.database, "SELECT number FROM step ORDER BY number")]
        self.stage.check("no step is missing or twice", True, numbers == list(range(1, len(numbers) + 1)))
        self.host.newleaf("history")

    # --- what is done, and looked at ------------------------------------------------------------

    @contextlib.contextmanager
    def keeping(self) -> Iterator[Service]:
        """The daemon, as a service manager keeps it, from its first step."""
        steps = self.steps()
        with self.stage.keeping(self.host, [self.python, "-m", "sessions", "run"]) as service:
            wait_until(lambda: self.steps() > steps, "the daemon to take a step")
            yield service

    def configure(self, **updates: str) -> None:
        """Writes the app's own configuration file."""
        lines = [f'{key} = "{value}"' for key, value in {**updates, "every": "1s"}.items()]
        text = "\n".join(["[updates]", *lines, "", "[redis]", f'url = "{self.words.url}"', ""])
        (self.host.sandbox.folder / "sessions.toml").write_text(text)
        self.stage.screen.command(["cat", "~/sessions.toml"])
        self.stage.screen.output(mask_text(text).splitlines())

    def sessions(self, *words: str) -> str:
        """One of the app's own commands."""
        self.stage.screen.command(["python", "-m", "sessions", *words])
        said = self.host.sandbox.run(self.python, "-m", "sessions", *words, cwd=self.host.checkout).text
        self.stage.screen.output(said.splitlines())
        return said

    def power_cut(self, daemon: int) -> list[int]:
        """Kills the daemon and all that it has started, at once."""
        table = [tuple(map(int, line.split())) for line in self._run("ps", "-A", "-o", "pid=,ppid=")]
        doomed = [daemon]
        for parent in doomed:
            doomed += [pid for pid, its_parent in table if its_parent == parent]
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return doomed

    def check_words(self, version: str, expected: list[str]) -> None:
        """These words came, in this order; others may have come in between."""
        seen = iter(self.words.of(version))
        self.stage.check(f"words: {', '.join(expected)}", True, all(word in seen for word in expected))

    def await_steps(self, version: str) -> None:
        """Raises: DemoStuck."""
        sql = "SELECT DISTINCT version FROM step"
        wait_until(lambda: (version,) in query(self.database, sql), f"a step by {version}")

    @property
    def database(self) -> Path:
        return self.host.checkout / "data/sessions.db"

    def steps(self) -> int:
        """Steps that were done."""
        return self._count("SELECT count(*) FROM step")

    def prints(self) -> int:
        """Prints of steps that were made."""
        return self._count("SELECT count(*) FROM print")

    def _count(self, sql: str) -> int:
        with contextlib.suppress(sqlite3.Error):
            ((count,),) = query(self.database, sql)
            return int(count)
        return 0

    def _run(self, *argv: str) -> list[str]:
        return self.host.sandbox.run(*argv, cwd=self.host.checkout).text.splitlines()


def tell(stage: Stage) -> None:
    """All acts.

    Raises: DemoStuck, CommandFailed and its kin.
    """
    with redis_of(os.environ) as url:
        story = Story.make(stage, url)
        with story.words.watched():
            story.deploy()
            with story.keeping() as service:
                story.update(service)
                story.survive(service)
            story.hold()
            story.look_back()


if __name__ == "__main__":
    sys.exit(play("session-daemon", tell))
