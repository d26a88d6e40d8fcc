"""Every key of contracts § Settings, as data of its own: name, type, default, and whose it is."""

from __future__ import annotations

import msgspec
import pytest

from newleaf.core.settings.model import KEYS, SECTIONS, Facts, Settings, resolve
from newleaf.core.settings.sections import App, Status

HOST, APP = True, False

# key, the type's word, its default, and whether the host alone may say it
CONTRACT: list[tuple[str, str, object, bool]] = [
    ("app.name", "str", None, APP),
    ("app.command", "cmd", None, APP),
    ("app.path", "str", ".", APP),
    ("app.version_file", "str", "auto", APP),
    ("app.layout", "str", "auto", HOST),
    ("app.listen", "list", (), APP),
    ("app.handover", "str", "auto", APP),
    ("app.shared", "list", (), APP),
    ("app.python_path", "list", None, APP),
    ("app.stop_seconds", "dur", 30.0, APP),
    ("app.computer_name", "str", "", HOST),
    ("source.url", "str", None, HOST),
    ("source.branch", "str", "main", HOST),
    ("source.releases", "str", "auto", HOST),
    ("source.tag_prefix", "str", "v", HOST),
    ("source.api_url", "str", "https://api.github.com", HOST),
    ("source.token_file", "path", None, HOST),
    ("source.git_config", "table", {}, HOST),
    ("source.max_fetch_bytes", "int", 2147483648, HOST),
    ("deployment.channel", "str", "alpha", HOST),
    ("deployment.pinned_minor", "str", None, HOST),
    ("deployment.prereleases", "bool", False, HOST),
    ("deployment.pin", "str", None, HOST),
    ("deployment.suspended", "bool", False, HOST),
    ("watch.poll_seconds", "dur", 300.0, APP),
    ("watch.jitter", "float", 0.1, APP),
    ("watch.paths", "list", (), APP),
    ("watch.stale_after", "dur", 604800.0, HOST),
    ("update.steps", "list", ("install", "migrate"), APP),
    ("update.install", "cmd", "auto", APP),
    ("update.install_project", 'bool or "auto"', "auto", APP),
    ("update.extras", 'list or "all"', (), APP),
    ("update.groups", 'list or "all"', (), APP),
    ("update.install_timeout", "dur", 600.0, APP),
    ("update.fetch_timeout", "dur", 120.0, APP),
    ("update.migrate_timeout", "dur", 600.0, APP),
    ("update.preflight_timeout", "dur", 120.0, APP),
    ("update.dirty_tree", "str", "stash", APP),
    ("update.preflight", "str or false", None, APP),
    ("update.preflight_command", "cmd", None, APP),
    ("update.state_paths", "list", (), APP),
    ("update.migrations", "str", "migrations", APP),
    ("update.keep_releases", "int", 3, APP),
    ("restart.mode", "str", "auto", APP),
    ("restart.exit_code", "int", 42, APP),
    ("restart.command", "cmd", None, APP),
    ("restart.budget", "str", "5 in 30m", APP),
    ("gates.idle_command", "cmd", None, APP),
    ("gates.idle_url", "str", None, APP),
    ("gates.max_wait", "dur", 0.0, APP),
    ("gates.window", "str or list", (), APP),
    ("gates.min_age", "dur", 0.0, APP),
    ("gates.cooldown", "dur", 0.0, APP),
    ("gates.spread", "dur", 0.0, APP),
    ("gates.lease_url", "str", None, HOST),
    ("health.ready", "dur", 30.0, APP),
    ("health.probation", "dur", 60.0, APP),
    ("health.url", "str", None, APP),
    ("health.command", "cmd", None, APP),
    ("health.max_starts", "int", 3, APP),
    ("status.redis_url", "str", None, HOST),
    ("status.redis_key", "str", "system_status:{computer}:deploy", HOST),
    ("security.require", "str", "none", HOST),
    ("security.signers", "path", None, HOST),
    ("security.revoked", "path", None, HOST),
    ("security.floor", "str", None, HOST),
    ("chat.telegram_token_file", "path", None, HOST),
    ("chat.chats", "list", (), HOST),
    ("http.token_file", "path", None, HOST),
    ("http.webhook_secret_file", "path", None, HOST),
    ("fleet.redis_url", "str", None, HOST),
    ("fleet.stream_prefix", "str", "newleaf:{app}:missions", HOST),
    ("fleet.mission_keys", "path", None, HOST),
    ("fleet.labels", "table", {}, HOST),
    ("fleet.capabilities", "list", (), HOST),
    ("fleet.headquarters", "bool", False, HOST),
    ("fleet.ops_tokens_file", "path", None, HOST),
    ("notify.urls", "list", (), HOST),
    ("notify.allow_private", "list", (), HOST),
]

MINI_1 = Facts(computer_name="mini-1")


