from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.errors import SettingsInvalid, SettingsUnreadable, UsageError
from newleaf.core.settings.fragments import (
    Fragment,
    GivenSettings,
    Loaded,
    Sources,
    load,
    read_environment,
    read_table,
    read_toml,
)
from newleaf.core.settings.model import KEYS, SECTIONS

CANARY = "hunter2canary"
APP = '[app]\nname = "sessions"\n'

# A value for every key, as one would write it in TOML.
SAMPLES = {
    "app.name": '"sessions"',
    "app.command": '".venv/bin/python -m sessions"',
    "app.path": '"services/sessions"',
    "app.version_file": '"src/sessions/__init__.py"',
    "app.layout": '"slots"',
    "app.listen": '["127.0.0.1:8080", "unix:run/app.sock"]',
    "app.handover": '"sequential"',
    "app.shared": '[".env", "data"]',
    "app.python_path": '["lib"]',
    "app.stop_seconds": '"1m"',
    "app.computer_name": '"studio"',
    "source.url": '"https://git.example.org/app.git"',
    "source.branch": '"release/2"',
    "source.releases": '"github"',
    "source.tag_prefix": '"app/v"',
    "source.api_url": '"https://github.example.org/api/v3"',
    "source.token_file": '"~/.tokens/git"',
    "source.git_config": '{ "http.proxy" = "http://proxy.example.org:3128" }',
    "source.max_fetch_bytes": "1000000",
    "deployment.channel": '"beta"',
    "deployment.pinned_minor": '"1.10"',
    "deployment.prereleases": "true",
    "deployment.pin": '"1.3.0"',
    "deployment.suspended": "true",
    "watch.poll_seconds": "60",
    "watch.jitter": "0.5",
    "watch.paths": '["src"]',
    "watch.stale_after": '"1 day"',
    "update.steps": '["migrate", "install"]',
    "update.install": '["make", "install"]',
    "update.install_project": "false",
    "update.extras": '"all"',
    "update.groups": '["prod"]',
    "update.install_timeout": '"20m"',
    "update.fetch_timeout": "60.5",
    "update.migrate_timeout": '"1h30m"',
    "update.preflight_timeout": '"30s"',
    "update.dirty_tree": '"refuse"',
    "update.preflight": "false",
    "update.preflight_command": '"make smoke"',
    "update.state_paths": '["data/app.db"]',
    "update.migrations": '"db/migrations"',
    "update.keep_releases": "5",
    "restart.mode": '"sigterm"',
    "restart.exit_code": "3",
    "restart.command": '"systemctl --user restart sessions"',
    "restart.budget": '"3 in 1h"',
    "gates.idle_command": '"bin/idle"',
    "gates.idle_url": '"http://127.0.0.1:8080/idle"',
    "gates.max_wait": '"2h"',
    "gates.window": '["Mon-Fri 01:00-05:00 Europe/Amsterdam"]',
    "gates.min_age": '"1h"',
    "gates.cooldown": '"5m"',
    "gates.spread": '"1h"',
    "gates.lease_url": '"https://lease.example.org"',
    "health.ready": "10",
    "health.probation": "0",
    "health.url": '"http://127.0.0.1:8080/health"',
    "health.command": '"bin/health"',
    "health.max_starts": "5",
    "status.redis_url": '"redis://localhost:6379/0"',
    "status.redis_key": '"status:{computer}"',
    "security.require": '"none"',
    "security.signers": '"~/signers"',
    "security.revoked": '"~/revoked"',
    "security.floor": '"1.0.0"',
    "chat.telegram_token_file": '"~/bot"',
    "chat.chats": "[1, -100200]",
    "http.token_file": '"~/http"',
    "http.webhook_secret_file": '"~/hook"',
    "fleet.redis_url": '"rediss://bus.example.org"',
    "fleet.stream_prefix": '"x:{app}"',
    "fleet.mission_keys": '"~/keys"',
    "fleet.labels": '{ room = "a", rack = 3 }',
    "fleet.capabilities": '["gpu"]',
    "fleet.headquarters": "true",
    "fleet.ops_tokens_file": '"~/ops"',
    "notify.urls": '["https://hooks.example.org/x"]',
    "notify.allow_private": '["nas.example.org"]',
}

# How the same value is written in the environment, where it is not the bare text.
VARIABLES = {
    "app.listen": '["127.0.0.1:8080", "unix:run/app.sock"]',
    "source.git_config": '{"http.proxy": "http://proxy.example.org:3128"}',
    "fleet.labels": '{"room": "a", "rack": 3}',
}


