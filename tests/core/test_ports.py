"""The Protocols of the transaction."""

from __future__ import annotations

from newleaf.core import ports
from newleaf.core.ports import Pending, Restarted

MOST_METHODS = 4


def test_protocols_are_small() -> None:
    protocols = [getattr(ports, name) for name in ports.__all__]
    protocols = [each for each in protocols if getattr(each, "_is_protocol", False)]
    assert protocols
    for protocol in protocols:
        methods = [name for name, member in vars(protocol).items() if callable(member) and name[0] != "_"]
        assert len(methods) <= MOST_METHODS, protocol.__name__


def test_nothing_is_pending_and_nothing_owed_unless_said() -> None:
    assert Pending() == Pending((), (), declared=False)
    assert not Restarted().owed
