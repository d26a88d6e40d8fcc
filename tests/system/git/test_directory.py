"""The updater's own git: facts, fetches, and what it does not let through."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newleaf.core.errors import CommandFailed, NewleafError, ProgramMissing
from newleaf.core.release import CommitId
from newleaf.core.releases.git_errors import (
    CommitGone,
    FetchTooLarge,
    GitTooOld,
    ObjectsRefused,
    RefGone,
    RemoteTimedOut,
    RemoteUnreachable,
)
from newleaf.core.releases.tree_rules import Entry
from newleaf.system import process_table
from newleaf.system.commands import Runner
from newleaf.system.git.directory import At, Git, Repository
from newleaf.system.git.environment import Access
from tests.support.hosts import Host, make_host
from tests.support.http_server import Answer, Received, serving
from tests.support.kills import wait_until
from tests.support.repositories import FIRST_TIME, Content, Link, Remote, Script

MAIN = "refs/heads/main"
ABSENT = CommitId("1" * 40)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote.make(tmp_path)
    made.commit({"app.py": "one\n"}, message="First\n\nWith a body.")
    return made


@pytest.fixture
def host(tmp_path: Path, remote: Remote) -> Host:
    return make_host(tmp_path / "host", remote)


def git_for(folder: Path, url: str, outer: Mapping[str, str] | None = None, **access: object) -> Git:
    """The updater's git with a repository of its own."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **(outer or {})}
    return Git(Repository(folder / "own-git"), Access(url, **access), Runner(), environment)  # type: ignore[arg-type]


# --- the remote's refs ------------------------------------------------------------------


def test_a_branch_is_asked_for_by_its_full_name(host: Host) -> None:
    """threats.md T10."""
    host.remote.commit({}, branch="other/refs/heads/main")
    host.remote.commit({}, branch="main2")

    assert host.git.ls_remote(MAIN) == {MAIN: host.remote.id_of(MAIN)}


def test_tags_come_with_the_commits_they_stand_for(host: Host) -> None:
    host.remote.tag("v1.0.0")
    host.remote.tag("v1.1.0", message="Annotated")
    host.remote.tag("other")

    refs = host.git.ls_remote("refs/tags/v*")

    head = host.remote.id_of(MAIN)
    assert refs["refs/tags/v1.0.0"] == head
    assert refs["refs/tags/v1.1.0^{}"] == head
    assert refs["refs/tags/v1.1.0"] != head
    assert len(refs) == 3


def test_a_branch_and_a_tag_of_one_name_are_two_refs(host: Host) -> None:
    """threats.md T10: full names in, object ids out."""
    old = host.remote.id_of(MAIN)
    new = host.remote.commit({"app.py": "two\n"}, branch="v1.0.0", parent=old)
    host.remote.git("update-ref", "refs/tags/v1.0.0", old)

    assert host.git.ls_remote("refs/tags/v1.0.0") == {"refs/tags/v1.0.0": old}
    assert host.git.ls_remote("refs/heads/v1.0.0") == {"refs/heads/v1.0.0": new}
    host.git.fetch({"refs/tags/v1.0.0": old})
    assert not host.git.has(new)


def test_refs_with_names_that_could_be_options_are_left_out(host: Host) -> None:
    """threats.md T15: what a remote calls its refs is judged too."""
    head = host.remote.id_of(MAIN)
    for name in ("refs/heads/--upload-pack=touch", "refs/heads/-f", "refs/tags/v1;x", "refs/tags/v1.0.0"):
        host.remote.git("update-ref", name, head)

    assert set(host.git.ls_remote()) == {MAIN, "refs/tags/v1.0.0"}


HOSTILE = [
    "--upload-pack=touch X",
    "-f",
    "v1..2",
    "v1.0\x7f",
    "v1" + ".0" * 150,
    "v1.0.lock",
    "v1.0@{1}",
]


