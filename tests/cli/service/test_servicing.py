"""What a service is made from, and where it goes. How it is carried out: test_service."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from newleaf import compose
from newleaf.cli.service import servicing
from newleaf.core.errors import StateDirectoryUnsafe
from newleaf.core.place_errors import AppNotHere
from newleaf.core.services.service_errors import ServiceFolderUnwritable
from newleaf.core.services.subject import Wish
from newleaf.system import services
from newleaf.system.launchctl import Launchd
from newleaf.system.place import Unnamed
from newleaf.system.systemctl import Systemd
from tests.support.deployment import Deployment
from tests.support.permissions import binding_permissions
from tests.support.terminal import Terminal


def test_subject_is_the_app_of_this_host_and_its_states_owner(terminal: Terminal, host: Deployment) -> None:
    made = servicing.subject_of(compose.host(Unnamed(state_dir=host.state)), os.environ)
    owner = pwd.getpwuid(os.geteuid())
    assert (made.app, made.state, made.folder) == ("sessions", host.state, host.app)
    assert (made.user, str(made.home)) == (owner.pw_name, owner.pw_dir)
    assert made.newleaf == services.own_newleaf()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks at another user's app")
def test_root_sets_up_what_another_user_owns_and_it_runs_as_that_user(
    terminal: Terminal, host: Deployment
) -> None:
    """threats.md T21: root alone, and only for services of the machine."""
    host.state.mkdir(mode=0o700)
    os.chown(host.state, 65_534, 65_534)
    app = Unnamed(state_dir=host.state)
    made = servicing.subject_of(compose.host(app, of_owner=True), os.environ)
    assert made.user == pwd.getpwuid(65_534).pw_name
    host.state.chmod(0o777)
    with pytest.raises(StateDirectoryUnsafe):
        compose.host(app, of_owner=True)


def test_place_is_the_managers_own() -> None:
    systemd = servicing.find_place(Wish("systemd", is_system=True), os.environ)
    assert isinstance(systemd.manager, Systemd)
    assert systemd.folder == Path("/etc/systemd/system")
    launchd = servicing.find_place(Wish("launchd", is_system=True), os.environ)
    assert isinstance(launchd.manager, Launchd)
    assert launchd.manager.folder == launchd.folder == Path("/Library/LaunchDaemons")


def test_folder_of_the_machine_that_is_not_ours_says_what_to_do(
    terminal: Terminal, host: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir(mode=0o500)
    monkeypatch.setitem(services.SYSTEM_FOLDERS, "systemd", tmp_path / "etc" / "system")
    subject = servicing.subject_of(compose.host(Unnamed(state_dir=host.state)), os.environ)
    place = servicing.find_place(Wish("systemd", is_system=True), {"PATH": ""})
    planned = servicing.Planned(place.folder / "newleaf-sessions.service", "write", b"", is_new=True)
    with binding_permissions(), pytest.raises(ServiceFolderUnwritable):
        servicing.install(subject, (), (planned,), place)


def test_name_is_an_apps() -> None:
    assert servicing.app_named("sessions") == "sessions"
    with pytest.raises(AppNotHere):
        servicing.app_named("../sessions")
