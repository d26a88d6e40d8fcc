"""Gathers what `doctor` judges. Looks, and changes nothing; what fails to answer becomes a fact itself.

Every question has a deadline of seconds, so that a checkup ends even where the host is ill.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from newleaf.compose.mirroring import redis_line
from newleaf.core.adoption.findings import CheckoutFacts
from newleaf.core.doctor.patient import (
    GitFacts,
    Patient,
    RedisFacts,
    RemoteAnswer,
    RunFacts,
    SecretFile,
    SlotFacts,
    StateFacts,
    Trouble,
    TrustFacts,
)
from newleaf.core.errors import NewleafError
from newleaf.core.release import Release
from newleaf.core.releases.channels import parse_version
from newleaf.core.releases.names import HEADS, TAGS, host_of, shown
from newleaf.core.settings.fragments import load
from newleaf.core.settings.kinds import PATH
from newleaf.core.settings.model import KEYS
from newleaf.core.settings.soundness import find_problems
from newleaf.system.files import read_lines, read_record
from newleaf.system.git.checkout import count_unpushed, git_version, read_checkout
from newleaf.system.git.directory import OLDEST_GIT, Git
from newleaf.system.git.stale_locks import find_owners
from newleaf.system.git.worktree import Worktree
from newleaf.system.http import HttpRequest
from newleaf.system.known_apps import known_apps, sharing_checkout
from newleaf.system.locks import update_owner
from newleaf.system.mounts import require_local
from newleaf.system.repository import look, programs
from newleaf.system.restarts import running_daemon
from newleaf.update.dependencies.needs import Kind, Needs, read_needs
from newleaf.update.dependencies.surroundings import Surroundings
from newleaf.update.slots.slot_places import SlotPlaces

if TYPE_CHECKING:
    from newleaf.compose.host import Host

REMOTE_SECONDS = 20.0
CLOCK_SECONDS = 5.0
RECORDS = "decisions denied identity installed migration_state status watch".split()
LINES = ("journal", "history")
PUBLIC_FILES = ("security.signers", "security.revoked")

Answer = TypeVar("Answer")


class Subject(Struct, frozen=True):
    """The host that is looked at, and what of this process and machine matters."""

    host: Host
    notes: Path
    prefix: Path = Path(sys.prefix)

    def patient(self) -> Patient:
        """Every fact.

        Raises: SettingsInvalid and its kin when there are no settings to go by.
        """
        settings = self.host.settings
        has_slots = self.host.place.has_slots
        checkout = None if has_slots else ask(self._checkout)
        remote = ask(self._remote)
        return Patient(
            git=self._git(checkout),
            state=self._state(remote),
            run=self._run(),
            remote=remote,
            channel=settings.deployment.channel,
            settings=tuple(map(str, find_problems(load(self.host.sources)))),
            secret_files=tuple(self._secret_files()),
            sharing=tuple(
                app.name
                for app in sharing_checkout(known_apps(self.notes), self.host.place.top, self.host.state)
            ),
            trust=self._trust(),
            slots=ask(self._slots) if has_slots else None,
            redis=ask(self._redis) if settings.status.redis_url else None,
        )

    # --- git ----------------------------------------------------------------------------

    def _checkout(self) -> CheckoutFacts:
        """Raises: NewleafError."""
        host = self.host
        found = read_checkout(host.place.top, host.runner, host.environ)
        unpushed = count_unpushed(found, host.state / "git", host.runner, host.environ)
        return replace(found, unpushed=unpushed)

    def _remote(self) -> RemoteAnswer:
        """Raises: NewleafError."""
        usual, source = self.host.git, self.host.settings.source
        access = replace(usual.access, timeout_seconds=REMOTE_SECONDS)
        git = Git(usual.repository, access, self.host.runner, self.host.environ)
        began = time.monotonic()
        branch, tags = f"{HEADS}{source.branch}", f"{TAGS}{source.tag_prefix}"
        refs = git.ls_remote(branch, f"{tags}*")
        versions = [parse_version(ref.removeprefix(tags)) for ref in refs if ref.startswith(tags)]
        seconds = time.monotonic() - began
        return RemoteAnswer(shown(access.url), seconds, branch in refs, len([v for v in versions if v]))

    def _slots(self) -> SlotFacts:
        """Raises: NewleafError."""
        places = SlotPlaces(self.host.state)
        live = self.host.layout.live()
        environments = [path for path in places.environments.glob("*") if not path.name.startswith(".")]
        return SlotFacts(live.name, len(list(places.all_releases())), len(environments))

    def _git(self, checkout: CheckoutFacts | Trouble | None) -> GitFacts:
        settings, top = self.host.settings, self.host.place.top
        worktree = Worktree.find(top) if checkout else None
        lock = worktree.own / "index.lock" if worktree else None
        tracked = checkout.tracked if isinstance(checkout, CheckoutFacts) else None
        passed = {key.lower() for key in settings.source.git_config}
        return GitFacts(
            version=ask(lambda: git_version(self.host.runner)),
            needed=OLDEST_GIT,
            checkout=checkout,
            branch=settings.source.branch,
            refuses_dirty=settings.update.dirty_tree == "refuse",
            owner=_other_owner(top),
            lock=str(lock) if lock and os.path.lexists(lock) else None,
            lock_owner=self._lock_owner(lock, worktree) if lock and worktree else None,
            uses_lfs=bool(look(top, tracked).lfs),
            passes_lfs="git-lfs" in programs() and "filter.lfs.process" in passed,
        )

    @staticmethod
    def _lock_owner(lock: Path, worktree: Worktree) -> str | None:
        try:
            owners = find_owners(lock, worktree, lock.lstat().st_mtime)
        except (OSError, NewleafError):
            return None
        return " and ".join(map(str, owners)) or None

    # --- the machine --------------------------------------------------------------------

    def _state(self, remote: RemoteAnswer | Trouble) -> StateFacts:
        state = self.host.state
        places = (state, self.host.place.top)
        url = self.host.url or ""
        return StateFacts(
            path=str(state),
            mode=stat.S_IMODE(state.stat().st_mode),
            trouble=_state_trouble(state),
            records=tuple(_unreadable_records(state)),
            free_bytes=_free(places),
            skew_seconds=None if isinstance(remote, Trouble) else self.skew(url),
            behind_seconds=_behind(state),
            locked_by=_text(ask(lambda: update_owner(state))),
        )

    def skew(self, url: str) -> float | None:
        """Seconds by which this clock is ahead of the one at an http address; None when it says nothing."""
        origin = host_of(url)
        if not origin.startswith("http"):
            return None
        hosts = frozenset({origin.partition("://")[2].rpartition("@")[2].partition(":")[0]})
        request = HttpRequest(
            origin + "/", "asking the time", "HEAD", timeout_seconds=CLOCK_SECONDS, private_hosts=hosts
        )
        with contextlib.suppress(NewleafError, ValueError, KeyError, TypeError):
            response = self.host.http.send(request)
            return (datetime.now(UTC) - parsedate_to_datetime(response.headers["date"])).total_seconds()
        return None

    def _trust(self) -> TrustFacts:
        security = self.host.settings.security
        path = Path(security.signers).expanduser() if security.signers else None
        return TrustFacts(
            security.require,
            ask(lambda: _count_signers(path)) if path else None,
            security.revoked is not None,
            security.floor,
            shutil.which("ssh-keygen") is not None,
        )

    def _secret_files(self) -> Iterator[SecretFile]:
        for key, setting in KEYS.items():
            section, _, name = key.partition(".")
            value = getattr(getattr(self.host.settings, section), name)
            if setting.kind is not PATH or not isinstance(value, str):
                continue
            path = Path(value).expanduser()
            try:
                mode = stat.S_IMODE(path.stat().st_mode)
            except OSError:
                mode = None
            yield SecretFile(key, str(path), mode, key not in PUBLIC_FILES)

    def _redis(self) -> RedisFacts:
        """Raises: NewleafError."""
        status = self.host.settings.status
        line = redis_line(status.redis_url or "")
        found, published = line.get(status.redis_key), self.host.status_file.published()
        return RedisFacts(line.shown, status.redis_key, _word(found), _word(json.dumps(published)))

    # --- the app ------------------------------------------------------------------------

    def _run(self) -> RunFacts:
        host, restart = self.host, self.host.settings.restart
        surroundings, live = host.surroundings, ask(host.layout.live)
        head = "" if isinstance(live, Trouble) else live.commit
        needs = ask(lambda: self._needs(surroundings, head))
        command = restart.command[0] if restart.command else ""
        daemon = ask(lambda: running_daemon(host.state))
        facts = RunFacts(
            mode=restart.mode,
            command=command,
            command_missing=bool(command) and not _is_there(command, host.folder, surroundings),
            has_launcher=host.has_launcher,
            reported=f"pid {daemon.pid}" if daemon and not isinstance(daemon, Trouble) else None,
        )
        if isinstance(needs, Trouble):
            return replace(facts, owed=needs)
        return replace(
            facts,
            installer=_installer(needs),
            installer_missing=_lacks_installer(needs, surroundings),
            unread_lock=needs.kind is Kind.PIP and needs.lock is not None,
            python=self._python(surroundings, needs),
            owed=None if isinstance(live, Trouble) else self._owed(live),
            shares_environment=self._shares_environment(needs),
        )

    def _needs(self, surroundings: Surroundings, head: str) -> Needs:
        update = self.host.settings.update
        return read_needs(self.host.folder, update, head, has_uv=surroundings.uv is not None)

    def _python(self, surroundings: Surroundings, needs: Needs) -> Trouble | None:
        """Why no environment could be made; uv brings a Python when it needs one."""
        if needs.kind is not Kind.PIP or os.path.lexists(needs.folder / ".venv" / "bin" / "python"):
            return None
        wish, asked = needs.python_wish, needs.manifest.requires_python
        found = ask(lambda: surroundings.base_python(needs.folder, wish, asked))
        return found if isinstance(found, Trouble) else None

    def _owed(self, live: Release) -> str | Trouble | None:
        """What is to be installed; not asked while an update is at it."""
        host = self.host
        if ask(lambda: update_owner(host.state)):
            return None
        return ask(lambda: host.laid.environment(live, host.settings).owed())

    def _shares_environment(self, needs: Needs) -> bool:
        environment = (self.host.folder / ".venv").resolve()
        locked = b'name = "newleaf"' in needs.lock_bytes
        return needs.kind is Kind.UV and self.prefix.resolve() == environment and not locked


def ask(question: Callable[[], Answer]) -> Answer | Trouble:
    """The answer, or what was said instead of one."""
    try:
        return question()
    except NewleafError as error:
        return Trouble(error.message, error.advice)
    except OSError as error:
        return Trouble(str(error))


def _count_signers(path: Path) -> int:
    """Raises: OSError."""
    lines = map(str.strip, path.read_text(errors="replace").splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def _word(record: str | None) -> str | None:
    """A status in a few words, as far as it is one."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        found = json.loads(record or "null")
        return f"{found['status']} of {found['timestamp']}"
    return None


