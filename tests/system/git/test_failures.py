"""What git's last words mean."""

from __future__ import annotations

import re
import signal

import pytest

from newleaf.core.errors import DiskFull, NewleafError
from newleaf.core.releases.git_errors import (
    ObjectsRefused,
    RefGone,
    RemoteUnknownHost,
    RemoteUnreachable,
    RemoteUntrusted,
    RemoteWantsCredentials,
)
from newleaf.system.git.failures import Failure, last_words

URL = "ssh://git@example.org:2222/team/app.git"
BOILERPLATE = [
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
]


@pytest.mark.parametrize(
    ("said", "family", "word"),
    [
        (["fatal: couldn't find remote ref refs/heads/none"], RefGone, "refs/heads/none"),
        (["Host key verification failed.", *BOILERPLATE], RemoteUnknownHost, "verification failed"),
        (
            ["git@example.org: Permission denied (publickey).", *BOILERPLATE],
            RemoteWantsCredentials,
            "publickey",
        ),
        (
            ["fatal: Authentication failed for 'https://example.org/'"],
            RemoteWantsCredentials,
            "Authentication",
        ),
        (
            ["fatal: could not read Username for 'https://example.org': terminal prompts disabled"],
            RemoteWantsCredentials,
            "prompts disabled",
        ),
        (
            ["fatal: unable to access 'x': The requested URL returned error: 403"],
            RemoteWantsCredentials,
            "403",
        ),
        (
            ["fatal: unable to access 'x': Received HTTP code 407 from proxy after CONNECT"],
            RemoteWantsCredentials,
            "407",
        ),
        (
            ["fatal: unable to access 'x': server certificate verification failed. CAfile: none"],
            RemoteUntrusted,
            "certificate",
        ),
        (
            ["fatal: unable to access 'x': SSL certificate problem: self-signed certificate"],
            RemoteUntrusted,
            "self-signed",
        ),
        (
            [
                "error: object " + "a" * 40 + ": hasDotgit: contains '.git'",
                "fatal: fsck error in packed object",
            ],
            ObjectsRefused,
            "hasDotgit",
        ),
        (["fatal: write error: No space left on device", "fatal: index-pack failed"], DiskFull, "/store"),
        (
            ["ssh: connect to host example.org port 2222: Connection refused", *BOILERPLATE],
            RemoteUnreachable,
            "refused",
        ),
        (
            ["fatal: unable to access 'x': Could not resolve host: example.org"],
            RemoteUnreachable,
            "resolve host",
        ),
        (
            ["remote: Repository not found.", "fatal: repository 'x' not found"],
            RemoteUnreachable,
            "not found",
        ),
        ([], RemoteUnreachable, "said nothing"),
        (BOILERPLATE, RemoteUnreachable, "Could not read"),
    ],
)
def test_each_cause_has_its_own_error(said: list[str], family: type[NewleafError], word: str) -> None:
    """lessons.md L2: distinguishable from one another, and from success."""
    error = Failure(URL, said, 128, "1 GiB", "/store").as_error()

    assert type(error) is family
    assert word in error.message
    assert not re.search(r"\{\w+\}", error.message + error.advice)


def test_an_unknown_host_key_is_cured_by_connecting_once() -> None:
    error = Failure(URL, ["Host key verification failed."], 128).as_error()
    assert error.advice.endswith("ssh -p 2222 git@example.org")
    error = Failure("git@example.org:app", ["Host key verification failed."], 128).as_error()
    assert error.advice.endswith("ssh git@example.org")


def test_what_is_quoted_is_masked() -> None:
    """threats.md T29."""
    said = ["fatal: unable to access 'https://ada:canary@example.org/': nope"]
    assert "canary" not in Failure(URL, said, 128).as_error().message
    assert "canary" not in last_words(said, 1)


def test_the_line_with_the_cause_is_told_not_the_last_one() -> None:
    said = [
        "fatal: Unable to create '/x/.git/index.lock': File exists.",
        "Another git process seems to be running in this repository, e.g.",
        "remove the file manually to continue.",
    ]
    assert last_words(said, 128).startswith("Unable to create")


def test_a_git_that_was_killed_is_told_by_the_signal() -> None:
    assert last_words([], -signal.SIGXFSZ) == "git ended by SIGXFSZ and said nothing"
    assert last_words([], 1) == "git ended with 1 and said nothing"
