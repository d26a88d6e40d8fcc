"""Writes the pages under docs/ that are made from the code, so that they cannot say something else.

    scripts/generate_docs.py            writes them
    scripts/generate_docs.py --check    exits 1 when one is not what the code says

One function makes one page; `PAGES` says where it goes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

import newleaf
from newleaf.cli.main import cli
from newleaf.core.durations import format_duration
from newleaf.core.errors import NewleafError
from newleaf.core.records import EXIT_CODES
from newleaf.core.settings.model import KEYS, SECTIONS, Setting
from newleaf.core.settings.schema import settings_schema
from newleaf.core.settings.toml import format_value
from newleaf.core.states import BEGINNINGS, ENDS, MAX_RECORDS, TRANSITIONS, State

DOCS = Path(__file__).resolve().parent.parent / "docs"

SETTINGS_INTRODUCTION = """\
# Settings

Made by `scripts/generate_docs.py` from the code. Change it there.

Four sources, later ones win:

1. the defaults below;
2. `newleaf.toml` in the app's repository: what the app knows of itself;
3. `host.toml` in the state directory: what the host decides. `newleaf.Settings(…)`, given in code by a
   daemon, ranks with it, and wins where both say the same key;
4. the environment: `NEWLEAF_<SECTION>__<KEY>`, such as `NEWLEAF_WATCH__POLL_SECONDS=1m`. Texts are bare,
   lists and tables are JSON.

`newleaf config` prints every key, its value and where it came from. `newleaf config --check` says whether
the settings hold, and everything that is wrong with them: daemons call it at start. An unknown key is an
error, with the nearest known one.

Keys marked **H** are the host's alone: found in `newleaf.toml` they are an error, because a fetched tree
must not choose its own source or trust. Of `newleaf.toml`, the target's copy governs install, migrate,
preflight and health of that target, and the running release's copy governs gates and restart.

| type | what it is |
|---|---|
| str, path, bool, int, float, list, table | as in TOML; a version is a str in quotes: `1.10` is read as 1.1 |
| cmd | a text, split as a shell splits words (no shell is run), or a list; run in the release's folder |
| dur | a number of seconds, or a text: `"90s"`, `"10m"`, `"1h30m"`, `"7 days"` |

Editors complete and check the files by [`settings.schema.json`](settings.schema.json): put
`#:schema path/to/settings.schema.json` in the first line. `newleaf config --schema` prints it.
"""


def make_settings_page() -> str:
    """Every setting, table by table."""
    parts = [SETTINGS_INTRODUCTION]
    for name, section in SECTIONS.items():
        settings = [setting for key, setting in KEYS.items() if key.startswith(f"{name}.")]
        head = ("key", "type", "default", "meaning", "variable")
        description = (section.__doc__ or "").strip()
        parts.append(f"## `{name}`\n\n{description}\n\n" + _table(head, map(_settings_row, settings)))
    return "\n".join(parts)


def make_settings_schema() -> str:
    """The JSON Schema of the settings."""
    return json.dumps(settings_schema(), ensure_ascii=False, indent=2) + "\n"


COMMANDS_OF_THEIR_OWN = """\
`busy -- COMMAND` exits as COMMAND does; `guard` with 0, or 7 in a crash loop; `run` with 0 after SIGTERM,
or 1 when the daemon cannot be started at all; `doctor` with 1 when there is a problem; `mission` and
`fleet` with `--wait` as stands there.

`newleaf agent`, for service managers to call, [watches and updates beside a daemon](../explanation/agent.md)
until SIGTERM, and exits 0.
"""

COMMANDS_INTRODUCTION = """\
# Commands

Made by `scripts/generate_docs.py` from the code. Change it there.

`newleaf VERB [--json] [--app NAME] [--state-dir D] [--config F]`

The app is the one that `--state-dir` or `NEWLEAF_STATE_DIR` names, else `--app` (`~/.NAME`), else the one
of the checkout that you stand in, else the only one that `newleaf init` has noted on this machine.

With `--json`, standard output holds exactly one JSON object, whatever happens; everything else goes to
standard error. Progress is drawn on a terminal only, and colours go away when the output is piped.

## Exit codes

