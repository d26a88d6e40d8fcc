"""Checkouts in states that nobody planned for, hostile surroundings, and shapes other than the usual."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bad_input import look, require_plain
from tests.support.deployment import NEWLEAF, Deployment, migration, settings_text, wait_until
from tests.support.repositories import Checkout, Repository

LINES = ("state/journal.jsonl", "state/history.jsonl")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A host at 1.0.0 whose channel is at 1.1.0."""
    deployment = Deployment.make(tmp_path)
    deployment.release("1.1.0")
    return deployment


def stays(deployment: Deployment, code: int, outcome: str, error: str) -> str:
    """An update that fails like this and leaves the host as it was; its text."""
    deployment.run("check")
    before = look(deployment, *LINES)
    text = require_plain(deployment.run("update"), code, outcome, error)
    assert look(deployment, *LINES) == before
    return text


# --- a person's work in the checkout ----------------------------------------------------------


def begun(deployment: Deployment, *operation: str) -> None:
    """A person has begun this in the checkout, and conflicts stopped it."""
    checkout = deployment.checkout
    for branch in ("theirs", "mine"):
        checkout.git("checkout", "-q", "-b", branch, "origin/main")
        checkout.write("app.py", f"print('{branch}')\n")
        checkout.git("commit", "-q", "-a", "-m", branch)
    done = subprocess.run(
        ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *operation, "theirs"],
        cwd=checkout.path,
        env={"PATH": os.environ["PATH"], "HOME": str(deployment.home), "GIT_EDITOR": "true"},
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0, "it must stop in the middle"


@pytest.mark.parametrize("operation", ["merge", "rebase", "cherry-pick"])
def test_a_checkout_in_the_middle_of_something_is_left_alone(deployment: Deployment, operation: str) -> None:
    begun(deployment, operation)
    text = stays(deployment, 5, "refused", "checkout_busy")
    assert f"a {operation} is under way" in text
    assert f"git {operation} --abort" in text
    deployment.checkout.git(operation, "--abort")
    deployment.checkout.git("checkout", "-q", "main")
    assert deployment.run("update").outcome == "updated"


def test_a_merge_that_is_resolved_but_not_committed_is_left_alone(deployment: Deployment) -> None:
    begun(deployment, "merge")
    deployment.checkout.write("app.py", "print('both')\n")
    deployment.checkout.git("add", "app.py")
    stays(deployment, 5, "refused", "checkout_busy")
    assert (deployment.checkout.path / ".git/MERGE_HEAD").exists()


def test_commits_that_the_remote_has_not_are_named(deployment: Deployment) -> None:
    """lessons.md L8"""
    deployment.checkout.write("app.py", "print('mine')\n")
    deployment.checkout.git("commit", "-q", "-a", "-m", "Repaired in the night")
    assert "Repaired in the night" in stays(deployment, 5, "refused", "diverged")


def test_local_changes_are_refused_where_the_host_says_so(deployment: Deployment) -> None:
    """lessons.md L7"""
    deployment.host_settings('[update]\ndirty_tree = "refuse"\n')
    deployment.checkout.write("app.py", "print('mine')\n")
    assert "app.py" in stays(deployment, 5, "refused", "dirty_tree")


def test_a_file_of_nobody_s_is_never_overwritten(deployment: Deployment) -> None:
    """lessons.md L23"""
    deployment.release("1.2.0", {"settings.ini": "theirs\n", ".gitignore": "*.ini\n"})
    deployment.checkout.write("settings.ini", "mine\n")
    assert "settings.ini" in stays(deployment, 5, "refused", "untracked_in_the_way")


@pytest.mark.parametrize("fails", [False, True])
def test_the_secrets_file_is_byte_identical_whatever_comes(tmp_path: Path, fails: bool) -> None:
    """lessons.md L23"""
    install = "false" if fails else "true"
    deployment = Deployment.make(tmp_path, {".gitignore": ".env\n"}, update={"install": install})
    secret = deployment.checkout.write(".env", b"TOKEN=made-up\r\n\x00no newline at the end")
    secret.chmod(0o640)
    before = (secret.read_bytes(), secret.stat().st_mtime_ns, secret.stat().st_mode, secret.stat().st_ino)
    deployment.release("1.1.0", {".gitignore": None})
    assert deployment.run("update").outcome == ("failed" if fails else "updated")
    deployment.run("rollback")
    after = (secret.read_bytes(), secret.stat().st_mtime_ns, secret.stat().st_mode, secret.stat().st_ino)
    assert after == before


