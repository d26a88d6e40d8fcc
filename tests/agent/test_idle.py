"""Idle is what all sources say together; whoever fails to answer says busy (lessons.md L26)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from newleaf.agent import idle
from newleaf.agent.idle import IdleSources, ask_idle
from newleaf.agent.jobs import busy
from newleaf.core.gates import Idle
from newleaf.core.settings.sections import Gates
from newleaf.system.busy_lock import quiet
from newleaf.system.commands import Runner
from newleaf.system.http import HttpClient
from tests.support.http_server import Answer, serving

IDLE = Idle(is_idle=True)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def ask(state: Path, *, is_quiet: bool = False, **settings: object) -> Idle:
    gates = Gates(**settings)  # type: ignore[arg-type]
    env = {"PATH": os.environ["PATH"], "WHO": "the app"}
    sources = IdleSources(state, gates, state.parent, env, Runner(secrets=("canary",)), HttpClient())
    return ask_idle(sources, is_quiet=is_quiet)


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def test_app_is_idle_when_nothing_says_otherwise(state: Path) -> None:
    assert ask(state) == IDLE


# --- busy.lock --------------------------------------------------------------------------


def test_job_makes_it_busy_and_is_named(state: Path) -> None:
    """lessons.md L6, L26"""
    with busy("job 17", state_dir=state):
        found = ask(state)
    assert not found.is_idle
    assert f"(pid {os.getpid()})" in found.reasons[0]
    assert found.reasons[0].endswith("(job 17)")
    assert ask(state) == IDLE


def test_what_keeps_the_jobs_out_is_no_job_itself(state: Path) -> None:
    with quiet(state):
        assert not ask(state).is_idle
        assert ask(state, is_quiet=True) == IDLE


def test_lock_that_cannot_be_asked_counts_as_busy(state: Path, tmp_path: Path) -> None:
    """lessons.md L26, threats.md T20"""
    (state / "busy.lock").symlink_to(tmp_path / "elsewhere")
    found = ask(state)
    assert not found.is_idle
    assert "symlink" in found.reasons[0]


# --- the command ------------------------------------------------------------------------


def test_command_that_says_idle(state: Path) -> None:
    assert ask(state, idle_command=shell("exit 0")) == IDLE


def test_command_that_says_busy(state: Path) -> None:
    found = ask(state, idle_command=shell("echo two conversations; exit 75"))
    assert found == Idle(is_idle=False, reasons=("gates.idle_command says busy: two conversations",))


def test_command_that_fails_counts_as_busy_with_its_error(state: Path) -> None:
    """lessons.md L26"""
    found = ask(state, idle_command=shell("echo no database >&2; exit 1"))
    assert found == Idle(is_idle=False, reasons=("gates.idle_command failed (exit 1): no database",))


def test_command_that_is_missing_counts_as_busy(state: Path) -> None:
    """lessons.md L26"""
    found = ask(state, idle_command=("no-such-program",))
    assert not found.is_idle
    assert "no-such-program" in found.reasons[0]


def test_command_that_a_signal_ends_counts_as_busy(state: Path) -> None:
    """lessons.md L26"""
    assert not ask(state, idle_command=shell("kill -KILL $$")).is_idle


def test_command_that_never_ends_counts_as_busy(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lessons.md L26, L22"""
    monkeypatch.setattr(idle, "COMMAND_SECONDS", 0.1)
    found = ask(state, idle_command=shell("sleep 60"))
    assert not found.is_idle
    assert "0.1 s" in found.reasons[0]


def test_command_runs_in_the_release_with_its_environment(state: Path) -> None:
    script = f'test "$PWD" = "{state.parent}" && test "$WHO" = "the app"'
    assert ask(state, idle_command=shell(script)) == IDLE


def test_words_of_the_command_are_kept_short_and_without_secrets(state: Path) -> None:
    """threats.md T29"""
    found = ask(state, idle_command=shell("echo canary; printf 'canary %0500d' 1; exit 75"))
    assert "canary" not in found.reasons[0]
    assert len(found.reasons[0]) < 300


# --- the address ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, IDLE),
        (503, Idle(is_idle=False, reasons=("gates.idle_url says busy",))),
        (204, Idle(is_idle=False, reasons=("gates.idle_url answered 204",))),
        (302, Idle(is_idle=False, reasons=("gates.idle_url answered 302",))),
        (404, Idle(is_idle=False, reasons=("gates.idle_url answered 404",))),
        (500, Idle(is_idle=False, reasons=("gates.idle_url answered 500",))),
    ],
)
def test_address_says_idle_with_200_alone(state: Path, status: int, expected: Idle) -> None:
    """lessons.md L26"""
    with serving(lambda _: Answer(status, {"Location": "/idle"})) as server:
        assert ask(state, idle_url=f"{server.url}/idle") == expected


def test_address_that_does_not_answer_counts_as_busy(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lessons.md L26"""
    monkeypatch.setattr(idle, "URL_SECONDS", 0.1)
    with serving(lambda _: Answer(200, drip_seconds=0.3)) as server:
        assert not ask(state, idle_url=server.url).is_idle
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not ask(state, idle_url=f"http://127.0.0.1:{unused.getsockname()[1]}").is_idle


def test_name_of_this_machine_is_asked(state: Path) -> None:
    with serving(lambda _: Answer(200)) as server:
        assert ask(state, idle_url=f"http://localhost:{server.port}/idle") == IDLE


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.7/idle",
        "http://example.org/idle",
        "http://localhost.example.org/idle",
        "http://[64:ff9b::7f00:1]/idle",
        "http://0.0.0.0/idle",
        "http://2130706433/idle",
    ],
)
def test_address_of_another_machine_is_not_asked(state: Path, url: str) -> None:
    """threats.md T28: the address may come from the fetched tree."""
    found = ask(state, idle_url=url)
    assert found.reasons == (
        "gates.idle_url must be an address of this machine, like http://127.0.0.1:8080/idle",
    )


# --- together ---------------------------------------------------------------------------


def test_all_sources_must_say_idle_and_every_reason_is_told(state: Path) -> None:
    """lessons.md L6, L26: several sources combine by AND."""
    with serving(lambda _: Answer(503)) as server:
        url = f"{server.url}/idle"
        with busy(state_dir=state):
            assert len(ask(state, idle_command=shell("exit 75"), idle_url=url).reasons) == 3
        assert ask(state, idle_command=shell("exit 0"), idle_url=url).reasons == ("gates.idle_url says busy",)
    with serving(lambda _: Answer(200)) as server:
        assert ask(state, idle_command=shell("exit 0"), idle_url=server.url) == IDLE
        assert not ask(state, idle_command=shell("exit 75"), idle_url=server.url).is_idle
