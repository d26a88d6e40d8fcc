"""Files that say how a process is started: Procfile, Dockerfile, compose, systemd, launchd, make.

Each reader takes a file's content and tells what stands in it. None fails: what is not understood is
left out, for these files belong to other programs, which are the judges of their own formats.
Pure: nothing is looked up, expanded or run.
"""

from __future__ import annotations

import json
import plistlib
import re
import shlex
from xml.parsers.expat import ExpatError

from msgspec.structs import replace

from newleaf.core.adoption.findings import Start, Unit

RESTART_CODE = 42
_PROCESS = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(\S.*)")
_TARGET = re.compile(r"([^\s:=#][^:=#]*?)\s*::?(?!=)")
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)")


def read_procfile(source: str, text: str) -> tuple[Start, ...]:
    """The process lines; `release` is none, being run once per deployment."""
    found = (_PROCESS.fullmatch(line.strip()) for line in text.splitlines() if not line.startswith("#"))
    lines = ((match[1], match[2].strip()) for match in found if match)
    return tuple(Start("procfile", source, name, line) for name, line in lines if name != "release")


def read_dockerfile(source: str, text: str) -> tuple[Start, ...]:
    """What a container of the last stage runs: ENTRYPOINT with CMD behind it, in exec or in shell form."""
    entrypoint: tuple[str, ...] | str | None = None
    command: tuple[str, ...] | str | None = None
    folder: str | None = None
    for word, rest in _instructions(text):
        if word == "FROM":
            entrypoint = command = folder = None
        elif word == "WORKDIR":
            folder = rest if rest.startswith("/") or folder is None else f"{folder.rstrip('/')}/{rest}"
        elif word == "ENTRYPOINT":
            entrypoint, command = _exec_or_shell(rest), None
        elif word == "CMD":
            command = _exec_or_shell(rest)
    whole = _container_command(entrypoint, command)
    return (Start("docker", source, "container", whole, working_directory=folder),) if whole else ()


def read_compose(source: str, text: str) -> tuple[Start, ...]:
    """The services that this repository builds, with their command ("" when the image's own runs)."""
    starts = []
    for name, lines in _compose_services(text).items():
        keys = {key: (value, below) for key, value, below in _yaml_keys(lines)}
        if "build" not in keys:
            continue
        command = _yaml_command(*keys.get("command", ("", [])))
        restart = _plain(keys.get("restart", ("", []))[0]) or None
        starts.append(Start("compose", source, name, command, restart=restart))
    return tuple(starts)


def read_unit(source: str, text: str) -> Start | Unit | None:
    """A systemd service: a daemon, or (`Type=oneshot`, several commands) something that runs and ends."""
    service = _sections(text).get("Service", {})
    commands = tuple(command.lstrip("-@:+!") for command in service.get("ExecStart", []) if command)
    name = source.rpartition("/")[2]
    if not commands:
        return None
    if _last(service, "Type") == "oneshot" or len(commands) > 1:
        before = tuple(service.get("ExecStartPre", []))
        return Unit(source, name, (*before, *commands))
    start = Start(
        "systemd",
        source,
        name,
        _split(commands[0]),
        restart=_last(service, "Restart") or "no",
        working_directory=_last(service, "WorkingDirectory"),
        user_level="default.target" in _sections(text).get("Install", {}).get("WantedBy", []),
    )
    return replace(start, refuses_exit_42=not _restarts_after_42(start.restart, service))


