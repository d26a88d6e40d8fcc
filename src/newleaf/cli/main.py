"""`newleaf`: finds the verb, loads it alone, and turns what comes of it into an answer and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from newleaf.cli.invocation import Invocation, silence
from newleaf.core.errors import Defect, Interrupted, NewleafError

VERBS = {
    "init": "newleaf.cli.init",
    "check": "newleaf.cli.check",
    "update": "newleaf.cli.update",
    "rollback": "newleaf.cli.update",
    "status": "newleaf.cli.status",
    "why": "newleaf.cli.status",
    "history": "newleaf.cli.status",
    "migrate": "newleaf.cli.migrate",
    "allow": "newleaf.cli.decisions",
    "pin": "newleaf.cli.decisions",
    "unpin": "newleaf.cli.decisions",
    "suspend": "newleaf.cli.decisions",
    "resume": "newleaf.cli.decisions",
    "run": "newleaf.cli.run",
    "reload": "newleaf.cli.run",
    "stop": "newleaf.cli.run",
    "logs": "newleaf.cli.run",
    "guard": "newleaf.cli.guard",
    "busy": "newleaf.cli.busy",
    "service": "newleaf.cli.service",
    "doctor": "newleaf.cli.doctor",
    "release": "newleaf.cli.release",
    "mission": "newleaf.cli.mission",
    "fleet": "newleaf.cli.fleet",
    "config": "newleaf.cli.config",
    "version": "newleaf.cli.version",
    "demo": "newleaf.cli.demo",
}
"""Verb to module. Only the module of the verb that is called is loaded."""

HIDDEN = {
    "agent": "newleaf.cli.agent",
    "launch-plan": "newleaf.cli.run",
    "settle": "newleaf.cli.run",
}
"""Verbs that programs call: no list names them."""

SUMMARIES = {
    "init": "Look at a repository and set it up on this host.",
    "check": "Ask the remote for the target, and signal it.",
    "update": "Move to the target: one attempt.",
    "rollback": "Go back to the last good release.",
    "status": "What runs.",
    "why": "Every gate, what it waits for, and the last failure.",
    "history": "Past attempts.",
    "migrate": "The migrations alone.",
    "allow": "Lift the denial of a commit.",
    "pin": "Hold one version.",
    "unpin": "Return to the channel.",
    "suspend": "Do nothing until resumed.",
    "resume": "End a suspension.",
    "run": "Run the daemon: hold its sockets, hand over, go back.",
    "reload": "Start the daemon anew, without an update.",
    "stop": "Stop the daemon and its launcher.",
    "logs": "The daemon's output.",
    "guard": "Before each start of the daemon: stop a crash loop.",
    "busy": "Run a job that a restart waits for.",
    "service": "Have systemd or launchd run the app, and its updates.",
    "doctor": "Check this host, with a cure for each finding.",
    "release": "Check, tag, sign and push a version.",
    "mission": "Orders over Redis Streams: give them, take them.",
    "fleet": "Who runs what across the fleet; updates for one host, or all.",
    "config": "Every setting, its value, and where it came from.",
    "version": "newleaf's version, and the app's.",
    "demo": "See the whole loop on this machine.",
}

COMPLETION = "_NEWLEAF_COMPLETE"
"""Set by a shell that asks for completions."""

SIGNALLED = 128
"""Added to a signal's number, it is the exit code of a verb that the signal ended."""


class Filled(click.types.StringParamType):
    """A word that is not empty: an empty one is a variable that somebody forgot to set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip():
            self.fail("it is empty; is a variable not set?", param, ctx)
        return value


class Folder(click.Path):
    """A folder, with a name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(FILLED.convert(value, param, ctx), param, ctx)


FILLED = Filled()


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def remember(context: click.Context, _: click.Parameter, value: Any) -> None:
        invocation = context.ensure_object(Invocation)
        if value not in (None, False):
            setattr(invocation, name, value)

    return remember


def _shared_options() -> list[click.Option]:
    """The options that every verb takes, before or after its name."""
    folder = Folder(path_type=Path, file_okay=False)
    file = click.Path(path_type=Path, dir_okay=False, exists=True)
    declared: list[tuple[str, str, dict[str, Any]]] = [
        ("--json", "json", {"is_flag": True, "help": "One JSON object on standard output."}),
        ("--app", "app", {"type": FILLED, "metavar": "NAME", "help": "The app: its state lies in ~/.NAME."}),
        ("--state-dir", "state_dir", {"type": folder, "help": "The state directory."}),
        ("--config", "config", {"type": file, "help": "Another newleaf.toml, or host.toml."}),
    ]
    return [
        click.Option([flag], expose_value=False, callback=_remember(name), **options)
        for flag, name, options in declared
    ]