def test_tags_that_a_hostile_server_names_like_options_are_left_out(tmp_path: Path, remote: Remote) -> None:
    """threats.md T15: no git would store such names, and any web server can say them."""
    head = remote.id_of(MAIN)
    lines = [f"{head}\trefs/{kind}/{name}\n" for name in [*HOSTILE, "v1.0"] for kind in ("tags", "heads")]

    def dumb(request: Received) -> Answer:
        found = request.target.partition("?")[0].endswith("/info/refs")
        return Answer(200, {"Content-Type": "text/plain"}, "".join(lines).encode()) if found else Answer(404)

    with serving(dumb) as server:
        git = git_for(tmp_path, f"{server.url}/app.git")

        assert git.ls_remote() == {"refs/tags/v1.0": head, "refs/heads/v1.0": head}
        assert git.ls_remote("refs/tags/v*") == {"refs/tags/v1.0": head}


def test_a_ref_that_begins_like_an_option_comes_to_git_as_a_ref(tmp_path: Path, remote: Remote) -> None:
    """threats.md T15: even if such a name got past the rules; `--end-of-options` stands before it."""
    git = git_for(tmp_path, remote.url)

    with pytest.raises(NewleafError):
        git.fetch({f"--upload-pack=touch {tmp_path}/ran;git-upload-pack": ABSENT})

    assert not (tmp_path / "ran").exists()


def test_an_address_that_begins_like_an_option_comes_to_git_as_an_address(
    tmp_path: Path, remote: Remote
) -> None:
    """threats.md T15, T16: even if such an address got past the settings."""
    git = git_for(tmp_path, remote.url)
    git.access = Access(f"--upload-pack=touch {tmp_path}/ran;git-upload-pack")

    for ask in (lambda: git.ls_remote(remote.url), lambda: git.fetch({remote.url: ABSENT})):
        with pytest.raises(NewleafError):
            ask()

    assert not (tmp_path / "ran").exists()


def test_a_check_is_one_process(tmp_path: Path, remote: Remote) -> None:
    """numbers.md: a check costs what a bare ls-remote costs."""
    git_for(tmp_path, remote.url).ls_remote(MAIN)
    started: list[int] = []
    environment = {"PATH": os.environ["PATH"]}
    git = Git(
        Repository(tmp_path / "own-git"), Access(remote.url), Runner(on_start=started.append), environment
    )

    git.ls_remote(MAIN)

    assert len(started) == 1


def test_a_runner_that_notes_children_later_is_heeded(tmp_path: Path, remote: Remote) -> None:
    """lessons.md L35: an update holds its lock only after its git was made; the lock notes every child."""
    runner = Runner()
    git = Git(Repository(tmp_path / "own-git"), Access(remote.url), runner, {"PATH": os.environ["PATH"]})
    noted: list[int] = []
    runner.on_start = noted.append

    git.ls_remote(MAIN)

    assert noted


# --- fetching ---------------------------------------------------------------------------


def test_a_fetch_brings_objects_and_touches_nothing_else(host: Host) -> None:
    """lessons.md L9: no FETCH_HEAD, no ref, no file of the checkout changes."""
    before = host.checkout.git("for-each-ref"), host.checkout.changes()
    new = host.remote.commit({"app.py": "two\n"})

    host.git.fetch({MAIN: new})

    assert host.git.has(new)
    assert host.checkout.git("cat-file", "-t", new) == "commit"
    assert (host.checkout.git("for-each-ref"), host.checkout.changes()) == before
    assert not list(host.checkout.path.parent.rglob("FETCH_HEAD"))
    assert not (host.state / "git" / "incoming").exists()


def test_a_second_fetch_sends_only_what_is_new(host: Host) -> None:
    """What is here is offered to the remote: a 2 MB file is not sent again."""
    first = host.remote.commit({"big.bin": os.urandom(2_000_000)})
    host.git.fetch({MAIN: first})
    second = host.remote.commit({"app.py": "three\n"})
    packs = host.checkout.path / ".git" / "objects" / "pack"
    before = {file.name for file in packs.iterdir()}

    host.git.fetch({MAIN: second})

    assert all(file.stat().st_size < 100_000 for file in packs.iterdir() if file.name not in before)


def test_a_ref_that_moved_on_since_it_was_asked_for_still_brings_the_commit(host: Host) -> None:
    """threats.md T22: the object id that was resolved is the one that is used."""
    wanted = host.remote.commit({"app.py": "two\n"})
    host.remote.commit({"app.py": "three\n"})

    host.git.fetch({MAIN: wanted})

    assert host.git.show(wanted, "app.py") == b"two\n"


