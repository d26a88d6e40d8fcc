"""The app of the kill matrix, and the releases that its hosts move to.

The app has what an update can break: a locked dependency, a SQLite database below a declared state path,
files that come, go and change, and a daemon that reports itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.repositories import Content

DAEMON = """\
import os, sys, time
import newleaf

newleaf.ready()
state = os.environ["NEWLEAF_STATE_DIR"]
flag = os.path.join(state, "restart-requested")
with open(os.path.join(os.path.dirname(state), "serves"), "w") as serves:
    serves.write(str(os.getpid()))
while not os.path.exists(flag):
    time.sleep(0.01)
sys.exit(42)
"""
"""Says that it serves, beside its state directory, once it has reported itself."""

MIGRATION = """\
import os, signal, sqlite3, time
from contextlib import closing
from pathlib import Path

HURT = os.environ.get("HURT")
FAILS = {fails!r}


def columns(database):
    return [row[1] for row in database.execute("PRAGMA table_info(jobs)")]


def check():
    with closing(sqlite3.connect("data/app.db")) as database:
        return "done" in columns(database)


def migrate():
    Path("data/report.txt").write_text("half")
    if HURT == "migration hang":
        time.sleep(60)
    if HURT == "migration kill":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if HURT == "migration fail":
        raise OSError(28, "No space left on device")
    with closing(sqlite3.connect("data/app.db")) as database:
        if FAILS:
            database.execute("UPDATE jobs SET name = 'spoilt'")
            database.commit()
            raise OSError("this migration is broken")
        database.execute("ALTER TABLE jobs ADD COLUMN done INTEGER DEFAULT 1")
        database.commit()
    Path("data/report.txt").write_text("whole")
    return True
"""

RESTART = """\
serves="$NEWLEAF_STATE_DIR/../serves"
old=$(cat "$serves")
kill "$old" 2>/dev/null
while [ "$(cat "$serves")" = "$old" ]; do sleep 0.03; done
"""
"""As a service manager's restart: it returns once the new process serves."""

SETTINGS_INI = "port = {port}\nname = one\nlog = two\nlevel = three\ncolour = {colour}\n"
LOCAL_LINE = "colour = local"
"""What somebody has edited on the host; the release changes another line of the same file."""

FIRST: Mapping[str, Content] = {
    "app.py": "RELEASE = 'first'\n",
    "daemon.py": DAEMON,
    "settings.ini": SETTINGS_INI.format(port=1, colour="grey"),
    "restart.sh": RESTART,
    "gone.py": "LEAVES = True\n",
    ".gitignore": ".env\ndata/\n",
}
CODE: Mapping[str, Content] = {
    "app.py": "RELEASE = 'second'\n",
    "settings.ini": SETTINGS_INI.format(port=2, colour="grey"),
    "gone.py": None,
    "fresh/module.py": "NEW = True\n",
}
BY_COMMAND = {"mode": "command", "command": ["sh", "restart.sh"]}


@dataclass(frozen=True)
class Scenario:
    """A release that hosts at the first one move to, and what becomes of them."""

    name: str
    files: Mapping[str, Content] = field(default_factory=dict)
    leaflet: str = "1.0.0"
    """The version of the dependency that the release locks."""
    restart: Mapping[str, object] = field(default_factory=lambda: dict(BY_COMMAND))
    arrives: bool = True
    """Whether hosts end at the release; else back at the first one, with the release denied."""

    @property
    def migrates(self) -> bool:
        return any(path.startswith("migrations/") for path in self.files)


GOOD = Scenario(
    "good", {**CODE, "migrations/v1.1.0/001_done.py": MIGRATION.format(fails=False)}, leaflet="2.0.0"
)
FAILING = Scenario(
    "failing migration",
    {**CODE, "migrations/v1.1.0/001_done.py": MIGRATION.format(fails=True)},
    leaflet="2.0.0",
    arrives=False,
)
CODE_ONLY = Scenario("code only", CODE, restart={"mode": "exit"})
SCENARIOS = {scenario.name: scenario for scenario in (GOOD, FAILING, CODE_ONLY)}
