"""The checkout as plumbing: nothing of its own configuration runs, and states are told apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.core.errors import CommandFailed
from newleaf.core.releases.tree_rules import PLAIN
from newleaf.update.checkout.working_tree import Blob, WorkingTree, is_folder, is_same
from tests.support.hosts import Host, make_host
from tests.support.repositories import Remote

HOOKS = (
    "applypatch-msg pre-commit commit-msg post-commit pre-rebase post-checkout post-merge post-rewrite "
    "pre-auto-gc reference-transaction post-index-change fsmonitor-watchman pre-push"
).split()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    remote = Remote.make(tmp_path)
    remote.commit(
        {
            "app.py": "one\n",
            "config.toml": "a = 1\nb = 2\nc = 3\nd = 4\n",
            "data.txt": "x\n",
            ".gitattributes": "*.py filter=evil diff=evil merge=evil\n*.toml filter=evil merge=evil\n",
        }
    )
    return make_host(tmp_path / "host", remote)


@pytest.fixture
def tree(host: Host) -> WorkingTree:
    return host.layout.tree


def set_traps(host: Host, folder: Path) -> None:
    """Everything a checkout can configure to run a program: each leaves a file when it does."""
    folder.mkdir()

    def trap(name: str) -> str:
        script = folder / f"{name}.sh"
        script.write_text(f"#!/bin/sh\ntouch {folder}/ran-{name}\ncat\nexit 0\n")
        script.chmod(0o755)
        return str(script)

    hooks = host.checkout.path / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in HOOKS:
        (hooks / name).symlink_to(trap(f"hook-{name}"))
    included = folder / "included"
    included.write_text(f"[core]\n\tsshCommand = {trap('include')}\n")
    settings = {
        "core.fsmonitor": trap("fsmonitor"),
        "core.sshCommand": trap("ssh"),
        "core.pager": trap("pager"),
        "core.editor": trap("editor"),
        "core.askPass": trap("askpass"),
        "core.gitProxy": trap("gitproxy"),
        "core.alternateRefsCommand": trap("alternates"),
        "credential.helper": trap("credential"),
        "diff.external": trap("diff"),
        "diff.evil.command": trap("diff-driver"),
        "diff.evil.textconv": trap("textconv"),
        "merge.evil.driver": trap("merge"),
        "filter.evil.clean": trap("clean"),
        "filter.evil.smudge": trap("smudge"),
        "filter.evil.process": trap("process"),
        "filter.evil.required": "true",
        "gpg.program": trap("gpg"),
        "gpg.ssh.program": trap("gpg-ssh"),
        "commit.gpgSign": "true",
        "log.showSignature": "true",
        "remote.origin.uploadpack": trap("uploadpack"),
        "uploadpack.packObjectsHook": trap("packobjects"),
        "protocol.ext.allow": "always",
        "url.ext::sh -c touch% X.insteadOf": host.remote.url,
        "alias.rev-list": f"!{trap('alias')}",
        "include.path": str(included),
        "core.logAllRefUpdates": "true",
    }
    for name, value in settings.items():
        host.checkout.git("config", name, value)


def test_nothing_that_the_checkout_configures_runs(host: Host, tmp_path: Path) -> None:
    """threats.md T18: through a whole update with local changes set aside, put back and kept."""
    traps = tmp_path / "traps"
    set_traps(host, traps)
    (host.checkout.path / "config.toml").write_text("a = 1\nb = 2\nc = 3\nd = local\n")
    (host.checkout.path / "app.py").write_text("mine\n")
    start = host.layout.live()
    first = host.remote.commit({"config.toml": "a = new\nb = 2\nc = 3\nd = 4\n"})
    assert host.update() == ["local changes to config.toml were put back"]

    second = host.remote.commit({"app.py": "theirs\n", "config.toml": "conflict\n"})
    notes = host.update()
    host.update(commit=start.commit, sideways=True)

    assert [file.name for file in traps.iterdir() if file.name.startswith("ran-")] == []
    assert "git stash apply" in notes[0]
    assert host.layout.live() == start
    assert first != second


def test_the_traps_do_spring_for_plain_git(host: Host, tmp_path: Path) -> None:
    """What keeps the test above honest."""
    traps = tmp_path / "traps"
    set_traps(host, traps)
    (host.checkout.path / "app.py").write_text("mine\n")

    with pytest.raises(AssertionError):
        host.checkout.git("status")
    host.checkout.git("update-ref", "refs/heads/x", "HEAD")

    ran = {file.name for file in traps.iterdir() if file.name.startswith("ran-")}
    assert {"ran-hook-reference-transaction", "ran-fsmonitor", "ran-process"} <= ran


def test_states_of_files_are_read_as_git_would_store_them(tree: WorkingTree, host: Host) -> None:
    top = host.checkout.path
    (top / "link").symlink_to("app.py")
    (top / "folder").mkdir()
    (top / "aside").symlink_to("folder")
    (top / "folder" / "x").write_text("x\n")
    host.checkout.write("data.txt", "x\n").chmod(0o755)

    found = tree.contents(
        ["app.py", "link", "folder", "none", "aside/x", "folder/x", "data.txt", "app.py/below"]
    )

    assert found["app.py"] == Blob(PLAIN, host.checkout.git("rev-parse", "HEAD:app.py"))
    link = host.checkout.git("hash-object", "--stdin", stdin=b"app.py")
    assert found["link"] == Blob("120000", link)
    assert is_folder(found["folder"])
    assert found["none"] is None
    assert found["aside/x"] is None
    assert found["app.py/below"] is None
    assert found["data.txt"] == Blob("100755", host.checkout.git("rev-parse", "HEAD:data.txt"))


def test_what_a_kill_left_of_writing_a_file_is_known(tree: WorkingTree, host: Host) -> None:
    content = Blob(PLAIN, host.checkout.git("rev-parse", "HEAD:config.toml"))

    for text in ("", "a = 1\n", "a = 1\nb = 2\nc = 3\nd = 4\n"):
        host.checkout.write("config.toml", text)
        assert tree.is_partly("config.toml", content)
    (host.checkout.path / "config.toml").unlink()
    assert tree.is_partly("config.toml", content)
    host.checkout.write("config.toml", "a = 2\n")
    assert not tree.is_partly("config.toml", content)
    assert not tree.is_partly("config.toml", None)


def test_line_endings_of_the_checkout_are_kept(tmp_path: Path) -> None:
    """What core.autocrlf turned on writing is no local change, and is turned for new files too."""
    remote = Remote.make(tmp_path)
    remote.commit({"app.txt": "one\ntwo\n"})
    host = make_host(tmp_path / "host", remote, "-c", "core.autocrlf=true")
    assert (host.checkout.path / "app.txt").read_bytes() == b"one\r\ntwo\r\n"
    remote.commit({"app.txt": "one\nnew\n", "fresh.txt": "x\n"})

    assert host.layout.dirty() == []
    host.update()

    assert (host.checkout.path / "app.txt").read_bytes() == b"one\r\nnew\r\n"
    assert (host.checkout.path / "fresh.txt").read_bytes() == b"x\r\n"


def test_a_folder_is_never_removed_with_what_is_in_it(tree: WorkingTree, host: Host) -> None:
    kept = host.checkout.write("folder/kept.txt", "x")
    host.checkout.write("folder/gone.txt", "x")

    tree.remove(["folder/gone.txt", "folder", "none", "app.py"])

    assert kept.read_text() == "x"
    assert not (host.checkout.path / "app.py").exists()
    assert not (host.checkout.path / "folder/gone.txt").exists()


def test_nothing_is_removed_through_a_link(tree: WorkingTree, host: Host, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    (host.checkout.path / "aside").symlink_to(outside)

    tree.remove(["aside/file"])

    assert (outside / "file").exists()


def test_a_branch_that_has_moved_meanwhile_is_not_moved(tree: WorkingTree, host: Host) -> None:
    """threats.md T22."""
    start = host.checkout.id_of()
    host.checkout.git("commit", "-q", "--allow-empty", "-m", "in between")
    now = host.checkout.id_of()

    with pytest.raises(CommandFailed):
        tree.move_head("refs/heads/main", start, start, "test")

    assert host.checkout.id_of() == now


def test_sameness_asks_for_content_and_kind() -> None:
    plain, script, link = Blob(PLAIN, "a"), Blob("100755", "a"), Blob("120000", "a")
    assert is_same(plain, script)
    assert not is_same(plain, link)
    assert not is_same(plain, None)
    assert is_same(None, None)


def test_no_command_of_a_move_reads_the_callers_home(host: Host) -> None:
    """threats.md T19: the host's fixture has an empty HOME; the checkout's index stays the checkout's own."""
    assert not (host.state / ".gitconfig").exists()
    host.remote.commit({"data.txt": "y\n"})
    host.update()
    assert sorted(os.listdir(host.state)) == ["git"]
