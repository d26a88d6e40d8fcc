"""The daemon's listening sockets: bound once, kept across every release, each in its order.

Rules: what a service manager has bound and passed is used, where its address is the one that is asked for;
the backlog is long, for connections wait in it while processes change; a socket file that nobody listens on
is taken over, one that somebody does is not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from newleaf.core.launch.launcher_errors import AddressTaken, AddressUnusable
from newleaf.launcher.processes import FIRST_PASSED

BACKLOG = 2048
UNIX = "unix:"
MAX_PATH_BYTES = 103
"""What every system has room for in a unix socket's address."""


class Listening:
    """What is listened on, for as long as the launcher lives.

    `handed` was passed by a service manager, and is for an app that names no address.
    """

    def __init__(
        self, folder: Path, bound: Mapping[str, socket.socket], handed: Sequence[socket.socket] = ()
    ) -> None:
        self.bound = dict(bound)
        self.handed = handed
        self._folder = folder

    def of(self, addresses: Sequence[str]) -> list[socket.socket]:
        """The sockets of a release, in the order of its own addresses; one that is new is bound now.

        Raises: AddressTaken, AddressUnusable.
        """
        return [self._find(address) for address in addresses] if addresses else list(self.handed)

    def _find(self, address: str) -> socket.socket:
        place = _place_named(address, self._folder)
        for known, one in self.bound.items():
            if _place_named(known, self._folder) == place:
                return one
        self.bound[address] = _open(address, self._folder)
        return self.bound[address]


def open_all(
    addresses: Sequence[str], folder: Path, inherited: Sequence[socket.socket]
) -> list[socket.socket]:
    """A listening socket for each address, in order; relative paths begin at `folder`.

    Raises: AddressTaken, AddressUnusable.
    """
    if not addresses:
        return list(inherited)
    passed = {_place_of(found): found for found in inherited}
    opened: list[socket.socket] = []
    try:
        for address in addresses:
            found = passed.pop(_place_named(address, folder), None)
            opened.append(found or _open(address, folder))
    except BaseException:
        for one in opened:
            one.close()
        raise
    for unused in passed.values():
        unused.close()
    return opened


def inherited(environ: Mapping[str, str]) -> list[socket.socket]:
    """What a service manager has passed to this very process."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or len(count) > 4:
        return []
    found = []
    for descriptor in range(FIRST_PASSED, FIRST_PASSED + int(count)):
        with contextlib.suppress(OSError):
            one = socket.socket(fileno=descriptor)
            one.set_inheritable(False)
            found.append(one)
    return found


def private_socket(path: Path) -> socket.socket:
    """A listening socket for this user alone.

    Raises: AddressUnusable.
    """
    return _open_unix(path, str(path), 0o600)


def require_room(path: Path) -> None:
    """Refuses a path that is too long for a unix socket.

    Raises: AddressUnusable.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise AddressUnusable(address=path, reason=f"its path is longer than {MAX_PATH_BYTES} bytes")


def _open(address: str, folder: Path) -> socket.socket:
    if address.startswith(UNIX):
        return _open_unix(folder / address.removeprefix(UNIX), address, 0o666 & ~_umask())
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((host.strip("[]"), int(port)))
        one.listen(BACKLOG)
    except OSError as error:
        one.close()
        raise _refused(address, error) from error
    return one


def _open_unix(path: Path, address: str, mode: int) -> socket.socket:
    require_room(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        before = os.umask(0o777 & ~mode)
        try:
            one.bind(str(path))
        finally:
            os.umask(before)
        one.listen(BACKLOG)
    except OSError as error:
        one.close()
        raise _refused(address, error) from error
    return one


def _clear(path: Path) -> None:
    """Takes away a socket that its owner has left behind."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError("something that is no socket lies there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def _refused(address: str, error: OSError) -> AddressTaken | AddressUnusable:
    # EAGAIN: so many wait for who listens there that one more may not.
    if error.errno in (errno.EADDRINUSE, errno.EAGAIN):
        return AddressTaken(address=address)
    return AddressUnusable(address=address, reason=error.strerror or str(error))


def _place_named(address: str, folder: Path) -> object:
    """What a socket that is bound there says of itself: `[0:0::1]:80` is ("::1", 80)."""
    if address.startswith(UNIX):
        return os.path.normpath(os.path.join(folder, address.removeprefix(UNIX)))
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise AddressUnusable(address=address, reason="it names no port")
    family, host = socket.AF_INET6 if host.startswith("[") else socket.AF_INET, host.strip("[]")
    with contextlib.suppress(OSError):
        host = socket.inet_ntop(family, socket.inet_pton(family, host))
    return (host, int(port))


def _place_of(one: socket.socket) -> object:
    name = one.getsockname()
    return name[:2] if isinstance(name, tuple) else os.path.normpath(name)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
