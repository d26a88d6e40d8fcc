"""How release slots can fail, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import FailedError, InconsistentError, UsageError
from newleaf.core.output_errors import OutputError


class NothingDeployed(UsageError):
    """no release lies in {state} yet"""

    code = "nothing_deployed"
    cure = "make the first one: newleaf init --slots, in its checkout or with --from URL"


class LayoutDiffers(UsageError):
    """{origin} says app.layout = "{said}", and the releases of this host lie {there}"""

    code = "layout_differs"
    cure = "{way}"


class CurrentLost(InconsistentError):
    """{link} leads to no release: {reason}"""

    code = "current_lost"
    cure = "point it at one that lies in {releases}: ln -sfn releases/COMMIT {link}"


class TreeDiffers(FailedError):
    """what was written to {folder} is not the tree of {name}"""

    code = "tree_differs"
    cure = "the next update writes it anew; if it happens again, check the disk"


class ReleaseLost(FailedError):
    """{folder} is no longer the whole release that was made ready there"""

    code = "release_lost"
    cure = "the next update makes it ready again"


class SharedInTheWay(FailedError):
    """{path} cannot be linked to what is shared: {reason}"""

    code = "shared_in_the_way"
    cure = "correct app.shared or update.state_paths in newleaf.toml, and release again"


class PreflightFailed(OutputError):
    """{name} cannot be started: {what} failed: {reason}"""

    code = "preflight_failed"
    cure = "publish a release that mends it; `newleaf allow {commit}` has this one tried again"
