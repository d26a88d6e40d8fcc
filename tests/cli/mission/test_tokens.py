"""`mission token`: made and shown once, listed without what they are, taken back."""

from __future__ import annotations

import json

import pytest

from newleaf.core.ops_tokens import digest_of
from tests.support.deployment import Deployment
from tests.support.terminal import Terminal


@pytest.fixture(autouse=True)
def settled(host: Deployment) -> None:
    host.host_settings('[fleet]\nops_tokens_file = "~/.sessions/ops-tokens.json"\n')


def kept(host: Deployment) -> list[dict[str, object]]:
    path = host.state / "ops-tokens.json"
    found: list[dict[str, object]] = json.loads(path.read_text())["tokens"]
    return found


def test_a_token_is_made_then_it_is_shown_once_and_its_hash_kept(
    host: Deployment, terminal: Terminal
) -> None:
    code, output, errors = terminal.text("mission", "token", "create", "--note", "ann")
    token = output.strip()
    assert (code, token[:12], len(token)) == (0, "newleaf_ops_", 55)
    (entry,) = kept(host)
    assert entry["sha256"] == digest_of(token.encode())
    assert (entry["factory"], entry["note"]) == (None, "ann")
    assert token not in (host.state / "ops-tokens.json").read_text()
    assert str(entry["sha256"])[:12] in errors
    listed = "\n".join(terminal.lines("mission", "token", "list"))
    assert token not in listed
    assert str(entry["sha256"]) not in listed
    assert "(operator)" in listed


def test_tokens_are_made_then_no_two_are_the_same(terminal: Terminal) -> None:
    made = {terminal.run("mission", "token", "create").record["token"] for _ in range(5)}
    assert len(made) == 5


def test_a_token_for_a_factory_then_it_is_bound_to_its_name(host: Deployment, terminal: Terminal) -> None:
    record = terminal.run("mission", "token", "create", "--factory", "mini-1").record
    assert record["token"].startswith("newleaf_factory_")
    assert (record["role"], record["factory"]) == ("factory", "mini-1")
    assert kept(host)[0]["factory"] == "mini-1"


def test_a_token_is_taken_back_then_it_is_gone_and_the_other_stays(
    host: Deployment, terminal: Terminal
) -> None:
    first, second = (terminal.run("mission", "token", "create").record["id"] for _ in range(2))
    assert terminal.lines("mission", "token", "revoke", first) == [f"{first} is revoked"]
    record = terminal.run("mission", "token", "list").record
    assert [(one["id"], one["sha256"]) for one in record["tokens"]] == [(second, "****")]
    answer = terminal.run("mission", "token", "revoke", first)
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "no_such_token")


@pytest.mark.parametrize(
    "words",
    [("--factory", "a b"), ("--factory", "*"), ("--note", "a\nb"), ("--note", "x" * 201), ("--nonesuch",)],
)
def test_wrong_use_then_it_is_said_and_nothing_is_made(
    host: Deployment, terminal: Terminal, words: tuple[str, ...]
) -> None:
    answer = terminal.run("mission", "token", "create", *words)
    assert (answer.code, answer.outcome) == (2, "usage")
    assert not (host.state / "ops-tokens.json").exists()


def test_no_file_is_named_then_it_says_what_to_write(host: Deployment, terminal: Terminal) -> None:
    host.host_settings("")
    for words in (("create",), ("list",), ("revoke", "x")):
        answer = terminal.run("mission", "token", *words)
        assert (answer.code, answer.record["errors"][0]["code"]) == (2, "tokens_unnamed")
        assert "ops_tokens_file" in answer.record["errors"][0]["cure"]


def test_there_is_none_then_it_says_so(terminal: Terminal) -> None:
    assert terminal.lines("mission", "token", "list") == ["there is no token"]
