"""What is gathered at a maintainer's seat, from real repositories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from newleaf.cli.release.facts import Request, sit_down
from newleaf.core.errors import SettingsInvalid
from newleaf.core.releases.release_errors import NothingToRelease
from newleaf.core.releases.seat import Seat, Wish
from newleaf.system.commands import Runner
from newleaf.system.git.maintainer import Signing
from tests.support.deployment import settings_text
from tests.support.maintainers import MIGRATION, Maintainer, make_key
from tests.support.repositories import Checkout


@pytest.fixture
def ada(tmp_path: Path) -> Maintainer:
    return Maintainer.make(tmp_path)


def look(ada: Maintainer, below: str = ".", **asked: Any) -> Seat:
    request = Request(ada.checkout.path / below, ada.environment, asked.pop("wish", Wish()), **asked)
    return sit_down(request, Runner()).seat


def test_a_clone_as_it_came_then_all_is_known(ada: Maintainer) -> None:
    seat = look(ada)
    assert (seat.line.branch, seat.line.remote, seat.line.url) == ("main", "origin", ada.remote.url)
    assert (seat.tree.app, seat.tree.version, seat.tree.version_files) == (
        "sessions",
        "1.0.0",
        ("pyproject.toml",),
    )
    assert (seat.tag, seat.local_tag, seat.before, seat.published) == ("v1.0.0", None, None, ())
    assert seat.key is not None
    assert not seat.key.fault


def test_no_checkout_then_there_is_nothing_to_release(tmp_path: Path, ada: Maintainer) -> None:
    with pytest.raises(NothingToRelease, match="no git checkout"):
        sit_down(Request(tmp_path, ada.environment, Wish()), Runner())


def test_no_commit_then_there_is_nothing_to_release(tmp_path: Path, ada: Maintainer) -> None:
    Checkout(tmp_path).git("init", "-q", "empty")
    with pytest.raises(NothingToRelease, match="no commit yet"):
        sit_down(Request(tmp_path / "empty", ada.environment, Wish()), Runner())


def test_a_detached_head_then_the_branch_is_the_one_that_is_named(ada: Maintainer) -> None:
    ada.checkout.git("checkout", "-q", "--detach")
    assert look(ada).line.branch is None
    seat = look(ada, branch="main")
    assert seat.line.branch == "main"
    assert seat.line.refs == {"refs/heads/main": seat.head}


def test_a_branch_that_tracks_another_then_that_one_is_meant(ada: Maintainer) -> None:
    ada.checkout.git("checkout", "-q", "-b", "work")
    assert look(ada).line.branch == "work"
    ada.checkout.git("branch", "-q", "--set-upstream-to=origin/main")
    assert look(ada).line.branch == "main"


def test_one_remote_with_another_name_then_it_is_meant(ada: Maintainer) -> None:
    ada.checkout.git("remote", "rename", "origin", "central")
    assert look(ada).line.remote == "central"


def test_several_remotes_with_an_origin_then_that_one_is_meant(ada: Maintainer) -> None:
    ada.checkout.git("checkout", "-q", "--detach")
    ada.checkout.git("remote", "add", "fork", "/fork")
    assert look(ada, branch="main").line.remote == "origin"


def test_several_remotes_then_none_is_guessed(ada: Maintainer) -> None:
    ada.checkout.git("checkout", "-q", "--detach")
    ada.checkout.git("remote", "rename", "origin", "one")
    ada.checkout.git("remote", "add", "two", "/two")
    line = look(ada, branch="main").line
    assert (line.remote, line.remotes, line.refs) == (None, ("one", "two"), None)


def test_a_remote_that_does_not_answer_then_its_error_and_the_tags_here(ada: Maintainer) -> None:
    ada.released("1.0.0")
    ada.checkout.git("remote", "set-url", "origin", "/nowhere")
    seat = look(ada)
    assert seat.line.refs is None
    assert seat.line.error is not None
    assert [p.tag for p in seat.published] == ["v1.0.0"]


def test_the_remote_has_more_then_it_is_seen_without_fetching(ada: Maintainer) -> None:
    ada.remote.commit({"a": "1"})
    assert not look(ada).line.contains_remote


def test_tags_that_are_here_alone_then_they_are_no_releases(ada: Maintainer) -> None:
    ada.checkout.git("tag", "v0.9.0")
    assert look(ada).published == ()


def test_settings_that_do_not_hold_then_the_rest_is_read_all_the_same(ada: Maintainer) -> None:
    text = settings_text(source={"branch": "x"}, update={"migrations": "steps"})
    ada.commit({"newleaf.toml": text, "steps/v1.0.0/001_a.py": MIGRATION})
    tree = look(ada).tree
    assert isinstance(tree.settings_error, SettingsInvalid)
    assert "source.branch is for the host alone" in tree.settings_error.message
    assert tree.app == "sessions"
    assert [script.path for script in tree.scripts] == ["v1.0.0/001_a.py"]


def test_settings_that_a_part_would_refuse_then_it_is_an_error(ada: Maintainer) -> None:
    ada.commit({"newleaf.toml": settings_text(gates={"window": "whenever"})})
    assert look(ada).tree.settings_error is not None


def test_settings_that_cannot_be_read_then_it_is_an_error(ada: Maintainer) -> None:
    ada.commit({"newleaf.toml": "[app"})
    seat = look(ada)
    assert seat.tree.settings_error is not None
    assert seat.tree.app is None


def test_no_settings_then_the_missing_name_is_an_error(ada: Maintainer) -> None:
    ada.checkout.git("rm", "-q", "newleaf.toml")
    ada.commit({})
    assert "app.name is required" in str(look(ada).tree.settings_error)


def test_files_changed_but_not_committed_then_the_commit_counts(ada: Maintainer) -> None:
    ada.checkout.write("pyproject.toml", '[project]\nversion = "9.0.0"\n')
    ada.checkout.write("newleaf.toml", "[app")
    seat = look(ada)
    assert (seat.tree.version, seat.tree.settings_error) == ("1.0.0", None)
    assert set(seat.changed) == {"pyproject.toml", "newleaf.toml"}


def test_migrations_then_untracked_ones_are_told_and_helpers_are_not(ada: Maintainer) -> None:
    ada.commit({"migrations/v1.0.0/001_a.py": MIGRATION, "migrations/_helper.py": "", ".gitignore": "*_b.py"})
    ada.checkout.write("migrations/v1.0.0/002_b.py", MIGRATION)
    ada.checkout.write("migrations/__pycache__/x.py", "")
    ada.checkout.write("migrations/notes.txt", "")
    seat = look(ada)
    assert [script.path for script in seat.tree.scripts] == ["v1.0.0/001_a.py"]
    assert seat.untracked_scripts == ("migrations/v1.0.0/002_b.py",)


def test_migrations_that_are_not_sound_then_it_is_an_error(ada: Maintainer) -> None:
    ada.commit({"migrations/v1.0.0/001_a.py": MIGRATION, "migrations/v1.0.0/001_b.py": MIGRATION})
    error = look(ada).tree.scripts_error
    assert error is not None
    assert "number 001" in error.message


def test_a_release_before_then_its_name_and_migrations_are_read(ada: Maintainer) -> None:
    ada.released("1.0.0", {"migrations/v1.0.0/001_a.py": MIGRATION})
    ada.bump("1.1.0", {"migrations/v1.1.0/001_b.py": MIGRATION})
    before = look(ada).before
    assert before is not None
    assert (before.release.tag, before.is_here, before.app) == ("v1.0.0", True, "sessions")
    assert before.scripts == {"1.0.0/001_a.py"}


def test_higher_releases_then_those_in_the_history_are_told_whatever_tags_are_here(ada: Maintainer) -> None:
    start = ada.released("1.2.4")
    ada.released("1.3.0")
    ada.checkout.git("tag", "-d", "v1.3.0")
    ada.bump("1.2.5")
    assert look(ada).contained == {"v1.3.0"}
    ada.checkout.git("checkout", "-q", "-b", "release-1.2", start)
    ada.bump("1.2.5")
    seat = look(ada)
    assert seat.contained == set()
    assert seat.before is not None
    assert seat.before.release.tag == "v1.2.4"


def test_a_release_before_that_was_not_fetched_then_that_is_said(ada: Maintainer) -> None:
    ada.remote.commit({"a": "1"}, branch="side")
    ada.remote.tag("v0.9.0", ada.remote.id_of("side"))
    before = look(ada).before
    assert before is not None
    assert not before.is_here


def test_a_monorepo_then_the_app_where_one_stands_is_meant(ada: Maintainer) -> None:
    ada.commit(
        {
            "chat/newleaf.toml": settings_text("chat"),
            "chat/pyproject.toml": '[project]\nversion = "3.0.0"\n',
            "chat/src/x.py": "",
            "chat/migrations/v3.0.0/001_a.py": MIGRATION,
        }
    )
    seat = look(ada, "chat/src")
    assert (seat.tree.settings_file, seat.tree.app, seat.tree.version) == (
        "chat/newleaf.toml",
        "chat",
        "3.0.0",
    )
    assert [script.path for script in seat.tree.scripts] == ["v3.0.0/001_a.py"]
    assert look(ada).tree.app == "sessions"


def test_a_prefix_of_the_hosts_own_then_tags_have_it(ada: Maintainer, tmp_path: Path) -> None:
    host = tmp_path / "host.toml"
    host.write_text('[source]\ntag_prefix = "chat/v"\n')
    ada.checkout.git("tag", "chat/v0.9.0")
    ada.checkout.git("push", "-q", "origin", "chat/v0.9.0")
    seat = look(ada, config=host)
    assert (seat.tag, [p.tag for p in seat.published]) == ("chat/v1.0.0", ["chat/v0.9.0"])


def test_a_prefix_in_the_environment_then_tags_have_it(ada: Maintainer) -> None:
    environment = {**ada.environment, "NEWLEAF_SOURCE__TAG_PREFIX": "r"}
    seat = sit_down(Request(ada.checkout.path, environment, Wish()), Runner()).seat
    assert seat.tag == "r1.0.0"


def test_the_tag_says_the_version_then_the_one_that_was_asked_for_counts(ada: Maintainer) -> None:
    ada.commit({"newleaf.toml": settings_text(app={"version_file": "tag"})})
    assert look(ada).version is None
    assert look(ada, wish=Wish("2.0.0")).tag == "v2.0.0"


def test_a_tag_of_an_interrupted_run_then_it_is_gone_on_with(ada: Maintainer) -> None:
    ada.git("tag", "-s", "-m", "sessions 1.0.0", "v1.0.0")
    assert look(ada).goes_on


@pytest.mark.parametrize(
    ("options", "wish", "fault"),
    [
        (["-a", "-m", "x"], Wish(), "it is not signed"),
        (["-s", "-m", "x"], Wish(sign=False), "it is signed, and --no-sign was asked for"),
        ([], Wish(), "it is no annotated tag"),
    ],
)
def test_a_tag_that_is_not_the_one_to_be_made_then_its_fault(
    options: list[str], wish: Wish, fault: str, ada: Maintainer
) -> None:
    ada.git("tag", *options, "v1.0.0")
    assert look(ada, wish=wish, signing=Signing(wish.sign)).local_fault == fault


def test_a_tag_of_another_commit_then_its_fault(ada: Maintainer) -> None:
    ada.git("tag", "-s", "-m", "x", "v1.0.0")
    ada.commit({"a": "1"})
    assert "it names" in (look(ada).local_fault or "")


def test_git_signs_with_pgp_then_it_has_no_key_unless_one_is_named(ada: Maintainer, tmp_path: Path) -> None:
    ada.configure("gpg.format", "openpgp")
    assert look(ada).key is None
    other = make_key(tmp_path / "other")
    named = look(ada, signing=Signing(key=other)).key
    assert named is not None
    assert str(other) in named.name


def test_another_program_holds_the_key_then_it_is_believed(ada: Maintainer) -> None:
    ada.configure("gpg.ssh.program", "/opt/op-ssh-sign")
    ada.configure("user.signingkey", "ssh-ed25519 AAAA")
    key = look(ada).key
    assert key is not None
    assert (key.name, key.fault) == ("the key that /opt/op-ssh-sign holds", "")


def test_a_merge_under_way_and_a_submodule_then_both_are_told(ada: Maintainer) -> None:
    (ada.checkout.path / ".git" / "MERGE_HEAD").write_text(f"{ada.checkout.id_of()}\n")
    assert look(ada).operation == "merge"
    (ada.checkout.path / ".git" / "MERGE_HEAD").unlink()
    link = f"160000,{ada.checkout.id_of()},lib"
    ada.checkout.git("update-index", "--add", "--cacheinfo", link)
    ada.checkout.git("commit", "-q", "-m", "Submodule")
    assert look(ada).tree.faults == ("'lib' is a submodule, which newleaf does not update",)