def app(text: str) -> Fragment:
    return read_toml(text.encode(), "newleaf.toml", tracked=True)


def host(text: str) -> Fragment:
    return read_toml(text.encode(), "host.toml")


def problems_of(sources: Sources) -> list[str]:
    with pytest.raises(SettingsInvalid) as raised:
        load(sources)
    problems = raised.value.facts["problems"]
    assert isinstance(problems, list)
    return problems


def value_of(loaded: Loaded, key: str) -> object:
    section, name = key.split(".")
    return getattr(getattr(loaded.settings, section), name)


def table_with(key: str, value: str) -> str:
    section, name = key.split(".")
    return f"[{section}]\n{name} = {value}\n"


# --- order and origin ----------------------------------------------------------------------


def test_name_alone_gives_every_default() -> None:
    loaded = load(Sources(app=app(APP)))
    assert loaded.settings.app.name == "sessions"
    assert loaded.origins["app.name"] == "newleaf.toml"
    assert {origin for key, origin in loaded.origins.items() if key != "app.name"} == {"default"}
    assert set(loaded.origins) == set(KEYS)


def test_later_sources_win_and_are_named() -> None:
    said = {
        "app": app(APP + "[update]\nkeep_releases = 4\n[restart]\nexit_code = 1\n[health]\nmax_starts = 6\n"),
        "host": host("[update]\nkeep_releases = 5\n[restart]\nexit_code = 2\n"),
        "environment": read_environment({"NEWLEAF_UPDATE__KEEP_RELEASES": "6"}),
    }
    loaded = load(Sources(**said))
    assert (loaded.settings.update.keep_releases, loaded.origins["update.keep_releases"]) == (
        6,
        "NEWLEAF_UPDATE__KEEP_RELEASES",
    )
    assert (loaded.settings.restart.exit_code, loaded.origins["restart.exit_code"]) == (2, "host.toml")
    assert (loaded.settings.health.max_starts, loaded.origins["health.max_starts"]) == (6, "newleaf.toml")


def test_code_ranks_as_the_hosts_above_its_file_and_below_the_environment() -> None:
    given = GivenSettings(deployment={"channel": "beta"}, watch={"jitter": 0.3})
    sources = Sources(
        app=app(APP),
        host=host('[deployment]\nchannel = "alpha"\n'),
        code=given.fragment,
        environment=read_environment({"NEWLEAF_WATCH__JITTER": "0.2"}),
    )
    loaded = load(sources)
    assert (loaded.settings.deployment.channel, loaded.origins["deployment.channel"]) == ("beta", "code")
    assert loaded.settings.watch.jitter == 0.2


def test_no_app_file_is_fine_when_the_host_gives_the_name() -> None:
    assert load(Sources(host=host(APP))).origins["app.name"] == "host.toml"
    variables = read_environment({"NEWLEAF_APP__NAME": "sessions"})
    assert load(Sources(environment=variables)).origins["app.name"] == "NEWLEAF_APP__NAME"


def test_name_that_nobody_says_is_required() -> None:
    assert problems_of(Sources()) == ["settings: app.name is required: say it in newleaf.toml"]


@pytest.mark.parametrize("key", list(KEYS))
def test_each_key_can_be_said_in_the_hosts_file(key: str) -> None:
    text = table_with(key, SAMPLES[key])
    loaded = load(Sources(app=app(APP), host=host(text)))
    assert loaded.origins[key] == "host.toml"
    assert key == "app.name" or value_of(loaded, key) != KEYS[key].default or key == "security.require"


@pytest.mark.parametrize("key", list(KEYS))
def test_each_key_can_be_said_in_the_environment_with_the_same_effect(key: str) -> None:
    text = VARIABLES.get(key, SAMPLES[key].strip('"'))
    sources = Sources(app=app(APP), environment=read_environment({KEYS[key].variable: text}))
    loaded = load(sources)
    assert loaded.origins[key] == KEYS[key].variable
    assert value_of(loaded, key) == value_of(
        load(Sources(app=app(APP), host=host(table_with(key, SAMPLES[key])))), key
    )


