"""Every setting, table by table: type, default, meaning, and whether it is the host's alone.

Rules: attribute path = key (`settings.watch.poll_seconds`); durations are float seconds, commands are argv
tuples, lists are tuples. None or "auto" means that a rule decides: `resolve` where it depends on the host,
the module that uses the setting where it depends on the release's tree.
"""

# Without `from __future__ import annotations`: annotations are data here, and evaluating them from text would
# cost every start several milliseconds.

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Literal

from msgspec import Struct

from newleaf.core.settings.kinds import (
    ADDRESSES,
    API,
    BUS,
    COMMAND,
    DURATION,
    FLAG,
    FLAG_OR_AUTO,
    FRACTION,
    GIT_CONFIG,
    HOST_NAME,
    IDS,
    INNER_PATH,
    INNER_PATHS,
    INSTALL,
    MINOR,
    NAME,
    PATH,
    POSITIVE_DURATION,
    PREFIX,
    RATE,
    REDIS,
    REMOTE,
    STEPS,
    TABLE,
    TEXT,
    TEXT_OR_FALSE,
    TEXT_OR_TEXTS,
    TEXTS,
    TEXTS_OR_ALL,
    VERSION,
    WEB,
    WEBS,
    WORD,
    Key,
    choice,
    host,
    whole_number,
)

Texts = tuple[str, ...]
Argv = tuple[str, ...]

_LAYOUTS = choice("auto", "in_place", "slots")
_HANDOVERS = choice("auto", "overlap", "sequential")
_CATALOGUES = choice("auto", "tags", "github")
_CHANNELS = choice("alpha", "beta", "stable")
_POLICIES = choice("stash", "refuse")
_MODES = choice("auto", "launcher", "exit", "sigterm", "command", "none")
_REQUIREMENTS = choice("none", "tags", "commits")


class App(Struct, frozen=True, kw_only=True):
    """What the daemon is and how it runs."""

    name: Annotated[
        str,
        Key(NAME, "name of the app: its state lives in `~/.NAME`, and a tree that says another is refused"),
    ]
    command: Annotated[
        Argv | None,
        Key(COMMAND, "starts the daemon, in the release's folder; `.venv/bin/python` fits both layouts"),
    ] = None
    path: Annotated[str, Key(INNER_PATH, "the app's folder, where the repository holds several")] = "."
    version_file: Annotated[
        str,
        Key(
            INNER_PATH,
            "where a tree says its version: `pyproject.toml`, a module with `__version__`, or `tag`",
            "`pyproject.toml`, else `src/*/__init__.py`, else `tag`",
        ),
    ] = "auto"
    layout: Annotated[
        Literal["auto", "in_place", "slots"],
        host(
            _LAYOUTS,
            "how releases lie on disk: `in_place`, the checkout itself; `slots`, a folder each and a link",
            "`in_place` in a checkout, else `slots`",
        ),
    ] = "auto"
    listen: Annotated[
        Texts,
        Key(ADDRESSES, "addresses that the launcher binds once and hands to each release: `127.0.0.1:8080`"),
    ] = ()
    handover: Annotated[
        Literal["auto", "overlap", "sequential"],
        Key(
            _HANDOVERS,
            "`overlap`: the new process is proven before the old one leaves; `sequential`: one by one",
            "`overlap` with `app.listen` and slots, else `sequential`",
        ),
    ] = "auto"
    shared: Annotated[
        Texts,
        Key(INNER_PATHS, "slots: paths linked into every release from `shared/` in the state directory"),
    ] = ()
    python_path: Annotated[
        Texts | None,
        Key(
            INNER_PATHS,
            "folders on PYTHONPATH, for the daemon, the preflight and the migrations",
            "`src` where there is one, else `.`",
        ),
    ] = None
    stop_seconds: Annotated[
        float, Key(DURATION, "from asking the old process to leave until it is killed")
    ] = 30.0
    computer_name: Annotated[
        str, host(HOST_NAME, "this host's name in status keys, missions and rollouts", "the host's name")
    ] = ""

    @property
    def starts_from_venv(self) -> bool:
        """Whether the daemon is started out of the release's `.venv`, which must be there then."""
        return any(PurePath(word).parts[:1] == (".venv",) for word in self.command or ())


class Source(Struct, frozen=True, kw_only=True):
    """Where releases come from."""

    url: Annotated[
        str | None,
        host(
            REMOTE,
            "git remote: https, ssh, file or a plain path, without credentials",
            "the checkout's `origin`",
        ),
    ] = None
    branch: Annotated[str, host(TEXT, "the branch that `alpha` follows")] = "main"
    releases: Annotated[
        Literal["auto", "tags", "github"],
        host(
            _CATALOGUES,
            "where releases are published: tags, or GitHub; `auto`: GitHub where `source.url` is there",
        ),
    ] = "auto"
    tag_prefix: Annotated[
        str, host(PREFIX, "what stands before the version in a tag's name; may be empty")
    ] = "v"
    api_url: Annotated[str, host(API, "the API of GitHub, or of an own GitHub server")] = (
        "https://api.github.com"
    )
    token_file: Annotated[str | None, host(PATH, "file that holds the token for the remote and its API")] = (
        None
    )
    git_config: Annotated[
        Mapping[str, str | Texts],
        host(
            GIT_CONFIG,
            "git settings let through to the updater's own git: proxy, CA file, credential helper, insteadOf",
        ),
    ] = {}
    max_fetch_bytes: Annotated[int, host(whole_number(1, 2**53), "a fetch that brings more is refused")] = (
        2 * 1024**3
    )


