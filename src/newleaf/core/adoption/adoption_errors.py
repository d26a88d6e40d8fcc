"""How adopting a repository can fail, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import UsageError


class CheckoutUntrusted(UsageError):
    """git does not read the checkout {path}: it belongs to another user"""

    code = "checkout_untrusted"
    cure = "run newleaf as the user who owns it, or give it to this one: sudo chown -R $(id -u) {path}"


class RemoteMissing(UsageError):
    """the checkout {top} has no remote, and slots are filled from one"""

    code = "remote_missing"
    cure = "git remote add origin URL and push, or say newleaf init --slots --from URL"


class HeadUnpushed(UsageError):
    """{count} commit(s) of {top} are on no remote, and a slot is filled from the remote"""

    code = "head_unpushed"
    cure = "git -C {top} push"


class SharedUnsaid(UsageError):
    """{path} is there and says nothing of app.shared, and git does not track {paths}"""

    code = "shared_unsaid"
    cure = "write into its table [app]: shared = {toml} (an empty list when no release needs them)"


class AppUndescribed(UsageError):
    """newleaf.toml is no part of the repository, and {path} is there and does not say {keys}"""

    code = "app_undescribed"
    cure = "commit newleaf.toml and push it, or write into {path} what it says"


class SlotsMeant(UsageError):
    """{path} says that this host has release slots"""

    code = "slots_meant"
    cure = "newleaf init --slots, or give this checkout a state directory of its own: --state-dir FOLDER"


class AttemptUnended(UsageError):
    """the attempt {attempt} of this host is not ended, and it is one in place"""

    code = "attempt_unended"
    cure = "newleaf update --state-dir {state} ends it; then newleaf init --slots"


class AppNameMissing(UsageError):
    """no app name can be made of {tried}"""

    code = "app_name_missing"
    cure = "give one, of small letters, digits, _ and -: newleaf init --app NAME"


class MinorUnknown(UsageError):
    """the channel stable stays inside one minor version, and no release tag here says which"""

    code = "minor_unknown"
    cure = "tag a release first (git tag v1.0.0), or begin with newleaf init --channel beta"


class SettingKept(UsageError):
    """{path} says {key} = "{kept}", and init never changes what is there; {option} asked for {asked}"""

    code = "setting_kept"
    cure = 'change {key} in {path} to "{asked}" by hand, or leave {option} out'


class StateDirectoryTaken(UsageError):
    """the state directory {path} belongs to {owner}"""

    code = "state_directory_taken"
    cure = "give this one its own: newleaf init --state-dir FOLDER (and NEWLEAF_STATE_DIR for its daemon)"
