"""The story of the chat bridge: two hosts, a restart between jobs, a kill, and every word in the chat.

What is claimed is looked at from outside: in the chat, in what the service manager has seen, in git.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.stage.app_maintainer import AppMaintainer
from examples.stage.bot_api import BotApi, bot_api
from examples.stage.redis_server import serve_redis
from examples.stage.stage import Stage
from newleaf.cli.demo.demo_host import Host
from newleaf.cli.demo.sandbox import wait_until
from newleaf.cli.demo.service import Service
from newleaf.system.commands import Finished, Runner
from newleaf.update.dependencies.surroundings import Surroundings

EXAMPLE = Path(__file__).parent
NEEDS = ("python-telegram-bot", "redis")
APP = "bridge"
GROUP = 3
BOTS = {"one": ("1001:of-host-one-0f3a", "one_bot", 1), "two": ("1002:of-host-two-77c1", "two_bot", 2)}
"""Each host's token, the name of its bot, and the chat that this bot alone is in."""
KILLED_SECONDS = 5.0
"""Of the job that is cut off, at most; more than an update takes to come to where it waits for it."""
WAITS, FINAL, SAME = "it waits", "The new process has reported it", "Already up to date"
TIMER = ("service", "show", "--systemd", "--user", "--timer", "12h")


class BridgeMaintainer(AppMaintainer):
    """Publishes for hosts with uv and for those with pip alone: what uv.lock says stands in both."""

    def push(self, version: str, subject: str) -> str:
        argv = "uv export --quiet --frozen --no-hashes --no-annotate --no-header --no-emit-project"
        self.sandbox.run(*argv.split(), "--output-file", "requirements.txt", cwd=self.clone)
        return super().push(version, subject)


@dataclass(frozen=True)
class Word:
    """What a bot has said, or changed a message into."""

    at: float
    bot: str
    text: str


@dataclass(frozen=True)
class Seat:
    """A host of the story, with its bot."""

    host: Host
    bot: str
    chat: int
    service: Service


@dataclass
class Chat:
    """What Ada writes, and what she reads of the bots."""

    stage: Stage
    api: BotApi
    words: list[Word] = field(default_factory=list)

    def hear(self, bot: str, text: str) -> None:
        self.words.append(Word(time.time(), bot, text))
        first, *more = text.splitlines()
        self.stage.screen.note(f"@{bot}: {first}{' …' * bool(more)}")

    def write(self, text: str, chat: int) -> None:
        self.stage.screen.note(f"Ada{' in the group' * (chat == GROUP)}: {text}")
        self.api.write(text, chat)

    def await_word(self, bot: str, text: str) -> Word:
        """The first word of this bot with this text in it."""
        return wait_until(lambda: next(iter(self.find(bot, text)), None), f"@{bot} to say {text!r}")

    def await_answer(self, bot: str, told: int) -> None:
        """The answer to a bot's being asked, where it has said `told` final words before."""
        wait_until(lambda: self.find(bot, SAME) or self.find(bot, FINAL)[told:], f"@{bot} to answer")

    def find(self, bot: str, text: str) -> list[Word]:
        return [word for word in self.words if word.bot == bot and text in word.text]


def tell(stage: Stage, seconds: float = 10.0) -> None:
    """The whole story."""
    tokens = {token: bot for token, bot, _ in BOTS.values()}
    private = {chat: bot for _, bot, chat in BOTS.values()}
    with serve_redis() as redis, bot_api(bots=tokens, private=private) as api:
        chat = Chat(stage, api)
        api.hears = chat.hear
        maintainer = hire(stage)
        hosts = deploy(stage, maintainer, {"REDIS_URL": redis.url, "TELEGRAM_API": api.url})
        with serving(stage, hosts) as (one, two):
            restart_between_jobs(stage, chat, maintainer, one, seconds)
            survive_a_kill(stage, chat, two, min(seconds, KILLED_SECONDS))
            look_around(stage, chat, maintainer, (one, two))


def hire(stage: Stage) -> BridgeMaintainer:
    """The maintainer, whose first version is published."""
    stage.screen.title("1. One repository, two hosts; nothing in it is of one host alone")
    maintainer = BridgeMaintainer(stage.sandbox, {}, app=APP, example=EXAMPLE)
    maintainer.set_up()
    maintainer.publish_first()
    return maintainer