def test_a_commit_that_the_remote_took_back_is_gone(host: Host) -> None:
    """threats.md T22: never what took its place."""
    first = host.remote.id_of(MAIN)
    wanted = host.remote.commit({"app.py": "two\n"})
    host.remote.commit({"app.py": "forced\n"}, parent=first)

    with pytest.raises(CommitGone) as caught:
        host.git.fetch({MAIN: wanted})

    assert wanted in caught.value.message
    assert not host.git.has(wanted)


def test_a_ref_that_the_remote_lacks_is_named(host: Host) -> None:
    with pytest.raises(RefGone) as caught:
        host.git.fetch({"refs/heads/none": ABSENT})

    assert "refs/heads/none" in caught.value.message


def test_a_tag_object_can_be_fetched_for_the_commit_it_stands_for(host: Host) -> None:
    new = host.remote.commit({"app.py": "two\n"})
    host.remote.tag("v2.0.0", message="Annotated")

    host.git.fetch({"refs/tags/v2.0.0": new})

    assert host.git.has(new)


def test_objects_that_were_pruned_are_fetched_again(host: Host) -> None:
    new = host.remote.commit({"app.py": "two\n"})
    host.git.fetch({MAIN: new})
    host.checkout.git("gc", "-q", "--prune=now")
    assert not host.git.has(new)

    host.git.fetch({MAIN: new})

    assert host.git.has(new)


def test_many_small_packs_are_put_together_and_nothing_is_dropped(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L24: a host that fetches for years does not slow down; a stash nobody refers to survives."""
    monkeypatch.setattr("newleaf.system.git.directory.MANY_PACKS", 5)
    host.checkout.write("app.py", "loose\n")
    loose = host.checkout.git("stash", "create")
    packs = host.checkout.path / ".git" / "objects" / "pack"
    fetched = []

    for number in range(12):
        fetched.append(host.remote.commit({"app.py": f"{number}\n"}))
        host.git.fetch({MAIN: fetched[-1]})

    assert len(list(packs.glob("*.pack"))) <= 6
    assert all(
        host.git.show(commit, "app.py") == f"{number}\n".encode() for number, commit in enumerate(fetched)
    )
    assert host.checkout.git("show", f"{loose}:app.py") == "loose"
    host.checkout.git("fsck")


def test_two_fetches_at_once_both_succeed(host: Host) -> None:
    """lessons.md L9: a waiting fetch takes its turn; neither empties the other's quarantine."""
    new = host.remote.commit({f"{number}.bin": os.urandom(20_000) for number in range(40)})
    failures: list[NewleafError] = []

    def fetch() -> None:
        try:
            host.git.fetch({MAIN: new})
        except NewleafError as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert host.git.has(new)


def test_sibling_worktrees_may_fetch_meanwhile(host: Host, tmp_path: Path) -> None:
    """lessons.md L9: another worktree's FETCH_HEAD and refs change while an update holds its commit."""
    host.checkout.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "sibling"))
    wanted = host.remote.commit({"app.py": "two\n"})
    stop = threading.Event()
    newest: list[str] = []

    def disturb() -> None:
        while not stop.is_set():
            newest.append(host.remote.commit({"app.py": f"{len(newest)}\n"}))
            host.checkout.git("-C", str(tmp_path / "sibling"), "fetch", "-q", "origin")

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(5):
            host.git.fetch({MAIN: wanted})
            assert host.git.show(wanted, "app.py") == b"two\n"
    finally:
        stop.set()
        thread.join()

    assert newest


# --- what is too much, too slow, or unsound ----------------------------------------------


def test_a_blob_past_the_limit_is_refused_and_its_leftovers_removed(tmp_path: Path, remote: Remote) -> None:
    """threats.md T5: 60 MB where 1 MB is allowed."""
    remote.git("config", "core.compression", "0")
    big = remote.commit({"big.bin": os.urandom(1_000_000) * 60 + os.urandom(2_000_000)})
    git = git_for(tmp_path, remote.url, max_fetch_bytes=1_000_000)

    with pytest.raises(FetchTooLarge) as caught:
        git.fetch({MAIN: big})

    assert "976.6 KiB" in caught.value.message
    left = sum(file.stat().st_size for file in (tmp_path / "own-git").rglob("*") if file.is_file())
    assert left < 10_000
    assert not git.has(big)


