"""Signatures of tags and commits, by real git and real ssh-keygen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import RefusedError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.trust_errors import (
    CommitRefused,
    SignersUnset,
    TagRefused,
    TagRequired,
    TrustFileMissing,
    TrustFileUnsafe,
    VerifierMissing,
)
from newleaf.core.settings.sections import Security
from newleaf.system.git.signatures import Signatures
from tests.support.hosts import Host, make_host
from tests.support.repositories import Content, Remote, Script
from tests.support.signers import PGP, Signer, raw_tag, tag_body

DATED_BACK = {"GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}


class Scene:
    """A host that trusts Ada alone, and a remote to which others can push too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = Remote.make(folder)
        self.remote.commit({"app.py": "one\n"})
        self.host: Host = make_host(folder / "host", self.remote)
        self.ada, self.eve = (Signer.make(folder, name) for name in ("ada", "eve"))
        self.signers, self.revoked = folder / "signers", folder / "revoked"
        self.signers.write_text(self.ada.allowed('namespaces="git"'))

    def require(self, target: Release, tag_object: CommitId | None = None, **security: Any) -> None:
        given = {"require": "tags", "signers": str(self.signers), **security}
        Signatures(self.host.git, Security(**given)).require(target, tag_object)

    def tagged(
        self, name: str = "v1.1.0", *, signer: Signer | None = None, **environment: str
    ) -> tuple[Release, CommitId]:
        """A new release, its tag signed by Ada unless it is somebody else, and fetched by its tag."""
        commit = self.remote.commit({"app.py": f"{name}\n"})
        tag_object = (signer or self.ada).tag(self.remote, name, **environment)
        return self.fetched(name, commit), tag_object

    def fetched(self, name: str, commit: CommitId) -> Release:
        self.host.git.fetch({f"refs/tags/{name}": commit})
        return Release(commit, name.removeprefix("v"), name)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_where_nothing_is_required_nothing_is_asked(scene: Scene) -> None:
    scene.require(Release(CommitId("a" * 40)), require="none", signers="/gone")


def test_a_tag_that_an_allowed_signer_signed_is_taken(scene: Scene) -> None:
    scene.require(*scene.tagged())


def test_a_home_folder_in_a_setting_is_the_user_s(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(scene.folder))
    scene.require(*scene.tagged(), signers="~/signers")


def test_a_tag_whose_commit_came_by_a_branch_is_fetched(scene: Scene) -> None:
    commit = scene.remote.commit({"app.py": "two\n"})
    tag_object = scene.ada.tag(scene.remote, "v1.1.0")
    scene.host.fetched()
    scene.require(Release(commit, "1.1.0", "v1.1.0"), tag_object)


def test_an_unsigned_tag_is_refused(scene: Scene) -> None:
    """threats.md T6"""
    commit = scene.remote.commit({"app.py": "two\n"})
    scene.remote.tag("v1.1.0", message="sessions 1.1.0")
    tag_object = CommitId(scene.remote.git("rev-parse", "refs/tags/v1.1.0"))
    with pytest.raises(TagRefused, match="not signed"):
        scene.require(scene.fetched("v1.1.0", commit), tag_object)


def test_a_lightweight_tag_is_refused(scene: Scene) -> None:
    """threats.md T6"""
    commit = scene.remote.commit({"app.py": "two\n"})
    scene.remote.tag("v1.1.0")
    with pytest.raises(TagRefused, match="lightweight"):
        scene.require(scene.fetched("v1.1.0", commit), commit)


def test_a_lightweight_tag_of_a_signed_commit_is_refused_too(scene: Scene) -> None:
    """threats.md T6"""
    commit = scene.ada.commit(scene.remote, {"app.py": "two\n"})
    scene.remote.tag("v1.1.0")
    with pytest.raises(TagRefused, match="lightweight"):
        scene.require(scene.fetched("v1.1.0", commit), commit)


def test_a_tag_by_an_unknown_key_is_refused(scene: Scene) -> None:
    """threats.md T6"""
    with pytest.raises(TagRefused, match="no allowed signer's"):
        scene.require(*scene.tagged(signer=scene.eve))


def test_a_key_that_may_sign_something_else_is_refused(scene: Scene) -> None:
    """threats.md T4: another namespace"""
    target = scene.tagged()
    scene.signers.write_text(scene.ada.allowed('namespaces="file"'))
    with pytest.raises(TagRefused):
        scene.require(*target)


def test_a_tag_with_a_signature_that_is_another_text_s_is_refused(scene: Scene) -> None:
    scene.tagged("v1.0.9")
    signed = scene.remote.git("cat-file", "tag", "refs/tags/v1.0.9")
    signature = signed[signed.index("-----BEGIN") :] + "\n"
    commit = scene.remote.commit({"app.py": "evil\n"})
    tag_object = raw_tag(scene.remote, "v1.1.0", tag_body(commit, "commit", "v1.1.0", signature))
    with pytest.raises(TagRefused):
        scene.require(scene.fetched("v1.1.0", commit), tag_object)


