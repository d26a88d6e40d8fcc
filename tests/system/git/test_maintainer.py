"""Git at a maintainer's seat, against real repositories: what it sees, and what it never does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.core.errors import CommandFailed
from newleaf.core.release import CommitId
from newleaf.core.releases.git_errors import RemoteUnreachable
from newleaf.core.releases.release_errors import SigningFailed
from newleaf.system.commands import Finished, Runner
from newleaf.system.git.maintainer import MaintainerGit, Signing, explain_push
from tests.support.maintainers import Maintainer, make_key, write_signers
from tests.support.repositories import Link, Script


@pytest.fixture
def ada(tmp_path: Path) -> Maintainer:
    return Maintainer.make(tmp_path)


def git_of(ada: Maintainer, **environment: str) -> MaintainerGit:
    return MaintainerGit(ada.checkout.path, Runner(), {**ada.environment, **environment})


def test_variables_that_point_git_elsewhere_then_they_are_not_passed_on(ada: Maintainer) -> None:
    git = git_of(ada, GIT_DIR="/nowhere", GIT_INDEX_FILE="/nowhere", GIT_WORK_TREE="/")
    assert git.has(ada.checkout.id_of())


def test_the_maintainers_own_settings_then_they_are_seen(ada: Maintainer) -> None:
    ada.configure("branch.Fancy.remote", "up")
    settings = git_of(ada).settings
    assert settings["user.signingkey"] == str(ada.key)
    assert settings["branch.Fancy.remote"] == "up"


def test_the_remote_is_asked_then_its_branch_and_tags_come_and_nothing_is_fetched(ada: Maintainer) -> None:
    ada.remote.commit({"a": "1"})
    ada.remote.tag("v1.0.0", message="one")
    ada.remote.tag("other")
    ada.remote.commit({"a": "2"}, branch="side/main")
    refs = git_of(ada).remote_refs("origin", "main", "v")
    head = ada.remote.id_of("main")
    assert set(refs) == {"refs/heads/main", "refs/tags/v1.0.0", "refs/tags/v1.0.0^{}"}
    assert refs["refs/heads/main"] == refs["refs/tags/v1.0.0^{}"] == head
    assert not git_of(ada).has(head)
    assert ada.tags() == []


def test_the_remote_is_gone_then_the_error_is_ours(ada: Maintainer) -> None:
    ada.checkout.git("remote", "set-url", "origin", "/nowhere")
    with pytest.raises(RemoteUnreachable):
        git_of(ada).remote_refs("origin", "main", "v")


def test_ssh_then_it_is_told_to_ask_nobody(ada: Maintainer, tmp_path: Path) -> None:
    told = tmp_path / "told"
    ssh = tmp_path / "my ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" > {told}\nexit 1\n')
    ssh.chmod(0o700)
    ssh.rename(tmp_path / "ssh")
    ada.checkout.git("remote", "set-url", "origin", "ada@example.org:sessions.git")
    ada.configure("core.sshCommand", f"{tmp_path / 'ssh'} -i mine")
    with pytest.raises(RemoteUnreachable):
        git_of(ada).remote_refs("origin", "main", "v")
    assert told.read_text().startswith("-o BatchMode=yes -o ConnectTimeout=15 -i mine")


def test_tags_here_then_annotated_ones_say_what_they_stand_for(ada: Maintainer) -> None:
    head = ada.checkout.id_of()
    ada.checkout.git("tag", "light")
    ada.checkout.git("tag", "-a", "-m", "x", "heavy")
    found = git_of(ada).local_tags()
    assert found["refs/tags/light"] == found["refs/tags/heavy^{}"] == head
    assert found["refs/tags/heavy"] != head
    assert "refs/tags/light^{}" not in found


def test_history_then_what_it_holds_is_told(ada: Maintainer) -> None:
    first = ada.checkout.id_of()
    second = ada.commit({"a": "1"})
    git = git_of(ada)
    assert git.contains(second, first)
    assert not git.contains(first, second)
    assert not git.contains(second, CommitId("e" * 40))


def test_untracked_files_then_ignored_ones_are_told_too(ada: Maintainer) -> None:
    ada.commit({".gitignore": "*.py\n"})
    ada.checkout.write("migrations/v1.0.0/001_a.py", "")
    ada.checkout.write("elsewhere.txt", "")
    assert git_of(ada).untracked("migrations") == ("migrations/v1.0.0/001_a.py",)
    assert git_of(ada).untracked("nowhere") == ()


def test_a_commit_then_its_files_are_read_without_the_working_tree(ada: Maintainer) -> None:
    head = ada.checkout.id_of()
    ada.checkout.write("pyproject.toml", "changed")
    git = git_of(ada)
    entries = {entry.path: entry for entry in git.list_tree(head)}
    body = git.blobs([entries["pyproject.toml"].object_id])
    assert b'version = "1.0.0"' in body[entries["pyproject.toml"].object_id]
    assert git.blobs([]) == {}


def test_an_object_that_is_no_blob_then_it_is_said(ada: Maintainer) -> None:
    with pytest.raises(CommandFailed, match="is no blob here"):
        git_of(ada).blobs([ada.checkout.id_of()])


def test_a_tree_with_an_escaping_link_then_it_is_a_fault(tmp_path: Path) -> None:
    ada = Maintainer.make(tmp_path, {"out": Link("../x"), "run": Script("x"), "in": Link("run")})
    git = git_of(ada)
    assert git.tree_faults(git.list_tree(ada.checkout.id_of())) == ["'out' is a link out of the tree, '../x'"]


def test_a_signed_tag_then_it_holds_for_its_signers_alone(ada: Maintainer, tmp_path: Path) -> None:
    git, head = git_of(ada), ada.checkout.id_of()
    made = git.make_tag("v1.0.0", head, "sessions 1.0.0", Signing())
    body = git.read_tag(made)
    assert body is not None
    assert body.startswith(f"object {head}\ntype commit\ntag v1.0.0\n".encode())
    assert b"\n\nsessions 1.0.0\n-----BEGIN SSH SIGNATURE-----\n" in body
    assert git.find_signature_fault(made, write_signers(tmp_path / "signers", ada.key)) is None
    other = write_signers(tmp_path / "others", make_key(tmp_path / "other"))
    assert git.find_signature_fault(made, other) == "No principal matched."


def test_a_key_is_named_then_it_signs_whatever_git_says(ada: Maintainer, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    ada.configure("gpg.format", "openpgp")
    git = git_of(ada)
    made = git.make_tag("v1.0.0", ada.checkout.id_of(), "x", Signing(key=other))
    assert git.find_signature_fault(made, write_signers(tmp_path / "signers", other)) is None


def test_no_signature_is_wished_for_then_there_is_none_whatever_git_says(ada: Maintainer) -> None:
    ada.configure("tag.gpgSign", "true")
    git = git_of(ada)
    made = git.make_tag("v1.0.0", ada.checkout.id_of(), "x", Signing(sign=False))
    assert b"SIGNATURE" not in (git.read_tag(made) or b"")


def test_the_key_cannot_sign_then_there_is_no_tag(ada: Maintainer, tmp_path: Path) -> None:
    locked = make_key(tmp_path / "locked", "secret")
    with pytest.raises(SigningFailed, match="incorrect passphrase"):
        git_of(ada).make_tag("v1.0.0", ada.checkout.id_of(), "x", Signing(key=locked))
    assert ada.tags() == []


def test_a_lightweight_tag_then_it_has_no_object_to_read(ada: Maintainer) -> None:
    assert git_of(ada).read_tag(ada.checkout.id_of()) is None


def test_a_tag_is_removed_then_only_while_it_is_that_object(ada: Maintainer) -> None:
    git, head = git_of(ada), ada.checkout.id_of()
    made = git.make_tag("v1.0.0", head, "x", Signing())
    with pytest.raises(CommandFailed):
        git.remove_tag("v1.0.0", head)
    assert ada.tags() == ["v1.0.0"]
    git.remove_tag("v1.0.0", made)
    assert ada.tags() == []


def test_a_push_then_branch_and_tag_arrive_and_nothing_else(ada: Maintainer) -> None:
    ada.configure("push.followTags", "true")
    head = ada.commit({"a": "1"})
    ada.checkout.git("tag", "-a", "-m", "x", "mine")
    git = git_of(ada)
    made = git.make_tag("v1.0.0", head, "x", Signing())
    assert git.push("origin", {"refs/heads/main": head, "refs/tags/v1.0.0": made}) is None
    assert ada.remote.id_of("main") == head
    assert ada.remote_tags() == ["v1.0.0"]


def test_the_branch_is_not_taken_then_the_tag_is_not_either(ada: Maintainer) -> None:
    head = ada.commit({"a": "1"})
    ada.remote.commit({"b": "1"})
    git = git_of(ada)
    made = git.make_tag("v1.0.0", head, "x", Signing())
    assert git.push("origin", {"refs/heads/main": head, "refs/tags/v1.0.0": made}) == "fetch first"
    assert ada.remote_tags() == []


def test_the_remotes_hook_declines_then_its_words_are_told(ada: Maintainer) -> None:
    ada.install_hook("pre-receive", "echo no releases on Saturdays >&2; exit 1", remote=True)
    head = ada.commit({"a": "1"})
    said = git_of(ada).push("origin", {"refs/heads/main": head})
    assert said == "pre-receive hook declined; no releases on Saturdays"


def test_the_maintainers_own_hook_declines_then_it_is_a_failure(ada: Maintainer) -> None:
    ada.install_hook("pre-push", "echo tests fail >&2; exit 1")
    head = ada.commit({"a": "1"})
    assert git_of(ada).push("origin", {"refs/heads/main": head}) is not None


REJECTED = (
    "!\ta:refs/heads/main\t[rejected] (fetch first)\n!\tb:refs/tags/v1\t[rejected] (atomic push failed)\n"
)


@pytest.mark.parametrize(
    ("stdout", "said", "reason"),
    [
        (REJECTED, "error: failed to push some refs to 'x'", "fetch first"),
        ("", "fatal: Connection reset by peer", "Connection reset by peer"),
        ("!\ta:b\t[remote rejected] (atomic transaction failed)\n", "error: protected", "protected"),
    ],
)
def test_a_push_that_failed_then_the_reason_is_the_first_cause(stdout: str, said: str, reason: str) -> None:
    assert explain_push(Finished(1, stdout.encode(), 0.1, lambda: (said,))) == reason


def test_a_checkout_that_is_not_there_then_git_is_not_blamed(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="is missing"):
        MaintainerGit(tmp_path / "gone", Runner(), {"PATH": os.defpath}).local_tags()
