"""How services can fail to be set up, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import UsageError
from newleaf.core.output_errors import OutputError


class ServiceManagerUnknown(UsageError):
    """this machine has neither systemd nor launchd"""

    code = "service_manager_unknown"
    cure = (
        "say --systemd or --launchd to write the files for another one; without either, cron runs "
        "`newleaf update`"
    )


class TimerUnreadable(UsageError):
    """--timer {text}: {reason}"""

    code = "timer_unreadable"
    cure = 'say times of day, "06:00,18:00", or a span of time, 12h'


class NothingToRun(UsageError):
    """app.command is not set, so there is no daemon to run"""

    code = "nothing_to_run"
    cure = "set app.command in newleaf.toml; or say --timer, which runs updates without a daemon"


class NothingToListenAt(UsageError):
    """--socket needs app.listen, which names no address"""

    code = "nothing_to_listen_at"
    cure = 'set app.listen in newleaf.toml, to ["127.0.0.1:8080"] say, or leave out --socket'


class ListenUnfit(UsageError):
    """systemd cannot bind {address}: {reason}"""

    code = "listen_unfit"
    cure = "change app.listen, or leave out --socket"


class SocketsNeedSystemd(UsageError):
    """--socket is for systemd: launchd passes no sockets on in this way"""

    code = "sockets_need_systemd"
    cure = "leave out --socket; the launcher binds app.listen itself"


class ServiceTextUnfit(UsageError):
    """{text!r} cannot stand in a service's file: {reason}"""

    code = "service_text_unfit"
    cure = "rename the folder, or change the setting"


class ServiceFileForeign(UsageError):
    """{path} is there, and newleaf did not write it: {reason}"""

    code = "service_file_foreign"
    cure = "look at it; to let newleaf have the name: mv {path} {path}.mine"


class ServiceOfAnother(UsageError):
    """{path} runs another app called {app}, whose state lies elsewhere than in {state}"""

    code = "service_of_another"
    cure = "give one of the two another app.name, or take the other service away first"


class ServiceFolderUnwritable(UsageError):
    """{path} cannot be written: {reason}"""

    code = "service_folder_unwritable"
    cure = "services of the machine are root's: use sudo, or say --user; `newleaf service show` prints all"


class ServiceManagerFailed(OutputError):
    """{what} failed (exit {status})"""

    code = "service_manager_failed"
    cure = "the files are written; see why with: {look}"
