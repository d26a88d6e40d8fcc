"""What must be signed, as typed: what is not trusted is refused with exit 5 and the reason; nothing moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from newleaf.core.release import CommitId
from tests.support.deployment import Answer, Deployment, SlotDeployment
from tests.support.signers import Signer, raw_tag

LAYOUTS = {"in_place": Deployment, "slots": SlotDeployment}


@pytest.fixture(params=LAYOUTS)
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    made: Deployment = LAYOUTS[request.param].make(tmp_path)
    return made


@pytest.fixture
def ada(tmp_path: Path) -> Signer:
    return Signer.make(tmp_path, "ada")


def require(deployment: Deployment, ada: Signer, what: str, channel: str, **more: str) -> None:
    """The host takes from now on what Ada has signed, and nothing else."""
    signers = deployment.folder / "signers"
    signers.write_text(ada.allowed())
    lines = [
        f'require = "{what}"',
        f'signers = "{signers}"',
        *(f'{key} = "{text}"' for key, text in more.items()),
    ]
    path = deployment.state / "host.toml"
    there = path.read_text() if path.exists() else ""
    kept = there.partition("[deployment]")[0]
    deployment.host_settings(
        "\n".join([kept, "[deployment]", f'channel = "{channel}"', "[security]", *lines, ""])
    )


def signed(deployment: Deployment, signer: Signer, version: str) -> str:
    commit = deployment.release(version)
    signer.tag(deployment.remote, f"v{version}", commit)
    return commit


def is_refused(deployment: Deployment, answer: Answer, code: str, before: str) -> bool:
    """Refused by that rule, told in status and history, and nothing has moved."""
    status = deployment.record("status.json")
    last = deployment.run("history").record["attempts"][-1]
    message: Any = answer.record["errors"][0]["message"]
    return (
        (answer.code, answer.outcome, answer.record["errors"][0]["code"]) == (5, "refused", code)
        and deployment.head() == before
        and (status["status"], status["error"]) == ("update_failed", message)
        and (last["outcome"], last["errors"][0]["code"]) == ("refused", code)
    )


def test_a_signed_tag_is_taken_and_an_unsigned_one_is_refused(deployment: Deployment, ada: Signer) -> None:
    """threats.md T6"""
    require(deployment, ada, "tags", "beta")
    good = signed(deployment, ada, "1.1.0")
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == good
    deployment.release("1.2.0")
    answer = deployment.run("update")
    assert is_refused(deployment, answer, "tag_refused", good), answer
    assert "lightweight" in answer.record["errors"][0]["message"]
    third = signed(deployment, ada, "1.3.0")
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == third


def test_a_tag_by_somebody_else_is_refused(deployment: Deployment, ada: Signer, tmp_path: Path) -> None:
    """threats.md T6"""
    before = deployment.head()
    require(deployment, ada, "tags", "beta")
    signed(deployment, Signer.make(tmp_path, "eve"), "1.1.0")
    answer = deployment.run("update")
    assert is_refused(deployment, answer, "tag_refused", before), answer
    for arguments in (["--to", "1.1.0"], ["--now"], ["--force-busy"]):
        assert deployment.run("update", *arguments).code == 5


def test_an_old_signed_tag_under_a_new_name_is_refused(deployment: Deployment, ada: Signer) -> None:
    """threats.md T8"""
    require(deployment, ada, "tags", "beta")
    signed(deployment, ada, "1.1.0")
    deployment.run("update")
    before = deployment.head()
    commit = deployment.release("9.9.9")
    old = CommitId(deployment.remote.git("rev-parse", "refs/tags/v1.1.0"))
    body = deployment.remote.git("cat-file", "tag", old).encode() + b"\n"
    raw_tag(deployment.remote, "v9.9.9", body.replace(before.encode(), commit.encode()))
    assert is_refused(deployment, deployment.run("update"), "tag_refused", before)


def test_a_key_that_was_revoked_signs_nothing_more(
    deployment: Deployment, ada: Signer, tmp_path: Path
) -> None:
    """threats.md T12"""
    before = deployment.head()
    revoked = tmp_path / "revoked"
    revoked.write_text(ada.public + "\n")
    require(deployment, ada, "tags", "beta", revoked=str(revoked))
    signed(deployment, ada, "1.1.0")
    assert is_refused(deployment, deployment.run("update"), "tag_refused", before)


@pytest.mark.parametrize("missing", ["signers", "revoked"])
def test_a_named_file_that_is_missing_refuses(deployment: Deployment, ada: Signer, missing: str) -> None:
    """threats.md T13"""
    before = deployment.head()
    require(deployment, ada, "tags", "beta", **({"revoked": "/gone/revoked"} if missing == "revoked" else {}))
    if missing == "signers":
        (deployment.folder / "signers").unlink()
    signed(deployment, ada, "1.1.0")
    answer = deployment.run("update")
    assert is_refused(deployment, answer, "trust_file_missing", before), answer


def test_on_a_branch_signed_commits_are_taken_and_others_refused(deployment: Deployment, ada: Signer) -> None:
    """threats.md T6"""
    require(deployment, ada, "commits", "alpha")
    good = ada.commit(deployment.remote, {"app.py": "print('signed')\n"})
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == good
    deployment.remote.commit({"app.py": "print('not signed')\n"})
    assert is_refused(deployment, deployment.run("update"), "commit_refused", good)


def test_a_branch_has_no_tags_that_could_be_required(deployment: Deployment, ada: Signer) -> None:
    before = deployment.head()
    require(deployment, ada, "tags", "alpha")
    ada.commit(deployment.remote, {"app.py": "print('signed')\n"})
    answer = deployment.run("update")
    assert is_refused(deployment, answer, "tag_required", before), answer
    assert 'security.require = "commits"' in answer.record["errors"][0]["cure"]


def test_the_way_back_leads_to_what_is_trusted(deployment: Deployment, ada: Signer) -> None:
    require(deployment, ada, "tags", "beta")
    first = signed(deployment, ada, "1.1.0")
    deployment.run("update")
    signed(deployment, ada, "1.2.0")
    deployment.run("update")
    back = deployment.run("rollback")
    assert (back.code, deployment.head()) == (0, first), back


def test_the_way_back_to_what_was_here_first_is_known_by_its_version_s_tag(
    deployment: Deployment, ada: Signer
) -> None:
    """No attempt brought the first release, so no tag came with it."""
    first = deployment.head()
    ada.tag(deployment.remote, "v1.0.0", first)
    require(deployment, ada, "tags", "beta")
    signed(deployment, ada, "1.1.0")
    assert deployment.run("update").outcome == "updated"
    back = deployment.run("rollback")
    assert (back.code, deployment.head()) == (0, first), back


def test_a_way_back_to_a_commit_that_its_version_s_tag_is_not_of_is_refused(
    deployment: Deployment, ada: Signer
) -> None:
    """threats.md T6"""
    require(deployment, ada, "tags", "beta")
    deployment.release("1.1.0")
    other = deployment.remote.commit({"app.py": "print('other')\n"})
    ada.tag(deployment.remote, "v1.1.0", other)
    assert deployment.run("update").outcome == "updated"
    answer = deployment.run("rollback", "--to", deployment.remote.git("rev-parse", f"{other}~1"))
    assert is_refused(deployment, answer, "tag_required", other), answer


def test_a_key_that_is_revoked_while_an_update_waits_is_refused_when_the_wait_ends(
    deployment: Deployment, ada: Signer, tmp_path: Path
) -> None:
    """threats.md T12"""
    before = deployment.head()
    revoked = tmp_path / "revoked"
    revoked.touch()
    require(deployment, ada, "tags", "beta", revoked=str(revoked))
    settings = (deployment.state / "host.toml").read_text()
    deployment.host_settings(settings + '[gates]\nidle_command = ["false"]\n')
    signed(deployment, ada, "1.1.0")
    assert deployment.run("update").code == 4
    revoked.write_text(ada.public + "\n")
    deployment.host_settings(settings)
    assert is_refused(deployment, deployment.run("update"), "tag_refused", before)
    assert deployment.states()[-2:] == ["wait", "refused"]


def test_a_signed_tag_of_a_blob_is_refused(deployment: Deployment, ada: Signer) -> None:
    """threats.md T11"""
    before = deployment.head()
    require(deployment, ada, "tags", "beta")
    ada.tag(deployment.remote, "v1.1.0", deployment.remote.git("hash-object", "-w", "--stdin", stdin=b"new"))
    assert is_refused(deployment, deployment.run("update"), "not_a_commit", before)


def test_signers_that_lie_in_the_app_s_own_tree_are_not_listened_to(
    deployment: Deployment, ada: Signer
) -> None:
    before = deployment.head()
    require(deployment, ada, "tags", "beta")
    inside = deployment.app / "signers"
    inside.write_text(ada.allowed())
    settings = (deployment.state / "host.toml").read_text()
    deployment.host_settings(settings.replace(str(deployment.folder / "signers"), str(inside)))
    signed(deployment, ada, "1.1.0")
    assert is_refused(deployment, deployment.run("update"), "trust_file_unsafe", before)


def test_a_fetched_tree_cannot_choose_who_may_sign(deployment: Deployment, ada: Signer) -> None:
    """contracts.md: keys marked H"""
    before = deployment.head()
    require(deployment, ada, "tags", "beta")
    text = (deployment.app / "newleaf.toml").read_text() + '[security]\nrequire = "none"\n'
    commit = deployment.release("1.1.0", {"newleaf.toml": text})
    ada.tag(deployment.remote, "v1.1.0", commit)
    answer = deployment.run("update")
    assert answer.code in (2, 5)
    assert deployment.head() == before
    assert "security.require" in answer.record["errors"][0]["message"]