def test_what_a_sibling_is_still_receiving_is_not_removed(host: Host) -> None:
    """threats.md T5, lessons.md L9: only the own quarantine is emptied."""
    other = host.checkout.path / ".git" / "objects" / "pack" / "tmp_pack_sibling"
    other.write_bytes(b"x" * 2_000_000)
    new = host.remote.commit({"big.bin": os.urandom(3_000_000)})
    access = Access(host.remote.url, max_fetch_bytes=1_000_000)
    git = Git(host.git.repository, access, Runner(), {"PATH": os.environ["PATH"]})

    with pytest.raises(FetchTooLarge):
        git.fetch({MAIN: new})

    assert other.exists()


def test_leftovers_of_a_killed_fetch_are_removed_by_the_next(host: Host) -> None:
    """threats.md T5."""
    left = host.state / "git" / "incoming" / "pack" / "tmp_pack_dead"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * 1000)

    host.git.fetch({MAIN: host.remote.commit({"app.py": "two\n"})})

    assert not left.exists()


def test_a_dripping_server_is_cut_off_at_the_deadline(tmp_path: Path) -> None:
    """threats.md T5: a byte a moment would satisfy any limit on silence."""
    drip = Answer(
        200, {"Content-Type": "application/x-git-upload-pack-advertisement"}, b"x" * 1000, drip_seconds=0.05
    )
    with serving(lambda _: drip) as server:
        git = git_for(tmp_path, f"{server.url}/app.git", timeout_seconds=0.5)
        began = time.monotonic()

        with pytest.raises(RemoteTimedOut) as caught:
            git.ls_remote(MAIN)

        assert time.monotonic() - began < 10
        assert "0.5 s" in caught.value.message


def test_a_server_that_never_answers_is_left_and_its_process_group_ended(tmp_path: Path) -> None:
    """lessons.md L10: git's own children (git-remote-http, ssh) do not survive it."""
    groups: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/app.git"
        access = Access(url, timeout_seconds=0.5)
        environment = {"PATH": os.environ["PATH"]}
        git = Git(Repository(tmp_path / "own-git"), access, Runner(on_start=groups.append), environment)

        with pytest.raises(RemoteTimedOut):
            git.fetch({MAIN: ABSENT})

    started = f"{groups[-1]}"
    wait_until(
        lambda: not any(process.group == groups[-1] for process in process_table.ask_ps("-A")),
        f"the end of {started}",
    )
    assert not (tmp_path / "own-git" / "incoming").exists()


def test_an_unreachable_remote_is_told_from_an_empty_one(tmp_path: Path) -> None:
    """lessons.md L2."""
    empty = Remote.make(tmp_path, "empty.git")

    assert git_for(tmp_path, empty.url).ls_remote(MAIN) == {}
    with pytest.raises(RemoteUnreachable) as caught:
        git_for(tmp_path, "http://127.0.0.1:1/app.git").ls_remote(MAIN)
    assert "Failed to connect" in caught.value.message
    with pytest.raises(RemoteUnreachable):
        git_for(tmp_path, f"{tmp_path}/nowhere.git").ls_remote(MAIN)


def hostile_tree(remote: Remote, name: str, mode: str = "100644") -> CommitId:
    """A commit whose tree holds an entry that git itself would not make."""
    blob = remote.git("hash-object", "-w", "--stdin", stdin=b"x")
    body = f"{mode} {name}".encode() + b"\0" + bytes.fromhex(blob)
    if mode == "40000":
        inner = remote.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=body)
        body = f"40000 {name}".encode() + b"\0" + bytes.fromhex(inner)
    tree = remote.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=body)
    commit = remote.git("commit-tree", tree, "-m", "Hostile")
    remote.git("update-ref", MAIN, commit)
    return CommitId(commit)


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", "git~1", ".g\u200cit"])
def test_a_tree_that_leads_out_or_into_git_never_enters_the_store(host: Host, name: str) -> None:
    """threats.md T17: refused at the fetch."""
    hostile = hostile_tree(host.remote, name)

    with pytest.raises(ObjectsRefused):
        host.git.fetch({MAIN: hostile})

    assert not host.git.has(hostile)