def test_a_pgp_signature_is_refused_and_no_pgp_program_is_started(scene: Scene, tmp_path: Path) -> None:
    """threats.md T7"""
    canary, bin_folder = tmp_path / "canary", tmp_path / "bin"
    bin_folder.mkdir()
    for program in ("gpg", "gpg2", "gpgsm"):
        script = bin_folder / program
        script.write_text(f"#!/bin/sh\ntouch {canary}\necho '[GNUPG:] GOODSIG 0 Ada' >&2\nexit 0\n")
        script.chmod(0o755)
    commit = scene.remote.commit({"app.py": "two\n"})
    tag_object = raw_tag(scene.remote, "v1.1.0", tag_body(commit, "commit", "v1.1.0", PGP))
    target = scene.fetched("v1.1.0", commit)
    git = scene.host.git
    git._local = {**git._local, "PATH": f"{bin_folder}:{git._local['PATH']}"}
    judge = Signatures(git, Security(require="tags", signers=str(scene.signers)))
    with pytest.raises(TagRefused, match="PGP"):
        judge.require(target, tag_object)
    fault = judge._find_fault(judge._settings(), "verify-tag", tag_object)
    assert fault, "were the header not looked at, git would still find no program for it"
    assert not canary.exists()


def test_an_old_signed_tag_under_a_new_name_is_refused(scene: Scene) -> None:
    """threats.md T8"""
    old, tag_object = scene.tagged("v1.0.0")
    scene.remote.git("update-ref", "refs/tags/v9.9.9", tag_object)
    scene.host.git.fetch({"refs/tags/v9.9.9": old.commit})
    with pytest.raises(TagRefused, match=r"v1\.0\.0"):
        scene.require(Release(old.commit, "9.9.9", "v9.9.9"), tag_object)


def test_a_signed_tag_of_a_blob_is_refused(scene: Scene) -> None:
    """threats.md T11"""
    blob = scene.remote.git("hash-object", "-w", "--stdin", stdin=b"x")
    tag_object = scene.ada.tag(scene.remote, "v1.1.0", blob)
    commit = scene.remote.heads()["main"]
    with pytest.raises(TagRefused):
        scene.require(Release(CommitId(commit), "1.1.0", "v1.1.0"), tag_object)


def test_a_signed_tag_of_another_tag_is_refused(scene: Scene) -> None:
    """threats.md T11"""
    inner, inner_object = scene.tagged("v1.0.0")
    tag_object = scene.ada.tag(scene.remote, "v1.1.0", inner_object)
    with pytest.raises(TagRefused, match="of a tag"):
        scene.require(scene.fetched("v1.1.0", inner.commit), tag_object)


def test_a_signed_tag_of_another_commit_is_refused(scene: Scene) -> None:
    """threats.md T3"""
    _, tag_object = scene.tagged("v1.1.0")
    other = scene.remote.commit({"app.py": "evil\n"})
    scene.host.fetched()
    with pytest.raises(TagRefused):
        scene.require(Release(other, "1.1.0", "v1.1.0"), tag_object)


def test_an_expired_key_with_a_signature_that_is_dated_back_passes_until_it_is_revoked(scene: Scene) -> None:
    """threats.md T12: documented until then"""
    scene.signers.write_text(scene.ada.allowed('valid-before="20210101"'))
    backdated = scene.tagged("v1.1.0", signer=None, **DATED_BACK)
    scene.require(*backdated)
    with pytest.raises(TagRefused):
        scene.require(*scene.tagged("v1.2.0"))
    scene.revoked.write_text(f"{scene.ada.public}\n")
    with pytest.raises(TagRefused):
        scene.require(*backdated, revoked=str(scene.revoked))


def test_a_revocation_of_others_takes_nothing_from_an_allowed_signer(scene: Scene) -> None:
    scene.revoked.write_text(f"{scene.eve.public}\n")
    scene.require(*scene.tagged(), revoked=str(scene.revoked))


@pytest.mark.parametrize("key", ["signers", "revoked"])
@pytest.mark.parametrize("require", ["tags", "commits"])
def test_a_named_file_that_is_missing_refuses_everything(scene: Scene, key: str, require: str) -> None:
    """threats.md T13"""
    target, tag_object = scene.tagged()
    with pytest.raises(TrustFileMissing) as caught:
        scene.require(target, tag_object, require=require, **{key: str(scene.folder / "gone")})
    assert f"security.{key}" in caught.value.message


def test_a_folder_in_place_of_a_file_refuses_everything(scene: Scene) -> None:
    """threats.md T13"""
    with pytest.raises(TrustFileMissing):
        scene.require(*scene.tagged(), revoked=str(scene.folder))


