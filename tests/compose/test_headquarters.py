"""Headquarters of a real host: what its settings say, and tokens that open the endpoint or leave it shut."""

from __future__ import annotations

import logging

import pytest

import newleaf
from newleaf import compose
from newleaf.compose import host
from newleaf.compose.headquarters import headquarters_of, token_file
from newleaf.core.errors import UsageError
from newleaf.core.missions.mission_errors import BusUnconfigured
from newleaf.core.missions.update_orders import wish_for
from newleaf.core.ops_tokens import Token, digest_of
from newleaf.system.place import Unnamed
from newleaf.system.token_file import TokenFile
from tests.support.deployment import Deployment


@pytest.fixture(autouse=True)
def stands_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of the tests was started from newleaf's own tree."""
    monkeypatch.setattr(compose, "own_tree", lambda: None)


def test_nothing_is_configured_then_it_publishes_nothing_and_lets_nobody_in(deployment: Deployment) -> None:
    """lessons.md L40"""
    made = newleaf.operations()
    office = made.headquarters.office
    assert (office.publishes, office.app, office.branch, made.tokens()) == (False, "sessions", "main", ())
    assert made.version
    with pytest.raises(BusUnconfigured):
        _ = made.headquarters.room
    assert token_file(host(Unnamed())) is None


def test_configured_then_headquarters_on_the_app_s_streams(deployment: Deployment) -> None:
    deployment.host_settings(
        '[source]\nbranch = "trunk"\n[fleet]\nheadquarters = true\nredis_url = "unix:///none.sock"\n'
    )
    made = headquarters_of(host(Unnamed()))
    assert (made.office.publishes, made.office.branch) == (True, "trunk")
    assert made.room.streams.all == "newleaf:sessions:missions:all"
    assert made.room is made.room
    envelope = made.office.make(wish_for("mini-1", None)).envelope
    assert (envelope.target.text, envelope.signature) == ("mini-1", "")


def test_there_are_mission_keys_then_orders_are_signed(deployment: Deployment) -> None:
    keys, secret = deployment.home / "keys.toml", deployment.home / "secret"
    secret.write_text("s" * 40)
    keys.write_text('[hq]\nsecret_file = "secret"\nbroadcast = true\n')
    for path in (keys, secret):
        path.chmod(0o600)
    deployment.host_settings('[fleet]\nheadquarters = true\nmission_keys = "~/keys.toml"\n')
    envelope = headquarters_of(host(Unnamed())).office.make(wish_for(None, "main")).envelope
    assert envelope.signature.startswith("hq:")


def test_l40_the_file_of_tokens_cannot_be_used_then_nobody_is_let_in_and_it_is_told_once(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.host_settings('[fleet]\nops_tokens_file = "~/tokens.json"\n')
    file, token = TokenFile(deployment.home / "tokens.json"), Token(digest_of(b"x"), "")
    made = newleaf.operations("sessions")
    assert made.tokens() == ()
    file.add(token)
    assert made.tokens() == (token,)
    file.path.chmod(0o644)
    with caplog.at_level(logging.WARNING, "newleaf"):
        assert [made.tokens(), made.tokens()] == [(), ()]
    assert len(caplog.records) == 1
    file.path.chmod(0o600)
    assert made.tokens() == (token,)


def test_the_app_is_not_known_then_it_says_so(deployment: Deployment) -> None:
    with pytest.raises(UsageError):
        newleaf.operations("nonesuch")
