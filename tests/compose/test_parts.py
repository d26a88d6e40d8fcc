"""A host's parts for one transaction: made when they are used, and from whose copy of the settings."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC

import pytest

from newleaf import compose
from newleaf.compose.host import now
from newleaf.compose.parts import HostParts, transaction
from newleaf.core.errors import InconsistentError, NewerSchema, NewleafError
from newleaf.core.records import AttemptRecord, JournalRecord, stamp
from newleaf.core.release import CommitId, Release
from newleaf.core.requests import Request
from newleaf.core.states import State
from newleaf.system.place import Unnamed
from newleaf.update.parts import Parts
from tests.support.deployment import Deployment, settings_text

GATES = {"idle", "window", "age", "cooldown", "spread", "lease", "restart"}


def parts() -> HostParts:
    """The parts as a fresh process would make them."""
    return HostParts(compose.host(Unnamed()))


def fetched(deployment: Deployment, text: str) -> Release:
    """A release whose copy of the app's file is this, in the checkout's objects."""
    commit = CommitId(deployment.remote.commit({"newleaf.toml": text}, "Settings"))
    deployment.checkout.git("fetch", "-q")
    return Release(commit)


# --- a transaction ----------------------------------------------------------------------


def test_every_transaction_has_an_id_of_its_own_that_sorts_by_time(deployment: Deployment) -> None:
    ids = []
    for version in ("1.1.0", "1.2.0"):
        deployment.release(version)
        host = compose.host(Unnamed())
        with host.locked("newleaf update", "to try it"):
            ids.append(transaction(host).update(Request("command line")).attempt or "")
    assert len(set(ids)) == 2
    assert ids[0][:15] <= ids[1][:15]
    assert [line["attempt"] for line in deployment.lines("history.jsonl")] == ids


@pytest.mark.parametrize("name", ["history.jsonl", "status.json", "daemon.pid", "journal.jsonl"])
def test_nothing_is_begun_on_records_of_a_newer_newleaf(deployment: Deployment, name: str) -> None:
    deployment.host_settings("")
    (deployment.state / name).write_text('{"schema": 99}\n')
    with pytest.raises(NewerSchema):
        transaction(compose.host(Unnamed()))


def test_nothing_is_begun_on_a_history_that_cannot_be_read(deployment: Deployment) -> None:
    deployment.host_settings("")
    (deployment.state / "history.jsonl").write_text("no json\n{}\n")
    with pytest.raises(InconsistentError):
        transaction(compose.host(Unnamed()))


def test_a_suspended_host_holds(deployment: Deployment) -> None:
    deployment.host_settings("[deployment]\nsuspended = true\n")
    deployment.release("1.1.0")
    host = compose.host(Unnamed())
    with host.locked("newleaf update", "to try it"):
        assert transaction(host).update(Request("command line")).outcome == "held"


# --- parts ------------------------------------------------------------------------------


def test_a_hosts_parts_are_what_a_transaction_asks_for(deployment: Deployment) -> None:
    made: Parts = parts()
    assert made.identity.app == "sessions"
    assert made.layout.live().commit == deployment.head()
    assert made.now().tzinfo is UTC
    assert made.source is not None
    assert made.restarts is not None
    assert made.reporter is not None


def test_the_targets_copy_governs_its_steps(deployment: Deployment) -> None:
    target = fetched(deployment, settings_text(update={"steps": ["migrate", "install"]}))
    made = parts()
    assert list(made.parts_for(target, None).steps) == ["migrate", "install"]
    live = made.layout.live()
    assert list(made.parts_for(live, None).steps) == ["install", "migrate"]


def test_a_release_has_its_parts_once_an_attempt(deployment: Deployment) -> None:
    made = parts()
    live = made.layout.live()
    first = made.parts_for(live, None)
    assert made.parts_for(live, None) is first
    attempt = AttemptRecord((JournalRecord("a1", made.now(), State.FETCH, live, live),))
    other = made.parts_for(live, attempt)
    assert other is not first
    assert made.parts_for(live, attempt) is other


def test_every_gate_is_judged(deployment: Deployment) -> None:
    made = parts()
    reports = made.gates.survey(made.layout.live(), None)
    assert {report.gate for report in reports} == GATES
    assert made.gates is made.gates


def test_a_restart_that_newleaf_never_does_has_no_budget(deployment: Deployment) -> None:
    deployment.host_settings("")
    line = {"attempt": "a1", "at": stamp(now()), "outcome": "updated", "restarted": True}
    (deployment.state / "history.jsonl").write_text(json.dumps({"schema": 1, **line}) + "\n")

    def may_restart(mode: str) -> bool:
        deployment.host_settings(f'[restart]\nmode = "{mode}"\nbudget = "1 in 1d"\n')
        made = parts()
        reports = made.gates.survey(made.layout.live(), None)
        return next(report.holds for report in reports if report.gate == "restart")

    assert may_restart("none")
    assert not may_restart("exit")


def test_settings_that_a_part_would_refuse_later_are_refused_at_once(deployment: Deployment) -> None:
    parts().require_sound()
    deployment.host_settings('[gates]\nwindow = "Mon-Fri 25:00-26:00"\n')
    with pytest.raises(NewleafError, match="window"):
        parts().require_sound()


def test_the_signal_is_taken_away(deployment: Deployment) -> None:
    deployment.host_settings("")
    signal = deployment.state / "update_available.json"
    signal.write_text("{}")
    parts().clear_signal()
    assert not signal.exists()


def test_an_update_that_finds_nothing_loads_no_installer_and_no_migrations(deployment: Deployment) -> None:
    program = "import sys; from newleaf.cli.main import run; run(['update']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=deployment.checkout.path,
        env=deployment.variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    said, loaded = done.stdout.splitlines()
    assert said.startswith("up to date")
    unneeded = {
        *("newleaf.update.data.target_data", "newleaf.update.data.snapshots", "newleaf.system.github"),
        *("newleaf.agent.watcher", "newleaf.agent.notices", "newleaf.system.lease"),
    }
    assert not unneeded & set(loaded.split())
