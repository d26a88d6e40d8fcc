from __future__ import annotations

import pytest

from newleaf.core.adoption.wish import Wish, app_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sessions", "sessions"),
        ("Sessions_Daemon", "sessions_daemon"),
        ("my.shop app", "my-shop-app"),
        ("2048-bot", "bot"),
        ("-x-", "x"),
        ("Über", "ber"),
        ("42", None),
        ("", None),
    ],
)
def test_an_apps_name_is_made_of_any_name(text: str, name: str | None) -> None:
    assert app_name(text) == name


@pytest.mark.parametrize(
    ("wish", "channel"),
    [
        (Wish(), "alpha"),
        (Wish(host_settings={"deployment.channel": "beta"}), "beta"),
        (Wish(channel="stable", host_settings={"deployment.channel": "beta"}), "stable"),
    ],
)
def test_the_channel_is_the_one_asked_for_else_the_hosts_own(wish: Wish, channel: str) -> None:
    assert wish.follows == channel
