"""Every way in which newleaf can fail, as data.

One root; families by who can act on the failure, each with its exit code and outcome word
(contracts.md § Command line). A concrete error is a class: its docstring is the message,
`cure` says what to do, and both are filled from the facts given to the constructor. Errors
never print and never exit; only the command line does. Standard library only.
"""

from __future__ import annotations

from typing import ClassVar


class NewleafError(Exception):
    """newleaf failed: {reason}"""

    code: ClassVar[str] = "failed"
    outcome: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    cure: ClassVar[str] = ""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """What happened and where, in one line or a short paragraph."""
        template = " ".join((type(self).__doc__ or "").split())
        if not template:
            # Python was told to leave docstrings out (-OO): what is known is still said.
            words = [self.code.replace("_", " "), *map(str, self.facts.values())]
            return ": ".join(words)
        return template.format_map(_Facts(self.facts))

    @property
    def advice(self) -> str:
        """What to do about it; empty when the message says all."""
        return self.cure.format_map(_Facts(self.facts))

    def as_record(self) -> dict[str, object]:
        """The error as JSON output, history and status carry it."""
        record: dict[str, object] = {"code": self.code, "message": self.message}
        if self.advice:
            record["cure"] = self.advice
        return record


class _Facts(dict[str, object]):
    """Leaves a placeholder visible instead of hiding one failure behind another."""

    def __missing__(self, key: str) -> str:
        return _Placeholder("{" + key + "}")


