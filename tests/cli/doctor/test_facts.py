from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from newleaf.cli.doctor.facts import Subject, ask
from newleaf.compose import lay_in_place
from newleaf.compose.host import Host
from newleaf.core.adoption.findings import CheckoutFacts
from newleaf.core.doctor.patient import Patient, RemoteAnswer, Trouble
from newleaf.core.errors import FailedError
from newleaf.core.settings.fragments import Sources, read_table
from newleaf.system.known_apps import KnownApp, note_app
from newleaf.system.place import Place
from newleaf.system.restarts import write_daemon
from tests.support.http_server import Answer, serving
from tests.support.repositories import Checkout, Remote, git_environment

Make = Callable[..., Subject]


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote.make(tmp_path)
    made.commit({"app.py": ""})
    made.tag("v1.0.0")
    made.tag("v1.1.0")
    made.tag("nightly")
    return made


@pytest.fixture
def checkout(remote: Remote, tmp_path: Path) -> Checkout:
    return remote.clone(tmp_path / "app")


@pytest.fixture
def subject(checkout: Checkout, tmp_path: Path) -> Make:
    """Makes the subject of a checkup, from tables of host settings."""

    def make(prefix: Path = Path("/usr"), **tables: dict[str, Any]) -> Subject:
        state = tmp_path / "state"
        state.mkdir(mode=0o700, exist_ok=True)
        place = Place(
            state, checkout.path, checkout.path, checkout.path / "newleaf.toml", state / "host.toml"
        )
        tables["app"] = {"name": "sessions", **tables.get("app", {})}
        sources = Sources(host=read_table(tables, "host.toml"))
        environment = git_environment(tmp_path)
        return Subject(Host(place, sources, lay_in_place, environ=environment), tmp_path / "notes", prefix)

    return make


def test_a_fresh_clone_is_well(subject: Make, remote: Remote) -> None:
    patient = subject().patient()
    assert isinstance(patient.remote, RemoteAnswer)
    assert (patient.remote.url, patient.remote.has_branch, patient.remote.versions) == (remote.url, True, 2)
    assert isinstance(patient.git.version, tuple)
    assert (patient.git.owner, patient.git.lock, patient.git.uses_lfs) == (None, None, False)
    assert (patient.state.mode, patient.state.trouble, patient.state.records) == (0o700, None, ())
    assert min(patient.state.free_bytes.values()) > 0
    assert (patient.run.installer, patient.run.owed, patient.run.reported) == (None, None, None)
    assert (patient.settings, patient.secret_files, patient.sharing) == ((), (), ())


def test_nothing_is_changed_by_looking(subject: Make, checkout: Checkout, tmp_path: Path) -> None:
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    subject().patient()
    after = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    own = {path for path in after if path.is_relative_to(tmp_path / "state" / "git")}
    assert {path: at for path, at in after.items() if path not in own} == before


def test_a_remote_that_is_gone_is_a_trouble_with_its_cure(subject: Make, remote: Remote) -> None:
    remote.path.rename(remote.path.with_name("elsewhere"))
    answer = subject().patient().remote
    assert isinstance(answer, Trouble)
    assert str(remote.path) in answer.message
    assert answer.cure


def test_credentials_of_the_remote_are_in_no_fact(subject: Make, checkout: Checkout) -> None:
    """threats.md T29."""
    checkout.git("remote", "set-url", "origin", "https://me:canary@example.org/x")
    patient = subject().patient()
    assert isinstance(patient.remote, Trouble)
    assert "canary" not in repr([patient.remote, patient.state, patient.run, patient.settings])


def test_the_branch_and_the_tags_of_the_settings_are_asked_for(subject: Make) -> None:
    answer = subject(source={"branch": "other", "tag_prefix": "api-"}).patient().remote
    assert isinstance(answer, RemoteAnswer)
    assert (answer.has_branch, answer.versions) == (False, 0)


def test_settings_that_a_part_would_refuse_are_found(subject: Make) -> None:
    (problem,) = subject(source={"branch": "--upload-pack=x"}).patient().settings
    assert "source.branch begins with -" in problem


@pytest.mark.parametrize("content", ["", "{", '{"schema": 99}'])
def test_records_that_cannot_be_read_are_found(content: str, subject: Make, tmp_path: Path) -> None:
    """lessons.md L20."""
    made = subject()
    (tmp_path / "state" / "denied.json").write_text(content)
    (trouble,) = made.patient().state.records
    assert "denied.json" in trouble.message
    assert trouble.cure


def test_a_damaged_journal_is_found_and_a_torn_last_line_is_none(subject: Make, tmp_path: Path) -> None:
    made = subject()
    (tmp_path / "state" / "history.jsonl").write_text('{"schema": 1}\n{"to')
    (tmp_path / "state" / "journal.jsonl").write_text('broken\n{"schema": 1}\n')
    (trouble,) = made.patient().state.records
    assert "journal.jsonl" in trouble.message


def test_a_record_from_the_future_says_that_the_clock_was_set_back(subject: Make, tmp_path: Path) -> None:
    made = subject()
    path = tmp_path / "state" / "status.json"
    path.write_text("{}")
    later = time.time() + 500_000
    os.utime(path, (later, later))
    assert made.patient().state.behind_seconds == pytest.approx(500_000, abs=60)


def test_the_clock_is_compared_with_the_remotes(subject: Make) -> None:
    date = format_datetime(datetime.now(UTC) - timedelta(hours=2), usegmt=True)
    with serving(lambda _: Answer(status=404, headers={"Date": date})) as server:
        assert subject().skew(f"{server.url}/app.git") == pytest.approx(7200, abs=5)
        assert [(each.method, each.target) for each in server.received] == [("HEAD", "/")]


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_a_remote_that_says_no_time_is_no_reason_to_complain(headers: dict[str, str], subject: Make) -> None:
    with serving(lambda _: Answer(headers=headers)) as server:
        assert subject().skew(server.url) is None
    assert subject().skew(server.url) is None
    assert subject().skew("git@example.org:app.git") is None
    assert subject().skew("/srv/app.git") is None


