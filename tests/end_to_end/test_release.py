"""From a maintainer's seat to a host: a release is made, and a host on beta sees it and takes it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, wait_until
from tests.support.maintainers import MIGRATION, Maintainer, make_key
from tests.support.repositories import Checkout


@pytest.fixture
def host(tmp_path: Path) -> Deployment:
    """On beta, at 1.0.0."""
    made = Deployment.make(tmp_path)
    made.host_settings('[deployment]\nchannel = "beta"\n')
    return made


@pytest.fixture
def ada(host: Deployment, tmp_path: Path) -> Maintainer:
    """Who releases what the host runs."""
    home = tmp_path / "maintainer"
    home.mkdir()
    seat = Maintainer(host.remote, host.remote.clone(tmp_path / "clone"), home, make_key(tmp_path / "id"))
    for name, value in (
        ("user.name", "Ada"),
        ("user.email", "ada@example.org"),
        ("gpg.format", "ssh"),
        ("user.signingkey", str(seat.key)),
    ):
        seat.configure(name, value)
    return seat


def seat_of(ada: Maintainer) -> Deployment:
    """`newleaf` as a program in the maintainer's clone."""
    return Deployment(ada.home.parent / "seat", ada.remote, ada.checkout, ada.environment)


def test_a_release_is_made_then_a_host_sees_it_and_takes_it(host: Deployment, ada: Maintainer) -> None:
    assert host.run("check").outcome == "up_to_date"
    head = ada.bump("1.1.0", {"migrations/v1.1.0/001_a.py": MIGRATION})
    assert host.run("check").outcome == "up_to_date"
    made = seat_of(ada).run("release")
    assert (made.code, made.outcome, made.record["tag"]) == (0, "ok", "v1.1.0"), made.record
    seen = host.run("check")
    assert (seen.outcome, seen.record["available"]) == ("available", "1.1.0")
    updated = host.run("update")
    assert updated.outcome == "updated", updated.record["errors"]
    assert host.head() == head


def test_killed_between_tag_and_push_then_the_next_run_pushes_that_tag(
    host: Deployment, ada: Maintainer, tmp_path: Path
) -> None:
    ada.bump("1.1.0")
    began, go = tmp_path / "began", tmp_path / "go"
    hook = ada.install_hook("pre-push", f"touch {began}; while [ ! -e {go} ]; do sleep 0.05; done; exit 1")
    process = seat_of(ada).start("release")
    wait_until(began.exists)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    go.touch()
    hook.unlink()
    tag = ada.checkout.git("rev-parse", "v1.1.0")
    assert ada.remote_tags() == ["v1.0.0"]
    again = seat_of(ada).run("release")
    assert (again.code, again.outcome, again.record["pushed"]) == (0, "ok", True), again.record
    assert ada.remote.git("rev-parse", "v1.1.0") == tag
    assert host.run("check").outcome == "available"


def test_a_clone_of_ci_then_it_says_what_is_missing_and_with_it_it_releases(
    host: Deployment, ada: Maintainer, tmp_path: Path
) -> None:
    """Shallow, detached, without tags."""
    ada.bump("1.1.0")
    ada.checkout.git("push", "-q", "origin", "main")
    shallow = host.remote.clone(
        tmp_path / "ci", "--depth=1", "--no-tags", "--branch=main", url=host.remote.path.as_uri()
    )
    shallow.git("checkout", "-q", "--detach")
    ci = Deployment(tmp_path / "seat", host.remote, Checkout(shallow.path), ada.environment)
    refused = ci.run("release", "--branch", "main")
    failed = {check["name"]: check["cure"] for check in refused.record["checks"] if check["ok"] is False}
    assert (refused.code, set(failed)) == (5, {"history"})
    assert "git fetch --tags --unshallow origin" in failed["history"]
    shallow.git("fetch", "-q", "--tags", "--unshallow", "origin")
    made = ci.run("release", "--branch", "main", "--key", str(ada.key))
    assert (made.code, made.outcome) == (0, "ok"), made.record
    assert host.run("check").outcome == "available"


def test_ssh_asks_for_a_password_then_nobody_is_asked(ada: Maintainer, tmp_path: Path) -> None:
    """A remote that wants what nobody is there to type fails at once, and says so."""
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho secret\n")
    ask.chmod(0o700)
    ssh = tmp_path / "ssh"
    ssh.write_text(
        '#!/bin/sh\n[ "$SSH_ASKPASS" ] && "$SSH_ASKPASS"\necho "Permission denied" >&2\nexit 255\n'
    )
    ssh.chmod(0o700)
    ada.checkout.git("remote", "set-url", "origin", "ada@example.org:sessions.git")
    seat = seat_of(ada)
    seat.environment |= {"SSH_ASKPASS": str(ask), "GIT_SSH_COMMAND": str(ssh), "DISPLAY": ":0"}
    answer = seat.run("release")
    (branch,) = [check for check in answer.record["checks"] if check["name"] == "branch"]
    assert answer.code == 5
    assert "does not let this host in: Permission denied" in branch["detail"].replace("\n", " ")
    assert branch["cure"] == "this must work here without asking: git ls-remote origin"
    assert not (tmp_path / "asked").exists()


def test_a_terminal_that_is_answered_then_it_is_released(ada: Maintainer) -> None:
    """By `script`, which lends a terminal."""
    seat = seat_of(ada)
    ada.bump("1.1.0")
    done = subprocess.run(
        ["script", "-qec", " ".join(Deployment.words("release")), "/dev/null"],
        cwd=ada.checkout.path,
        env=seat.variables | {"TERM": "xterm", "LANG": "C.UTF-8"},
        input=b"y\n",
        capture_output=True,
        check=False,
        timeout=60,
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said
    assert "Make v1.1.0 at" in said
    assert "is released" in said
    assert "v1.1.0" in ada.remote_tags()
