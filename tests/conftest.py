"""What every test relies on."""

from __future__ import annotations

import signal

# Whoever runs the tests may have signals ignored (nohup does, and a shell for its background jobs), and
# programs inherit that: newleaf leaves ignored what was ignored, so a test that sends one would wait in vain.
for ignored in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(ignored, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