def test_links_and_submodules_are_found_in_a_tree(tmp_path: Path, remote: Remote) -> None:
    """threats.md T17: refused at verify."""
    remote.commit(
        {"ok": Link("app.py"), "abs": Link("/etc/passwd"), "out": Link("../x"), "d/in": Link("../app.py")}
    )
    head = remote.id_of(MAIN)
    tree = remote.git("ls-tree", head) + f"\n160000 commit {head}\tvendor"
    made = remote.git(
        "commit-tree", remote.git("mktree", "--missing", stdin=tree.encode()), "-m", "m", "-p", head
    )
    remote.git("update-ref", MAIN, made)
    git = git_for(tmp_path, remote.url)
    git.fetch({MAIN: CommitId(made)})

    faults = git.tree_faults(CommitId(made))

    assert len(faults) == 3
    assert any("'abs' is a link to an absolute path" in fault for fault in faults)
    assert any("'out' is a link out of the tree" in fault for fault in faults)
    assert any("'vendor' is a submodule" in fault for fault in faults)


def test_an_honest_tree_has_no_faults(host: Host) -> None:
    head = host.remote.commit({"run": Script("#!/bin/sh\n"), "a/link": Link("../run"), ".github/x.yml": "x"})
    host.git.fetch({MAIN: head})

    assert host.git.tree_faults(head) == []


def test_replaced_objects_have_no_effect(host: Host) -> None:
    """threats.md T14: neither those of the remote nor those in the checkout."""
    old = host.remote.id_of(MAIN)
    new = host.remote.commit({"app.py": "two\n"})
    host.remote.git("replace", new, old)
    host.git.fetch({MAIN: new})
    host.checkout.git("replace", new, old)

    assert host.git.show(new, "app.py") == b"two\n"
    assert host.git.log(old, new)[0] == 1
    assert "refs/replace" not in host.git.call("for-each-ref").decode()


# --- what does not run -------------------------------------------------------------------


def test_a_transport_that_runs_a_program_is_not_allowed(tmp_path: Path, remote: Remote) -> None:
    """threats.md T16: even if such an address got past the settings."""
    git = git_for(tmp_path, remote.url)

    for url in (f"ext::touch {tmp_path}/ran", "git://127.0.0.1:1/x", "ssh://127.0.0.1:1/x"):
        with pytest.raises(CommandFailed) as caught:
            git.call("ls-remote", "--end-of-options", url)
        assert "not allowed" in caught.value.message
    assert not (tmp_path / "ran").exists()


def test_a_local_path_is_not_reached_by_a_network_remotes_git(tmp_path: Path, remote: Remote) -> None:
    """threats.md T16: `file` is for a host whose own remote is a path."""
    git = git_for(tmp_path, "https://example.org/app.git")

    with pytest.raises(CommandFailed) as caught:
        git.call("ls-remote", "--end-of-options", remote.url)

    assert "transport 'file' not allowed" in caught.value.message


def trap(folder: Path, name: str) -> Path:
    """A program that leaves `name-ran` beside it."""
    script = folder / name
    script.write_text(f"#!/bin/sh\ntouch {folder}/{name}-ran\n")
    script.chmod(0o755)
    return script


