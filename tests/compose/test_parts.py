"""A host's parts for one transaction."""

from __future__ import annotations

import pytest

from newleaf import compose
from newleaf.compose.parts import HostParts, transaction
from newleaf.core.errors import SettingsInvalid
from newleaf.core.requests import Request
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment


def test_an_update_is_put_together_and_walks(deployment: Deployment) -> None:
    commit = deployment.release("1.1.0")
    host = compose.host(Unnamed())
    with host.locked("test", "to move"):
        result = transaction(host).update(Request("test"))
    assert (result.outcome, deployment.head()) == ("updated", commit)
    assert deployment.lines("history.jsonl")[-1]["origin"] == "test"


def test_progress_goes_to_whoever_watches_and_into_the_log(deployment: Deployment) -> None:
    deployment.release("1.1.0")
    host = compose.host(Unnamed())
    seen: list[str] = []
    host.watch = seen.append
    with host.locked("test", "to move"):
        transaction(host).update(Request())
    assert any(line.startswith("updating") for line in seen)
    assert "updating" in (host.state / "logs" / "update.log").read_text()


def test_where_nothing_is_restarted_there_is_no_budget_to_spend(deployment: Deployment) -> None:
    host = compose.host(Unnamed())
    assert HostParts(host).gates.budget is None


def test_settings_that_a_part_would_refuse_are_refused_together(deployment: Deployment) -> None:
    deployment.host_settings('[gates]\nwindow = "Someday"\n[source]\nbranch = "-f"\n')
    with pytest.raises(SettingsInvalid) as raised:
        HostParts(compose.host(Unnamed())).require_sound()
    assert "gates.window" in raised.value.message
    assert "source.branch" in raised.value.message


def test_what_a_release_governs_is_made_once(deployment: Deployment) -> None:
    host = compose.host(Unnamed())
    parts = HostParts(host)
    live = host.layout.live()
    assert parts.parts_for(live, None) is parts.parts_for(live, None)
