"""`python -m newleaf.launcher STATE_DIR`: what `newleaf run` becomes once it has written `launcher.json`."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from newleaf.core.errors import NewleafError
from newleaf.launcher.beginning import begin
from newleaf.launcher.own_output import say_on_stderr
from newleaf.launcher.programs import LAUNCHER
from newleaf.launcher.reloading import VARIABLE, load_anew, resume

PROVE = "--prove"


def main(arguments: list[str]) -> int:
    """The program; returns its exit code."""
    if arguments == [PROVE]:
        return 0
    (named,) = arguments
    _fill_standard_descriptors()
    state, handed = Path(named), os.environ.pop(VARIABLE, None)
    try:
        launcher = resume(state, Path(handed), say_on_stderr) if handed else begin(state, say_on_stderr)
        while True:
            code = launcher.run()
            if code is not None:
                return code
            launcher.wants_reload = False
            try:
                load_anew(launcher)
            except OSError as error:
                say_on_stderr(f"not loaded anew: {error}")
    except NewleafError as error:
        say_on_stderr(error.message)
        if error.advice:
            say_on_stderr(f"  {error.advice}")
        return error.exit_code
    except OSError as error:
        say_on_stderr(f"it cannot go on: {error}")
        return 1


def _fill_standard_descriptors() -> None:
    """Whoever closed them would have a socket or a lock take their place, and be written to."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    if not sys.flags.isolated:
        # However it was called: without what is installed here, or lies in this folder.
        os.execv(sys.executable, [*LAUNCHER, *sys.argv[1:]])  # noqa: S606 - itself
    sys.exit(main(sys.argv[1:]))
