"""Adopting a repository into release slots, from a url or from a checkout: plan, files, first release.

Rules as for `cli.adoption`; of the checkout nothing is changed: what git does not track there is copied to
where all releases share it, databases through SQLite, and stays where it is. From a url a copy is cloned to
look at, with the person's own git, and removed again; releases come through newleaf's own.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from newleaf.cli.init.adoption import (
    HOST_HEADER,
    Plan,
    PlannedFile,
    Request,
    Seen,
    check_result,
    look_around,
    planned,
    values_of,
)
from newleaf.cli.init.adoption import carry_out as carry_out_plan
from newleaf.core.adoption.adoption_errors import (
    AppUndescribed,
    AttemptUnended,
    HeadUnpushed,
    RemoteMissing,
    SettingKept,
    SharedUnsaid,
    StateDirectoryTaken,
)
from newleaf.core.adoption.obstacles import Note, choose_remote
from newleaf.core.adoption.slot_proposal import (
    choose_shared,
    is_made_anew,
    is_sayable,
    join_shared,
    outermost,
    said_entries,
    slot_entries,
    uncovered,
)
from newleaf.core.adoption.wish import Entry
from newleaf.core.errors import CommandFailed, NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.git_errors import RemoteUnreachable
from newleaf.core.releases.names import require_remote, shown
from newleaf.core.settings.fragments import APP_FILE, HOST_FILE, Fragment, Sources
from newleaf.core.settings.toml import format_value
from newleaf.system import copies, databases, files
from newleaf.system.commands import Command, Runner
from newleaf.system.configuration import read_sources
from newleaf.system.git.checkout import list_untracked
from newleaf.system.place import CURRENT, IDENTITY, SLOTS, Place
from newleaf.update.journal import JOURNAL_FILE, Journal
from newleaf.update.slots.shared_paths import shared_by

if TYPE_CHECKING:
    from newleaf.compose.host import Host, Watch

CLONE_SECONDS = 600.0


class SlotsPlan(Struct, frozen=True):
    """A plan, and what the first release is made of."""

    plan: Plan
    app: Fragment
    """What the repository's newleaf.toml says; it governs until the first release brings its own."""
    first: CommitId | None
    """The commit that the checkout is at; None from a url, where the channel says it."""
    checkout: Path | None
    """The app's folder in the checkout, from which `shared` is copied."""
    shared: tuple[str, ...]


def absolute(url: str, folder: Path) -> str:
    """The address; a path that leads from `folder` to something, as it is written from anywhere."""
    is_path = "\0" not in url and (folder / url).exists()
    return os.path.abspath(folder / url) if is_path else url


