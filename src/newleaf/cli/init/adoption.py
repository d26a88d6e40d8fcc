"""Adopting a repository: looks, plans every file before the first is written, then writes them.

Rules: what is there is kept, and where it differs from what would be written that is said; nothing is
committed and nothing of git's is changed; the settings are checked as a whole before anything is
written, so that `init` leaves a host on which every verb works, or as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.adoption.adoption_errors import SettingKept, SlotsMeant, StateDirectoryTaken
from newleaf.core.adoption.findings import CheckoutFacts, Findings
from newleaf.core.adoption.obstacles import Note
from newleaf.core.adoption.proposal import Proposal, choose_name, propose
from newleaf.core.adoption.start_choice import choose_project
from newleaf.core.adoption.wish import Entry, Wish
from newleaf.core.errors import StateDirectoryUnwritable
from newleaf.core.secrets import mask_text
from newleaf.core.settings.fragments import (
    APP_FILE,
    HOST_FILE,
    Fragment,
    Sources,
    load,
    raise_problems,
    read_toml,
)
from newleaf.core.settings.model import KEYS, Settings
from newleaf.core.settings.soundness import require_sound
from newleaf.core.settings.toml import format_file, format_value
from newleaf.system import files
from newleaf.system.commands import Runner
from newleaf.system.configuration import read_file, write_app_file, write_host_file
from newleaf.system.git.checkout import count_unpushed, read_checkout
from newleaf.system.known_apps import KnownApp, known_apps, note_app, sharing_checkout
from newleaf.system.mounts import require_local
from newleaf.system.place import IDENTITY, SLOTS, STATE_VARIABLE, find_slots
from newleaf.system.repository import look

APP_HEADER = ("What this app knows of itself, for newleaf. It is part of the repository: commit it.",)
HOST_HEADER = ("What this host decides for itself. It stays on this machine.",)


class Request(Struct, frozen=True):
    """What was asked for, and where."""

    folder: Path
    environ: Mapping[str, str]
    notes: Path
    """Where the apps of this machine are noted."""
    channel: str | None = None
    app: str | None = None
    state_dir: Path | None = None


class Seen(Struct, frozen=True):
    """What lies here, and what `init` makes of it; each file with what it says, None when it is not there."""

    known: KnownApp
    findings: Findings
    checkout: CheckoutFacts
    app_file: tuple[Path, Fragment]
    host_file: tuple[Path, Fragment | None]
    proposal: Proposal

    @property
    def folder(self) -> str:
        """The folder of newleaf.toml in the checkout."""
        return self.app_file[0].parent.relative_to(self.checkout.top).as_posix()


class PlannedFile(Struct, frozen=True):
    """A settings file: what to write, or, where there is one, how it differs from that."""

    path: Path
    text: str | None
    differences: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    """Everything that would be written and said."""

    app: KnownApp
    folder: str
    """The folder of newleaf.toml in the checkout."""
    proposal: Proposal
    app_file: PlannedFile
    host_file: PlannedFile
    notes: Path
    identity: Mapping[str, str | None]
    """What the state directory is to remember besides app and folder; None for what it is to forget."""

    @property
    def planned(self) -> tuple[PlannedFile, ...]:
        """The files to speak of. With slots the app's own is the repository's alone."""
        both = (self.app_file, self.host_file)
        return both if self.app.checkout else (self.host_file,)


def make_plan(request: Request, runner: Runner) -> Plan:
    """Looks at the repository and this machine; changes nothing.

    Raises: UsageError and its kin when this is no checkout, or what is there stands against it.
    """
    seen = look_around(request, runner)
    _check_in_place(seen)
    app_path = seen.app_file[0]
    plan = Plan(
        app=seen.known,
        folder=seen.folder,
        proposal=seen.proposal,
        app_file=planned(app_path, seen.app_file[1], seen.proposal.app_entries, APP_HEADER),
        host_file=planned(*seen.host_file, seen.proposal.host_entries, HOST_HEADER),
        notes=request.notes,
        identity={"checkout": seen.checkout.top},
    )
    check_result(plan, seen)
    return plan


def look_around(request: Request, runner: Runner, *, slots: bool = False) -> Seen:
    """Everything that a plan is made of; with `slots`, for releases with folders of their own.

    Raises: UsageError and its kin.
    """
    checkout = read_checkout(request.folder, runner, request.environ)
    top = Path(checkout.top)
    findings = look(top, checkout.tracked or None)
    place = request.folder.resolve().relative_to(top.resolve()).as_posix()
    app_path, said = _app_file(top, place, findings)
    wish = Wish(request.channel, request.app, place, app_settings=values_of(said), slots=slots)
    name = choose_name(findings, checkout, wish)
    state = _state_directory(request, name)
    known = KnownApp(name, state, top)
    host_path = state / HOST_FILE
    host_said = _sound_fragment(host_path, tracked=False)
    _check_asked(request, (app_path, said), (host_path, host_said))
    checkout = replace(checkout, unpushed=count_unpushed(checkout, state / "git", runner, request.environ))
    sharing = sharing_checkout(known_apps(request.notes), top, state)
    wish = replace(wish, sharing=tuple(app.name for app in sharing), host_settings=values_of(host_said))
    proposal = propose(findings, checkout, wish)
    check_state(known)
    return Seen(known, findings, checkout, (app_path, said), (host_path, host_said), proposal)


def carry_out(plan: Plan) -> tuple[list[Path], list[Note]]:
    """Writes what was planned; returns what was written, and what could not be noted.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable, DiskFull, NewerSchema.
    """
    state, written = plan.app.state_dir, []
    files.prepare_state_directory(state)
    require_local(state)
    for planned, write in ((plan.app_file, write_app_file), (plan.host_file, write_host_file)):
        if planned.text is not None:
            write(planned.path, planned.text)
            written.append(planned.path)
    _record_identity(plan)
    try:
        note_app(plan.app, plan.notes)
    except StateDirectoryUnwritable as error:
        text = f"this app could not be noted in {plan.notes}: {error.facts['reason']}"
        return written, [
            Note("attention", text, "stand in its checkout, or give --app, when you call a verb")
        ]
    return written, []


def next_steps(plan: Plan) -> tuple[str, ...]:
    """What to do now."""
    steps = []
    if plan.app_file.text is not None:
        name = plan.app_file.path.name if plan.folder == "." else f"{plan.folder}/{plan.app_file.path.name}"
        commit = f"git add {name} && git commit -m 'Say how newleaf deploys this' && git push"
        steps.append(f"{commit}: then every host has it")
    steps.append("newleaf doctor: is everything there that an update needs?")
    steps.append("newleaf check, then newleaf update: the first attempt, by hand")
    return tuple(steps)


# --- what is there ----------------------------------------------------------------------


def _app_file(top: Path, place: str, findings: Findings) -> tuple[Path, Fragment]:
    """The nearest file that speaks of the app in `place`, else where it would be, and what it says."""
    for folder in (place, *(parent.as_posix() for parent in Path(place).parents)):
        path = top / folder / APP_FILE
        said = _sound_fragment(path, tracked=True)
        if said is not None:
            path_said = said.inputs["app.path"].value if "app.path" in said.inputs else folder
            project, _ = choose_project(findings, place)
            if project.path in (".", path_said) or folder != ".":
                return path, said
            return top / project.path / APP_FILE, Fragment()
    return top / APP_FILE, Fragment()


def _sound_fragment(path: Path, *, tracked: bool) -> Fragment | None:
    """What a settings file says, None when there is none.

    Raises: SettingsInvalid, SettingsUnreadable, SettingsFileUnreadable.
    """
    if not path.is_file():
        return None
    fragment = read_file(path, tracked=tracked)
    if fragment.problems:
        raise_problems(fragment.problems)
    return fragment


def values_of(said: Fragment | None) -> dict[str, Any]:
    """The settings that a file says, by key; none where there is no file."""
    return {key: entry.value for key, entry in said.inputs.items()} if said else {}


def _state_directory(request: Request, name: str) -> Path:
    given = request.state_dir or request.environ.get(STATE_VARIABLE)
    home = Path(request.environ.get("HOME") or Path.home())
    return Path(given).expanduser().absolute() if given else home / f".{name}"


def _check_asked(
    request: Request, app_file: tuple[Path, Fragment], host_file: tuple[Path, Fragment | None]
) -> None:
    """What was asked for by name must not be at odds with a file that is kept."""
    asked = (
        ("app.name", "--app", request.app, app_file),
        ("deployment.channel", "--channel", request.channel, host_file),
    )
    for key, option, wanted, (path, said) in asked:
        kept = said.inputs.get(key) if said else None
        if wanted and kept and kept.value != wanted:
            raise SettingKept(path=path, key=key, kept=kept.value, option=option, asked=wanted)


def check_state(app: KnownApp) -> None:
    """A state directory is one app's, in one checkout.

    Raises: StateDirectoryTaken, CorruptFile, NewerSchema.
    """
    record = files.read_record(app.state_dir / IDENTITY) or {}
    name, checkout = record.get("app", app.name), record.get("checkout")
    if name != app.name:
        raise StateDirectoryTaken(path=app.state_dir, owner=f"the app {name}")
    other = Path(checkout) if isinstance(checkout, str) else app.checkout
    if other and app.checkout and other.resolve() != app.checkout.resolve() and (other / ".git").exists():
        raise StateDirectoryTaken(path=app.state_dir, owner=f"the checkout {other}")


def _check_in_place(seen: Seen) -> None:
    """A checkout is not made a deployment beside release slots.

    Raises: SlotsMeant, CorruptFile, NewerSchema.
    """
    host_path, said = seen.host_file
    layout = said.inputs.get("app.layout") if said else None
    if layout and layout.value == SLOTS:
        raise SlotsMeant(path=host_path)
    if find_slots(seen.known.state_dir):
        raise SlotsMeant(path=seen.known.state_dir / IDENTITY)


# --- what is to be written --------------------------------------------------------------


def planned(
    path: Path, said: Fragment | None, entries: tuple[Entry, ...], header: tuple[str, ...]
) -> PlannedFile:
    """A file that is to be written, or, where there is one, how it differs."""
    if said is None or not path.is_file():
        return PlannedFile(path, format_file(entries, header))
    return PlannedFile(path, None, tuple(_differences(said, entries)))


def _differences(said: Fragment, entries: tuple[Entry, ...]) -> Iterator[str]:
    """Where a kept file, with the defaults behind it, says something else than would be written."""
    for entry in entries:
        if entry.suggested:
            continue
        setting = KEYS[entry.key]
        proposed = setting.kind.read(entry.value)
        there = said.inputs[entry.key].value if entry.key in said.inputs else setting.default
        if there != proposed:
            now = mask_text(format_value(there)) if entry.key in said.inputs else "nothing"
            yield f"{entry.key}: it says {now}, init would say {mask_text(format_value(proposed))}"


def check_result(plan: Plan, seen: Seen) -> Settings:
    """Both files together must be settings that hold; returns them.

    Raises: SettingsInvalid.
    """
    app_said, host_said = seen.app_file[1], seen.host_file[1]
    app_text, host_text = plan.app_file.text, plan.host_file.text
    sources = Sources(
        app=app_said if app_text is None else read_toml(app_text.encode(), APP_FILE, tracked=True),
        host=(host_said or Fragment()) if host_text is None else read_toml(host_text.encode(), HOST_FILE),
    )
    loaded = load(sources)
    require_sound(loaded)
    return loaded.settings


def _record_identity(plan: Plan) -> None:
    path = plan.app.state_dir / IDENTITY
    record = files.read_record(path) or {}
    own = {**record, "app": plan.app.name, "folder": plan.folder, **plan.identity}
    wanted = {key: value for key, value in own.items() if value is not None}
    if wanted != record:
        files.write_record(path, wanted)
