"""Remotes that do not answer, ask, or send what must not be taken; and targets that must not be moved to."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bad_input import look, require_plain
from tests.support.deployment import Answer, Deployment, settings_text
from tests.support.git_servers import basic, listening, served
from tests.support.http_server import Answer as HttpAnswer
from tests.support.http_server import Received, serving
from tests.support.repositories import Content, Link

CANARY = "canary-7b1e55-token"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A host at 1.0.0 whose channel is at 1.1.0."""
    deployment = Deployment.make(tmp_path)
    deployment.release("1.1.0")
    return deployment


def origin(deployment: Deployment, url: str, **update: object) -> None:
    """The checkout's remote is another from now on."""
    deployment.checkout.git("remote", "set-url", "origin", url)
    deployment.host_settings("[update]\n" + "".join(f"{key} = {value}\n" for key, value in update.items()))


LINES = ("state/journal.jsonl", "state/history.jsonl")


def stays(deployment: Deployment, code: int, outcome: str, error: str) -> str:
    """An update that fails like this and leaves the host as it was; its text."""
    deployment.run("suspend")
    deployment.run("resume")
    before = look(deployment, *LINES)
    text = require_plain(deployment.run("update"), code, outcome, error)
    assert look(deployment, *LINES) == before
    return text


def processes_with(word: str) -> list[str]:
    """The command lines that hold a word, but for this process's own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline") if sys.platform == "linux" else ():
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in text:
            found.append(text)
    return found


# --- the remote itself ----------------------------------------------------------------------


def test_a_remote_that_nobody_answers_at_is_no_success(deployment: Deployment) -> None:
    """lessons.md L2"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    origin(deployment, f"http://127.0.0.1:{port}/remote.git")
    text = stays(deployment, 1, "failed", "remote_unreachable")
    assert f"127.0.0.1:{port}" in text
    assert deployment.run("status").record["status"] == "update_failed"


def test_a_name_that_nobody_knows_is_no_success(deployment: Deployment) -> None:
    """lessons.md L2"""
    origin(deployment, "https://git.invalid/remote.git", fetch_timeout=20)
    stays(deployment, 1, "failed", "remote_unreachable")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with listening() as (listener, accept):
        kept: list[socket.socket] = []
        accept(kept.append)
        yield listener.getsockname()[1]
        for client in kept:
            client.close()


def test_a_remote_that_hangs_is_left_in_time_with_no_process_behind(
    deployment: Deployment, silent_port: int
) -> None:
    """lessons.md L10, L22"""
    url = f"http://127.0.0.1:{silent_port}/remote.git"
    origin(deployment, url, fetch_timeout=1)
    began = time.monotonic()
    text = stays(deployment, 1, "failed", "remote_timed_out")
    assert time.monotonic() - began < 15
    assert "within 1 s" in text
    assert "update.fetch_timeout" in text
    assert processes_with(url) == []


def test_a_remote_that_asks_for_a_password_is_not_answered(deployment: Deployment) -> None:
    """lessons.md L10"""
    with serving(served(deployment.remote, basic("ada", "made-up"))) as server:
        origin(deployment, f"{server.url}/remote.git")
        text = stays(deployment, 1, "failed", "remote_wants_credentials")
        assert "source.token_file" in text


def test_a_remote_that_is_no_git_server_is_named(deployment: Deployment) -> None:
    def web_page(_: Received) -> HttpAnswer:
        return HttpAnswer(200, {"Content-Type": "text/html"}, b"<html>\n<p>Welcome.\n</html>\n")

    with serving(web_page) as server:
        origin(deployment, f"{server.url}/remote.git")
        stays(deployment, 1, "failed", "remote_unreachable")


def test_a_folder_that_is_no_repository_is_named(deployment: Deployment) -> None:
    folder = deployment.folder / "nothing"
    folder.mkdir()
    origin(deployment, str(folder))
    assert str(folder) in stays(deployment, 1, "failed", "remote_unreachable")


