from __future__ import annotations

import pytest

from newleaf.core.errors import SettingsInvalid
from newleaf.core.settings.fragments import Loaded, Sources, load, read_toml
from newleaf.core.settings.soundness import find_problems, require_sound

CANARY = "hunter2canary"


def loaded(text: str) -> Loaded:
    return load(
        Sources(
            app=read_toml(b'[app]\nname = "sessions"\n', "newleaf.toml"),
            host=read_toml(text.encode(), "host.toml"),
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[source]\nbranch = "release/2"\ntag_prefix = ""\n',
        '[source]\ntag_prefix = "app/v"\n',
        '[deployment]\npin = "1.3.0"\n',
        '[deployment]\npin = "v1.3.0"\n',
        f'[deployment]\npin = "{"a" * 40}"\n',
        '[gates]\nwindow = ["Mon-Fri 01:00-05:00 Europe/Amsterdam", "Sun 00:00-24:00"]\n',
        '[source.git_config]\nhttp.proxy = "http://p:3128"\n"credential.helper" = ["", "store"]\n',
        '[security]\nfloor = "1.0.0"\n',
    ],
)
def test_sound_settings_have_no_problem(text: str) -> None:
    require_sound(loaded(text))


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ('[source]\nbranch = "--upload-pack=touch X"\n', "host.toml: source.branch holds characters"),
        ('[source]\nbranch = "a..b"\n', "host.toml: source.branch would be read as a revision"),
        ('[source]\ntag_prefix = "a//b"\n', "host.toml: source.tag_prefix makes tags that cannot be used"),
        ('[deployment]\npin = "newest"\n', "host.toml: deployment.pin must be a version"),
        ('[gates]\nwindow = "at night"\n', "host.toml: gates.window must be days, a span of time"),
        ('[gates]\nwindow = "Mon 01:00-02:00 Mars/Base"\n', "host.toml: gates.window has the time zone"),
        (
            f'[status]\nredis_url = "redis://:{CANARY}/x@r"\n',
            "host.toml: status.redis_url cannot be read: / ? # @",
        ),
        (
            f'[fleet]\nredis_url = "redis://:{CANARY}/x@r"\n',
            "host.toml: fleet.redis_url cannot be read: / ? # @",
        ),
        (
            '[fleet]\nredis_url = "redis+sentinel://a:x/main"\n',
            "host.toml: fleet.redis_url must be like redis+sentinel://HOST",
        ),
        ('[security]\nfloor = "low"\n', "host.toml: security.floor must be a version"),
        (
            '[source.git_config]\n"core.hooksPath" = "/x"\n',
            "host.toml: source.git_config holds core.hooksPath, which is not let through",
        ),
    ],
)
def test_what_a_part_would_refuse_is_said_with_its_origin(text: str, beginning: str) -> None:
    """threats.md T15: the branch, the tag prefix."""
    (problem,) = find_problems(loaded(text))
    assert str(problem).startswith(beginning)


def test_every_problem_is_said_at_once() -> None:
    text = (
        '[source]\nbranch = "-f"\n[gates]\nwindow = ["x", "y"]\n[source.git_config]\na.b = "1"\n"c.d" = "2"\n'
    )
    with pytest.raises(SettingsInvalid) as raised:
        require_sound(loaded(text))
    assert len(raised.value.message.splitlines()) == 5


def test_value_of_a_git_setting_is_not_repeated() -> None:
    """threats.md T29."""
    (problem,) = find_problems(loaded(f'[source.git_config]\n"core.sshCommand" = "{CANARY}"\n'))
    assert CANARY not in str(problem)
