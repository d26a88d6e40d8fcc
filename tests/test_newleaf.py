"""`import newleaf`: what daemons get by its name, and what that costs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import newleaf
from newleaf.agent.jobs import busy
from newleaf.compose import ready
from newleaf.core.settings.fragments import GivenSettings
from newleaf.integrations.missions import MissionConsumer, MissionResult


def loaded_by(program: str) -> set[str]:
    """The modules of newleaf that a fresh interpreter has loaded after `program`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return {name for name in done.stdout.split() if name.partition(".")[0] == "newleaf"}


def test_what_a_daemon_uses_is_there_by_its_name() -> None:
    assert newleaf.ready is ready
    assert newleaf.busy is busy
    assert newleaf.Settings is GivenSettings
    assert (newleaf.MissionConsumer, newleaf.MissionResult) == (MissionConsumer, MissionResult)


def test_every_public_name_can_be_loaded() -> None:
    assert newleaf.__all__ == sorted(newleaf.__all__)
    for name in newleaf.__all__:
        assert getattr(newleaf, name) is not None


def test_a_name_once_asked_for_is_kept() -> None:
    first = newleaf.busy
    assert vars(newleaf)["busy"] is first


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match=r"module 'newleaf' has no attribute 'readyy'"):
        newleaf.readyy  # noqa: B018 - the look-up is what is tried


def test_the_import_alone_loads_no_other_module_of_newleaf() -> None:
    assert loaded_by("import newleaf") == {"newleaf"}


def test_a_name_loads_what_it_needs_and_not_its_neighbours() -> None:
    for_settings = loaded_by("import newleaf; newleaf.Settings")
    assert "newleaf.core.settings.fragments" in for_settings
    assert not any(name.startswith(("newleaf.agent", "newleaf.compose")) for name in for_settings)
    assert "newleaf.compose" not in loaded_by("import newleaf; newleaf.busy")


def test_what_a_server_needs_to_start_loads_next_to_nothing() -> None:
    assert loaded_by("import newleaf; newleaf.listen_fds, newleaf.wait_go, newleaf.notify") == {
        "newleaf",
        "newleaf.core",
        "newleaf.core.errors",
        "newleaf.core.launch",
        "newleaf.core.launch.go_errors",
        "newleaf.core.launch.notify_fields",
        "newleaf.system",
        "newleaf.system.go",
        "newleaf.system.inherited_sockets",
        "newleaf.system.notify_socket",
    }