@contextlib.contextmanager
def cloned(url: str, request: Request, runner: Runner) -> Iterator[Request]:
    """The request, standing in a copy of the repository that is gone afterwards.

    Raises: RemoteInvalid, RemoteUnreachable, ProgramMissing, CommandTimedOut.
    """
    require_remote(url)
    name = url.rstrip("/").removesuffix(".git").replace(":", "/").rpartition("/")[2] or "app"
    with tempfile.TemporaryDirectory(prefix="newleaf-") as folder:
        top = Path(folder) / name
        environment = {**request.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        options = "--quiet --filter=blob:none --no-recurse-submodules --end-of-options".split()
        argv = ["git", "clone", *options, url, str(top)]
        try:
            runner.check(Command(argv, "git clone", Path(folder), environment, CLONE_SECONDS))
        except CommandFailed as error:
            raise RemoteUnreachable(url=shown(url), reason=error.facts["output"]) from error
        yield replace(request, folder=top)


def make_slots_plan(request: Request, runner: Runner, url: str | None = None) -> SlotsPlan:
    """Looks at the repository and this machine; changes nothing. `url` is None where a checkout is adopted.

    Raises: UsageError and its kin.
    """
    with _naming(request.folder, url):
        seen = look_around(request, runner, slots=True)
    checkout, top = seen.checkout, Path(seen.checkout.top)
    remote = choose_remote(checkout)
    if remote is None:
        raise RemoteMissing(top=top)
    if url is None and checkout.unpushed:
        raise HeadUnpushed(count=checkout.unpushed, top=top)
    _check_free(seen, apart=url is not None)
    untracked = list_untracked(top, runner, request.environ) if url is None else ()
    found = choose_shared((path for path in untracked if not _is_residue(top, path)), seen.folder)
    said = seen.app_file[1] if _is_tracked(seen) else Fragment()
    shared = join_shared(filter(is_sayable, found), values_of(seen.app_file[1]).get("app.shared", ()))
    entries = slot_entries(url or remote[1], _unsaid(seen), seen.proposal.host_entries, shared)
    plan = Plan(
        app=replace(seen.known, checkout=None),
        folder=seen.folder,
        proposal=replace(seen.proposal, host_entries=entries),
        app_file=PlannedFile(seen.app_file[0], None),
        host_file=planned(*seen.host_file, entries, HOST_HEADER),
        notes=request.notes,
        identity={"layout": SLOTS, "origin": url or remote[1], "checkout": None},
    )
    _check_described(seen)
    settings = check_result(plan, replace(seen, app_file=(seen.app_file[0], said)))
    linked = shared_by(settings.app.shared, settings.update.state_paths)
    missed = uncovered(found, linked)
    if url is None:
        _check_shared(seen, tuple(filter(is_sayable, missed)))
    outside = (*seen.findings.secrets, *seen.findings.data)
    notes = (*seen.proposal.notes, *_sharing(outside, linked, missed))
    if url is None:
        notes = (*notes, *_edits(checkout.changed), *_missed(missed))
    plan = replace(plan, proposal=replace(plan.proposal, notes=notes))
    if url is not None:
        return SlotsPlan(plan, said, None, None, ())
    head = CommitId(checkout.head) if checkout.head else None
    return SlotsPlan(plan, said, head, top / seen.folder, outermost(linked))


def carry_out(slots: SlotsPlan, watch: Watch) -> tuple[list[Path], list[Note]]:
    """Writes what was planned, copies what is shared, makes the first release.

    A host in place whose first release fails stays in place.
    Raises: what writing the files gives reason to, and what making a release does.
    """
    from newleaf.compose.first_release import make_first_release

    state = slots.plan.app.state_dir
    before = files.read_record(state / IDENTITY)
    written, notes = carry_out_plan(slots.plan)
    try:
        if slots.checkout:
            notes += _copy_shared(slots.checkout, state / "shared", slots.shared)
        wanted = Release(slots.first) if slots.first else None
        release, is_new = make_first_release(_host_of(slots, watch), wanted)
    except NewleafError:
        if before and before.get("layout") != SLOTS:
            for path in written:
                files.remove(path)
            files.write_record(state / IDENTITY, before)
        raise
    verb = "is live" if is_new else "was live already"
    return written, [Note("chosen", f"{release.name} {verb} in {state / CURRENT}"), *notes]


def question(slots: SlotsPlan) -> str:
    """What to ask before it is carried out; empty when a release is live already."""
    if (slots.plan.app.state_dir / CURRENT).exists():
        return ""
    writes = slots.plan.host_file.text is not None
    return "Write this, and make the first release?" if writes else "Make the first release?"


def next_steps(slots: SlotsPlan) -> tuple[str, ...]:
    """What to do now."""
    app = slots.plan.app
    current, is_usual = app.state_dir / CURRENT, app.state_dir.name == f".{app.name}"
    which = f"--app {app.name}" if is_usual else f"--state-dir {shlex.quote(str(app.state_dir))}"
    return (
        f"let what keeps the daemon up start it in {current} (systemd: WorkingDirectory={current})",
        f"newleaf doctor {which}: is everything there that an update needs?",
        f"newleaf update {which}: the first attempt, by hand",
    )


# --- what is there ----------------------------------------------------------------------


@contextlib.contextmanager
def _naming(folder: Path, url: str | None) -> Iterator[None]:
    """What a copy of the repository says is said of its url: nobody can change the copy."""
    try:
        yield
    except SettingKept as error:
        if url is None or not Path(str(error.facts["path"])).is_relative_to(folder):
            raise
        raise SettingKept(**{**error.facts, "path": f"newleaf.toml of {shown(url)}"}) from error


def _check_free(seen: Seen, *, apart: bool) -> None:
    """A state directory in which a checkout is deployed is given slots from there, and by its settings.

    Raises: StateDirectoryTaken, SettingKept, AttemptUnended.
    """
    record = files.read_record(seen.known.state_dir / IDENTITY) or {}
    other = record.get("checkout")
    if apart and isinstance(other, str) and (Path(other) / ".git").exists():
        raise StateDirectoryTaken(path=seen.known.state_dir, owner=f"the checkout {other}")
    path, said = seen.host_file
    kept = said.inputs.get("app.layout") if said else None
    if kept and kept.value not in ("auto", SLOTS):
        raise SettingKept(path=path, key="app.layout", kept=kept.value, option="--slots", asked=SLOTS)

    journal = seen.known.state_dir / JOURNAL_FILE
    attempt = Journal(journal, lambda: datetime.now(UTC)).open_attempt if journal.exists() else None
    if attempt and record.get("layout") != SLOTS:
        raise AttemptUnended(attempt=attempt.id, state=seen.known.state_dir)


def _check_described(seen: Seen) -> None:
    """No release brings a newleaf.toml that git does not track, so the host must say what it says.

    Raises: AppUndescribed.
    """
    path, said = seen.host_file
    if said is None or _is_tracked(seen) or (seen.known.state_dir / CURRENT).exists():
        return
    unsaid = {"app.name", *values_of(seen.app_file[1])} - {"app.shared", *values_of(said)}
    if unsaid:
        raise AppUndescribed(path=path, keys=", ".join(sorted(unsaid)))


def _check_shared(seen: Seen, missed: tuple[str, ...]) -> None:
    """A file that is kept must not leave the first release without what lies in the checkout.

    Raises: SharedUnsaid.
    """
    path, said = seen.host_file
    is_said = "app.shared" in {*values_of(said), *values_of(seen.app_file[1])}
    if missed and not is_said and not (seen.known.state_dir / CURRENT).exists():
        raise SharedUnsaid(path=path, paths=", ".join(missed), toml=format_value(list(missed)))


def _is_residue(top: Path, path: str) -> bool:
    """Whether a folder holds only what is made anew, like the byte code of a package that git removed."""
    held = [
        os.path.relpath(os.path.join(folder, name), top)
        for folder, _, names in os.walk(top / path)
        for name in names
    ]
    return bool(held) and all(map(is_made_anew, held))


def _is_tracked(seen: Seen) -> bool:
    """Whether newleaf.toml is part of the repository, so that releases bring it."""
    path = seen.app_file[0].relative_to(seen.checkout.top).as_posix()
    return path in seen.checkout.tracked


def _unsaid(seen: Seen) -> Iterable[Entry]:
    """What the host must say of the app, because the repository does not."""
    if _is_tracked(seen):
        return ()
    said = {key: entry.value for key, entry in seen.app_file[1].inputs.items()}
    proposed = (entry for entry in seen.proposal.app_entries if entry.key not in said)
    return (*said_entries(said), *proposed)


def _sharing(outside: tuple[str, ...], linked: tuple[str, ...], told: tuple[str, ...]) -> Iterator[Note]:
    """What becomes of secrets and data that git does not keep; `told` is spoken of elsewhere."""
    missed = uncovered(outside, (*linked, *told))
    shared = tuple(path for path in outside if not uncovered((path,), linked))
    if shared:
        yield Note("found", f"outside git: {', '.join(shared)}: all releases share it")
    if missed:
        yield Note(
            "attention",
            f"outside git: {', '.join(missed)}: no release shares it, what one writes there stays in it",
            f"where the app writes there: app.shared = {format_value(list(missed))}",
        )


def _edits(changed: tuple[str, ...]) -> Iterator[Note]:
    if changed:
        yield Note(
            "attention",
            f"local edits are part of no release: {_some(changed)}",
            "commit and push them, or keep such files untracked: those are shared",
        )


def _missed(paths: tuple[str, ...]) -> Iterator[Note]:
    unnamed = tuple(filter(is_sayable, paths))
    if unnamed:
        text = (
            f"in no release, because git does not track it and app.shared does not name it: {_some(unnamed)}"
        )
        yield Note("attention", text, "name what the app needs in app.shared")
    unsayable = tuple(repr(path) for path in paths if not is_sayable(path))
    if unsayable:
        text = f"in no release, because no setting can name it: {_some(unsayable)}"
        yield Note("attention", text, "rename what the app needs, and look again")


def _some(paths: tuple[str, ...]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


# --- what is made -----------------------------------------------------------------------


def _copy_shared(checkout: Path, shared: Path, paths: tuple[str, ...]) -> list[Note]:
    """Copies what is not shared yet; a database as SQLite has it, its side files with it."""
    copied = []
    with files.explained():
        shared.mkdir(mode=files.PRIVATE_FOLDER, exist_ok=True)
        for path in paths:
            source, target = checkout / path, shared / path
            if not source.exists() or target.exists() or databases.is_side_file(source):
                continue
            target.parent.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
            copies.copy_whole(source, target, _copy)
            copied.append(path)
    if not copied:
        return []
    stop = f"stop the daemon in {checkout}: what it has written since this copy, and writes, stays there"
    return [Note("chosen", f"copied to {shared}: {', '.join(copied)}"), Note("next", stop)]


def _copy(source: Path, target: Path) -> None:
    if databases.is_side_file(source):
        return
    if databases.is_database(source):
        databases.copy_out(source, target)
        copies.keep_metadata(source, target)
    else:
        copies.copy_file(source, target)


def _host_of(slots: SlotsPlan, watch: Watch) -> Host:
    """The host as it is before anything is live."""
    from newleaf.compose import Host, lay_slots

    plan = slots.plan
    top = plan.app.state_dir / CURRENT
    folder = top if plan.folder == "." else top / plan.folder
    host_file = plan.app.state_dir / HOST_FILE
    place = Place(plan.app.state_dir, top, folder, folder / APP_FILE, host_file, plan.app.name, True)
    return Host(place, _sources(slots.app, host_file), lay_slots, watch)


def _sources(app: Fragment, host_file: Path) -> Sources:
    found = read_sources(None, host_file, os.environ)
    return Sources(app=app, host=found.host, environment=found.environment)
