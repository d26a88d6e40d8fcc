"""`python -m newleaf.launcher STATE_DIR`: what `newleaf run` becomes once it has written `launcher.json`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from newleaf.core.errors import NewleafError
from newleaf.launcher.beginning import begin
from newleaf.launcher.launcher import say_on_stderr
from newleaf.launcher.reloading import VARIABLE, load_anew, resume


def main(arguments: list[str]) -> int:
    """The program; returns its exit code."""
    if arguments == ["--prove"]:
        return 0
    (named,) = arguments
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