def read_plist(source: str, content: bytes) -> Start | Unit | None:
    """A launchd job: kept alive, or run at times."""
    try:
        job = plistlib.loads(content)
    except (ExpatError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    if not isinstance(job, dict) or not isinstance(job.get("Label"), str):
        return None
    arguments = job.get("ProgramArguments") or [job.get("Program")]
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        return None
    label = job["Label"]
    if job.get("StartInterval") or job.get("StartCalendarInterval"):
        return Unit(source, label, (shlex.join(arguments),))
    restart = _launchd_restart(job.get("KeepAlive", False))
    folder = job.get("WorkingDirectory")
    return Start(
        "launchd",
        source,
        label,
        tuple(arguments),
        restart=restart,
        refuses_exit_42=restart not in ("always", "on-failure"),
        working_directory=folder if isinstance(folder, str) else None,
        user_level="UserName" not in job,
    )


def read_makefile(text: str) -> dict[str, str]:
    """Each target and its recipe, one command a line."""
    recipes: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _joined(text):
        if line.startswith("\t"):
            for target in current:
                recipes[target].append(line.strip().lstrip("@-+"))
            continue
        match = _TARGET.match(line)
        if match:
            current = [target for target in match[1].split() if not target.startswith((".", "$", "%"))]
            for target in current:
                recipes.setdefault(target, [])
        elif line.strip() and not line.lstrip().startswith("#"):
            current = []
    return {target: "\n".join(recipe) for target, recipe in recipes.items()}


# --- docker -----------------------------------------------------------------------------


def _instructions(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    until: str | None = None
    for line in _joined(text):
        stripped = line.strip()
        if until is not None:
            until = None if stripped == until else until
            continue
        if not stripped or stripped.startswith("#"):
            continue
        word, _, rest = stripped.partition(" ")
        heredoc = _HEREDOC.search(rest) if word.upper() in ("RUN", "COPY", "ADD") else None
        until = heredoc[1] if heredoc else None
        found.append((word.upper(), rest.strip()))
    return found


def _exec_or_shell(rest: str) -> tuple[str, ...] | str:
    if rest.startswith("["):
        try:
            argv = json.loads(rest)
        except ValueError:
            return rest
        if isinstance(argv, list) and all(isinstance(argument, str) for argument in argv):
            return tuple(argv)
    return rest


def _container_command(
    entrypoint: tuple[str, ...] | str | None, command: tuple[str, ...] | str | None
) -> tuple[str, ...] | str:
    if not entrypoint:
        return command or ""
    if isinstance(entrypoint, str) or not command:
        return entrypoint
    return (*entrypoint, *command) if isinstance(command, tuple) else (*entrypoint, "sh", "-c", command)


# --- compose: only as much YAML as its own files are written in -------------------------


def _compose_services(text: str) -> dict[str, list[str]]:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()[:1] not in ("", "#")]
    services = next((below for key, _, below in _yaml_keys(lines) if key == "services"), [])
    return {key: below for key, _, below in _yaml_keys(services)}


def _yaml_keys(lines: list[str]) -> list[tuple[str, str, list[str]]]:
    """The keys at the first line's indentation: each with the value beside it and the lines below it."""
    if not lines:
        return []
    indent = _indent(lines[0])
    found: list[tuple[str, str, list[str]]] = []
    for line in lines:
        key, colon, value = line.strip().partition(":")
        opens = _indent(line) == indent and colon and not line.lstrip().startswith("- ")
        if opens and (not value or value[0].isspace()):
            found.append((_plain(key), value.strip(), []))
        elif found:
            found[-1][2].append(line)
    return found


def _yaml_command(value: str, below: list[str]) -> tuple[str, ...] | str:
    if value.startswith("["):
        return _exec_or_shell(value)
    if value and value[0] not in ">|":
        return _plain(value)
    items = [line.strip()[2:] for line in below if line.strip().startswith("- ")]
    if items:
        return tuple(_plain(item) for item in items)
    return " ".join(line.strip() for line in below)


def _plain(value: str) -> str:
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.partition(" #")[0].strip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


# --- systemd and launchd ----------------------------------------------------------------


def _sections(text: str) -> dict[str, dict[str, list[str]]]:
    """Sections of a unit file; an empty assignment forgets the ones before it, as systemd does."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in _joined(text):
        stripped = line.strip()
        if stripped.startswith(("#", ";")):
            continue
        if stripped.startswith("[") and stripped.endswith("]"):
            section = sections.setdefault(stripped[1:-1], {})
            continue
        key, equals, value = stripped.partition("=")
        if equals and value.strip():
            section.setdefault(key.strip(), []).append(value.strip())
        elif equals:
            section.pop(key.strip(), None)
    return sections


def _last(section: dict[str, list[str]], key: str) -> str | None:
    return section[key][-1] if section.get(key) else None


def _restarts_after_42(restart: str | None, service: dict[str, list[str]]) -> bool:
    """Whether systemd starts the service again when it leaves with newleaf's exit code."""
    prevented, forced, success = (
        str(RESTART_CODE) in " ".join(service.get(key, [])).split()
        for key in ("RestartPreventExitStatus", "RestartForceExitStatus", "SuccessExitStatus")
    )
    if prevented or forced:
        return forced and not prevented
    return restart in ("always", "on-success" if success else "on-failure")


def _launchd_restart(keep_alive: object) -> str:
    """launchd's KeepAlive in systemd's words."""
    if isinstance(keep_alive, dict):
        if isinstance(keep_alive.get("SuccessfulExit"), bool):
            return "on-success" if keep_alive["SuccessfulExit"] else "on-failure"
        only_crashes = set(keep_alive) == {"Crashed"}
        return "on-abnormal" if only_crashes else ("always" if keep_alive else "no")
    return "always" if keep_alive is True else "no"


def _split(command: str) -> tuple[str, ...] | str:
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return command


def _joined(text: str) -> list[str]:
    """Lines, with those that end in a backslash joined to the next; comment lines between are left out."""
    lines: list[str] = []
    carried: str | None = None
    for line in text.splitlines():
        if carried is not None and line.lstrip().startswith("#"):
            continue
        whole = line if carried is None else f"{carried} {line.strip()}"
        if whole.endswith("\\"):
            carried = whole[:-1].rstrip(" ")
            continue
        lines.append(whole)
        carried = None
    return lines if carried is None else [*lines, carried]
