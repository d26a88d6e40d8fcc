"""What is wrong with settings by the rules of the parts that use them: git, windows, versions.

Rules: `load` judges the shape of every value, fast, for every verb; this judges the rest, which
costs a start too much, for `config` and `init`. The parts judge a value again when they use it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from newleaf.core.errors import NewleafError
from newleaf.core.missions.sentinels import read_sentinels
from newleaf.core.redis_address import parse_redis_url
from newleaf.core.releases.channels import parse_pin, parse_version
from newleaf.core.releases.names import find_fault, is_commit
from newleaf.core.settings.fragments import Loaded, Problem, raise_problems
from newleaf.core.settings.git_settings import read_settings
from newleaf.core.settings.model import Settings
from newleaf.core.windows import parse_window


def require_sound(loaded: Loaded) -> None:
    """Refuses settings that a part would refuse later, all of them at once.

    Raises: SettingsInvalid.
    """
    if problems := list(find_problems(loaded)):
        raise_problems(problems)


def find_problems(loaded: Loaded) -> Iterator[Problem]:
    """What is wrong, with where it was said."""
    for key, find in _RULES.items():
        for reason in find(loaded.settings):
            yield Problem(loaded.origins[key], key, reason)


def _judge_branch(settings: Settings) -> Iterator[str]:
    if fault := find_fault(settings.source.branch):
        yield fault


def _judge_tag_prefix(settings: Settings) -> Iterator[str]:
    if fault := find_fault(f"{settings.source.tag_prefix}1.0.0"):
        yield f"makes tags that cannot be used: such a name {fault}"


def _judge_git_config(settings: Settings) -> Iterator[str]:
    for name, value in settings.source.git_config.items():
        try:
            read_settings({name: value})
        except NewleafError as error:
            yield f"holds {error.facts['key']}, which is not let through: {error.facts['reason']}"


def _judge_window(settings: Settings) -> Iterator[str]:
    for text in settings.gates.window:
        try:
            parse_window(text)
        except ValueError as error:
            yield str(error)


def _judge_pin(settings: Settings) -> Iterator[str]:
    pin = settings.deployment.pin
    try:
        if pin and not is_commit(pin):
            parse_pin(pin, settings.source.tag_prefix)
    except NewleafError:
        yield 'must be a version like "1.3.0", or a full commit id'


def _judge_floor(settings: Settings) -> Iterator[str]:
    if settings.security.floor and not parse_version(settings.security.floor):
        yield 'must be a version like "1.3.0"'


def _judge_redis(url: str | None) -> Iterator[str]:
    try:
        if url:
            parse_redis_url(url)
    except ValueError as error:
        yield str(error)


def _judge_bus(url: str | None) -> Iterator[str]:
    try:
        is_behind_sentinel = bool(url and read_sentinels(url))
    except ValueError as error:
        yield str(error)
    else:
        if not is_behind_sentinel:
            yield from _judge_redis(url)


_RULES: Mapping[str, Callable[[Settings], Iterator[str]]] = {
    "source.branch": _judge_branch,
    "source.tag_prefix": _judge_tag_prefix,
    "source.git_config": _judge_git_config,
    "deployment.pin": _judge_pin,
    "gates.window": _judge_window,
    "security.floor": _judge_floor,
    "fleet.redis_url": lambda settings: _judge_bus(settings.fleet.redis_url),
    "status.redis_url": lambda settings: _judge_redis(settings.status.redis_url),
}
"""Which part judges which key."""