def test_a_detached_checkout_moves_and_stays_detached(deployment: Deployment) -> None:
    main = deployment.head()
    deployment.checkout.git("checkout", "-q", "--detach")
    assert deployment.run("update").outcome == "updated"
    assert deployment.checkout.git("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert deployment.checkout.id_of("main") == main


def test_another_branch_than_the_one_that_is_followed_stays_where_it_is(deployment: Deployment) -> None:
    first = deployment.head()
    deployment.checkout.git("checkout", "-q", "-b", "mine")
    assert deployment.run("update").outcome == "updated"
    assert deployment.checkout.id_of("mine") == first
    assert deployment.head() == deployment.remote.heads()["main"]


def test_a_shallow_clone_is_updated(deployment: Deployment) -> None:
    shallow = deployment.remote.clone(
        deployment.folder / "shallow", "--depth", "1", url=f"file://{deployment.remote.path}"
    )
    deployment.checkout = shallow
    commit = [deployment.release(version) for version in ("1.2.0", "1.3.0")][-1]
    answer = deployment.run("update")
    assert answer.outcome == "updated"
    assert answer.record["from"]["version"] == "1.1.0"
    assert deployment.head() == commit
    assert deployment.checkout.changes() == []


# --- what is broken -----------------------------------------------------------------------


def test_a_folder_that_is_no_checkout_is_named(deployment: Deployment) -> None:
    os.rename(deployment.checkout.path / ".git", deployment.folder / "away")
    deployment.state.mkdir(mode=0o700)
    answer = deployment.run("update", "--state-dir", str(deployment.state))
    require_plain(answer, 2, "usage", "checkout_unknown")


@pytest.mark.parametrize("lost", ["HEAD", "refs", "objects"])
def test_a_checkout_whose_git_folder_is_broken_is_named(deployment: Deployment, lost: str) -> None:
    os.rename(deployment.checkout.path / ".git" / lost, deployment.folder / "away")
    answer = deployment.run("update")
    assert answer.code in (1, 2, 5), answer
    require_plain(answer, answer.code, answer.outcome)
    assert deployment.checkout.read("app.py") == "print('1.0.0')\n"
    assert not (deployment.checkout.path / ".git" / lost).exists(), "nothing was made in its place"
    os.rename(deployment.folder / "away", deployment.checkout.path / ".git" / lost)
    assert deployment.run("update").outcome == "updated"


def test_a_checkout_without_a_commit_is_told_how_to_begin(deployment: Deployment) -> None:
    empty = deployment.folder / "empty"
    Repository(deployment.folder).git("init", "-q", "--initial-branch=main", str(empty))
    checkout = Checkout(empty)
    checkout.git("remote", "add", "origin", deployment.remote.url)
    checkout.write("newleaf.toml", settings_text())
    deployment.checkout = checkout
    text = require_plain(deployment.run("update"), 5, "refused", "unborn")
    assert "git clone" in text


def test_an_index_that_is_broken_is_named_and_left(deployment: Deployment) -> None:
    index = deployment.checkout.path / ".git/index"
    index.write_bytes(b"DIRC\0\0\0\2 nonsense")
    head = deployment.head()
    answer = deployment.run("update")
    require_plain(answer, 1, "failed")
    assert "index" in answer.record["errors"][0]["message"]
    assert deployment.head() == head
    deployment.checkout.git("read-tree", "HEAD")
    assert deployment.run("update").outcome == "updated"


def test_a_lock_of_a_dead_git_is_recovered_from(deployment: Deployment) -> None:
    """lessons.md L12"""
    lock = deployment.checkout.path / ".git/index.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    answer = deployment.run("update")
    assert answer.outcome == "updated", answer
    assert not lock.exists()


def test_a_lock_of_a_living_git_is_respected(deployment: Deployment) -> None:
    """lessons.md L12"""
    head, lock = deployment.head(), deployment.checkout.path / ".git/index.lock"
    editor = deployment.folder / "editor"
    editor.write_text(f"#!/bin/sh\ntouch {deployment.folder}/editing\nexec sleep 60\n")
    editor.chmod(0o755)
    deployment.checkout.write("app.py", "print('mine')\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(deployment.home), "GIT_EDITOR": str(editor)}
    words = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-a"]
    with subprocess.Popen(
        words, cwd=deployment.checkout.path, env=environment, start_new_session=True
    ) as commit:
        try:
            wait_until((deployment.folder / "editing").exists)
            assert lock.exists()
            answer = deployment.run("update")
            assert (answer.code, answer.record["errors"][0]["code"]) == (1, "checkout_locked"), answer
            assert lock.exists()
            assert deployment.head() == head
        finally:
            os.killpg(commit.pid, 9)


# --- hostile surroundings -----------------------------------------------------------------

HOOKS = (
    "post-checkout post-merge post-index-change pre-commit reference-transaction post-rewrite "
    "pre-auto-gc fsmonitor-watchman pre-push update post-update post-receive"
).split()


def test_no_program_of_the_checkout_runs(deployment: Deployment) -> None:
    """threats.md T18"""
    checkout, marker = deployment.checkout, deployment.folder / "ran"
    trap = deployment.folder / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {marker}\ncat\n')
    trap.chmod(0o755)
    hooks = checkout.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in HOOKS:
        (hooks / name).symlink_to(trap)
    included = deployment.folder / "included"
    included.write_text(f'[core]\n\tfsmonitor = {trap}\n\tpager = {trap}\n[alias]\n\tfetch = "!{trap}"\n')
    checkout.write(".git/info/attributes", "* filter=trap diff=trap merge=trap\n")
    with (checkout.path / ".git/config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {trap}\n\thooksPath = {hooks}\n"
            f"\tsshCommand = {trap}\n\tgitProxy = {trap}\n"
            f"\taskPass = {trap}\n\teditor = {trap}\n\talternateRefsCommand = {trap}\n"
            f'[filter "trap"]\n\tclean = {trap}\n\tsmudge = {trap}\n\tprocess = {trap}\n\trequired = true\n'
            f'[diff "trap"]\n\tcommand = {trap}\n\ttextconv = {trap}\n[merge "trap"]\n\tdriver = {trap}\n'
            f'[diff]\n\texternal = {trap}\n[credential]\n\thelper = "!{trap}"\n[gpg]\n\tprogram = {trap}\n'
            f"[uploadpack]\n\tpackObjectsHook = {trap}\n[include]\n\tpath = {included}\n"
            f'[remote "origin"]\n\tuploadpack = {trap}\n\tvcs = trap\n[gc]\n\tauto = 1\n'
        )
    checkout.write("app.py", "print('a local change')\n")
    for verb in ("check", "update", "status", "why", "rollback"):
        answer = deployment.run(verb)
        assert answer.code == 0, answer
    assert not marker.exists(), marker.read_text()
    assert len(checkout.stashes()) == 1, "what did not fit 1.1.0"


def test_variables_of_git_s_have_no_effect(deployment: Deployment) -> None:
    """threats.md T19"""
    marker, trap = deployment.folder / "ran", deployment.folder / "trap"
    trap.write_text(f"#!/bin/sh\necho $0 >> {marker}\n")
    trap.chmod(0o755)
    elsewhere = deployment.folder / "elsewhere"
    Repository(deployment.folder).git("init", "-q", str(elsewhere))
    (deployment.home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {deployment.folder}\n\tfsmonitor = {trap}\n"
    )
    deployment.environment |= {
        "GIT_DIR": str(elsewhere / ".git"),
        "GIT_WORK_TREE": str(elsewhere),
        "GIT_INDEX_FILE": str(elsewhere / "index"),
        "GIT_OBJECT_DIRECTORY": str(elsewhere / "objects"),
        "GIT_COMMON_DIR": str(elsewhere),
        "GIT_NAMESPACE": "other",
        "GIT_CEILING_DIRECTORIES": "/",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(trap),
        "GIT_CONFIG_KEY_1": "url.file:///nowhere.insteadOf",
        "GIT_CONFIG_VALUE_1": deployment.remote.url,
        "GIT_CONFIG_PARAMETERS": f"'core.hooksPath={deployment.folder}'",
        "GIT_SSH_COMMAND": str(trap),
        "GIT_SSH": str(trap),
        "GIT_EXTERNAL_DIFF": str(trap),
        "GIT_EDITOR": str(trap),
        "GIT_ASKPASS": str(trap),
        "GIT_PAGER": str(trap),
        "GIT_EXEC_PATH": "/nowhere",
        "GIT_TRACE": str(deployment.folder / "trace"),
        "GIT_PROTOCOL_FROM_USER": "1",
        "GIT_ALLOW_PROTOCOL": "ext",
    }
    commit = deployment.remote.heads()["main"]
    answer = deployment.run("update")
    assert answer.outcome == "updated", answer
    deployment.environment.clear()
    assert deployment.head() == commit
    assert not marker.exists()
    assert not (deployment.folder / "trace").exists()
    assert not (elsewhere / "index").exists()


def test_an_almost_empty_environment_is_enough(deployment: Deployment) -> None:
    """A timer's, say: no HOME, no LANG, no terminal."""
    words = ["env", "-i", f"PATH={os.environ['PATH']}", f"NEWLEAF_STATE_DIR={deployment.state}"]
    deployment.state.mkdir(mode=0o700)
    process = deployment.start("update", "--json", program=[*words, *NEWLEAF])
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, ""), output


def test_names_and_subjects_in_any_bytes_are_told_in_any_character_set(deployment: Deployment) -> None:
    # No file of macOS has a name that is not UTF-8.
    name = b"/na\xefve \xe2\x9c\x93" if sys.platform == "linux" else "/naïve ✓".encode()
    with open(os.fsencode(deployment.checkout.path) + name, "wb") as file:
        file.write(b"tracked\n")
    deployment.checkout.git("add", "--all")
    deployment.checkout.git("reset", "-q", "--", "newleaf.toml")
    deployment.remote.commit({"app.py": "print('größer')\n"}, "Größer ✓")
    for character_set in ("ascii", "latin-1", "utf-8"):
        deployment.environment["PYTHONIOENCODING"] = character_set
        for verb in ("check", "why", "update", "history", "rollback"):
            process = deployment.start(verb, "--json")
            output, errors = process.communicate(timeout=60)
            assert errors == "", verb
            assert process.returncode in (0, 2), output
        code, output, errors = deployment.text("update")
        assert code == 0
        assert "Traceback" not in errors


# --- other shapes -----------------------------------------------------------------------------


def monorepo(tmp_path: Path) -> Deployment:
    """A repository with an app in `worker/`, which is what is deployed, and other things beside it."""
    deployment = Deployment.make(tmp_path)
    remote = deployment.remote
    remote.commit(
        {
            "newleaf.toml": None,
            "worker/newleaf.toml": settings_text(watch={"paths": ["worker", "lib"]}),
            "worker/pyproject.toml": '[project]\nname = "worker"\nversion = "2.0.0"\n',
            "worker/work.py": "print('2.0.0')\n",
            "web/page.html": "<p>1\n",
        },
        "A monorepo",
    )
    remote.tag("worker-v2.0.0")
    deployment.checkout.git("pull", "-q", "--ff-only")
    deployment.checkout = Checkout(deployment.checkout.path / "worker")
    return deployment


def test_in_a_monorepo_only_what_the_app_is_made_of_is_a_target(tmp_path: Path) -> None:
    deployment = monorepo(tmp_path)
    head = deployment.head()
    deployment.remote.commit({"web/page.html": "<p>2\n"})
    answer = deployment.run("update")
    assert (answer.outcome, deployment.head()) == ("up_to_date", head)
    assert "worker" in " ".join(answer.record["notes"])
    commit = deployment.remote.commit({"lib/tool.py": "pass\n"})
    deployment.remote.commit({"web/page.html": "<p>3\n"})
    answer = deployment.run("update")
    assert answer.outcome == "updated"
    assert deployment.head() == commit
    assert answer.record["to"]["version"] == "2.0.0"


def test_in_a_monorepo_the_app_s_own_tags_and_migrations_count(tmp_path: Path) -> None:
    deployment = monorepo(tmp_path)
    deployment.host_settings('[deployment]\nchannel = "beta"\n[source]\ntag_prefix = "worker-v"\n')
    note = tmp_path / "ran"
    body = f"open({str(note)!r}, 'a').write(__file__)"
    deployment.remote.commit(
        {
            "worker/pyproject.toml": '[project]\nname = "worker"\nversion = "2.1.0"\n',
            "worker/migrations/v2.1.0/001_a.py": migration(
                body, f"import os; return os.path.exists({str(note)!r})"
            ),
            "migrations/v2.1.0/001_not_ours.py": migration("raise SystemExit(1)"),
        }
    )
    commit = deployment.remote.tag("worker-v2.1.0")
    deployment.remote.tag("v9.0.0", deployment.remote.commit({"web/page.html": "<p>9\n"}))
    answer = deployment.run("update")
    assert answer.outcome == "updated", answer
    assert answer.record["to"] == {"commit": commit, "version": "2.1.0", "tag": "worker-v2.1.0"}
    assert note.read_text().endswith("worker/migrations/v2.1.0/001_a.py")
    assert deployment.run("version").record["app"]["version"] == "2.1.0"


def test_app_path_names_the_folder_from_the_top(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path, app={"path": "services/worker"})
    deployment.remote.commit(
        {"services/worker/pyproject.toml": '[project]\nname = "worker"\nversion = "3.0.0"\n'}
    )
    answer = deployment.run("update")
    assert (answer.outcome, answer.record["to"]["version"]) == ("updated", "3.0.0")


def test_an_app_path_that_leads_out_of_the_checkout_is_refused(tmp_path: Path) -> None:
    """threats.md T17"""
    for path in ("../..", "/etc", "a/../../.."):
        deployment = Deployment.make(tmp_path / path.replace("/", "_"), app={"path": path})
        answer = deployment.run("update")
        assert "app.path" in require_plain(answer, 2, "usage")
