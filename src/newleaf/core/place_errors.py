"""Errors of finding the app that is meant, and where it lies."""

from __future__ import annotations

from newleaf.core.errors import UsageError


class AppUnknown(UsageError):
    """which app is meant? Apps noted on this machine: {listed}"""

    code = "app_unknown"
    cure = "stand in its checkout, or say --app NAME or --state-dir DIR; `newleaf init` sets up a new one"


class AppNotHere(UsageError):
    """no app called {name} is set up for this user; apps noted on this machine: {listed}"""

    code = "app_not_here"
    cure = "check the name, or set it up: stand in its checkout and run `newleaf init`"


class CheckoutUnknown(UsageError):
    """no checkout is known for the app whose state lies in {state}"""

    code = "checkout_unknown"
    cure = "run this once from inside the app's git checkout"


class CheckoutMoved(UsageError):
    """this host deploys the app in {known}, and not in {here}, where you stand"""

    code = "checkout_moved"
    cure = "go to {known}; to move the deployment here, change `checkout` in {identity}"


class FolderGone(UsageError):
    """the folder in which you stand does not exist any more"""

    code = "folder_gone"
    cure = "change into one that does: cd ~"