def test_a_checkout_without_a_remote_is_told_how_to_name_one(deployment: Deployment) -> None:
    deployment.checkout.git("remote", "remove", "origin")
    assert "git remote add origin" in stays(deployment, 2, "usage", "remote_unknown")


@pytest.mark.parametrize(
    "url", ["ext::sh -c 'touch pwned'", "ssh://-oProxyCommand=touch%20pwned/x", "--upload-pack=touch pwned"]
)
def test_a_remote_that_is_a_program_is_refused(deployment: Deployment, url: str) -> None:
    """threats.md T16"""
    config = deployment.checkout.path / ".git/config"
    config.write_text(f'[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = "{url}"\n')
    stays(deployment, 2, "usage", "remote_invalid")
    assert not list(deployment.folder.rglob("pwned"))


def test_a_branch_that_was_deleted_is_said(deployment: Deployment) -> None:
    deployment.remote.git("update-ref", "-d", "refs/heads/main")
    assert "no branch main" in stays(deployment, 1, "failed", "branch_missing")


def test_a_file_remote_that_only_the_app_s_own_file_names_is_refused(deployment: Deployment) -> None:
    """threats.md T16: `file://` is for the host's own settings and the checkout's origin."""
    other = deployment.remote.clone(deployment.folder / "other").path
    deployment.checkout.write(
        "newleaf.toml", settings_text(source={"url": f"file://{other}"}, deployment={"channel": "alpha"})
    )
    deployment.checkout.git("remote", "remove", "origin")
    before = look(deployment)
    text = require_plain(deployment.run("update"), 2, "usage")
    assert "source.url" in text
    assert look(deployment) == before


@pytest.mark.parametrize("place", ["host.toml", "variable"])
@pytest.mark.parametrize("url", ["ext::sh -c touch% pwned", "ssh://-oProxyCommand=touch%20pwned/x"])
def test_a_program_as_the_host_s_own_remote_is_refused_too(
    deployment: Deployment, url: str, place: str
) -> None:
    """threats.md T16"""
    if place == "variable":
        deployment.environment["NEWLEAF_SOURCE__URL"] = url
    else:
        deployment.host_settings(f'[source]\nurl = "{url}"\n')
    before = look(deployment)
    require_plain(deployment.run("update"), 2, "usage")
    assert look(deployment) == before
    assert not list(deployment.folder.rglob("pwned"))


# --- secrets --------------------------------------------------------------------------------


def everything_written(deployment: Deployment, *but: Path) -> Iterator[tuple[Path, bytes]]:
    for path in deployment.home.rglob("*"):
        if path.is_file() and path not in but:
            yield path, path.read_bytes()


TELLING = {"status.json", "history.jsonl", "update.log"}

VERBS = ("update", "check", "status", "why", "history", "config", "doctor", "version", "rollback")


@pytest.mark.parametrize("place", ["origin", "host.toml", "variable"])
def test_a_token_in_the_remote_s_address_is_refused_and_never_repeated(
    deployment: Deployment, place: str
) -> None:
    """threats.md T29"""
    url = f"https://ada:{CANARY}@127.0.0.1:1/remote.git"
    if place == "origin":
        deployment.checkout.git("remote", "set-url", "origin", url)
    elif place == "host.toml":
        deployment.host_settings(f'[source]\nurl = "{url}"\n')
    else:
        deployment.environment["NEWLEAF_SOURCE__URL"] = url
    own = deployment.state / "host.toml"
    refused = deployment.run("update")
    assert (refused.code, refused.outcome) == (2, "usage"), refused
    for verb in VERBS:
        _, output, errors = deployment.text(verb)
        assert CANARY not in output + errors, verb
        answer = deployment.run(verb)
        assert CANARY not in f"{answer.record}{answer.errors}", verb
    assert [path for path, content in everything_written(deployment, own) if CANARY.encode() in content] == []