def settings_of(**tables: msgspec.Struct) -> Settings:
    return msgspec.structs.replace(Settings(app=App(name="sessions")), **tables)


def test_keys_are_those_of_the_contract_in_its_order() -> None:
    assert list(KEYS) == [key for key, *_ in CONTRACT]


@pytest.mark.parametrize(("key", "word", "default", "host_only"), CONTRACT, ids=str)
def test_each_key_has_the_type_default_and_owner_of_the_contract(
    key: str, word: str, default: object, host_only: bool
) -> None:
    setting = KEYS[key]
    assert (setting.kind.word, setting.default, setting.host_only) == (word, default, host_only)
    assert type(setting.default) is type(default)


def test_only_the_name_is_required() -> None:
    assert [setting.key for setting in KEYS.values() if setting.required] == ["app.name"]


def test_each_key_has_a_meaning_and_a_variable() -> None:
    assert all(len(setting.meaning) > 10 for setting in KEYS.values())
    assert KEYS["watch.poll_seconds"].variable == "NEWLEAF_WATCH__POLL_SECONDS"
    assert KEYS["source.url"].variable == "NEWLEAF_SOURCE__URL"


def test_tables_come_in_the_order_of_the_contract() -> None:
    names = "app source deployment watch update restart gates health status security chat http fleet notify"
    assert list(SECTIONS) == names.split()


def test_attribute_path_is_the_key() -> None:
    settings = settings_of()
    for key, setting in KEYS.items():
        section, name = key.split(".")
        value = getattr(getattr(settings, section), name)
        assert value == ("sessions" if key == "app.name" else setting.default)


def test_defaults_fit_their_annotations() -> None:
    """A field's kind and its annotation stand side by side; msgspec says whether they agree."""
    settings = settings_of()
    assert msgspec.convert(msgspec.to_builtins(settings), Settings) == settings


@pytest.mark.parametrize("key", [setting.key for setting in KEYS.values() if not setting.required])
def test_each_default_is_read_by_its_own_kind(key: str) -> None:
    setting = KEYS[key]
    if setting.default is not None and key != "app.computer_name":
        assert setting.kind.read(setting.default) == setting.default


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        settings_of().app.name = "other"  # type: ignore[misc]


# --- what the host's facts decide ---------------------------------------------------------


def test_checkout_makes_the_layout_in_place() -> None:
    assert resolve(settings_of(), MINI_1).app.layout == "in_place"


def test_no_checkout_makes_the_layout_slots() -> None:
    facts = Facts(computer_name="mini-1", in_checkout=False)
    assert resolve(settings_of(), facts).app.layout == "slots"


def test_layout_that_is_said_stays() -> None:
    settings = settings_of(app=App(name="sessions", layout="slots"))
    assert resolve(settings, MINI_1).app.layout == "slots"


@pytest.mark.parametrize(
    ("listen", "layout", "handover"),
    [
        (("127.0.0.1:8080",), "slots", "overlap"),
        (("127.0.0.1:8080",), "in_place", "sequential"),
        ((), "slots", "sequential"),
    ],
)
def test_handover_follows_listen_and_layout(listen: tuple[str, ...], layout: str, handover: str) -> None:
    settings = settings_of(app=App(name="sessions", listen=listen, layout=layout))  # type: ignore[arg-type]
    assert resolve(settings, MINI_1).app.handover == handover


def test_handover_that_is_said_stays() -> None:
    settings = settings_of(
        app=App(name="sessions", handover="sequential", listen=("[::1]:1",), layout="slots")
    )
    assert resolve(settings, MINI_1).app.handover == "sequential"


def test_mode_is_launcher_under_one_else_exit() -> None:
    under = Facts(computer_name="mini-1", under_launcher=True)
    assert resolve(settings_of(), under).restart.mode == "launcher"
    assert resolve(settings_of(), MINI_1).restart.mode == "exit"


def test_computer_name_is_the_hosts_unless_it_is_said() -> None:
    named = settings_of(app=App(name="sessions", computer_name="studio"))
    assert resolve(settings_of(), MINI_1).app.computer_name == "mini-1"
    assert resolve(named, MINI_1).app.computer_name == "studio"
    assert resolve(named, MINI_1).status.redis_key == "system_status:studio:deploy"


def test_names_are_put_into_keys_and_prefixes() -> None:
    resolved = resolve(settings_of(), MINI_1)
    assert resolved.status.redis_key == "system_status:mini-1:deploy"
    assert resolved.fleet.stream_prefix == "newleaf:sessions:missions"


def test_other_braces_in_a_key_stay_as_they_are() -> None:
    settings = settings_of(status=Status(redis_key="{computer.__class__}:{0}:{computer}"))
    assert resolve(settings, MINI_1).status.redis_key == "{computer.__class__}:{0}:mini-1"


def test_resolving_twice_changes_nothing() -> None:
    once = resolve(settings_of(), MINI_1)
    assert resolve(once, MINI_1) == once