"""

EXIT_MEANINGS = {
    0: "done, nothing to do, or held by a suspension or a denial that is named",
    1: "failed; the host is as it was, or resumes where it stopped",
    2: "wrong use or settings",
    3: "another update runs; its owner (pid, since, why) is named",
    4: "staged, owed; the gates that it waits for are named",
    5: "refused by policy or verification; which rule is named",
    6: "the new release failed; the host is back on the old one",
    7: "needs a person; what to do is printed",
    10: "`check --exit-code` alone: a target is available",
}


def make_commands_page() -> str:
    """Every verb with its options, and the exit codes."""
    words: dict[int, list[str]] = {10: ["available"]}
    for outcome, code in EXIT_CODES.items():
        words.setdefault(code, []).append(outcome)
    rows = [
        (f"`{code}`", ", ".join(f"`{word}`" for word in words[code]), meaning)
        for code, meaning in EXIT_MEANINGS.items()
    ]
    parts = [COMMANDS_INTRODUCTION + _table(("exit", "outcome", "meaning"), rows)]
    parts.append(COMMANDS_OF_THEIR_OWN)
    context = click.Context(cli, info_name="newleaf")
    parts += [_verb(context, name) for name in cli.list_commands(context)]
    return "\n".join(parts)


def make_errors_page() -> str:
    """Every error code, what is said, and what to do."""
    for module in pkgutil.walk_packages(newleaf.__path__, "newleaf."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    rows = [
        (f"`{error.code}`", f"`{error.exit_code}`", " ".join((error.__doc__ or "").split()), error.cure)
        for error in sorted(_errors(NewleafError), key=lambda error: error.code)
    ]
    head = "# Errors\n\nMade by `scripts/generate_docs.py` from the code. Change it there.\n\n"
    said = "What stands in braces is filled in. `--json` gives `code`, `message` and `cure`.\n\n"
    return head + said + _table(("code", "exit", "what is said", "what to do"), rows)


def make_states_page() -> str:
    """The states of an attempt and the moves between them, as a diagram."""
    lines = [f"    [*] --> {state}" for state in sorted(BEGINNINGS)]
    for state in State:
        lines += [f"    {state} --> {to}" for to in sorted(TRANSITIONS[state])]
        lines += [f"    {state} --> [*]"] if state in ENDS else []
    made = "Made by `scripts/generate_docs.py` from `core/states.py`. Change it there."
    head = f"# States of an attempt\n\n{made}\n\n"
    said = (
        "Each state is written to `journal.jsonl`, and fsynced, before it is acted on. A state that leads to "
        f"itself is one that a kill is resumed in; more than {MAX_RECORDS} records end the attempt.\n\n"
    )
    return head + said + "```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```\n"


def _errors(root: type[NewleafError]) -> Iterator[type[NewleafError]]:
    if root.__module__.startswith("newleaf."):
        yield root
    for below in root.__subclasses__():
        yield from _errors(below)


def _verb(parent: click.Context, name: str) -> str:
    group = parent.command
    assert isinstance(group, click.Group)
    command = group.get_command(parent, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    options = [option for option in command.params if isinstance(option, click.Option)]
    records = [option.get_help_record(context) for option in options if option.expose_value]
    rows = [(f"`{record[0]}`", record[1]) for record in records if record]
    described = " ".join((command.help or "").split("\n\n")[0].split())
    table = "\n" + _table(("option", ""), rows) if rows else ""
    level = "#" if parent.command is cli else "##"
    page = f"#{level} `{context.command_path} {usage}`\n\n{described}\n{table}"
    inner = command.list_commands(context) if isinstance(command, click.Group) else ()
    return "\n".join([page, *(_verb(context, each) for each in inner)])


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/commands.md": make_commands_page,
    "reference/errors.md": make_errors_page,
    "reference/settings.md": make_settings_page,
    "reference/settings.schema.json": make_settings_schema,
    "reference/states.md": make_states_page,
}
"""Path under docs/ to what makes it."""


def find_outdated(folder: Path = DOCS) -> Iterator[Path]:
    """The pages that are missing, or are not what the code says."""
    for name, make in PAGES.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != make():
            yield page


def write_pages(folder: Path = DOCS) -> None:
    """Writes every page."""
    for name, make in PAGES.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(make(), encoding="utf-8")


def main(arguments: list[str] | None = None, folder: Path = DOCS) -> int:
    """Writes or checks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Writes the pages of docs/ that are made from the code.")
    parser.add_argument("--check", action="store_true", help="only say which pages are out of date")
    if not parser.parse_args(arguments).check:
        write_pages(folder)
        return 0
    outdated = list(find_outdated(folder))
    for page in outdated:
        print(f"{page.relative_to(folder.parent)} is out of date: make docs", file=sys.stderr)
    return 1 if outdated else 0


def _settings_row(setting: Setting) -> tuple[str, ...]:
    key = f"`{setting.key}`" + (" **H**" if setting.host_only else "")
    return key, setting.kind.word, _default(setting), setting.meaning, f"`{setting.variable}`"


def _default(setting: Setting) -> str:
    if setting.required:
        return "required"
    if setting.default_in_words:
        return setting.default_in_words
    if setting.default is None:
        return "none"
    if setting.kind.word == "dur" and setting.default >= 60:
        return f'`"{format_duration(setting.default)}"`'
    return f"`{format_value(setting.default)}`"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