@pytest.mark.parametrize("key", list(KEYS))
def test_app_file_may_say_its_own_keys_and_none_of_the_hosts(key: str) -> None:
    """contracts § Settings: a fetched tree must not choose its own source or trust."""
    fragment = read_toml(table_with(key, SAMPLES[key]).encode(), "newleaf.toml", tracked=True)
    if KEYS[key].host_only:
        (problem,) = fragment.problems
        assert str(problem).startswith(f"newleaf.toml: {key} is for the host alone")
        assert "host.toml" in str(problem)
    else:
        assert not fragment.problems
        assert fragment.inputs[key].origin == "newleaf.toml"


def test_hosts_key_in_the_app_file_is_an_error_even_where_the_host_overrules_it() -> None:
    sources = Sources(
        app=app(APP + '[source]\nurl = "https://evil.example.org/app.git"\n'),
        host=host('[source]\nurl = "https://git.example.org/app.git"\n'),
    )
    assert [problem[:30] for problem in problems_of(sources)] == ["newleaf.toml: source.url is fo"]


def test_other_copy_of_the_app_file_meets_the_same_host() -> None:
    """The target's copy governs install, migrate, preflight and health of that target."""
    running = Sources(app=app(APP + "[update]\nkeep_releases = 4\n"), host=host("[restart]\nexit_code = 9\n"))
    target = running.with_app_file(
        b'[app]\nname = "sessions"\n[update]\ninstall = "make"\n', "newleaf.toml at 1a2b"
    )
    loaded = load(target)
    assert loaded.settings.update.install == ("make",)
    assert loaded.settings.update.keep_releases == 3
    assert loaded.settings.restart.exit_code == 9
    assert loaded.origins["update.install"] == "newleaf.toml at 1a2b"
    assert load(running).settings.update.keep_releases == 4


def test_other_copy_may_be_missing_and_is_judged_as_tracked() -> None:
    running = Sources(app=app(APP), host=host(APP))
    assert load(running.with_app_file(None)).origins["app.name"] == "host.toml"
    assert problems_of(running.with_app_file(b'[deployment]\nchannel = "beta"\n'))


# --- what is wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("[watch]\npol_seconds = 1\n", "watch.poll_seconds"),
        ("[watch]\npoll-seconds = 1\n", "watch.poll_seconds"),
        ("[watch]\npoll = 1\n", "watch.poll_seconds"),
        ("[app]\npoll_seconds = 1\n", "watch.poll_seconds"),
        ("[app]\nchannel = 'beta'\n", "deployment.channel"),
        ("[deploy]\nchannel = 'beta'\n", "deployment.channel"),
        ("[deploymnt]\nchannel = 'beta'\n", "deployment.channel"),
        ("[deploymnt]\nchanel = 'beta'\n", "deployment.channel"),
        ("channel = 'beta'\n", "deployment.channel"),
        ("[update]\ninstall_timeuot = 1\n", "update.install_timeout"),
        ("[update]\nuv_extras = []\n", "update.extras"),
        ("[gate]\nmax_wait = 1\n", "gates.max_wait"),
        ("[notfy]\n", "notify.urls"),
        ("[a.b.c]\nd = 1\n", ""),
        ("'' = 1\n", ""),
        ("[zzz]\nqqq = 1\n", ""),
    ],
)
def test_unknown_key_names_the_nearest_known_one(text: str, nearest: str) -> None:
    (problem,) = host(text).problems
    assert "is not a setting; did you mean " in problem.reason
    found = problem.reason.rpartition(" ")[2].rstrip("?")
    assert found in KEYS
    assert found == nearest or not nearest


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("NEWLEAF_WATCH__POL_SECONDS", "NEWLEAF_WATCH__POLL_SECONDS"),
        ("NEWLEAF_DEPLOY__CHANNEL", "NEWLEAF_DEPLOYMENT__CHANNEL"),
        ("NEWLEAF_watch__jitter", "NEWLEAF_WATCH__JITTER"),
        ("NEWLEAF_WATCH_POLL_SECONDS", "NEWLEAF_WATCH__POLL_SECONDS"),
        ("NEWLEAF___", ""),
        ("NEWLEAF_WATCH__JITTER__X", "NEWLEAF_WATCH__JITTER"),
    ],
)
def test_unknown_variable_names_the_nearest_known_one(variable: str, nearest: str) -> None:
    (problem,) = read_environment({variable: "1"}).problems
    assert str(problem).startswith(f"environment: {variable} is not a setting; did you mean NEWLEAF_")
    assert f"{nearest}?" in problem.reason or not nearest


