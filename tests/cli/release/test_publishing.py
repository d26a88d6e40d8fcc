"""The steps after the checks, against real git: what is left where one fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from newleaf.cli.release.facts import Desk, Request, sit_down
from newleaf.cli.release.publishing import Order, make_tag, push
from newleaf.core.errors import NewleafError, ProgramMissing
from newleaf.core.release import CommitId
from newleaf.core.releases.release_errors import PushFailed, PushUnclear, TagUnsound
from newleaf.core.releases.seat import Wish
from newleaf.system.commands import Runner
from newleaf.system.git.maintainer import MaintainerGit, Signing
from newleaf.system.signing import Keys
from tests.support.maintainers import Maintainer, fingerprint_of, make_key, write_signers

SIGNED = Order(Signing())


@pytest.fixture
def ada(tmp_path: Path) -> Maintainer:
    """With a commit that is not pushed yet."""
    made = Maintainer.make(tmp_path)
    made.bump("1.1.0")
    return made


def desk_of(ada: Maintainer, *, sign: bool = True) -> Desk:
    request = Request(ada.checkout.path, ada.environment, Wish(sign=sign), signing=Signing(sign))
    return sit_down(request, Runner())


def test_all_goes_well_then_branch_and_tag_are_at_the_remote(ada: Maintainer) -> None:
    desk = desk_of(ada)
    made = make_tag(desk, SIGNED)
    assert (made.tag, made.signed_by, made.is_new) == ("v1.1.0", fingerprint_of(ada.key), True)
    push(desk, made)
    assert ada.remote.id_of("main") == ada.checkout.id_of()
    assert ada.remote.git("rev-parse", "v1.1.0") == made.tag_object
    assert ada.remote.git("tag", "-l", "--format=%(contents:subject)") == "sessions 1.1.0"


def test_no_signature_is_wished_for_then_nobody_signed(ada: Maintainer) -> None:
    made = make_tag(desk_of(ada, sign=False), Order(Signing(sign=False)))
    assert (made.signed_by, ada.tags()) == (None, ["v1.1.0"])


def test_signers_vouch_for_the_key_then_the_tag_stays(ada: Maintainer, tmp_path: Path) -> None:
    signers = write_signers(tmp_path / "signers", ada.key)
    assert make_tag(desk_of(ada), Order(Signing(), signers)).is_new


def test_signers_do_not_vouch_for_the_key_then_the_tag_is_taken_away(ada: Maintainer, tmp_path: Path) -> None:
    signers = write_signers(tmp_path / "signers", make_key(tmp_path / "other"))
    with pytest.raises(TagUnsound, match="does not vouch for the key SHA256:") as caught:
        make_tag(desk_of(ada), Order(Signing(), signers))
    assert caught.value.advice == "nothing was pushed; the tag was taken away again"
    assert ada.tags() == []


def test_the_earlier_runs_tag_is_not_vouched_for_then_it_is_named_and_kept(
    ada: Maintainer, tmp_path: Path
) -> None:
    make_tag(desk_of(ada), SIGNED)
    signers = write_signers(tmp_path / "signers", make_key(tmp_path / "other"))
    with pytest.raises(TagUnsound) as caught:
        make_tag(desk_of(ada), Order(Signing(), signers))
    assert "git tag -d v1.1.0" in caught.value.advice
    assert ada.tags() == ["v1.1.0"]


class _Otherwise(MaintainerGit):
    """Git that makes something else than it was asked for."""

    bodies: tuple[tuple[bytes, bytes], ...] = ()

    def read_tag(self, tag_object: CommitId) -> bytes | None:
        body = super().read_tag(tag_object) or b""
        for old, new in self.bodies:
            body = body.replace(old, new)
        return body


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b"type commit", b"type tree"), "it is a tag of a tree"),
        ((b"tag v1.1.0", b"tag v9.9.9"), "it says that it is v9.9.9"),
        ((b"object ", b"object 0"), "it names 0"),
        ((b"sessions 1.1.0", b"sessions 9.9.9"), "its signature does not hold"),
    ],
)
def test_the_tag_reads_back_otherwise_then_it_is_taken_away(
    change: tuple[bytes, bytes], reason: str, ada: Maintainer
) -> None:
    desk = desk_of(ada)
    git = _Otherwise(ada.checkout.path, Runner(), ada.environment)
    git.bodies = (change,)
    with pytest.raises(TagUnsound, match=reason):
        make_tag(replace(desk, git=git), SIGNED)
    assert ada.tags() == []


def test_it_cannot_be_read_back_then_the_tag_is_taken_away(ada: Maintainer) -> None:
    desk = desk_of(ada)
    blind = Keys(Runner(), {**ada.environment, "PATH": "/nowhere"})
    with pytest.raises(ProgramMissing):
        make_tag(replace(desk, keys=blind), SIGNED)
    assert ada.tags() == []


def test_the_run_was_interrupted_after_the_tag_then_it_is_gone_on_with(ada: Maintainer) -> None:
    first = make_tag(desk_of(ada), SIGNED)
    desk = desk_of(ada)
    second = make_tag(desk, SIGNED)
    assert second == replace(first, is_new=False)
    push(desk, second)
    assert ada.remote_tags() == ["v1.1.0"]


def test_the_remote_declines_then_the_tag_is_taken_away_and_nothing_arrived(ada: Maintainer) -> None:
    before = ada.remote.id_of("main")
    ada.install_hook("pre-receive", "echo not today >&2; exit 1", remote=True)
    desk = desk_of(ada)
    with pytest.raises(PushFailed, match=r"v1\.1\.0 could not be pushed to origin: .*not today") as caught:
        push(desk, make_tag(desk, SIGNED))
    assert "the tag was taken away here too" in caught.value.advice
    assert (ada.tags(), ada.remote_tags(), ada.remote.id_of("main")) == ([], [], before)


def test_the_remote_declines_an_earlier_runs_tag_then_it_is_kept(ada: Maintainer) -> None:
    make_tag(desk_of(ada), SIGNED)
    ada.install_hook("pre-receive", "exit 1", remote=True)
    desk = desk_of(ada)
    with pytest.raises(PushFailed) as caught:
        push(desk, make_tag(desk, SIGNED))
    assert "earlier run is kept" in caught.value.advice
    assert ada.tags() == ["v1.1.0"]


def test_somebody_pushed_meanwhile_then_neither_branch_nor_tag_is_pushed(ada: Maintainer) -> None:
    desk = desk_of(ada)
    made = make_tag(desk, SIGNED)
    theirs = ada.remote.commit({"b": "1"})
    with pytest.raises(PushFailed, match="fetch first"):
        push(desk, made)
    assert (ada.tags(), ada.remote_tags(), ada.remote.id_of("main")) == ([], [], theirs)


class _Deaf(MaintainerGit):
    """Git that pushes, and whose answer is lost."""

    def push(self, remote: str, refs: object) -> str | None:
        super().push(remote, refs)  # type: ignore[arg-type]
        return "the connection was lost"


def test_the_answer_is_lost_but_the_tag_arrived_then_it_is_released(ada: Maintainer) -> None:
    desk = desk_of(ada)
    made = make_tag(desk, SIGNED)
    push(replace(desk, git=_Deaf(ada.checkout.path, Runner(), ada.environment)), made)
    assert ada.tags() == ada.remote_tags() == ["v1.1.0"]


def test_the_remote_is_gone_then_the_tag_is_kept_for_the_next_run(ada: Maintainer) -> None:
    desk = desk_of(ada)
    made = make_tag(desk, SIGNED)
    ada.checkout.git("remote", "set-url", "origin", "/nowhere")
    with pytest.raises(PushUnclear) as caught:
        push(desk, made)
    assert isinstance(caught.value, NewleafError)
    assert ada.tags() == ["v1.1.0"]