def test_a_token_that_the_remote_repeats_is_masked_everywhere(deployment: Deployment) -> None:
    """threats.md T29: the server, a proxy or git itself may print what it was given."""

    def parrot(request: Received) -> HttpAnswer:
        said = f"no access for {request.headers.get('authorization', '')} {CANARY}\n".encode()
        if "authorization" not in request.headers:
            return HttpAnswer(401, {"WWW-Authenticate": 'Basic realm="test"'}, said)
        return HttpAnswer(403, {"Content-Type": "text/plain"}, said)

    token = deployment.folder / "token"
    token.write_text(f"{CANARY}\n")
    token.chmod(0o600)
    with serving(parrot) as server:
        deployment.checkout.git("remote", "set-url", "origin", f"{server.url}/remote.git")
        deployment.host_settings(f'[source]\ntoken_file = "{token}"\n')
        failed = deployment.run("update")
        assert (failed.code, failed.outcome) == (1, "failed")
        assert any("authorization" in request.headers for request in server.received), "it was given"
        for verb in ("update", "status", "why", "history", "config"):
            _, output, errors = deployment.text(verb)
            assert CANARY not in output + errors, verb
    assert [path for path, content in everything_written(deployment) if CANARY.encode() in content] == []


def test_a_token_in_git_s_last_words_is_masked_everywhere(deployment: Deployment) -> None:
    """threats.md T29: failing git with it in stderr."""
    token, talker = deployment.folder / "token", deployment.folder / "ssh"
    token.write_text(f"{CANARY}\n")
    token.chmod(0o600)
    # The first question is answered, so that the attempt begins; the fetch, and all that comes later, is not.
    talker.write_text(
        f"#!/bin/sh\n[ -e {talker}-asked ] || {{ touch {talker}-asked; "
        f"exec git upload-pack {deployment.remote.path}; }}\n"
        f"echo 'fatal: {CANARY} is no good here' >&2\nexit 255\n"
    )
    talker.chmod(0o755)
    with serving(lambda _: HttpAnswer(200, {}, b"")) as chat:
        deployment.host_settings(
            f'[source]\nurl = "ssh://git@git.invalid/remote.git"\ntoken_file = "{token}"\n'
            f'[source.git_config]\n"core.sshCommand" = "{talker}"\n'
            f'[notify]\nurls = ["{chat.url}/hook"]\nallow_private = ["127.0.0.1"]\n'
        )
        failed = deployment.run("update")
        assert (failed.code, failed.outcome) == (1, "failed")
        assert "**** is no good here" in failed.record["errors"][0]["message"]
        for verb in ("update", "check", "status", "why", "history"):
            _, output, errors = deployment.text(verb)
            assert CANARY not in output + errors, verb
            answer = deployment.run(verb)
            assert CANARY not in f"{answer.record}{answer.errors}", verb
        notices = b"".join(request.body for request in chat.received)
    assert b"**** is no good here" in notices
    assert CANARY.encode() not in notices
    written = dict(everything_written(deployment))
    assert "failed" in deployment.states(), "the journal knows of it, too"
    telling = {path.name for path, content in written.items() if b"**** is no good here" in content}
    assert telling >= TELLING, "what is searched does tell of the failure"
    assert [path for path, content in written.items() if CANARY.encode() in content] == []


# --- what is sent ---------------------------------------------------------------------------

TREES: dict[str, Content] = {
    "an absolute link": Link("/etc/passwd"),
    "a link that leads out": Link("../../outside"),
    "a link into git's own folder": Link(".git/config"),
}


@pytest.mark.parametrize("kind", TREES)
def test_a_tree_with_a_bad_link_is_refused(deployment: Deployment, kind: str) -> None:
    """threats.md T17"""
    deployment.release("1.2.0", {"data/link": TREES[kind]})
    text = stays(deployment, 5, "refused", "tree_refused")
    assert "data/link" in text


def hostile_commit(deployment: Deployment, entry: str) -> None:
    """A commit on the branch whose tree has one more entry, as `git ls-tree` spells it."""
    remote = deployment.remote
    head = remote.heads()["main"]
    tree = remote.git("mktree", "--missing", stdin=f"{remote.git('ls-tree', head)}\n{entry}".encode())
    commit = remote.git("commit-tree", tree, "-p", head, "-m", "hostile")
    remote.git("update-ref", "refs/heads/main", commit)