def test_files_of_secrets_are_looked_at(subject: Make, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("canary")
    token.chmod(0o644)
    patient = subject(
        source={"token_file": str(token)}, http={"token_file": "~/none"}, security={"signers": str(token)}
    ).patient()
    found = {file.key: (file.mode, file.is_secret) for file in patient.secret_files}
    assert found == {
        "source.token_file": (0o644, True),
        "http.token_file": (None, True),
        "security.signers": (0o644, False),
    }
    assert isinstance(patient.remote, Trouble)
    assert "canary" not in repr(patient)


def test_an_index_lock_is_found_with_its_owner(subject: Make, checkout: Checkout) -> None:
    """lessons.md L12."""
    lock = checkout.path / ".git" / "index.lock"
    lock.touch()
    facts = subject().patient().git
    assert (facts.lock, facts.lock_owner) == (str(lock), None)


def test_local_changes_and_large_files_are_found(subject: Make, remote: Remote, checkout: Checkout) -> None:
    remote.commit({".gitattributes": "*.bin filter=lfs\n"})
    checkout.git("pull", "-q")
    checkout.write("app.py", "edited")
    facts = (
        subject(update={"dirty_tree": "refuse"}, source={"git_config": {"filter.lfs.process": "x"}})
        .patient()
        .git
    )
    assert isinstance(facts.checkout, CheckoutFacts)
    assert facts.checkout.changed == ("app.py",)
    assert (facts.refuses_dirty, facts.uses_lfs) == (True, True)


@pytest.mark.parametrize(
    ("install", "installer", "missing"),
    [
        ("none", None, False),
        ("auto", None, False),
        ("no-such-program install", "no-such-program", True),
        ("sh install.sh", "sh", False),
        ("./install.sh", "./install.sh", True),
    ],
)
def test_what_installs_is_looked_for(
    install: str, installer: str | None, missing: bool, subject: Make
) -> None:
    facts = subject(update={"install": install}).patient().run
    assert (facts.installer, facts.installer_missing) == (installer, missing)


def test_an_owed_installation_and_a_lock_without_uv_are_found(
    subject: Make, checkout: Checkout, tmp_path: Path
) -> None:
    """lessons.md L13."""
    checkout.write(
        "pyproject.toml", '[project]\nname = "sessions"\nversion = "1"\nrequires-python = ">=3.99"\n'
    )
    checkout.write("uv.lock", "version = 1\n")
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "git").symlink_to("/usr/bin/git")
    made = subject()
    environment = {**made.host.environ, "PATH": str(bare)}
    made.host.environ = environment
    facts = made.patient().run
    assert (facts.installer, facts.unread_lock) == ("pip", True)
    assert isinstance(facts.python, Trouble)
    assert "3.99" in facts.python.message
    assert facts.owed == "there is no .venv yet"


def test_a_newleaf_inside_the_apps_environment_is_found(
    subject: Make, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.write("pyproject.toml", '[project]\nname = "sessions"\nversion = "1"\n')
    checkout.write("uv.lock", "version = 1\n")
    environment = checkout.path / ".venv"
    environment.mkdir()
    scripts = Path(sys.executable).parent
    assert (scripts / "uv").exists()
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    assert subject(prefix=environment).patient().run.shares_environment
    assert not subject().patient().run.shares_environment
    checkout.write("uv.lock", 'version = 1\n[[package]]\nname = "newleaf"\nversion = "1"\n')
    assert not subject(prefix=environment).patient().run.shares_environment


def test_a_launcher_that_runs_the_app_is_known(
    subject: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (subject().patient().run.mode, subject().patient().run.has_launcher) == ("exit", False)
    # The address is short wherever the test runs.
    monkeypatch.chdir(tmp_path / "state")
    with socket.socket(socket.AF_UNIX) as control:
        control.bind("control.sock")
        control.listen()
        run = subject().patient().run
    assert (run.mode, run.has_launcher) == ("launcher", True)


def test_the_daemon_that_reported_itself_is_known(subject: Make, tmp_path: Path) -> None:
    made = subject()
    write_daemon(tmp_path / "state", os.getpid(), None, None)
    assert made.patient().run.reported == f"pid {os.getpid()}"


@pytest.mark.parametrize(
    ("command", "missing"), [("true", False), ("no-such-program x", True), ("bin/gone", True)]
)
def test_the_restart_command_is_looked_for(command: str, missing: bool, subject: Make) -> None:
    facts = subject(restart={"mode": "command", "command": command}).patient().run
    assert (facts.command_missing, facts.mode) == (missing, "command")


def test_other_apps_in_the_checkout_are_found(subject: Make, checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "bot").mkdir()
    note_app(KnownApp("bot", tmp_path / "bot", checkout.path), tmp_path / "notes")
    assert subject().patient().sharing == ("bot",)


def test_a_failed_question_is_a_trouble() -> None:
    def fail() -> None:
        raise FailedError(reason="it broke")

    def deny() -> None:
        raise PermissionError(13, "Permission denied")

    assert ask(fail) == Trouble("it broke")
    assert ask(deny) == Trouble("[Errno 13] Permission denied")
    assert ask(lambda: json.loads("3")) == 3


def test_an_ill_patient_is_still_a_patient(subject: Make, checkout: Checkout) -> None:
    (checkout.path / ".git" / "index").write_bytes(b"broken")
    patient = subject().patient()
    assert isinstance(patient, Patient)
    assert isinstance(patient.git.checkout, Trouble)
