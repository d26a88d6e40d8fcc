"""Which app is meant, and where it lives on this host."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from newleaf.core.errors import CorruptFile, NewerSchema, SettingsInvalid, SettingsUnreadable, WrongApp
from newleaf.core.place_errors import (
    AppNotHere,
    AppUnknown,
    CheckoutMoved,
    CheckoutUnknown,
    FolderGone,
)
from newleaf.system.known_apps import KnownApp
from newleaf.system.loaded_tree import RELEASE_RECORD
from newleaf.system.place import (
    IDENTITY,
    Place,
    Unnamed,
    current_folder,
    find_place,
    find_slots,
    find_standing,
    in_trial,
    record_identity,
)


@dataclass
class Machine:
    """A home, and checkouts beside it; `noted` are the apps that init has noted."""

    home: Path
    noted: tuple[KnownApp, ...] = ()
    asked: int = 0

    def checkout(self, name: str, app: str | None = None, inner: str = ".") -> Path:
        top = self.home.parent / name
        (top / ".git").mkdir(parents=True)
        (top / inner).mkdir(exist_ok=True)
        if app is not None:
            (top / inner / "newleaf.toml").write_text(f'[app]\nname = "{app}"\n')
        return top

    def state(self, app: str, **identity: object) -> Path:
        folder = self.home / f".{app}"
        folder.mkdir(exist_ok=True)
        if identity:
            (folder / IDENTITY).write_text(json.dumps({"schema": 1, "app": app, **identity}))
        return folder

    def find(self, folder: Path, environ: dict[str, str] | None = None, **selection: object) -> Place:
        def ask() -> list[KnownApp]:
            self.asked += 1
            return list(self.noted)

        chosen = Unnamed(**selection)  # type: ignore[arg-type]
        return find_place(chosen, folder, environ or {}, ask)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return Machine(home)


# --- standing in a checkout --------------------------------------------------------------


def test_in_a_checkout_its_newleaf_toml_names_the_app(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    (top / "src").mkdir()
    state = machine.state("sessions")
    place = machine.find(top / "src")
    assert place == Place(state, top, top, top / "newleaf.toml", state / "host.toml", "sessions")
    assert machine.asked == 0, "the notes are read only when nothing else says"


def test_in_a_folder_of_a_monorepo_the_nearest_newleaf_toml_counts(machine: Machine) -> None:
    top = machine.checkout("mono", "tools")
    (top / "apps").mkdir()
    (top / "apps" / "newleaf.toml").write_text('[app]\nname = "sessions"\n')
    place = machine.find(top / "apps")
    assert (place.name, place.top, place.folder) == ("sessions", top, top / "apps")
    assert machine.find(top).name == "tools"


def test_a_newleaf_toml_above_the_checkout_is_not_its_own(machine: Machine) -> None:
    top = machine.checkout("one")
    (top.parent / "newleaf.toml").write_text('[app]\nname = "stranger"\n')
    standing = find_standing(top)
    assert standing is not None
    assert (standing.top, standing.name) == (top, None)
    assert find_standing(top.parent) is None


def test_a_linked_worktree_is_a_checkout(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    (top / ".git").rmdir()
    (top / ".git").write_text("gitdir: /elsewhere\n")
    assert machine.find(top).top == top


def test_the_environment_s_name_outranks_the_file(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    assert machine.find(top, {"NEWLEAF_APP__NAME": "other"}).state == machine.home / ".other"


def test_a_state_directory_that_is_noted_elsewhere_is_found(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    machine.noted = (KnownApp("sessions", machine.home.parent / "state", top),)
    assert machine.find(top).state == machine.home.parent / "state"
    machine.state("sessions")
    assert machine.find(top).state == machine.home / ".sessions", "the usual place counts when it is there"


# --- a file that names no app ------------------------------------------------------------


def test_without_a_file_the_app_noted_for_this_checkout_is_meant(machine: Machine) -> None:
    one, two = machine.checkout("one"), machine.checkout("two")
    machine.noted = (KnownApp("a", machine.home / "sa", one), KnownApp("b", machine.home / "sb", two))
    assert machine.find(two).state == machine.home / "sb"
    assert machine.find(one).state == machine.home / "sa"


def test_the_only_app_noted_is_meant_from_anywhere(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    state = machine.state("sessions", checkout=str(top))
    machine.noted = (KnownApp("sessions", state, top),)
    place = machine.find(machine.home)
    assert (place.name, place.top, place.state) == ("sessions", top, state)


def test_of_several_apps_none_is_guessed(machine: Machine) -> None:
    machine.noted = (KnownApp("a", machine.home / "sa"), KnownApp("b", machine.home / "sb"))
    with pytest.raises(AppUnknown, match=rf"a \({machine.home}/sa\), b \({machine.home}/sb\)"):
        machine.find(machine.home)


def test_where_nothing_is_noted_it_is_said(machine: Machine) -> None:
    with pytest.raises(AppUnknown, match="noted on this machine: none"):
        machine.find(machine.home)


@pytest.mark.parametrize("name", ["Sessions", "../sessions", "", "a/b", ".ssh", "x\\n"])
def test_a_name_that_is_no_app_s_leads_to_no_folder_and_is_told(machine: Machine, name: str) -> None:
    """A fetched tree must not choose a folder of the host's as its state directory."""
    with pytest.raises(SettingsInvalid, match=r"app\.name"):
        machine.find(machine.checkout("one", name))