def test_a_tree_with_a_submodule_is_refused(deployment: Deployment) -> None:
    """threats.md T17"""
    hostile_commit(deployment, f"160000 commit {'1' * 40}\tvendor")
    assert "vendor" in stays(deployment, 5, "refused", "tree_refused")


@pytest.mark.parametrize("name", ["..", ".git", "git~1", ".GIT", ".git\u200c"])
def test_a_tree_that_reaches_out_of_the_checkout_is_refused(deployment: Deployment, name: str) -> None:
    """threats.md T17"""
    remote = deployment.remote
    blob = remote.git("hash-object", "-w", "--stdin", stdin=b"touch pwned\n")
    folder = remote.git("mktree", stdin=f"100755 blob {blob}\tconfig\n".encode())
    raw = b"40000 " + name.encode() + b"\0" + bytes.fromhex(folder)
    tree = remote.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    commit = remote.git("commit-tree", tree, "-p", remote.heads()["main"], "-m", "hostile")
    remote.git("update-ref", "refs/heads/main", commit)
    config = (deployment.checkout.path / ".git/config").read_bytes()
    deployment.run("status")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (5, "refused"), answer
    assert deployment.checkout.changes() == []
    assert (deployment.checkout.path / ".git/config").read_bytes() == config


def test_more_than_the_host_takes_is_not_taken(deployment: Deployment) -> None:
    """threats.md T5"""
    deployment.release("1.2.0", {"noise": os.urandom(600 * 1024)})
    deployment.host_settings("[source]\nmax_fetch_bytes = 300_000\n")
    stays(deployment, 5, "refused", "fetch_too_large")
    left = [path for path in (deployment.state / "git").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) < 100_000


def beta(deployment: Deployment) -> None:
    deployment.host_settings('[deployment]\nchannel = "beta"\n')


ORDERS = {"the channel": ["update"], "an order": ["update", "--to", "1.1.0"], "a pin": ["update"]}


@pytest.mark.parametrize("asked_by", ORDERS)
@pytest.mark.parametrize("channel", ["alpha", "beta"])
def test_a_release_older_than_the_floor_is_refused_and_the_state_unchanged(
    deployment: Deployment, channel: str, asked_by: str
) -> None:
    """threats.md T1"""
    deployment.host_settings(f'[deployment]\nchannel = "{channel}"\n[security]\nfloor = "1.2.0"\n')
    deployment.run("pin" if asked_by == "a pin" else "unpin", *(["1.1.0"] if asked_by == "a pin" else []))
    before = look(deployment, *LINES)
    text = require_plain(deployment.run(*ORDERS[asked_by]), 5, "refused", "below_floor")
    assert "1.2.0" in text
    assert look(deployment, *LINES) == before


def test_a_way_back_below_the_floor_is_refused_and_the_state_unchanged(deployment: Deployment) -> None:
    """threats.md T1"""
    deployment.run("update")
    deployment.host_settings('[security]\nfloor = "1.1.0"\n')
    before = look(deployment, *LINES)
    require_plain(deployment.run("rollback"), 5, "refused", "below_floor")
    assert look(deployment, *LINES) == before


def test_a_tag_that_was_moved_is_refused(deployment: Deployment) -> None:
    """threats.md T9"""
    beta(deployment)
    deployment.run("check")
    deployment.remote.tag("v1.1.0", deployment.remote.commit({"app.py": "print('other')\n"}))
    assert "v1.1.0 was " in stays(deployment, 5, "refused", "tag_moved")


def test_a_branch_and_a_tag_of_one_name_are_not_confused(deployment: Deployment) -> None:
    """threats.md T10"""
    old = deployment.head()
    newest = deployment.remote.heads()["main"]
    deployment.remote.git("tag", "main", old)
    assert deployment.run("update").record["to"]["commit"] == newest