def test_variables_that_are_no_settings_are_left_alone() -> None:
    variables = {
        "NEWLEAF_STATE_DIR": "/x",
        "NEWLEAF_COMMIT": "y",
        "HOME": "/",
        "MY__VAR": "1",
        "XNEWLEAF_A__B": "",
    }
    assert read_environment(variables) == Fragment()


@pytest.mark.parametrize("text", ["watch = 5\n", "watch = []\n", "watch = 'x'\n", "[[watch]]\njitter = 1\n"])
def test_table_that_is_none_is_a_problem(text: str) -> None:
    (problem,) = host(text).problems
    assert str(problem).startswith("host.toml: watch must be a table, not a")


def test_empty_table_says_nothing() -> None:
    assert host("[watch]\n[app]\n") == Fragment()


def test_every_problem_of_every_source_is_said_at_once() -> None:
    sources = Sources(
        app=app('[app]\nname = "Sessions"\n[source]\nbranch = "x"\n[watch]\njitter = 2\n'),
        host=host("[deployment]\npinned_minor = 1.10\n[updat]\nextras = []\n"),
        environment=read_environment({"NEWLEAF_RESTART__EXIT_CODE": "300", "NEWLEAF_A__B": ""}),
    )
    found = [problem.split(" ", 2)[:2] for problem in problems_of(sources)]
    assert found == [
        ["newleaf.toml:", "app.name"],
        ["newleaf.toml:", "source.branch"],
        ["newleaf.toml:", "watch.jitter"],
        ["host.toml:", "deployment.pinned_minor"],
        ["host.toml:", "updat.extras"],
        ["environment:", "NEWLEAF_A__B"],
        ["environment:", "NEWLEAF_RESTART__EXIT_CODE"],
    ]


def test_problems_are_a_usage_error_that_lists_them() -> None:
    with pytest.raises(UsageError) as raised:
        load(Sources(app=app('[app]\nname = "A"\n[watch]\njitter = 2\n')))
    error = raised.value
    assert error.exit_code == 2
    assert len(error.message.splitlines()) == 2
    assert error.as_record()["problems"] == error.message.splitlines()


def test_minor_version_as_a_number_is_refused_with_the_reason() -> None:
    """lessons.md L15."""
    (problem,) = host("[deployment]\npinned_minor = 1.10\n").problems
    assert "1.10 is read as 1.1" in problem.reason
    bare = read_environment({"NEWLEAF_DEPLOYMENT__PINNED_MINOR": "1.10"})
    assert bare.inputs["deployment.pinned_minor"].value == "1.10"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[deployment]\nchannel = "stable"\n', "deployment.pinned_minor"),
        ('[restart]\nmode = "command"\n', "restart.command"),
        ('[security]\nrequire = "tags"\n', "security.signers"),
    ],
)
def test_setting_that_another_requires_is_missed(text: str, key: str) -> None:
    (problem,) = problems_of(Sources(app=app(APP), host=host(text)))
    assert problem.startswith(f"settings: {key} is required")


@pytest.mark.parametrize(
    "text",
    [
        '[deployment]\nchannel = "stable"\npinned_minor = "1.3"\n',
        '[restart]\nmode = "command"\ncommand = "make restart"\n',
        '[security]\nrequire = "tags"\nsigners = "~/signers"\n',
    ],
)
def test_setting_that_another_requires_is_enough(text: str) -> None:
    load(Sources(app=app(APP), host=host(text)))


def test_no_problem_repeats_a_secret() -> None:
    """threats.md T29."""
    texts = (
        f'[source]\nurl = "https://user:{CANARY}@git.example.org/app.git"\n',
        f'[source]\nurl = ["https://user:{CANARY}@git.example.org/app.git"]\n',
        f'[source]\napi_url = "https://{CANARY}@api.example.org"\n',
        f'[status]\nredis_url = "http://:{CANARY}@h"\n',
        f'[notify]\nurls = "https://hooks.example.org/{CANARY}"\n',
        f'[notify]\nurls = ["ftp://hooks.example.org/{CANARY}"]\n',
        f'[source.git_config]\n"http.extraHeader" = ["Authorization: {CANARY}", [1]]\n',
        f'[deployment]\nchannel = "token={CANARY}"\n',
        f'[chat]\nchats = ["{CANARY}"]\n',
        f'[http]\ntoken_file = "{CANARY}\\n"\n',
    )
    for text in texts:
        problems = host(text).problems
        assert problems, text
        assert CANARY not in str(problems[0])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[app\n", 1),
        (b'[app]\nname = "x"\nbad line\n', 3),
        (b"[app]\nname = \n", 2),
        (b'[app]\nname = "x"\n[app]\n', 3),
        (b'[app]\nname = "x', 2),
        (b"[app]\n\n\xff\xfe\n", 3),
        (b"\x00", 1),
        (b"a = " + b"[" * 5000, 1),
        (b"a = " + b"9" * 5000, 1),
        (b"a = 2026-99-99\n", 1),
    ],
)
def test_file_that_is_no_toml_is_said_with_its_line(content: bytes, line: int) -> None:
    with pytest.raises(SettingsUnreadable) as raised:
        read_toml(content, "host.toml")
    assert raised.value.message.startswith(f"host.toml, line {line}: ")
    assert "\n" not in raised.value.message
    assert raised.value.exit_code == 2