def _version_option() -> click.Option:
    def show(context: click.Context) -> None:
        from importlib.metadata import version

        own = version("newleaf")
        record = {"outcome": "ok", "newleaf": own, "app": None}
        context.ensure_object(Invocation).answer(record, [f"newleaf {own}"])

    return _telling_option(["--version"], show, "Show newleaf's version.")


def _help_option() -> click.Option:
    """Like click's own, but with --json the text is inside of the object."""

    def show(context: click.Context) -> None:
        text = context.get_help()
        context.ensure_object(Invocation).answer({"outcome": "ok", "help": text}, [text])

    return _telling_option(["-h", "--help"], show, "Show this message and exit.")


def _telling_option(flags: list[str], show: Callable[[click.Context], None], text: str) -> click.Option:
    """An option that says something instead of running the verb."""

    def tell(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value and not context.resilient_parsing:
            show(context)
            context.exit()

    return click.Option(flags, is_flag=True, is_eager=True, expose_value=False, callback=tell, help=text)


def _with_shared_options(command: click.Command) -> click.Command:
    """The verb, and each verb of a group of them, with what every verb takes."""
    names = {option for parameter in command.params for option in parameter.opts}
    command.params += [
        option for option in (*_shared_options(), _help_option()) if option.opts[0] not in names
    ]
    for parameter in command.params:
        if parameter.type is click.STRING and parameter.default != "":
            parameter.type = FILLED
    for inner in getattr(command, "commands", {}).values():
        _with_shared_options(inner)
    return command


class Verbs(click.Group):
    """Loads a verb's module when the verb is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = VERBS.get(cmd_name) or HIDDEN.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        return _with_shared_options(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(SUMMARIES.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in {*VERBS, *HIDDEN}:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1, cutoff=0)
            ctx.fail(f"there is no verb {args[0]!r}; did you mean `newleaf {near[0]}`?")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    params=[*_shared_options(), _version_option(), _help_option()],
    no_args_is_help=False,
)
def cli() -> None:
    """Keeps long-running Python daemons that are deployed from git up to date by themselves."""


class Stopped(BaseException):
    """A signal asked this process to end: what it has begun is left as after a kill, its children end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def main() -> None:
    """The program: runs a verb and exits with its code."""
    _open_standard_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ignored signals stay ignored: that is how `nohup` works.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    sys.exit(run(sys.argv[1:]))


def _open_standard_streams() -> None:
    """A closed one would give its number to the next file, and what is printed would go there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        # A name or a line of output may hold what the terminal's character set does not have.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")


def _stop(number: int, _: object) -> None:
    raise Stopped(number)


def run(arguments: list[str]) -> int:
    """Runs one verb; returns the exit code of contracts § Command line."""
    invocation = Invocation(json="--json" in _own_arguments(arguments))
    try:
        return _call(arguments, invocation)
    except NewleafError as error:
        return _answer_failure(invocation, error)
    except click.ClickException as error:
        return _answer_usage(invocation, error)
    except Stopped as stopped:
        return _answer_failure(invocation, Interrupted(), SIGNALLED + stopped.number)
    except (KeyboardInterrupt, click.Abort):
        return _answer_failure(invocation, Interrupted(), SIGNALLED + signal.SIGINT)
    except BrokenPipeError:
        silence(sys.stdout)
        return 0
    except OSError as error:
        from newleaf.system import files

        return _answer_failure(invocation, files.explain(error))
    except Exception as error:  # noqa: BLE001 - with --json there is one object, whatever happens
        import traceback

        traceback.print_exc()
        return _answer_failure(invocation, Defect(reason=f"{type(error).__name__}: {error}"))


def _call(arguments: list[str], invocation: Invocation) -> int:
    """What `cli.main` does, without its own answers to interruptions and readers that have gone."""
    if COMPLETION in os.environ:
        cli.main(arguments, prog_name="newleaf")
    try:
        with cli.make_context("newleaf", list(arguments), obj=invocation) as context:
            if not arguments:
                invocation.say(context.get_help())
                return 2
            code = cli.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return code if isinstance(code, int) else 0


def _answer_failure(invocation: Invocation, error: NewleafError, code: int | None = None) -> int:
    invocation.answer_error(error)
    return error.exit_code if code is None else code


def _own_arguments(arguments: list[str]) -> list[str]:
    """What is newleaf's, without the command that follows `--`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _answer_usage(invocation: Invocation, error: click.ClickException) -> int:
    if invocation.json:
        errors = [{"code": "usage", "message": error.format_message()}]
        invocation.answer({"outcome": "usage", "errors": errors})
    else:
        invocation.say(f"{click.style('newleaf:', fg='red')} {error.format_message()}")
        if isinstance(error, click.UsageError) and error.ctx:
            invocation.say(f"  try `{error.ctx.command_path} --help`")
    return 2
