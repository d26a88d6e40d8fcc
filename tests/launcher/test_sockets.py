"""Listening sockets: bound once or inherited by address; nobody's socket or file is taken away."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from newleaf.core.launch.launcher_errors import AddressTaken, AddressUnusable
from newleaf.launcher.sockets import (
    MAX_PATH_BYTES,
    Listening,
    inherited,
    open_all,
    private_socket,
    require_room,
)
from tests.support.kills import run_in_child

STREAM = socket.SOCK_STREAM


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """What is in here is closed afterwards."""
    found: list[socket.socket] = []
    yield found
    for one in found:
        one.close()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, STREAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def listen(address: object, family: socket.AddressFamily = socket.AF_UNIX) -> socket.socket:
    one = socket.socket(family, STREAM)
    one.bind(address)  # type: ignore[arg-type]
    one.listen()
    return one


def answers(one: socket.socket) -> bool:
    with socket.socket(one.family, STREAM) as caller:
        caller.settimeout(5)
        caller.connect(one.getsockname())
        accepted, _ = one.accept()
        accepted.close()
    return True


def test_each_address_gets_its_socket_in_order(opened: list[socket.socket], state: Path) -> None:
    opened += open_all(["127.0.0.1:0", "unix:run/app.sock", f"unix:{state}/b.sock"], state, [])
    assert [one.family for one in opened] == [socket.AF_INET, socket.AF_UNIX, socket.AF_UNIX]
    assert [one.getsockname() for one in opened[1:]] == [f"{state}/run/app.sock", f"{state}/b.sock"]
    assert all(answers(one) for one in opened)
    assert not any(one.get_inheritable() for one in opened)


@ipv6
def test_ipv6_is_bound_without_ipv4(opened: list[socket.socket], state: Path) -> None:
    opened += open_all(["[::1]:0"], state, [])
    assert answers(opened[0])
    assert opened[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_the_backlog_is_long(opened: list[socket.socket], state: Path) -> None:
    opened += open_all(["unix:a.sock"], state, [])
    for _ in range(300):
        caller = socket.socket(socket.AF_UNIX, STREAM)
        opened.append(caller)
        caller.setblocking(False)
        caller.connect(str(state / "a.sock"))


def test_a_port_that_is_taken_is_named(opened: list[socket.socket], state: Path) -> None:
    opened.append(listen(("127.0.0.1", 0), socket.AF_INET))
    address = f"127.0.0.1:{opened[0].getsockname()[1]}"
    with pytest.raises(AddressTaken) as refused:
        open_all(["unix:a.sock", address], state, [])
    assert refused.value.facts == {"address": address}


@pytest.mark.parametrize(
    "address", ["nonesuch.invalid:80", "192.0.2.1:0", "unix:file/app.sock", f"unix:{'x' * 104}", "unix:file"]
)
def test_an_address_that_cannot_be_used_says_why(state: Path, address: str) -> None:
    (state / "file").write_text("kept")
    with pytest.raises(AddressUnusable) as refused:
        open_all([address], state, [])
    assert refused.value.facts["reason"]
    assert (state / "file").read_text() == "kept"


def test_a_stale_socket_is_taken_over(opened: list[socket.socket], state: Path) -> None:
    listen(str(state / "app.sock")).close()
    opened += open_all(["unix:app.sock"], state, [])
    assert answers(opened[0])


def test_a_socket_that_somebody_listens_on_is_left(opened: list[socket.socket], state: Path) -> None:
    opened.append(listen(str(state / "app.sock")))
    with pytest.raises(AddressTaken):
        open_all(["unix:app.sock"], state, [])
    assert answers_behind(opened[0])


def answers_behind(one: socket.socket) -> bool:
    """It was looked at, so one call waits already."""
    one.accept()[0].close()
    return answers(one)


def test_whose_queue_is_full_listens_too(opened: list[socket.socket], state: Path) -> None:
    one = socket.socket(socket.AF_UNIX, STREAM)
    one.bind(str(state / "app.sock"))
    one.listen(0)
    opened.append(one)
    for _ in range(8):
        caller = socket.socket(socket.AF_UNIX, STREAM)
        caller.setblocking(False)
        opened.append(caller)
        caller.connect_ex(str(state / "app.sock"))
    with pytest.raises(AddressTaken):
        open_all(["unix:app.sock"], state, [])


@pytest.mark.parametrize("target", ["file", "nowhere"])
def test_a_symlink_in_its_place_is_not_followed(state: Path, target: str) -> None:
    """threats.md T20"""
    (state / "file").write_text("kept")
    (state / "app.sock").symlink_to(state / target)
    with pytest.raises(AddressUnusable, match="no socket"):
        open_all(["unix:app.sock"], state, [])
    with pytest.raises(AddressUnusable, match="no socket"):
        private_socket(state / "app.sock")
    assert (state / "file").read_text() == "kept"
    assert not (state / "nowhere").exists()


def test_modes_are_the_umasks_or_this_users_alone(opened: list[socket.socket], state: Path) -> None:
    before = os.umask(0o027)
    try:
        opened += open_all(["unix:app.sock"], state, [])
        opened.append(private_socket(state / "control.sock"))
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((state / name).stat().st_mode) for name in ("app.sock", "control.sock")]
    assert modes == [0o640, 0o600]


def test_the_longest_path_that_fits_is_bound(opened: list[socket.socket], state: Path) -> None:
    path = state / ("x" * (MAX_PATH_BYTES - len(str(state)) - 1))
    require_room(path)
    opened.append(private_socket(path))
    with pytest.raises(AddressUnusable, match="longer than 103 bytes"):
        require_room(path.with_name(f"{path.name}x"))


# --- inherited --------------------------------------------------------------------------------


def pass_on(ones: Sequence[socket.socket | int]) -> None:
    """As systemd does: from 3 on, under names of its own; to be called in a process of its own."""
    descriptors = [one if isinstance(one, int) else one.fileno() for one in ones]
    high = [os.dup2(descriptor, 100 + place) for place, descriptor in enumerate(descriptors)]
    for place, descriptor in enumerate(high, 3):
        os.dup2(descriptor, place, inheritable=True)
    os.environ |= {
        "LISTEN_FDS": str(len(high)),
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDNAMES": ":".join(["sessions.socket"] * len(high)),
    }


def test_what_systemd_passed_is_used_by_address_in_the_apps_order(
    opened: list[socket.socket], state: Path
) -> None:
    inet, unix = listen(("127.0.0.1", 0), socket.AF_INET), listen(str(state / "app.sock"))
    unasked = listen(str(state / "unasked.sock"))
    opened += [inet, unix, unasked]
    port = inet.getsockname()[1]

    def check() -> None:
        pass_on([unasked, inet, unix])
        found = open_all(["unix:./x/../app.sock", f"127.0.0.1:{port}"], state, inherited(os.environ))
        assert [one.fileno() for one in found] == [5, 4]
        assert not any(one.get_inheritable() for one in found)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(3)

    assert run_in_child(check) == 0


@ipv6
def test_an_ipv6_address_is_known_however_it_is_written(opened: list[socket.socket], state: Path) -> None:
    opened.append(listen(("::1", 0), socket.AF_INET6))
    port = opened[0].getsockname()[1]

    def check() -> None:
        pass_on(opened)
        (found,) = open_all([f"[0:0::0:1]:{port}"], state, inherited(os.environ))
        assert found.fileno() == 3

    assert run_in_child(check) == 0


def test_no_address_asked_for_then_all_that_was_passed(opened: list[socket.socket], state: Path) -> None:
    opened += [listen(str(state / name)) for name in ("a.sock", "b.sock")]

    def check() -> None:
        pass_on(opened)
        assert [one.fileno() for one in open_all([], state, inherited(os.environ))] == [3, 4]

    assert run_in_child(check) == 0


def test_a_release_names_other_addresses_then_it_gets_those_in_its_order(state: Path) -> None:
    """What is held already stays the same socket; it is not closed where a release does not name it."""
    first, second = open_all(["unix:a.sock", "unix:b.sock"], state, [])
    listening = Listening(state, {"unix:a.sock": first, "unix:b.sock": second})
    with contextlib.closing(first), contextlib.closing(second):
        assert listening.of(["unix:b.sock", "unix:./a.sock"]) == [second, first]
        added, _ = listening.of(["unix:c.sock", "unix:a.sock"])
        with contextlib.closing(added):
            assert added.getsockname() == str(state / "c.sock")
            assert listening.of(["unix:a.sock", "unix:b.sock", "unix:c.sock"]) == [first, second, added]
        assert listening.of([]) == []


def test_what_is_no_socket_is_passed_over(opened: list[socket.socket], state: Path) -> None:
    opened.append(listen(str(state / "a.sock")))

    def check() -> None:
        pass_on([os.open(os.devnull, os.O_RDONLY), opened[0]])
        os.environ["LISTEN_FDS"] = "3"
        os.closerange(5, 6)
        assert [one.fileno() for one in inherited(os.environ)] == [4]

    assert run_in_child(check) == 0


@pytest.mark.parametrize(
    ("count", "pid"),
    [
        ("1", "1"),
        ("1", ""),
        ("", "{}"),
        ("-1", "{}"),
        ("one", "{}"),
        ("²", "{}"),
        ("99999", "{}"),
        ("1", "{}\n"),
    ],
)
def test_nothing_was_passed_to_this_process(count: str, pid: str) -> None:
    assert inherited({"LISTEN_FDS": count, "LISTEN_PID": pid.format(os.getpid())}) == []