def deploy(stage: Stage, maintainer: BridgeMaintainer, variables: dict[str, str]) -> list[Host]:
    """Two hosts: the first has uv, the second has not, where this machine lets that be hidden."""
    hosts = []
    for name, (token, _, chat) in BOTS.items():
        host = stage.host(name, APP, BRIDGE_HOST=name, **variables)
        if name == "two":
            hide_uv(host)
        has_uv = Surroundings(Runner(), host.sandbox.environment).uv is not None
        stage.screen.note(f"host {name}, {'with uv' if has_uv else 'without uv'}:")
        host.clone(maintainer.remote)
        stage.require(host.newleaf("init", "--channel", "beta", "--yes", lines=1).status, "newleaf init")
        write_host_settings(host, token, chat)
        stage.require(host.newleaf("update").status, "the first update")
        by = "pip" if list((host.checkout / ".venv/bin").glob("pip*")) else "uv"
        stage.check(f"{name}: installed by", "uv" if has_uv else "pip", by)
        hosts.append(host)
    show_timer(hosts[0])
    return hosts


def hide_uv(host: Host) -> None:
    """Gives the host programs of its own, and no uv; one among the system's is found all the same."""
    programs = host.sandbox.folder / "bin"
    programs.mkdir()
    found = Surroundings(Runner(), host.sandbox.environment)
    git, python = found.find("git"), host.sandbox.environment["UV_PYTHON"]
    assert git, "the sandbox has looked for it"
    (programs / "git").symlink_to(git)
    (programs / "python3").symlink_to(python)
    host.sandbox.variables["PATH"] = f"{programs}:/usr/bin:/bin"


def write_host_settings(host: Host, token: str, chat: int) -> None:
    """What is this host's alone lies in its state directory and its home."""
    file = host.sandbox.folder / "bot-token"
    file.write_text(f"{token}\n")
    file.chmod(0o600)
    settings = f'\n[chat]\nchats = [{chat}, {GROUP}]\ntelegram_token_file = "~/{file.name}"\n'
    with (host.state / "host.toml").open("a") as lines:
        lines.write(settings)
    host.screen.command(["cat", ">>", str(host.state / "host.toml")])
    host.screen.output(settings.strip().splitlines())


def timer_units(host: Host) -> dict[str, str]:
    """The units that `newleaf service install --timer 12h` would write, by their names."""
    said = host.sandbox.run(*host.program, *TIMER, "--json", cwd=host.checkout)
    return {Path(file["path"]).name: file["content"] for file in json.loads(said.stdout)["files"]}


def show_timer(host: Host) -> None:
    """The twelve-hour timer, as systemd would have it."""
    host.screen.command(["newleaf", *TIMER])
    for name, content in timer_units(host).items():
        if "-update." in name:
            told = ("ExecStart=", "OnUnit", "RandomizedDelay")
            host.screen.output(f"{name}: {line}" for line in content.splitlines() if line.startswith(told))


def run_timer(host: Host) -> Finished:
    """What the timer does when its time has come: the very command of its unit."""
    unit = next(content for name, content in timer_units(host).items() if name.endswith("-update.service"))
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    argv = shlex.split(line.partition("=")[2])
    host.screen.note("at the same moment the timer calls:")
    host.screen.command(["newleaf", *argv[1:]])
    finished = host.sandbox.run(*argv, cwd=host.state, check=False)
    host.screen.output((finished.text.splitlines() or finished.tail)[:2])
    return finished


@contextmanager
def serving(stage: Stage, hosts: list[Host]) -> Iterator[tuple[Seat, ...]]:
    """Both daemons, each kept by a service manager of its own."""

    def keep(host: Host) -> Any:
        return stage.keeping(host, [host.checkout / ".venv/bin/python", "-m", APP])

    with keep(hosts[0]) as first, keep(hosts[1]) as second:
        seats = []
        for name, host, service in zip(BOTS, hosts, (first, second), strict=True):
            _, bot, chat = BOTS[name]
            wait_until(lambda host=host: running(host) == "1.0.0", "the bridge to serve")  # type: ignore[misc]
            seats.append(Seat(host, bot, chat, service))
        yield tuple(seats)


def running(host: Host) -> str | None:
    """The version that a live process has reported."""
    try:
        return str((json.loads((host.state / "status.json").read_text())["running"] or {}).get("version"))
    except FileNotFoundError:
        return None


def restart_between_jobs(
    stage: Stage, chat: Chat, maintainer: BridgeMaintainer, one: Seat, seconds: float
) -> None:
    """v1.1.0 is pushed, and asked for while a job runs."""
    stage.screen.title(f"2. git push; /update while a job of {seconds:g} s runs, and others wait")
    commit = maintainer.publish_next("1.1.0", "Say how long a job took")
    stage.screen.note("git push: v1.1.0, which says how long a job took")
    chat.write(f"website: build the pages, {seconds:g} s", one.chat)
    chat.write("website: check the links", one.chat)
    chat.write("manual: read the proofs", one.chat)
    chat.await_word(one.bot, "read the proofs is done")
    chat.write("/update", one.chat)
    timer = run_timer(one.host)
    chat.await_word(one.bot, WAITS)
    chat.write("manual: print it", one.chat)
    final = chat.await_word(one.bot, FINAL)
    told = chat.await_word(one.bot, "print it is done")
    job = chat.await_word(one.bot, "build the pages is done")
    ends = one.service.events("ended")
    stage.check("one: the daemon left with", [42], [end["status"] for end in ends])
    stage.check("the job was done before it left", expected=True, seen=job.at < ends[0]["at"] < final.at)
    stage.check("by 1.0.0", "website: build the pages is done", job.text)
    stage.check("what waited was done after it", expected=True, seen=told.at > ends[0]["at"])
    stage.check("by 1.1.0", "manual: print it is done, after 0 s", told.text)
    stage.check("one: its commit is the tag's", expected=True, seen=one.host.commit() == commit)
    stage.check("the timer was told: locked, or waiting", expected=True, seen=timer.status in (3, 4))
    check_once(stage, chat, one, ["build the pages", "check the links", "read the proofs", "print it"])


