from __future__ import annotations

import pytest

from newleaf.core.settings.addresses import read_api, read_listen, read_remote

CANARY = "hunter2canary"


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/team/app.git",
        "https://git.example.org:8443/team/app",
        "https://git.example.org/team/my_app.git",
        "https://[2001:db8::1]/app.git",
        "http://127.0.0.1:8080/app.git",
        "http://localhost/app.git",
        "http://[::1]:8080/app.git",
        "ssh://git@git.example.org/team/app.git",
        "ssh://git.example.org:2222/app.git",
        "git@git.example.org:team/app.git",
        "git.example.org:app.git",
        "git@[2001:db8::1]:app.git",
        "file:///srv/git/app.git",
        "file://localhost/srv/git/app.git",
        "/srv/git/app.git",
        "./app.git",
        "../app.git",
        "~/app.git",
        "/srv/git/with@sign/app.git",
        "/srv/a:b/app.git",
    ],
)
def test_remote_by_https_ssh_file_or_path_is_taken(url: str) -> None:
    assert read_remote(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% X",
        "ext::sh",
        "fd::17",
        "foo::https://git.example.org/app.git",
        "ssh://-oProxyCommand=touch/app.git",
        "ssh://git@-oProxyCommand=touch/app.git",
        "ssh://-lroot@git.example.org/app.git",
        "-oProxyCommand=touch:app.git",
        "git@-oProxyCommand=touch:app.git",
        "--upload-pack=touch",
        "git.example.org:-app",
        "http://git.example.org/app.git",
        "http://127.0.0.1.example.org/app.git",
        "git://git.example.org/app.git",
        "ftp://git.example.org/app.git",
        "HTTPS://git.example.org/app.git",
        "https:///app.git",
        "https://git.example.org\n/app.git",
        "https://git.example.org/app git",
        "https://git_exa|mple.org/app",
        "https://" + "a" * 3000,
        "file://elsewhere.example.org/app.git",
        "git@git.example.org:",
        "",
    ],
)
def test_remote_that_git_would_run_or_trust_blindly_is_refused(url: str) -> None:
    """threats.md T16."""
    with pytest.raises(ValueError, match="must"):
        read_remote(url)


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{CANARY}@git.example.org/app.git",
        f"https://{CANARY}@git.example.org/app.git",
        f"https://user:p@ss@{CANARY}@git.example.org/app.git",
        f"https://:{CANARY}@git.example.org/app.git",
        f"http://user:{CANARY}@127.0.0.1/app.git",
        f"http://{CANARY}@git.example.org/app.git",
        f"ssh://git:{CANARY}@git.example.org/app.git",
        f"git:{CANARY}@git.example.org:app.git",
        f"https://git.example.org/app.git?access_token={CANARY}",
        f"https://git.example.org?{CANARY}",
    ],
)
def test_credentials_in_a_remote_are_refused_and_never_repeated(url: str) -> None:
    """threats.md T29."""
    with pytest.raises(ValueError, match="credentials") as refused:
        read_remote(url)
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("value", [None, 1, True, [], b"https://git.example.org/app"])
def test_remote_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        read_remote(value)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8080", "0.0.0.0:80", "[::1]:8080", "localhost:1", "unix:run/app.sock", "unix:/run/a.sock"],
)
def test_address_to_bind_is_taken(address: str) -> None:
    assert read_listen(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "::1:80",
        "unix:",
        "unix:a b",
        80,
    ],
)
def test_address_that_cannot_be_bound_is_refused(address: object) -> None:
    with pytest.raises(ValueError, match="must be like"):
        read_listen(address)


@pytest.mark.parametrize(
    "url", ["https://api.example.org", "https://git.example.org/api/v3", "http://127.0.0.1:80"]
)
def test_api_is_reached_by_https_or_on_this_machine(url: str) -> None:
    assert read_api(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.org",
        "ssh://api.example.org",
        "/api",
        f"https://{CANARY}@api.example.org",
        "",
        None,
    ],
)
def test_api_that_would_give_the_token_away_is_refused(url: object) -> None:
    """threats.md T29."""
    with pytest.raises(ValueError, match="must") as refused:
        read_api(url)
    assert CANARY not in str(refused.value)