class _Placeholder(str):
    """Stays as it is, whatever format its template asks for."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        return str(self)


# --- families ---------------------------------------------------------------------------


class UsageError(NewleafError):
    """{reason}"""

    code = "usage"
    outcome = "usage"
    exit_code = 2


class FailedError(NewleafError):
    """{reason}"""

    code = "failed"


class LockedError(NewleafError):
    """another update runs: {owner}"""

    code = "locked"
    outcome = "locked"
    exit_code = 3
    cure = "wait for it to end; the lock is the kernel's and goes with its process"


class RefusedError(NewleafError):
    """{reason}"""

    code = "refused"
    outcome = "refused"
    exit_code = 5


class RolledBackError(NewleafError):
    """{reason}"""

    code = "rolled_back"
    outcome = "rolled_back"
    exit_code = 6


class InconsistentError(NewleafError):
    """{reason}"""

    code = "inconsistent"
    outcome = "inconsistent"
    exit_code = 7


# --- files ------------------------------------------------------------------------------


class CorruptFile(InconsistentError):
    """{path} cannot be read: {reason}"""

    code = "corrupt_file"
    cure = "look at the file; move it away to start it anew: mv {path} {path}.broken"


class NewerSchema(InconsistentError):
    """{path} was written by a newer newleaf (schema {found}, this one knows {known})"""

    code = "newer_schema"
    cure = "upgrade this newleaf: uv tool upgrade newleaf"


class StateDirectoryUnsafe(UsageError):
    """the state directory {path} {reason}"""

    code = "state_directory_unsafe"
    cure = "{mend}"


class StateDirectoryUnwritable(UsageError):
    """the state directory {path} cannot be written: {reason}"""

    code = "state_directory_unwritable"
    cure = "make it writable for this user, or name another one with NEWLEAF_STATE_DIR"


class StateDirectoryOnNetwork(UsageError):
    """the state directory {path} lies on a network file system ({kind}), where kernel locks do not hold"""

    code = "state_directory_on_network"
    cure = "name a folder on a local disk with NEWLEAF_STATE_DIR"


class DiskFull(FailedError):
    """not enough room on the disk of {path}: {free} free, {needed} needed"""

    code = "disk_full"
    cure = "free some space there and run newleaf update again"


class FileLimited(FailedError):
    """{path} may not become as large as it must: a limit on the size of files holds here"""

    code = "file_limited"
    cure = "raise the limit (ulimit -f, or LimitFSIZE= in the service's unit) and run newleaf update again"


# --- the process itself -------------------------------------------------------------------


class Interrupted(FailedError):
    """interrupted; what had begun stands as it is"""

    code = "interrupted"
    cure = "if it was an update, the next `newleaf update` goes on with it"


class OutputLost(FailedError):
    """the answer cannot be printed: {reason}"""

    code = "output_lost"
    cure = "what was done stands; `newleaf history` and `newleaf status` tell it again"


class HostRefused(FailedError):
    """the system refuses {what}: {reason}"""

    code = "host_refused"
    cure = "`newleaf doctor` looks at permissions, disk and programs"


class Defect(FailedError):
    """a defect in newleaf: {reason}"""

    code = "defect"
    cure = (
        "please report it, with the lines above; the next `newleaf update` goes on from where this one stood"
    )


# --- commands ---------------------------------------------------------------------------


class ProgramMissing(FailedError):
    """the program {program} is not installed, or not on PATH"""

    code = "program_missing"
    cure = "install {program}; `newleaf doctor` checks all programs"


class CommandTimedOut(FailedError):
    """{what} took longer than {seconds:g} s and was stopped"""

    code = "command_timed_out"


class CommandFailed(FailedError):
    """{what} failed (exit {status}): {output}"""

    code = "command_failed"


# --- settings ---------------------------------------------------------------------------


class SettingsUnreadable(UsageError):
    """{file}, line {line}: {reason}"""

    code = "settings_unreadable"
    cure = "mend that line; strings stand in quotes, and a table begins with its name in brackets"


class SettingsInvalid(UsageError):
    """{listed}"""

    code = "settings_invalid"
    cure = "docs/reference/settings.md lists every setting; `newleaf config --check` says when all is well"

    def as_record(self) -> dict[str, object]:
        return {**super().as_record(), "problems": self.facts.get("problems", [])}


class SettingsFileUnreadable(UsageError):
    """{file} cannot be read: {reason}"""

    code = "settings_file_unreadable"
    cure = "make it a file that this user may read: ls -l {file}"


# --- attempts and decisions ---------------------------------------------------------------


class NoWayBack(UsageError):
    """there is no earlier release on this host to go back to"""

    code = "no_way_back"
    cure = "name one: newleaf rollback --to COMMIT"


class AlreadyHere(UsageError):
    """{name} is what is here already"""

    code = "already_here"
    cure = "`newleaf history` lists what was here before: newleaf rollback --to COMMIT"


class LeftByHand(FailedError):
    """undone by `newleaf rollback` before it had arrived"""

    code = "left_by_hand"


class Unhealthy(RolledBackError):
    """{name} was not healthy: {reason}"""

    code = "unhealthy"


class NoSnapshot(UsageError):
    """no snapshot was taken when {name} was installed, so there is no data to restore"""

    code = "no_snapshot"
    cure = "leave out --data, or declare update.state_paths for the next time"


class NotDenied(UsageError):
    """{commit} is not denied on this host"""

    code = "not_denied"
    cure = "`newleaf why` lists the denied commits"


class AmbiguousCommit(UsageError):
    """{commit} stands for several denied commits: {matches}"""

    code = "ambiguous_commit"
    cure = "give more digits"


class TooManyRecords(InconsistentError):
    """the attempt has {records} journal records and still did not end"""

    code = "too_many_records"
    cure = "run `newleaf why`, then `newleaf rollback` to go back to the last good release"


class ImpossibleMove(InconsistentError):
    """an attempt cannot move from {state} to {to}"""

    code = "impossible_move"
    cure = "this is a defect in newleaf; please report it with the journal.jsonl of this host"


# --- verification -------------------------------------------------------------------------


class TreeRefused(RefusedError):
    """the tree of {name} is refused: {faults}"""

    code = "tree_refused"
    cure = "mend the repository, and release again"


class BelowFloor(RefusedError):
    """{name} is below this host's floor {floor}, or says no version"""

    code = "below_floor"
    cure = "security.floor in host.toml is the lowest version that this host takes"


class WrongApp(RefusedError):
    """{name} is a release of {found}, and this host runs {expected}"""

    code = "wrong_app"
    cure = "check source.url and source.branch; a host deploys one app for as long as it lives"


class RemoteUnknown(UsageError):
    """the checkout {top} has no remote called origin, and source.url is not set"""

    code = "remote_unknown"
    cure = "git remote add origin URL, or set source.url in host.toml"


class RepositoryUnnamed(UsageError):
    """releases are to be read from GitHub, but {url} names no owner and repository"""

    code = "repository_unnamed"
    cure = 'set source.releases = "tags" in host.toml'


# --- demo -----------------------------------------------------------------------------------


class DemoStuck(FailedError):
    """the demo cannot go on: {reason}"""

    code = "demo_stuck"
    cure = "newleaf demo --keep leaves its folder; what the programs in it said is in programs.log"