class Deployment(Struct, frozen=True, kw_only=True):
    """Which release this host is to run."""

    channel: Annotated[
        Literal["alpha", "beta", "stable"],
        host(
            _CHANNELS,
            "`alpha`: head of the branch; `beta`: newest release; `stable`: newest patch of one minor",
        ),
    ] = "alpha"
    pinned_minor: Annotated[
        str | None,
        host(MINOR, 'the minor version that `stable` stays in, in quotes: `"1.3"`; `stable` requires it'),
    ] = None
    prereleases: Annotated[bool, host(FLAG, "whether `beta` takes `-rc.1` and the like")] = False
    pin: Annotated[str | None, host(VERSION, "the one version to hold, in quotes")] = None
    suspended: Annotated[bool, host(FLAG, "do nothing until this is lifted")] = False


class Watch(Struct, frozen=True, kw_only=True):
    """How the remote is watched."""

    poll_seconds: Annotated[
        float,
        Key(
            POSITIVE_DURATION,
            "from one look at the remote to the next; the first comes at a random part of it",
        ),
    ] = 300.0
    jitter: Annotated[float, Key(FRACTION, "the part of each interval that is left to chance")] = 0.1
    paths: Annotated[
        Texts,
        Key(INNER_PATHS, "`alpha`: only commits that touch one of these are targets; empty: every commit"),
    ] = ()
    stale_after: Annotated[
        float,
        host(POSITIVE_DURATION, "a remote out of reach for so long: say `stale`, with one alarm", "7 days"),
    ] = 7 * 86_400.0


class Update(Struct, frozen=True, kw_only=True):
    """What one attempt does."""

    steps: Annotated[
        tuple[Literal["install", "migrate"], ...],
        Key(STEPS, "in place: the order of dependencies and migrations, after the tree has moved"),
    ] = ("install", "migrate")
    install: Annotated[
        Argv | Literal["auto", "none"],
        Key(
            INSTALL,
            "`auto`: uv by its lock file, else pip; `none`; or an own command, such as `make install`",
        ),
    ] = "auto"
    install_project: Annotated[
        bool | Literal["auto"],
        Key(FLAG_OR_AUTO, "whether the project itself is installed; `auto`: when it has a build system"),
    ] = "auto"
    extras: Annotated[Texts | Literal["all"], Key(TEXTS_OR_ALL, "optional dependencies to install")] = ()
    groups: Annotated[Texts | Literal["all"], Key(TEXTS_OR_ALL, "dependency groups to install")] = ()
    install_timeout: Annotated[
        float, Key(POSITIVE_DURATION, "the installation's time; then its whole process group is killed")
    ] = 600.0
    fetch_timeout: Annotated[
        float, Key(POSITIVE_DURATION, "the fetch's time; then its whole process group is killed")
    ] = 120.0
    migrate_timeout: Annotated[
        float, Key(POSITIVE_DURATION, "the migrations' time; then their whole process group is killed")
    ] = 600.0
    preflight_timeout: Annotated[
        float, Key(POSITIVE_DURATION, "the preflight's time; then its whole process group is killed")
    ] = 120.0
    dirty_tree: Annotated[
        Literal["stash", "refuse"],
        Key(_POLICIES, "in place, with local edits: carry them over, or refuse to move"),
    ] = "stash"
    preflight: Annotated[
        str | bool | None,
        Key(
            TEXT_OR_FALSE, "slots: module to import before the release is used", "the module in `app.command`"
        ),
    ] = None
    preflight_command: Annotated[
        Argv | None, Key(COMMAND, "slots: must exit 0 before the release is used")
    ] = None
    state_paths: Annotated[
        Texts, Key(TEXTS, "data that is copied before migrations, and put back when the attempt is reverted")
    ] = ()
    migrations: Annotated[str, Key(INNER_PATH, "the repository's folder of migrations")] = "migrations"
    keep_releases: Annotated[
        int, Key(whole_number(1, 1000), "confirmed releases kept on disk; the running one always stays")
    ] = 3


class Restart(Struct, frozen=True, kw_only=True):
    """How the daemon is started anew."""

    mode: Annotated[
        Literal["auto", "launcher", "exit", "sigterm", "command", "none"],
        Key(
            _MODES,
            "who restarts: the `launcher`; the daemon, by `exit`; newleaf, by `sigterm` or `command`; `none`",
            "`launcher` under one, else `exit`",
        ),
    ] = "auto"
    exit_code: Annotated[
        int, Key(whole_number(0, 255), "with which the daemon leaves when it wants a restart")
    ] = 42
    command: Annotated[Argv | None, Key(COMMAND, "restarts the daemon, with mode `command`")] = None
    budget: Annotated[str, Key(RATE, "more restarts than that: stop and alarm")] = "5 in 30m"


