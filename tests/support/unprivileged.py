"""Runs a program as a user whom permissions bind: `unprivileged.py PROGRAM ARGUMENT…`.

On Linux root is bound by them once the capabilities that pass them by are out of its bounding set; any
other user is bound anyway.
"""

from __future__ import annotations

import ctypes
import os
import sys

DROP = 24
"""PR_CAPBSET_DROP, see prctl(2)."""
PASS_BY = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, see capabilities(7)."""

if os.geteuid() == 0 and sys.platform == "linux":
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in PASS_BY:
        if libc.prctl(DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "a capability cannot be dropped")
os.execv(sys.argv[1], sys.argv[1:])