def _text(answer: str | Trouble | None) -> str | None:
    return answer.message if isinstance(answer, Trouble) else answer


def _other_owner(top: Path) -> str | None:
    owner = top.stat().st_uid
    if owner == os.geteuid():
        return None
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user {owner}"


def _state_trouble(state: Path) -> Trouble | None:
    found = ask(lambda: require_local(state))
    if isinstance(found, Trouble):
        return found
    if not os.access(state, os.W_OK | os.X_OK):
        return Trouble(f"{state} cannot be written", f"chmod u+rwx {state}")
    return None


def _unreadable_records(state: Path) -> Iterator[Trouble]:
    questions: list[Callable[[], object]] = [
        *(lambda path=state / f"{name}.json": read_record(path) for name in RECORDS),
        *(lambda path=state / f"{name}.jsonl": read_lines(path) for name in LINES),
    ]
    for question in questions:
        answer = ask(question)
        if isinstance(answer, Trouble):
            yield answer


def _free(places: tuple[Path, ...]) -> Mapping[str, int]:
    """Free bytes, once for each disk."""
    disks: dict[int, Path] = {}
    for place in places:
        disks.setdefault(place.stat().st_dev, place)
    return {str(place): shutil.disk_usage(place).free for place in disks.values()}


def _behind(state: Path) -> float:
    """By how many seconds the newest record lies in the future."""
    times = [path.lstat().st_mtime for path in state.glob("*.json*")]
    return max(0.0, max(times, default=0.0) - time.time())


def _is_there(program: str, folder: Path, surroundings: Surroundings) -> bool:
    if "/" in program:
        return os.access(folder / program, os.X_OK)
    return surroundings.find(program) is not None


def _installer(needs: Needs) -> str | None:
    if needs.kind is Kind.COMMAND and not isinstance(needs.update.install, str):
        return needs.update.install[0]
    return None if needs.kind is Kind.NOBODY else str(needs.kind)


def _lacks_installer(needs: Needs, surroundings: Surroundings) -> bool:
    """Only a command's program may be missing: uv was found, or pip does its work."""
    program = _installer(needs)
    return needs.kind is Kind.COMMAND and not _is_there(program or "", needs.folder, surroundings)