def test_empty_file_says_nothing() -> None:
    assert read_toml(b"", "newleaf.toml") == Fragment()
    assert read_toml(b"# only a comment", "newleaf.toml") == Fragment()


def test_settings_given_in_code_are_judged_where_they_stand() -> None:
    with pytest.raises(SettingsInvalid, match=r"code: deployment\.channel must be one of"):
        GivenSettings(deployment={"channel": "nightly"})
    with pytest.raises(SettingsInvalid, match=r"did you mean deployment\.channel"):
        GivenSettings(deployment={"chanel": "beta"})
    with pytest.raises(SettingsInvalid, match="watch must be a table"):
        GivenSettings(watch=5)  # type: ignore[arg-type]


def test_tuples_in_code_are_lists() -> None:
    given = GivenSettings(app={"command": ("python", "-m", "x"), "shared": ("data",)})
    assert given.fragment.inputs["app.shared"].value == ("data",)


def test_dates_are_no_settings() -> None:
    (problem,) = host("[watch]\npoll_seconds = 2026-01-01\n").problems
    assert "must be a number of seconds" in problem.reason


def test_tables_are_read_without_touching_them() -> None:
    table = {"app": {"name": "sessions"}}
    read_table(table, "x")
    assert table == {"app": {"name": "sessions"}}


def test_unknown_name_cannot_write_to_the_terminal_nor_fill_it() -> None:
    (problem,) = read_table({"watch": {"\x1b[31m\n" + "x" * 500: 1}}, "newleaf.toml").problems
    assert str(problem).isprintable()
    assert len(str(problem)) < 200


def test_very_many_or_very_long_unknown_keys_take_no_long_time() -> None:
    began = time.process_time()
    (problem,) = read_table({"watch": dict.fromkeys(map(str, range(50_000)), 1)}, "newleaf.toml").problems
    assert str(problem) == "newleaf.toml: holds more than 200 keys"
    read_table({"watch": {"x" * 1_000_000: 1}}, "newleaf.toml")
    assert time.process_time() - began < 10


# --- anything at all -----------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.dates()
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(list(KEYS)), ANYTHING)
def test_any_value_of_a_key_is_read_or_is_a_problem(key: str, value: object) -> None:
    section, name = key.split(".")
    fragment = read_table({section: {name: value}}, "host.toml")
    assert len(fragment.inputs) + len(fragment.problems) == 1
    assert all(str(problem).startswith(f"host.toml: {key} ") for problem in fragment.problems)


@given(st.sampled_from(list(KEYS)), ANYTHING)
def test_any_value_that_was_read_is_read_again_the_same(key: str, value: object) -> None:
    section, name = key.split(".")
    for entry in read_table({section: {name: value}}, "x").inputs.values():
        again = read_table({section: {name: entry.value}}, "x")
        assert again.inputs[key].value == entry.value


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(list(SECTIONS)), ANYTHING, max_size=4))
def test_any_table_is_a_fragment(table: dict[str, object]) -> None:
    fragment = read_table(table, "code")
    assert all(problem.reason for problem in fragment.problems)
    assert set(fragment.inputs) <= set(KEYS)


@given(st.sampled_from([setting.variable for setting in KEYS.values()]), st.text(max_size=20))
def test_any_text_of_a_variable_is_read_or_is_a_problem(variable: str, text: str) -> None:
    fragment = read_environment({variable: text})
    assert len(fragment.inputs) + len(fragment.problems) == 1


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode(errors="replace")))
def test_any_content_of_a_file_is_a_fragment_or_unreadable_at_a_line(content: bytes) -> None:
    with contextlib.suppress(SettingsUnreadable):
        read_toml(content, "newleaf.toml", tracked=True)
