"""Which of the user's git settings the updater's git takes over."""

from __future__ import annotations

import pytest

from newleaf.core.releases.git_errors import GitSettingRefused
from newleaf.core.settings import git_settings

CANARY = "s3cr3t-canary"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http.proxy", "http://127.0.0.1:3128"),
        ("http.sslCAInfo", "/etc/ca.pem"),
        ("http.https://example.org/.proxy", ""),
        ("http.https://example.org/.extraHeader", "Authorization: Basic x"),
        ("credential.helper", "store"),
        ("credential.https://example.org.helper", "!/usr/bin/tool auth"),
        ("credential.useHttpPath", "true"),
        ("url.git@example.org:.insteadOf", "https://example.org/"),
        ("url.https://mirror.example.org/.insteadOf", "https://example.org/"),
        ("core.sshCommand", "ssh -i ~/.ssh/deploy_key -o IdentitiesOnly=yes"),
        ("core.sshCommand", "/usr/bin/ssh -F /etc/ssh/config"),
        ("filter.lfs.process", "git-lfs filter-process"),
        ("filter.lfs.required", "true"),
    ],
)
def test_ways_to_the_remote_are_let_through(name: str, value: str) -> None:
    assert git_settings.read_settings({name: value}) == ((name, value),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http.sslVerify", "false"),
        ("http.https://example.org/.sslVerify", "false"),
        ("http.followRedirects", "true"),
        ("http.https://user:pw@example.org/.proxy", "x"),
        ("core.hooksPath", "/tmp"),
        ("core.fsmonitor", "/tmp/x"),
        ("core.sshCommand", "sh -c 'touch X'"),
        ("core.sshCommand", "ssh -i key; touch X"),
        ("core.sshCommand", "ssh $(touch X)"),
        ("core.gitProxy", "x"),
        ("protocol.ext.allow", "always"),
        ("protocol.allow", "always"),
        ("url.ext::sh -c x.insteadOf", "https://"),
        ("url.https://user:pw@example.org/.insteadOf", "https://example.org/"),
        ("url.x.pushInsteadOf", "y"),
        ("filter.lfs.process", "git-lfs filter-process; touch X"),
        ("filter.other.clean", "cat"),
        ("alias.x", "!touch X"),
        ("include.path", "/tmp/x"),
        ("includeIf.gitdir:/.path", "/tmp/x"),
        ("uploadpack.packObjectsHook", "x"),
        ("transfer.fsckObjects", "false"),
        ("http", "x"),
        ("http.proxy", "a\nb"),
        ("http.pro\nxy", "a"),
        ("", "x"),
    ],
)
def test_everything_else_is_refused(name: str, value: str) -> None:
    """threats.md T18, T19: nothing that runs a program in the tree or turns a check off."""
    with pytest.raises(GitSettingRefused):
        git_settings.read_settings({name: value})


def test_tables_lists_and_switches_become_git_settings() -> None:
    table = {
        "http": {"proxy": "http://127.0.0.1:1", "https://example.org/": {"sslCAInfo": "/ca.pem"}},
        "credential": {"helper": ["", "store"], "useHttpPath": True},
    }

    assert git_settings.read_settings(table) == (
        ("http.proxy", "http://127.0.0.1:1"),
        ("http.https://example.org/.sslCAInfo", "/ca.pem"),
        ("credential.helper", ""),
        ("credential.helper", "store"),
        ("credential.useHttpPath", "true"),
    )


def test_a_refusal_repeats_neither_value_nor_credentials() -> None:
    """threats.md T29."""
    for name, value in (
        ("core.hooksPath", CANARY),
        (f"http.https://u:{CANARY}@example.org/.proxy", "x"),
        (f"url.https://{CANARY}@example.org/.insteadOf", "https://example.org/"),
    ):
        with pytest.raises(GitSettingRefused) as caught:
            git_settings.read_settings({name: value})
        assert CANARY not in str(caught.value.as_record())


def test_secrets_are_found_in_headers_and_proxies() -> None:
    """threats.md T29."""
    secrets = git_settings.secrets_in(
        (
            ("http.extraHeader", f"Authorization: Bearer {CANARY}"),
            ("http.proxy", "http://user:pr0xy-canary@proxy.example.org:3128"),
        )
    )

    assert CANARY in secrets
    assert "pr0xy-canary" in secrets


def test_bases_of_insteadof_are_collected() -> None:
    pairs = (
        ("url.git@example.org:.insteadOf", "https://a/"),
        ("URL.git@example.org:.insteadof", "https://b/"),
    )
    assert git_settings.bases_of(pairs) == {"git@example.org:": ("https://a/", "https://b/")}
