"""How work with git can fail, as data: the remote, what came from it, the checkout. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import FailedError, RefusedError, UsageError

# --- what was configured ----------------------------------------------------------------


class NameInvalid(UsageError):
    """{what} {name} cannot be used: it {reason}"""

    code = "name_invalid"
    cure = "name a plain branch or tag, like main, release/2 or v1.2.0"


class RemoteInvalid(UsageError):
    """the remote {url} cannot be used: it {reason}"""

    code = "remote_invalid"
    cure = "mend source.url in host.toml, or the checkout's origin: git remote set-url origin URL"


class GitSettingRefused(UsageError):
    """source.git_config: {key} is not let through: {reason}"""

    code = "git_setting_refused"
    cure = "take it out of source.git_config in host.toml"


class GitTooOld(FailedError):
    """git {found} is too old; newleaf needs {needed} or newer"""

    code = "git_too_old"
    cure = "upgrade git"


class TokenUnreadable(UsageError):
    """the token file {path} cannot be used: {reason}"""

    code = "token_unreadable"
    cure = "make source.token_file a file of this user with the token on its first line: chmod 600 {path}"


# --- the remote -------------------------------------------------------------------------


class RemoteUnreachable(FailedError):
    """the remote {url} cannot be reached: {reason}"""

    code = "remote_unreachable"
    cure = "check the address, the network and its proxy; the next update tries again"


class RemoteWantsCredentials(FailedError):
    """the remote {url} does not let this host in: {reason}"""

    code = "remote_wants_credentials"
    cure = "give it an ssh key, source.token_file, or a credential helper in source.git_config"


class RemoteUnknownHost(FailedError):
    """the remote {url} shows a host key that this user does not know: {reason}"""

    code = "remote_unknown_host"
    cure = "connect once by hand and compare the key: {ssh}"


class RemoteUntrusted(FailedError):
    """the certificate of the remote {url} is not trusted: {reason}"""

    code = "remote_untrusted"
    cure = "name the CA file: http.sslCAInfo in source.git_config, or GIT_SSL_CAINFO in the environment"


class RemoteTimedOut(FailedError):
    """the remote {url} did not finish within {seconds:g} s; {what} was stopped"""

    code = "remote_timed_out"
    cure = "the next update tries again; update.fetch_timeout is the limit"


class FetchTooLarge(RefusedError):
    """the remote {url} sends more than {limit}; the fetch was stopped and what had come was removed"""

    code = "fetch_too_large"
    cure = "raise source.max_fetch_bytes in host.toml if this is right"


class ObjectsRefused(RefusedError):
    """what the remote {url} sends is not sound: {reason}"""

    code = "objects_refused"


class RefGone(FailedError):
    """the remote {url} no longer has {ref}"""

    code = "ref_gone"
    cure = "the next update asks the remote again"


class CommitGone(FailedError):
    """the remote {url} did not send the commit {commit}"""

    code = "commit_gone"
    cure = "the next update asks the remote again"


class NotACommit(RefusedError):
    """what the remote {url} names is a {kind}, not a commit: {commit}"""

    code = "not_a_commit"
    cure = "publish a release whose tag names a commit"


# --- the checkout -----------------------------------------------------------------------


class NotACheckout(UsageError):
    """{path} is not a git checkout: {reason}"""

    code = "not_a_checkout"
    cure = "run newleaf in the checkout that the daemon runs from"


class Diverged(RefusedError):
    """the checkout has {count} commit(s) that the remote does not have, the newest {commit} {subject}"""

    code = "diverged"
    cure = "push them, or keep them aside: git branch kept-here {commit} && git reset --keep {base}"


class NotDescendant(RefusedError):
    """the target {target} does not descend from {start}, which is checked out"""

    code = "not_descendant"
    cure = (
        "the remote's history was rewritten, or another branch is checked out here; "
        "if that is meant: newleaf update --to {target}"
    )


class DirtyTree(RefusedError):
    """the checkout has local changes ({paths}) and update.dirty_tree is refuse"""

    code = "dirty_tree"
    cure = "commit, stash or undo them, or set update.dirty_tree to stash"


class UntrackedInTheWay(RefusedError):
    """the target brings files that lie in the checkout untracked: {paths}"""

    code = "untracked_in_the_way"
    cure = "move them away; nothing that git does not track is ever overwritten"


class HiddenChange(RefusedError):
    """the target changes files whose local edits git was told not to see: {paths}"""

    code = "hidden_change"
    cure = "show them to git again: git update-index --no-skip-worktree --no-assume-unchanged -- {paths}"


class CheckoutBusy(RefusedError):
    """a {what} is under way in the checkout"""

    code = "checkout_busy"
    cure = "finish it, or end it with: {cure}"


class Unborn(RefusedError):
    """the checkout {path} has no commit yet"""

    code = "unborn"
    cure = "clone the app's repository: git clone URL {path}"


class CheckoutLocked(FailedError):
    """{lock} is held by {owner}"""

    code = "checkout_locked"
    cure = "wait for that git command to end, and run newleaf update again"


class MoveFailed(FailedError):
    """the checkout could not be moved to {target}: {reason}"""

    code = "move_failed"
