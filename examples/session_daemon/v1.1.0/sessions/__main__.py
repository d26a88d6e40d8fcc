"""The commands: run, start NAME STEPS, list, and version and migrate, which are newleaf's."""

import asyncio
import os
import subprocess
import sys

from sessions import config, daemon, store

USAGE = "sessions run | start NAME STEPS | list | version | migrate"


def ask_newleaf(*words):
    """newleaf as this host's configuration has it; returns its exit code."""
    environment = {**os.environ, **config.settings().variables}
    argv = [sys.executable, "-m", "newleaf", *words]
    return subprocess.run(argv, env=environment, check=False).returncode


def main(command="", *words):
    if command == "run":
        asyncio.run(daemon.run())
    elif command == "start":
        store.prepare()
        store.start(words[0], int(words[1]))
    elif command == "list":
        titles = store.titles()
        for name, done, goal in store.all_sessions():
            print(f"{titles[name]}: {done} of {goal} steps")
    elif command in ("version", "migrate"):
        return ask_newleaf(command, *words)
    else:
        print(f"usage: {USAGE}", file=sys.stderr)
        return 2
    return 0


sys.exit(main(*sys.argv[1:]))
