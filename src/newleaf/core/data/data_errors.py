"""How work with an app's data can fail, as data: migrations, snapshots, the way back. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import CorruptFile, FailedError, InconsistentError, UsageError
from newleaf.core.output_errors import OutputError

# --- migrations -------------------------------------------------------------------------


class NotAVersion(UsageError):
    """{text!r} is no version"""

    code = "not_a_version"
    cure = "name one such as 1.3.0"


class MigrationBadlyNamed(FailedError):
    """migration {path}: {reason}"""

    code = "migration_badly_named"
    cure = (
        "call it v1.2.3/001_what_it_does.py; begin a helper's name with an underscore; or, when the folder "
        "is another tool's, name an own one with update.migrations"
    )


class MigrationNumberTwice(FailedError):
    """two migrations have the number {number} in version {version}: {first} and {second}"""

    code = "migration_number_twice"
    cure = "give one of them the next free number; nothing was run"


class MigrationUnclear(FailedError):
    """migration {path}: {reason}"""

    code = "migration_unclear"
    cure = "see docs/how-to/write-a-migration.md; nothing was run"


class MigrationGone(FailedError):
    """cannot go back: applied here, but not in this tree: {scripts}"""

    code = "migration_gone"
    cure = "check out the release that has them, and run newleaf migrate --from --to there; nothing was run"


class MigrationIrreversible(FailedError):
    """cannot go back: these migrations have no revert(): {scripts}"""

    code = "migration_irreversible"
    cure = "`newleaf rollback --data` restores the data from the snapshot of the update; nothing was run"


class MigrationFailed(OutputError):
    """migration {script} failed: {reason}"""

    code = "migration_failed"
    cure = "mend it with a newer commit, or run it again: what is recorded as done is not done twice"


class CorruptMigrationState(CorruptFile):
    """the record of applied migrations {path} cannot be read: {reason}"""

    code = "corrupt_migration_state"
    cure = (
        "put back a copy from {snapshots}, or write the applied ones by hand: "
        '{{"schema": 1, "applied": ["1.1.0/001_name.py"]}}; without the file (mv {path} {path}.broken) each '
        "migration's check() is asked anew"
    )


# --- snapshots --------------------------------------------------------------------------


class StatePathRefused(UsageError):
    """update.state_paths: {path} {reason}"""

    code = "state_path_refused"
    cure = "name the files and folders that hold the app's data, and nothing else"


class SnapshotFailed(FailedError):
    """{path} cannot be kept safe before migrating: {reason}"""

    code = "snapshot_failed"
    cure = "nothing was changed; mend it, or take it out of update.state_paths"


class SnapshotMissing(FailedError):
    """there is no whole snapshot of the attempt {attempt} in {folder}"""

    code = "snapshot_missing"
    cure = "older ones are removed by update.keep_releases; `newleaf history` lists the attempts"


class SnapshotDamaged(InconsistentError):
    """the snapshot {folder} is damaged: {reason}"""

    code = "snapshot_damaged"
    cure = "nothing was put back; look into the folder, and copy by hand what is good"


class RestoreFailed(InconsistentError):
    """{path} cannot be put back: {reason}"""

    code = "restore_failed"
    cure = "mend it (stop who uses the file), then run newleaf update: it goes on; the copies are in {folder}"