def survive_a_kill(stage: Stage, chat: Chat, two: Seat, seconds: float) -> None:
    """The other host's daemon is killed while its update waits for a job."""
    stage.screen.title(
        f"3. The other host: /update in a group, and kill -9 while a job of {seconds:g} s runs"
    )
    chat.write(f"website: build the pages, {seconds:g} s", two.chat)
    chat.write("website: check the links", two.chat)
    chat.write("manual: read the proofs", two.chat)
    chat.await_word(two.bot, "read the proofs is done")
    chat.write(f"/update@{two.bot}", GROUP)
    chat.await_word(two.bot, WAITS)
    (pid,) = two.service.running()
    stage.screen.command(["kill", "-9", str(pid)])
    two.host.sandbox.run("kill", "-9", str(pid), cwd=two.host.checkout)
    chat.await_word(two.bot, FINAL)
    chat.await_word(two.bot, "check the links is done")
    ends = [end["status"] for end in two.service.events("ended")]
    stage.check("two: the daemons ended with", [-9, 42], ends)
    check_once(stage, chat, two, ["build the pages", "check the links", "read the proofs"])


def check_once(stage: Stage, chat: Chat, seat: Seat, tasks: list[str]) -> None:
    """Every job is told of once, and the final word is said once."""
    times = {task: len(chat.find(seat.bot, f"{task} is done")) for task in tasks}
    stage.check(f"@{seat.bot}: jobs done, each once", len(tasks), list(times.values()).count(1))
    stage.check(f"@{seat.bot}: final words", 1, len(chat.find(seat.bot, FINAL)))
    made = [line for line in seat.host.ask("history")["attempts"] if line["to"]["version"] == "1.1.0"]
    stage.check(f"@{seat.bot}: updates made", 1, len({line["attempt"] for line in made}))


def look_around(stage: Stage, chat: Chat, maintainer: BridgeMaintainer, seats: tuple[Seat, ...]) -> None:
    """Both hosts agree with the remote, and nothing was learnt that is nobody's business."""
    stage.screen.title("4. /update in the group again, and a look around")
    ask_both(chat, seats)
    hosts = [seat.host for seat in seats]
    stage.check("version that runs", ["1.1.0", "1.1.0"], [running(host) for host in hosts])
    stage.check("one commit on both", 1, len({host.commit() for host in hosts}))
    stage.check("installed on both alike", expected=True, seen=packages(hosts[0]) == packages(hosts[1]))
    stage.check("differences from it", [], [line for host in hosts for line in host.diff()])
    same = maintainer.refs(maintainer.remote) == maintainer.refs(maintainer.clone)
    stage.check("the remote is as its maintainer left it", expected=True, seen=same)
    stage.check("files of newleaf's that hold a bot's token", [], list(map(str, holding_tokens(hosts))))


def ask_both(chat: Chat, seats: tuple[Seat, ...]) -> None:
    """Asks both until both say that nothing is new: who asks while an update ends is told of it once more."""
    while asked := [seat.bot for seat in seats if not chat.find(seat.bot, SAME)]:
        finals = {bot: len(chat.find(bot, FINAL)) for bot in asked}
        chat.write("/update", GROUP)
        for bot, told in finals.items():
            chat.await_answer(bot, told)


def packages(host: Host) -> list[str]:
    """What is installed in the app's environment, without the installer."""
    code = "import importlib.metadata as m; print(*{f'{d.name}=={d.version}' for d in m.distributions()})"
    found = host.sandbox.run(host.checkout / ".venv/bin/python", "-c", code, cwd=host.checkout).text.split()
    return sorted(each for each in found if not each.startswith(("pip==", "setuptools==")))


def holding_tokens(hosts: list[Host]) -> Iterator[Path]:
    """Files of newleaf's in which a bot's token stands: threats.md T29."""
    tokens = [token.encode() for token, _, _ in BOTS.values()]
    for host in hosts:
        for path in host.state.rglob("*"):
            if path.is_file() and any(token in path.read_bytes() for token in tokens):
                yield path