class Gates(Struct, frozen=True, kw_only=True):
    """What a restart waits for."""

    idle_command: Annotated[
        Argv | None,
        Key(COMMAND, "says whether the daemon is idle: exit 0 idle, 75 busy, anything else counts as busy"),
    ] = None
    idle_url: Annotated[str | None, Key(WEB, "says whether the daemon is idle: 200 idle, 503 busy")] = None
    max_wait: Annotated[float, Key(DURATION, "longest wait for idle; 0: no end")] = 0.0
    window: Annotated[
        Texts,
        Key(TEXT_OR_TEXTS, "when restarts may happen: `Mon-Fri 01:00-05:00 Europe/Amsterdam`", "always"),
    ] = ()
    min_age: Annotated[float, Key(DURATION, "how old a release must be")] = 0.0
    cooldown: Annotated[float, Key(DURATION, "time from one update to the next")] = 0.0
    spread: Annotated[
        float, Key(DURATION, "without a hub: hosts go one after another, each at its own place in this span")
    ] = 0.0
    lease_url: Annotated[
        str | None, host(WEB, "FleetLock server that is asked for leave; an error means no")
    ] = None


class Health(Struct, frozen=True, kw_only=True):
    """When a new release counts as good."""

    ready: Annotated[float, Key(POSITIVE_DURATION, "from the start until the daemon must be ready")] = 30.0
    probation: Annotated[float, Key(DURATION, "how long it must then stay healthy")] = 60.0
    url: Annotated[str | None, Key(WEB, "asked three times, a second apart, then through probation")] = None
    command: Annotated[Argv | None, Key(COMMAND, "must exit 0, as often as `health.url` is asked")] = None
    max_starts: Annotated[
        int, Key(whole_number(1, 100), "sequential: unconfirmed starts before the old release comes back")
    ] = 3


class Status(Struct, frozen=True, kw_only=True):
    """Where the host says what runs."""

    redis_url: Annotated[str | None, host(REDIS, "Redis or Valkey that gets every change of status")] = None
    redis_key: Annotated[
        str,
        host(
            WORD, "its key; `{computer}` is `app.computer_name`; a host with several apps needs one for each"
        ),
    ] = "system_status:{computer}:deploy"


class Security(Struct, frozen=True, kw_only=True):
    """What must be signed, and by whom."""

    require: Annotated[
        Literal["none", "tags", "commits"],
        host(_REQUIREMENTS, "what must carry a signature of a known signer"),
    ] = "none"
    signers: Annotated[str | None, host(PATH, "file of allowed signers; named but missing: refuse")] = None
    revoked: Annotated[str | None, host(PATH, "file of revoked keys; named but missing: refuse")] = None
    floor: Annotated[str | None, host(VERSION, "the lowest version that may run, in quotes")] = None


class Chat(Struct, frozen=True, kw_only=True):
    """Who may order an update by chat."""

    telegram_token_file: Annotated[str | None, host(PATH, "file that holds the bot's token")] = None
    chats: Annotated[tuple[int, ...], host(IDS, "ids of the chats that are listened to")] = ()


class Http(Struct, frozen=True, kw_only=True):
    """Who may order an update by HTTP; a door without a file answers 503."""

    token_file: Annotated[str | None, host(PATH, "file that holds the token of `POST /newleaf/update`")] = (
        None
    )
    webhook_secret_file: Annotated[str | None, host(PATH, "file that holds the secret of the webhook")] = None


class Fleet(Struct, frozen=True, kw_only=True):
    """How the host hears orders from a bus, and whether it may give them."""

    redis_url: Annotated[
        str | None,
        host(
            BUS, "Redis or Valkey with the missions; behind Sentinel `redis+sentinel://HOST:PORT,…/SERVICE/0`"
        ),
    ] = None
    stream_prefix: Annotated[str, host(WORD, "how the names of the streams begin; `{app}` is `app.name`")] = (
        "newleaf:{app}:missions"
    )
    mission_keys: Annotated[
        str | None, host(PATH, "file of the keys that may sign missions, and of what they may say")
    ] = None
    labels: Annotated[
        Mapping[str, str], host(TABLE, "what this host is called by when missions name a group")
    ] = {}
    capabilities: Annotated[Texts, host(TEXTS, "what this host says that it can do")] = ()
    headquarters: Annotated[bool, host(FLAG, "whether this node may publish missions")] = False
    ops_tokens_file: Annotated[str | None, host(PATH, "file with the hashes of the operators' tokens")] = None


class Notify(Struct, frozen=True, kw_only=True):
    """Who is told of outcomes."""

    urls: Annotated[Texts, host(WEBS, "where outcomes are posted: a chat's webhook, or any HTTP server")] = ()
    allow_private: Annotated[
        Texts, host(TEXTS, "hosts of `notify.urls` that may have a private address")
    ] = ()