def test_hooks_and_a_monitor_in_the_very_directory_do_not_run(tmp_path: Path, remote: Remote) -> None:
    """threats.md T18: what is said on every call outranks each file; the traps do spring without it."""
    git = git_for(tmp_path, remote.url)
    head = remote.id_of(MAIN)
    git.fetch({MAIN: head})
    own, tree = tmp_path / "own-git", tmp_path / "tree"
    tree.mkdir()
    (own / "hooks").mkdir()
    for hook in ("reference-transaction", "post-index-change", "post-checkout"):
        (own / "hooks" / hook).symlink_to(trap(tmp_path, hook))
    with (own / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {trap(tmp_path, 'monitor')}\n")
    at = At({"GIT_WORK_TREE": str(tree), "GIT_INDEX_FILE": str(tmp_path / "index")}, tree)
    given = {**git._local, **at.variables}
    unguarded = {name: value for name, value in given.items() if not name.startswith("GIT_CONFIG_")}

    git.call("read-tree", "-m", "-u", head, at=at)
    git.call("status", "--porcelain", at=at)
    git.call("update-ref", "refs/heads/x", head)
    assert sorted(tmp_path.glob("*-ran")) == []

    for words in (
        ("read-tree", "-m", "-u", head),
        ("status", "--porcelain"),
        ("update-ref", "refs/heads/y", head),
    ):
        subprocess.run(["git", *words], cwd=tree, env=unguarded, capture_output=True, check=False)
    ran = {path.name for path in tmp_path.glob("*-ran")}
    assert ran >= {"reference-transaction-ran", "post-index-change-ran", "monitor-ran"}


def test_no_ssh_command_but_the_host_s_own_is_run(tmp_path: Path) -> None:
    """threats.md T18, T19: neither one that a git directory configures, nor one of the environment."""
    command = str(trap(tmp_path, "ssh"))
    outer = {"GIT_SSH_COMMAND": command, "GIT_SSH": command, "GIT_PROXY_COMMAND": command}
    git = git_for(tmp_path, "ssh://127.0.0.1:1/app.git", outer)
    git.run("version")
    with (tmp_path / "own-git" / "config").open("a") as config:
        config.write(f"[core]\n\tsshCommand = {command}\n")

    with pytest.raises(NewleafError):
        git.ls_remote(MAIN)

    assert not (tmp_path / "ssh-ran").exists()


def test_variables_that_steer_git_are_ignored(tmp_path: Path, remote: Remote, host: Host) -> None:
    """threats.md T19."""
    other = Remote.make(tmp_path, "other.git")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "{other.url}"]\n\tinsteadOf = {remote.url}\n')
    outer = {
        "GIT_DIR": str(other.path),
        "GIT_WORK_TREE": str(tmp_path),
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_OBJECT_DIRECTORY": str(other.path / "objects"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{other.url}.insteadOf",
        "GIT_CONFIG_VALUE_0": remote.url,
        "GIT_CONFIG_PARAMETERS": f"'url.{other.url}.insteadof={remote.url}'",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_SSH_COMMAND": f"touch {tmp_path}/ran",
        "GIT_PROXY_COMMAND": f"touch {tmp_path}/ran",
        "GIT_EXTERNAL_DIFF": f"touch {tmp_path}/ran",
        "GIT_PAGER": f"touch {tmp_path}/ran",
        "GIT_ASKPASS": f"{tmp_path}/ran",
        "GIT_EXEC_PATH": str(tmp_path),
        "GIT_TRACE": f"{tmp_path}/trace",
        "GIT_ALLOW_PROTOCOL": "ext:file",
        "GIT_TEMPLATE_DIR": str(tmp_path),
        "HOME": str(home),
    }

    git = git_for(tmp_path, remote.url, outer)

    head = remote.id_of(MAIN)
    assert git.ls_remote(MAIN) == {MAIN: head}
    git.fetch({MAIN: head})
    assert git.show(head, "app.py") == b"one\n"
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "trace").exists()
    assert other.git("count-objects") == "0 objects, 0 kilobytes"
    assert other.git("for-each-ref") == ""


def test_git_that_is_missing_or_too_old_is_named(tmp_path: Path, remote: Remote) -> None:
    with pytest.raises(ProgramMissing) as missing:
        git_for(tmp_path, remote.url, {"PATH": str(tmp_path)}).ls_remote(MAIN)
    assert "git" in missing.value.message

    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho git version 2.20.1\n")
    old.chmod(0o755)
    with pytest.raises(GitTooOld) as caught:
        git_for(tmp_path, remote.url, {"PATH": str(old.parent)}).ls_remote(MAIN)
    assert "2.20.1" in caught.value.message


# --- facts -------------------------------------------------------------------------------


def test_commits_are_counted_and_named(host: Host) -> None:
    start = host.remote.id_of(MAIN)
    second = host.remote.commit({"app.py": "two\n"}, message="Second: ünï\n\nBody")
    third = host.remote.commit({"app.py": "three\n"}, message="Third", when=FIRST_TIME + 7200)
    host.git.fetch({MAIN: third})

    assert host.git.log(start, third) == (2, ((third, "Third"), (second, "Second: ünï")))
    assert host.git.log(third, start) == (0, ())
    assert host.git.is_ancestor(start, third)
    assert host.git.is_ancestor(third, third)
    assert not host.git.is_ancestor(third, start)
    assert host.git.commit_time(third) == datetime.fromtimestamp(FIRST_TIME + 7200, UTC)


