"""Real keys, a real agent: which can sign without asking, and who signed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.core.releases.tag_object import TagObject, read_tag
from newleaf.system.commands import Runner
from newleaf.system.signing import Keys, quiet
from tests.support.maintainers import Maintainer, agent_with, fingerprint_of, make_key

SECRET = "correct horse"


@pytest.fixture
def keys() -> Keys:
    """Without an agent."""
    return Keys(Runner(), {"PATH": os.environ["PATH"], "HOME": "/nowhere", "LC_ALL": "C"})


def with_agent(named: dict[str, str]) -> Keys:
    return Keys(Runner(), {"PATH": os.environ["PATH"], "HOME": "/nowhere", "LC_ALL": "C", **named})


@pytest.mark.parametrize("suffix", ["", ".pub"])
def test_a_key_without_a_passphrase_then_it_can_sign_and_is_named(
    suffix: str, keys: Keys, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "id")
    found = keys.look_at(f"{key}{suffix}")
    assert (found.fault, found.cure) == ("", "")
    assert found.name == f"the key {key}{suffix} ({fingerprint_of(key)})"


@pytest.mark.parametrize("suffix", ["", ".pub"])
def test_a_key_with_a_passphrase_then_the_agent_is_wanted(suffix: str, keys: Keys, tmp_path: Path) -> None:
    key = make_key(tmp_path / "id", SECRET)
    found = keys.look_at(f"{key}{suffix}")
    assert found.fault == "needs a passphrase, and the ssh agent does not hold it"
    assert found.cure.endswith(f"ssh-add {key}")


def test_a_key_with_a_passphrase_in_the_agent_then_it_can_sign(tmp_path: Path) -> None:
    key = make_key(tmp_path / "id", SECRET)
    with agent_with((key, SECRET)) as named:
        assert not with_agent(named).look_at(str(key)).fault


def test_another_key_in_the_agent_then_this_one_is_wanted(tmp_path: Path) -> None:
    key, other = make_key(tmp_path / "id", SECRET), make_key(tmp_path / "other", SECRET)
    with agent_with((other, SECRET)) as named:
        assert with_agent(named).look_at(str(key)).fault


@pytest.mark.parametrize("prefix", ["", "key::"])
def test_a_key_given_in_full_then_the_agent_must_hold_it(prefix: str, keys: Keys, tmp_path: Path) -> None:
    key = make_key(tmp_path / "id")
    text = prefix + key.with_suffix(".pub").read_text().strip()
    assert keys.look_at(text).fault == "is not held by the ssh agent"
    with agent_with((key, "")) as named:
        found = with_agent(named).look_at(text)
    assert (found.fault, found.name) == ("", f"the key ({fingerprint_of(key)})")


def test_a_public_key_alone_then_the_agent_must_hold_it(keys: Keys, tmp_path: Path) -> None:
    key = make_key(tmp_path / "id")
    key.unlink()
    assert keys.look_at(f"{key}.pub").fault == "is not held by the ssh agent"


def test_a_key_that_is_not_there_then_another_is_asked_for(keys: Keys, tmp_path: Path) -> None:
    found = keys.look_at(str(tmp_path / "id"))
    assert (found.fault, found.cure) == ("is not there", "name another one: --key FILE")


def test_a_key_that_others_can_read_then_the_chmod_is_said(keys: Keys, tmp_path: Path) -> None:
    key = make_key(tmp_path / "id")
    key.chmod(0o644)
    found = keys.look_at(str(key))
    assert (found.fault, found.cure) == (
        "can be read by others, and ssh does not take it",
        f"chmod 600 {key}",
    )


def test_a_file_that_is_no_key_then_what_ssh_says_is_said(keys: Keys, tmp_path: Path) -> None:
    path = tmp_path / "id"
    path.write_text("hello")
    path.chmod(0o600)
    assert keys.look_at(str(path)).fault.startswith("cannot be used: ")


def signed_tag(tmp_path: Path) -> tuple[Maintainer, TagObject]:
    ada = Maintainer.make(tmp_path)
    ada.git("tag", "-s", "-m", "sessions 1.0.0", "v1.0.0")
    body = ada.checkout.git("cat-file", "tag", "v1.0.0") + "\n"
    return ada, read_tag(body.encode())


def test_a_tag_that_git_signed_then_its_key_is_found(keys: Keys, tmp_path: Path) -> None:
    ada, tag = signed_tag(tmp_path)
    assert keys.find_signer(tag) == fingerprint_of(ada.key)


def test_a_tag_that_was_changed_after_then_no_signer_is_found(keys: Keys, tmp_path: Path) -> None:
    _, tag = signed_tag(tmp_path)
    changed = tag.payload.replace(b"sessions 1.0.0", b"sessions 1.0.1")
    assert keys.find_signer(TagObject(tag.object_id, tag.kind, tag.name, changed, tag.signature)) is None


def test_a_quiet_environment_then_no_window_is_opened() -> None:
    found = quiet({"SSH_ASKPASS": "/usr/bin/ask", "GIT_ASKPASS": "/ci/token", "PATH": "/bin"})
    assert found == {"GIT_ASKPASS": "/ci/token", "PATH": "/bin", "SSH_ASKPASS_REQUIRE": "never"}