@pytest.mark.parametrize("name", ["/../elsewhere", "Sessions", "a/b", "sessions\n"])
def test_a_name_that_is_no_app_s_leads_to_no_folder_whoever_says_it(machine: Machine, name: str) -> None:
    folder = machine.home / f".{name}"
    folder.mkdir(parents=True)
    (folder / "host.toml").write_text("")
    with pytest.raises(AppNotHere):
        machine.find(machine.home, app=name)
    with pytest.raises(AppUnknown):
        machine.find(machine.checkout("one"), {"NEWLEAF_APP__NAME": name})


def test_a_file_that_cannot_be_parsed_is_told_with_its_line(machine: Machine) -> None:
    top = machine.checkout("one")
    (top / "newleaf.toml").write_text("[app]\nname = sessions\n")
    with pytest.raises(SettingsUnreadable, match="line 2"):
        machine.find(top)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x = " + b"[" * 5000, b"app = 5\n", b"[app]\nname = 5\n"])
def test_a_file_of_any_content_names_no_app_and_hinders_no_named_one(
    machine: Machine, content: bytes
) -> None:
    top = machine.checkout("one")
    (top / "newleaf.toml").write_bytes(content)
    assert machine.find(top, state_dir=machine.home / "state").name is None


def test_a_pipe_in_the_file_s_place_holds_nobody(machine: Machine) -> None:
    top = machine.checkout("one")
    os.mkfifo(top / "newleaf.toml")
    done = threading.Thread(target=lambda: find_standing(top), daemon=True)
    done.start()
    done.join(10)
    assert not done.is_alive()


# --- said by the caller ------------------------------------------------------------------


def test_the_state_directory_that_is_named_outranks_all(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    elsewhere, option = machine.home / "by-variable", machine.home / "by-option"
    environ = {"NEWLEAF_STATE_DIR": str(elsewhere)}
    assert machine.find(top, environ).state == elsewhere
    assert machine.find(top, environ, state_dir=option).state == option
    assert machine.find(top, state_dir=Path("~/mine")).state == machine.home / "mine"


def test_an_app_that_is_named_is_found_from_anywhere(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    state = machine.state("sessions", checkout=str(top), folder=".")
    assert machine.find(machine.home, app="sessions").state == state
    assert machine.find(machine.checkout("two", "other"), app="sessions").top == top


@pytest.mark.parametrize("name", ["other", "ssh", "../x", "Sessions"])
def test_an_app_that_is_not_set_up_is_said_and_no_folder_taken_for_it(machine: Machine, name: str) -> None:
    (machine.home / ".ssh").mkdir()
    with pytest.raises(AppNotHere, match=r"noted on this machine: none"):
        machine.find(machine.home, app=name)


def test_a_state_directory_that_its_owner_began_by_hand_counts(machine: Machine) -> None:
    top = machine.checkout("one", "tools")
    (machine.state("sessions") / "host.toml").write_text("")
    assert machine.find(top, app="sessions").state == machine.home / ".sessions"


def test_another_app_file_is_used_and_its_checkout_with_it(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    own = top / "other.toml"
    own.write_text('[app]\nname = "other"\n')
    place = machine.find(machine.home, config=own)
    assert (place.app_file, place.name, place.state, place.top) == (
        own,
        "other",
        machine.home / ".other",
        top,
    )


def test_another_host_file_is_used(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    host_file = machine.home / "etc" / "host.toml"
    place = machine.find(top, config=host_file)
    assert (place.host_file, place.app_file, place.name) == (host_file, top / "newleaf.toml", "sessions")


# --- the checkout that is remembered -----------------------------------------------------


def test_the_remembered_checkout_and_folder_are_used_from_anywhere(machine: Machine) -> None:
    top = machine.checkout("mono", "sessions", inner="app")
    state = machine.state("sessions", checkout=str(top), folder="app")
    place = machine.find(machine.home, state_dir=state)
    assert (place.top, place.folder, place.name) == (top, top / "app", "sessions")


def test_a_second_checkout_of_the_same_app_is_not_deployed_by_standing_in_it(machine: Machine) -> None:
    """A developer's clone on the host stays untouched."""
    one, two = machine.checkout("one", "sessions"), machine.checkout("two", "sessions")
    machine.state("sessions", checkout=str(one))
    with pytest.raises(CheckoutMoved) as caught:
        machine.find(two)
    assert str(one) in caught.value.message
    assert str(machine.home / ".sessions" / IDENTITY) in caught.value.advice
    assert machine.find(two, app="sessions").top == one


def test_the_same_checkout_by_another_way_is_the_same(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    (machine.home / "link").symlink_to(top)
    machine.state("sessions", checkout=str(top))
    assert machine.find(machine.home / "link").top == top


def test_a_remembered_checkout_that_is_gone_gives_way_to_where_one_stands(machine: Machine) -> None:
    top = machine.checkout("new", "sessions")
    machine.state("sessions", checkout=str(machine.home / "gone"))
    assert machine.find(top).top == top
    with pytest.raises(CheckoutUnknown):
        machine.find(machine.home, app="sessions")


def test_a_record_that_cannot_be_read_is_an_error(machine: Machine) -> None:
    top = machine.checkout("one", "sessions")
    (machine.state("sessions") / IDENTITY).write_text("{")
    with pytest.raises(CorruptFile):
        machine.find(top)


def test_a_folder_that_has_gone_under_one_s_feet_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert current_folder() == here
    here.rmdir()
    with pytest.raises(FolderGone):
        current_folder()


# --- the host's app ----------------------------------------------------------------------


@pytest.fixture
def place(machine: Machine) -> Place:
    top = machine.checkout("mono", "sessions", inner="app")
    machine.state("sessions")
    return machine.find(top / "app")


def test_the_first_attempt_records_app_checkout_and_folder(machine: Machine, place: Place) -> None:
    record_identity(place, "sessions")
    assert json.loads((place.state / IDENTITY).read_text()) == {
        "schema": 1,
        "app": "sessions",
        "checkout": str(place.top),
        "folder": "app",
    }
    assert machine.find(machine.home, state_dir=place.state).folder == place.folder


def test_an_unchanged_record_is_not_written_again(place: Place) -> None:
    record_identity(place, "sessions")
    before = (place.state / IDENTITY).stat().st_ino
    record_identity(place, "sessions")
    assert (place.state / IDENTITY).stat().st_ino == before


def test_another_app_is_refused_and_the_record_stays(place: Place) -> None:
    """A host deploys one app for as long as it lives."""
    record_identity(place, "sessions")
    with pytest.raises(WrongApp, match="is a release of other, and this host runs sessions") as caught:
        record_identity(place, "other")
    assert caught.value.exit_code == 5
    assert json.loads((place.state / IDENTITY).read_text())["app"] == "sessions"


def test_fields_that_are_not_known_are_kept_when_the_checkout_has_moved(
    machine: Machine, place: Place
) -> None:
    machine.state("sessions", checkout="/gone", folder="app", note="kept")
    record_identity(place, "sessions")
    record = json.loads((place.state / IDENTITY).read_text())
    assert (record["note"], record["checkout"]) == ("kept", str(place.top))


def test_a_record_of_a_newer_newleaf_is_never_overwritten(place: Place) -> None:
    (place.state / IDENTITY).write_text('{"schema": 2}')
    with pytest.raises(NewerSchema):
        record_identity(place, "sessions")
    assert (place.state / IDENTITY).read_text() == '{"schema": 2}'


def test_a_link_in_the_record_s_place_is_never_written_through(machine: Machine, place: Place) -> None:
    """threats.md T20"""
    other = machine.home / "other"
    other.write_text("kept")
    (place.state / IDENTITY).symlink_to(other)
    try:
        record_identity(place, "sessions")
    except CorruptFile:
        assert (place.state / IDENTITY).is_symlink()
    assert other.read_text() == "kept"


# --- release slots ----------------------------------------------------------------------


def slots(machine: Machine, app: str = "kiosk", inner: str = ".") -> Path:
    """The state directory of an app with slots and one release; returns the release."""
    state = machine.state(app, layout="slots", folder=inner)
    release = state / "releases" / ("a" * 40)
    (release / inner).mkdir(parents=True)
    (release / RELEASE_RECORD).write_text("{}")
    (release / inner / "newleaf.toml").write_text(f'[app]\nname = "{app}"\n')
    (state / "current").symlink_to(f"releases/{'a' * 40}")
    return release


def test_with_slots_the_apps_file_is_the_live_releases_wherever_one_stands(machine: Machine) -> None:
    release = slots(machine)
    state = release.parent.parent
    checkout = machine.checkout("app", "kiosk")
    for folder in (release, state / "current", checkout):
        place = machine.find(folder)
        assert (place.state.resolve(), place.has_slots) == (state, True), folder
        assert place.app_file == place.state / "current" / "newleaf.toml"
        assert place.name == "kiosk"


def test_a_release_says_which_state_directory_is_meant_by_where_it_lies(machine: Machine) -> None:
    release = slots(machine)
    moved = release.parent.parent.rename(machine.home / "elsewhere")
    standing = find_standing(moved / "current")
    assert standing is not None
    assert standing.state == moved
    assert machine.find(moved / "releases" / ("a" * 40)).state == moved


def test_another_app_that_is_named_outranks_the_release_one_stands_in(machine: Machine) -> None:
    release = slots(machine)
    other = machine.checkout("other", "other")
    machine.state("other", checkout=str(other))
    assert machine.find(release, app="other").state == machine.home / ".other"
    assert machine.find(release, state_dir=machine.home / ".other").top == other


def test_an_app_in_a_folder_is_found_in_the_release(machine: Machine) -> None:
    release = slots(machine, inner="services/kiosk")
    state = release.parent.parent
    assert find_slots(state) == (state / "current", state / "current" / "services" / "kiosk")
    assert machine.find(release).folder == state / "current" / "services" / "kiosk"


def test_without_slots_there_are_none(machine: Machine) -> None:
    assert find_slots(machine.home / "nowhere") is None
    assert find_slots(machine.state("kiosk", checkout="/srv/app")) is None


def test_the_identity_of_an_app_with_slots_names_no_checkout(machine: Machine) -> None:
    release = slots(machine)
    place = machine.find(release)
    record_identity(place, "kiosk")
    record = json.loads((place.state / IDENTITY).read_text())
    assert record == {"schema": 1, "app": "kiosk", "layout": "slots", "folder": "."}
    with pytest.raises(WrongApp):
        record_identity(place, "other")


@pytest.mark.parametrize("inner", [".", "services/bot"])
def test_before_any_is_live_the_release_that_is_tried_is_found_by_standing_in_it(
    machine: Machine, inner: str
) -> None:
    release = slots(machine, inner=inner)
    state = release.parent.parent
    (state / "current").unlink()
    folder = release / inner
    place = machine.find(folder)
    tried = in_trial(place, folder)
    assert (tried.state, tried.top, tried.folder) == (place.state, release, folder)
    assert (tried.app_file, tried.name, tried.has_slots) == (folder / "newleaf.toml", "kiosk", True)
    assert in_trial(place, machine.home) == place, "standing elsewhere"


def test_once_one_is_live_a_release_that_is_tried_finds_that(machine: Machine) -> None:
    release = slots(machine)
    place = machine.find(release)
    assert in_trial(place, release) == place


def test_a_release_of_another_app_is_not_taken_for_the_one_that_is_tried(machine: Machine) -> None:
    release, other = slots(machine), slots(machine, "other")
    (release.parent.parent / "current").unlink()
    place = machine.find(machine.home, app="kiosk")
    assert in_trial(place, other) == place
