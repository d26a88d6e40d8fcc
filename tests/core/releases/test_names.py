"""Names and addresses that git is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.releases import names
from newleaf.core.releases.git_errors import NameInvalid, RemoteInvalid

CANARY = "s3cr3t-canary"


@pytest.mark.parametrize(
    "name",
    ["main", "release/2", "v1.2.0", "feature/#12", "app@1.2.3", "v1.0+build", "users/ada/ünï", "a-b_c.d"],
)
def test_a_plain_name_is_taken(name: str) -> None:
    assert names.require_branch(name) == name
    assert names.is_ref(f"refs/heads/{name}")
    assert names.is_ref(f"refs/tags/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-f",
        "--upload-pack=touch X",
        "--upload-pack=x",
        "main\n",
        "main\nother",
        "a..b",
        "../main",
        "a/../b",
        "x" * 300,
        "é" * 200,
        "a b",
        "a\x00b",
        "a\x7fb",
        "a\\b",
        "a~1",
        "a^",
        "a^{}",
        "a:b",
        "a?b",
        "a*",
        "a[b",
        "a@{1}",
        "@",
        "HEAD",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.",
        "a.lock",
        "a.lock/b",
        "$(touch X)",
        "`x`",
        "a;b",
        "a|b",
        "\udcff",
    ],
)
def test_a_name_that_git_could_read_otherwise_is_refused(name: str) -> None:
    """threats.md T15; lessons.md L11."""
    with pytest.raises(NameInvalid):
        names.require_branch(name)
    assert not names.is_ref(f"refs/heads/{name}")


@given(st.text(max_size=40))
def test_whatever_is_taken_is_harmless_to_git(name: str) -> None:
    """threats.md T15: the rules of git-check-ref-format, and no option, for any text."""
    if names.find_fault(name) is None:
        assert not name.startswith(("-", "/", "."))
        assert not name.endswith(("/", ".", ".lock"))
        assert not any(
            part in name for part in ("..", "@{", "//", "/.", " ", "~", "^", ":", "?", "*", "[", "\\")
        )
        assert name.isprintable()


def test_only_branches_and_tags_are_refs_to_be_used() -> None:
    """threats.md T14: nothing of refs/replace is ever taken for a release."""
    assert not names.is_ref("refs/replace/" + "a" * 40)
    assert not names.is_ref("HEAD")
    assert not names.is_ref("main")


def test_a_commit_is_a_full_id_in_small_letters() -> None:
    assert names.is_commit("a" * 40)
    assert names.is_commit("0" * 64)
    for text in ("a" * 39, "A" * 40, "a" * 41, "g" * 40, "a" * 40 + "\n", ""):
        assert not names.is_commit(text)


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("https://example.org/app.git", "https"),
        ("http://127.0.0.1:8080/app.git", "http"),
        ("ssh://git@example.org:2222/app.git", "ssh"),
        ("git@example.org:team/app.git", "ssh"),
        ("example.org:app.git", "ssh"),
        ("file:///srv/app.git", "file"),
        ("/srv/app.git", "file"),
        ("./app.git", "file"),
        ("../with:colon", "file"),
        ("app.git", "file"),
    ],
)
def test_a_remote_says_how_git_goes_there(url: str, protocol: str) -> None:
    assert names.require_remote(url) == url
    assert names.protocol_of(url) == protocol


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% X",
        "ext::sh",
        "fd::7",
        "git://example.org/app.git",
        "http://example.org/app.git",
        "ftp://example.org/app",
        "ssh://-oProxyCommand=touch/x",
        "ssh://git@-oProxyCommand=x/y",
        "ssh://%2doProxyCommand=x/y",
        "-oProxyCommand=x:app",
        "--upload-pack=x",
        "file://other-host/app",
        "https://example.org/a\nb",
        "",
    ],
)
def test_a_remote_that_would_run_something_is_refused(url: str) -> None:
    """threats.md T16."""
    with pytest.raises(RemoteInvalid):
        names.require_remote(url)


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{CANARY}@example.org/app.git",
        f"https://{CANARY}@example.org/app.git",
        f"https://user:{CANARY}@@example.org/app.git",
        f"https://user:a/{CANARY}@example.org/app.git",
        f"ssh://git:{CANARY}@example.org/app.git",
        f"git:{CANARY}@example.org:app.git",
        f"https://example.org/app.git?token={CANARY}",
        f"https://example.org/app.git?access_token={CANARY}&x=1",
        f"https://user:{CANARY}@example.org/a\nb",
    ],
)
def test_credentials_in_an_address_are_refused_and_never_repeated(url: str) -> None:
    """threats.md T29."""
    with pytest.raises(RemoteInvalid) as caught:
        names.require_remote(url)
    assert CANARY not in str(caught.value.as_record())
    assert CANARY not in names.shown(url)


def test_an_address_without_credentials_is_shown_as_it_is() -> None:
    for url in (
        "https://example.org/app.git",
        "git@example.org:app.git",
        "ssh://git@example.org/app",
        "/srv/app",
    ):
        assert names.shown(url) == url


def test_the_longest_insteadof_wins() -> None:
    bases = {"https://mirror.example.org/": ("https://",), "git@example.org:": ("https://example.org/",)}
    assert names.rewrite("https://example.org/app", bases) == "git@example.org:app"
    assert (
        names.rewrite("https://other.example.org/app", bases)
        == "https://mirror.example.org/other.example.org/app"
    )
    assert names.rewrite("/srv/app", bases) == "/srv/app"


def test_the_host_is_named_as_git_asks_for_it() -> None:
    assert names.host_of("https://example.org:8443/team/app.git") == "https://example.org:8443"
    assert names.host_of("/srv/app.git") == ""