def test_replacements_on_the_remote_have_no_effect(deployment: Deployment) -> None:
    """threats.md T14"""
    newest = deployment.remote.heads()["main"]
    other = deployment.remote.commit({"app.py": "print('replaced')\n"}, branch="other")
    deployment.remote.git("update-ref", f"refs/replace/{newest}", other)
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == newest
    assert deployment.checkout.read("app.py") == "print('1.1.0')\n"


@pytest.mark.parametrize("followed", ["a branch", "a tag"])
def test_a_ref_that_moves_between_verify_and_activate_has_no_effect(
    deployment: Deployment, followed: str
) -> None:
    """threats.md T22: on the remote, in the checkout, and in newleaf's own directory."""
    remote, own = deployment.remote, deployment.state / "git"
    wanted = remote.heads()["main"]
    other = remote.commit({"app.py": "print('other')\n"}, branch="other")
    deployment.checkout.git("fetch", "-q", "origin", "other")
    mover = deployment.folder / "mover"
    moves = [
        f"git --git-dir={remote.path} update-ref refs/heads/main {other}",
        f"git --git-dir={remote.path} update-ref refs/tags/v1.1.0 {other}",
        f"git --git-dir={deployment.checkout.path}/.git update-ref refs/remotes/origin/main {other}",
        f"git --git-dir={deployment.checkout.path}/.git update-ref refs/tags/v1.1.0 {other}",
        f"export GIT_OBJECT_DIRECTORY={deployment.checkout.path}/.git/objects",
        f"for ref in $(git --git-dir={own} for-each-ref --format='%(refname)')",
        f"do git --git-dir={own} update-ref $ref {other}; done",
        f"touch {deployment.folder}/moved",
    ]
    mover.write_text("#!/bin/sh\nset -e\n" + "\n".join(moves) + "\n")
    mover.chmod(0o755)
    channel = "alpha" if followed == "a branch" else "beta"
    deployment.host_settings(f'[deployment]\nchannel = "{channel}"\n[gates]\nidle_command = ["{mover}"]\n')
    answer = deployment.run("update")
    assert (deployment.folder / "moved").exists(), answer
    assert answer.outcome == "updated", answer
    assert answer.record["to"]["commit"] == wanted
    assert deployment.head() == wanted
    assert deployment.checkout.read("app.py") == "print('1.1.0')\n"
    assert deployment.checkout.changes() == []


def test_a_version_that_went_down_is_explained_and_no_failure(deployment: Deployment) -> None:
    """lessons.md L14"""
    beta(deployment)
    deployment.run("update")
    head = deployment.head()
    deployment.remote.git("tag", "-d", "v1.1.0")
    deployment.remote.git("tag", "-d", "v1.0.0")
    deployment.release("0.2.0")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (0, "up_to_date"), answer
    assert "0.2.0" in " ".join(answer.record["notes"])
    assert deployment.head() == head


def test_tags_that_are_no_versions_are_passed_over(deployment: Deployment) -> None:
    """lessons.md L15"""
    beta(deployment)
    for name in ("latest", "v", "vfoo", "release-9", "v9.9.9-rc.1", "v1.10"):
        deployment.remote.tag(name)
    deployment.remote.commit({"app.py": "print('unreleased')\n"})
    answer = deployment.run("update")
    assert answer.record["to"]["version"] in ("1.1.0", "1.10"), answer


def test_a_channel_without_any_release_says_so(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path)
    deployment.remote.git("tag", "-d", "v1.0.0")
    beta(deployment)
    answer: Answer = deployment.run("update")
    assert answer.code in (0, 1), answer
    assert "v" in str(answer.record["notes"] or answer.record["errors"])
    assert deployment.checkout.changes() == []


def test_another_app_at_the_same_address_is_refused(deployment: Deployment) -> None:
    deployment.release("1.2.0", {"newleaf.toml": settings_text("tasks")})
    text = stays(deployment, 5, "refused", "wrong_app")
    assert "tasks" in text
    assert "sessions" in text
