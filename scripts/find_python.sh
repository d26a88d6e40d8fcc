#!/bin/sh
# Prints the path of the first Python on PATH that newleaf can be set up with.
#
# The path is the interpreter's own answer, so that a version manager's shim is paid for once.
# PYTHON=... in the environment names the only one to look at.

refused=""
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    command -v "$candidate" >/dev/null || continue
    # Debian ships venv's ensurepip apart from python3: ask here, not half way through.
    answer=$("$candidate" -c '
import sys
version = ".".join(map(str, sys.version_info[:3]))
if sys.version_info < (3, 11):
    sys.exit(version + " is too old")
try:
    import ensurepip, venv
except ImportError:
    sys.exit(version + " has no venv module (Debian, Ubuntu: apt install python3-venv)")
print(sys.executable)
' 2>&1) && echo "$answer" && exit 0
    refused="$refused
  $candidate: $answer"
done

echo "newleaf needs Python 3.11 or newer. Seen:${refused:-
  none on PATH${PYTHON:+ called $PYTHON}}
Install one, or name it: make setup PYTHON=/path/to/python3" >&2
exit 1
