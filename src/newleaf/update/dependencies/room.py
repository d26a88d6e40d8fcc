"""How much room an installation needs on the disk, and whether it is there (lessons.md L24).

An estimate, made before anything is touched: what is to be downloaded according to the lock file, times
what unpacking and the installer's cache take; for pip, which does not say beforehand, the room of an
environment alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from packaging.markers import default_environment
from packaging.tags import sys_tags

from newleaf.core.dependencies.uv_lock import Selection, Target, download_bytes, most_bytes
from newleaf.system.files import require_free
from newleaf.update.dependencies.inventories import installed_versions
from newleaf.update.dependencies.needs import Kind, Needs

UNPACKED_FACTOR = 4
"""Bytes on the disk for a byte of a wheel: unpacked about three, and the cache."""
SMALLEST_BYTES = 1024 * 1024
FRESH_BYTES = {Kind.UV: SMALLEST_BYTES, Kind.PIP: 32 * 1024 * 1024}
"""An empty environment; pip's holds a pip."""


def require_room(needs: Needs, environment: Path, *, is_fresh: bool) -> None:
    """Refuses an installation that would fill the disk.

    Raises: DiskFull.
    """
    require_free(needs.folder, room_needed(needs, environment, is_fresh=is_fresh))


def room_needed(needs: Needs, environment: Path, *, is_fresh: bool) -> int:
    """Bytes; the lock file is read closely only when a glance at it does not settle the matter."""
    least = FRESH_BYTES.get(needs.kind, SMALLEST_BYTES) if is_fresh else SMALLEST_BYTES
    if needs.kind is not Kind.UV:
        return least
    if shutil.disk_usage(needs.folder).free > least + UNPACKED_FACTOR * most_bytes(needs.lock_bytes):
        return least
    selection = Selection(needs.manifest.name, needs.update.extras, needs.update.groups)
    installed = frozenset[tuple[str, str]]() if is_fresh else installed_versions(environment)
    markers = {name: str(value) for name, value in default_environment().items()}
    target = Target(markers, frozenset(sys_tags()), installed)
    return least + UNPACKED_FACTOR * download_bytes(needs.lock_bytes, selection, target)
