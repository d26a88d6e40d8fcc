from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.secrets import has_secret, mask_argv, mask_path, mask_text

CANARY = "hunter2canary"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://user:{CANARY}@example.org/a", "https://user:****@example.org/a"),
        (f"https://{CANARY}@example.org/a", "https://****@example.org/a"),
        (f"https://user:a@{CANARY}@example.org/a", "https://user:****@example.org/a"),
        (f"APP_DB_PASSWORD={CANARY} run", "APP_DB_PASSWORD=**** run"),
        (f"redis://:{CANARY}@localhost:6379/0", "redis://:****@localhost:6379/0"),
        (f"redis://:a/{CANARY}@localhost:6379/0", "redis://:****@localhost:6379/0"),
        (f"rediss://a#{CANARY}@localhost", "rediss://****@localhost"),
        (f"rediss+sentinel://:a/{CANARY}@h/main/0", "rediss+sentinel://:****@h/main/0"),
        (f"ssh://git:{CANARY}@example.org/a", "ssh://git:****@example.org/a"),
        (f"https://example.org/?token={CANARY}&a=1", "https://example.org/?token=****&a=1"),
        (f"https://example.org/?a=1&access_token={CANARY}", "https://example.org/?a=1&access_token=****"),
        (f"Authorization: Basic {CANARY}", "Authorization: ****"),
        (f"X-Api-Key: {CANARY}", "X-Api-Key: ****"),
        (f"run --password {CANARY} --port 80", "run --password **** --port 80"),
        (f"run --db-password={CANARY}", "run --db-password=****"),
        (f"fatal: ghp_{CANARY}{CANARY} is wrong", "fatal: **** is wrong"),
        (f"fatal: glpat-{CANARY}", "fatal: ****"),
        ("bot 123456789:AAE_canary-canary-canary-canary-12", "bot ****"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, shown: str) -> None:
    """threats.md T29."""
    assert mask_text(text) == shown
    assert has_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.org/team/app.git",
        "ssh://git@example.org/app.git",
        "git@example.org:app.git",
        "redis://localhost:6379/0",
        "/run/secrets/token",
        "python -m app --port 8080",
        "the token is missing",
        "must not hold credentials: use an ssh key",
        "http.token_file: must be a text",
        "Mon-Fri 01:00-05:00 Europe/Amsterdam",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_text(text) == text
    assert not has_secret(text)


def test_option_and_its_value_may_be_two_words() -> None:
    argv = ("run", "--password", CANARY, "-v", f"--api-key={CANARY}", "--tokens", "3")
    assert mask_argv(argv) == ["run", "--password", "****", "-v", "--api-key=****", "--tokens", "3"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://hooks.example.org/services/{CANARY}", "https://hooks.example.org/****"),
        (f"https://hooks.example.org?key={CANARY}", "https://hooks.example.org/****"),
        (f"https://user:{CANARY}@hooks.example.org/a", "https://user:****@hooks.example.org/****"),
        ("https://hooks.example.org/", "https://hooks.example.org"),
        (CANARY, "****"),
    ],
)
def test_url_that_is_a_secret_shows_only_where_it_leads(url: str, shown: str) -> None:
    assert mask_path(url) == shown


@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once


def test_masking_a_long_text_takes_no_long_time() -> None:
    """A pattern that backtracks would hang on what a remote sends."""
    began = time.process_time()
    for part in ("a-", "a", "auth-", "://a", "token=", "--a-", "--", "https://a:", "token ", "1"):
        mask_text(part * 20_000)
    assert time.process_time() - began < 10
