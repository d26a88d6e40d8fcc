"""Why dependencies could not be installed, as data (see core/errors.py). Standard library only."""

from __future__ import annotations

from newleaf.core.output_errors import OutputError


class InstallFailed(OutputError):
    """the dependencies were not installed: {what} failed: {reason}"""

    code = "install_failed"
    cure = "mend it and run newleaf update again; nothing was restarted"


class InstallTimedOut(InstallFailed):
    """the dependencies were not installed: {what} did not end within {seconds:g} s and was stopped"""

    code = "install_timed_out"
    cure = "run newleaf update again (downloads are kept), or give it more time: update.install_timeout"


class InstallerMissing(InstallFailed):
    """the dependencies were not installed: {why}, and {program} is not installed"""

    code = "installer_missing"
    cure = "install {program}, or name another way with update.install"


class PythonMissing(InstallFailed):
    """no Python for the app's environment: {wanted} is asked for, and {found}"""

    code = "python_missing"
    cure = "install that Python ({how}), or correct {source}"


class ManifestUnreadable(InstallFailed):
    """the dependencies were not installed: {path} {reason}"""

    code = "manifest_unreadable"
    cure = "correct the file, commit and push"


class EnvironmentInTheWay(InstallFailed):
    """the dependencies were not installed: {path} is {found}, not a folder with an environment"""

    code = "environment_in_the_way"
    cure = "move it away: mv {path} {path}.mine"