def test_a_commit_that_is_not_here_is_no_answer(host: Host) -> None:
    assert not host.git.has(ABSENT)
    with pytest.raises(CommandFailed):
        host.git.is_ancestor(ABSENT, host.remote.id_of(MAIN))


def test_files_of_a_commit_are_read_without_checking_it_out(host: Host) -> None:
    head = host.remote.commit(
        {"a/b.toml": "x = 1\n", "a/bin": b"\0\n\xff", "a:b": "colon\n", "ünï": "u\n", "e": ""}
    )
    host.git.fetch({MAIN: head})

    assert host.git.show(head, "a/b.toml") == b"x = 1\n"
    assert host.git.show(head, "none") is None
    assert host.git.show(head, "a") is None
    assert host.git.show_many(head, ["a/bin", "none", "a:b", "ünï", "e", "a"]) == {
        "a/bin": b"\0\n\xff",
        "a:b": b"colon\n",
        "ünï": b"u\n",
        "e": b"",
    }
    assert host.git.show_many(head, []) == {}


def test_a_folder_of_a_commit_is_listed(host: Host) -> None:
    head = host.remote.commit({"m/v1/001.py": "x", "m/v2/001.py": Script("y"), "mm/z": "z"})
    git = host.git
    git.fetch({MAIN: head})

    entries = git.list_tree(head, "m")

    assert [(entry.mode, entry.path) for entry in entries] == [
        ("100644", "m/v1/001.py"),
        ("100755", "m/v2/001.py"),
    ]
    assert git.list_tree(head, "none") == []
    assert isinstance(entries[0], Entry)
    assert len(git.list_tree(head)) == len(git.list_tree(head, ".")) == 4
    assert git.list_tree(head, "m") == entries, "the same from what is remembered"
    assert git.list_tree(head, "m/v") == []


def test_a_remembered_tree_is_never_taken_for_another(host: Host) -> None:
    """threats.md T22"""
    first = host.remote.commit({"a.txt": "1"})
    second = host.remote.commit({"b.txt": "1"})
    git = host.git
    git.fetch({MAIN: second})
    before = [entry.path for entry in git.list_tree(first)]

    assert [entry.path for entry in git.list_tree(second)] == [*before, "b.txt"]
    assert [entry.path for entry in git.list_tree(first)] == before
    git.list_tree(first).clear()
    assert [entry.path for entry in git.list_tree(first)] == before


def test_the_trees_of_two_commits_are_remembered_and_no_more(host: Host) -> None:
    first, second, third = (host.remote.commit({"a.txt": str(number)}) for number in range(3))
    git = host.git
    git.fetch({MAIN: third})
    lists = {commit: git.list_tree(commit) for commit in (first, second, third)}

    git.repository.store.rename(git.repository.store.with_name("elsewhere"))

    assert git.list_tree(second) == lists[second]
    assert git.list_tree(third) == lists[third]
    with pytest.raises(CommandFailed):
        git.list_tree(first)


def test_the_newest_commit_that_touches_a_path_is_found(host: Host) -> None:
    """watch.paths: a folder, a file, and names that git would take for patterns."""
    start = host.remote.id_of(MAIN)
    inside = host.remote.commit({"service/app.py": "1"})
    star = host.remote.commit({"*": "1"})
    head = host.remote.commit({"docs/x.md": "1"})
    host.git.fetch({MAIN: head})

    assert host.git.newest_touching(head, ["service"]) == inside
    assert host.git.newest_touching(head, ["*"]) == star
    assert host.git.newest_touching(head, ["service", "*"]) == star
    assert host.git.newest_touching(head, ["service"], start=star) is None
    assert host.git.newest_touching(head, ["none"], start=start) is None


def test_the_room_that_a_tree_takes_is_the_sum_of_its_files(host: Host) -> None:
    """lessons.md L24: asked before anything is written."""
    strange: dict[str, Content] = {"new\nline": "12\n", "caf\udce9": b"\0" * 1000}
    commit = host.remote.commit({**strange, "deep/run": Script("four"), "link": Link("app.py"), "empty": ""})
    host.git.fetch({MAIN: commit})
    assert host.git.tree_bytes(commit) == len("one\n") + 3 + 1000 + 4 + len("app.py")