@pytest.mark.parametrize("key", ["signers", "revoked"])
def test_a_file_that_others_can_write_vouches_for_nobody(scene: Scene, key: str) -> None:
    """threats.md T13, T21"""
    target = scene.tagged()
    scene.revoked.touch()
    (scene.folder / key).chmod(0o666)
    with pytest.raises(TrustFileUnsafe, match="others can write"):
        scene.require(*target, revoked=str(scene.revoked))


def test_a_file_in_the_app_s_own_tree_vouches_for_nobody(scene: Scene) -> None:
    """threats.md § How: signers from the host, never from the fetched tree; by a link neither"""
    target = scene.tagged()
    inside, link = scene.host.checkout.path / "signers", scene.folder / "link"
    inside.write_text(scene.signers.read_text())
    link.symlink_to(inside)
    for path in (inside, link):
        security = Security(require="tags", signers=str(path))
        with pytest.raises(TrustFileUnsafe, match="own tree"):
            Signatures(scene.host.git, security, (scene.host.checkout.path,)).require(*target)


def test_a_path_that_depends_on_where_one_stands_vouches_for_nobody(scene: Scene) -> None:
    with pytest.raises(TrustFileUnsafe, match="whole path"):
        scene.require(*scene.tagged(), signers="signers")


def test_a_revoked_key_is_named_as_what_it_may_be(scene: Scene) -> None:
    """threats.md T12"""
    scene.revoked.write_text(scene.ada.public + "\n")
    with pytest.raises(TagRefused, match=f"its key is in {scene.revoked}"):
        scene.require(*scene.tagged(), revoked=str(scene.revoked))


def test_without_signers_nobody_may_sign(scene: Scene) -> None:
    with pytest.raises(SignersUnset):
        scene.require(*scene.tagged(), signers=None)


def test_without_ssh_keygen_nothing_is_trusted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    target = scene.tagged()
    judge = Signatures(scene.host.git, Security(require="tags", signers=str(scene.signers)))
    monkeypatch.setenv("PATH", str(scene.folder))
    with pytest.raises(VerifierMissing):
        judge.require(*target)


def test_a_target_without_a_tag_is_refused_where_tags_are_required(scene: Scene) -> None:
    commit = scene.ada.commit(scene.remote, {"app.py": "two\n"})
    scene.host.fetched()
    with pytest.raises(TagRequired) as caught:
        scene.require(Release(commit))
    assert "commits" in caught.value.advice


def test_what_a_tag_is_called_by_now_changes_nothing(scene: Scene) -> None:
    """threats.md T22: the object that was resolved is judged, wherever the name leads meanwhile"""
    target, tag_object = scene.tagged()
    scene.eve.tag(scene.remote, "v1.1.0")
    scene.host.git.fetch({"refs/tags/v1.1.0": target.commit})
    scene.require(target, tag_object)


def test_a_branch_of_the_tag_s_name_changes_nothing(scene: Scene) -> None:
    """threats.md T10"""
    target, tag_object = scene.tagged()
    scene.remote.git("branch", "v1.1.0", scene.remote.commit({"app.py": "evil\n"}))
    scene.host.fetched("refs/heads/v1.1.0")
    scene.require(target, tag_object)


def test_a_signed_tag_that_the_remote_does_not_send_is_refused(scene: Scene) -> None:
    commit = scene.host.fetched().commit
    with pytest.raises(TagRefused, match=r"no longer has|did not send"):
        scene.require(Release(commit, "1.1.0", "v1.1.0"), CommitId("e" * 40))


# --- commits --------------------------------------------------------------------------------


def test_a_commit_that_an_allowed_signer_signed_is_taken(scene: Scene) -> None:
    commit = scene.ada.commit(scene.remote, {"app.py": "two\n"})
    scene.host.fetched()
    scene.require(Release(commit), require="commits")


@pytest.mark.parametrize("signed", [False, True])
def test_any_other_commit_is_refused(scene: Scene, signed: bool) -> None:
    """threats.md T6"""
    files: dict[str, Content] = {"app.py": "two\n", "run.sh": Script("#!/bin/sh\n")}
    commit = scene.eve.commit(scene.remote, files) if signed else scene.remote.commit(files)
    scene.host.fetched()
    with pytest.raises(CommitRefused) as caught:
        scene.require(Release(commit), require="commits")
    assert ("no allowed signer" if signed else "not signed") in caught.value.message


def test_a_signed_ancestor_does_not_vouch_for_what_comes_after_it(scene: Scene) -> None:
    scene.ada.commit(scene.remote, {"app.py": "two\n"})
    commit = scene.remote.commit({"app.py": "evil\n"})
    scene.host.fetched()
    with pytest.raises(CommitRefused):
        scene.require(Release(commit), require="commits")


def test_a_commit_that_is_not_here_is_refused(scene: Scene) -> None:
    with pytest.raises(RefusedError):
        scene.require(Release(CommitId("e" * 40)), require="commits")
