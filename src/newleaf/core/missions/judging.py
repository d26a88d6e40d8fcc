"""What a host does with a mission that it reads: rules over plain data, in this order.

1. For another host, by name: refused; for other labels: passed over (lessons.md L37, L39).
2. Signed by nobody that the host knows, or by a key that may not say this: refused, where the host has keys.
3. Known: the stored result is told again, nothing is done again (threats.md T27).
4. Paused: left where it is (L39), unless it ends the pause.
5. Expired, from the future, or older than what the same key has ordered already: refused (T27).
6. Of a kind that nobody here handles, or saying more than that kind may: refused (T26).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from newleaf.core.missions import kinds, signatures
from newleaf.core.missions.envelope import Envelope
from newleaf.core.missions.faults import Fault
from newleaf.core.missions.signatures import MissionKey

ACCEPT, REFUSE, PASS_OVER, KNOWN, LEAVE = "accept", "refuse", "pass over", "known", "leave"

MAX_SKEW = timedelta(minutes=5)
"""How far ahead of this host's clock a publisher's may be."""


class Receiver(Struct, frozen=True):
    """The host that judges. `handled` are the app's kinds; `keys` is None where nothing need be signed."""

    name: str
    prefix: str
    labels: Mapping[str, str] = {}
    branch: str = "main"
    handled: frozenset[str] = frozenset()
    keys: Mapping[str, MissionKey] | None = None


class Memory(Struct, frozen=True):
    """What the host remembers: whether it has had this mission, and the last number of its key and target."""

    is_known: bool = False
    sequence: int = 0
    is_paused: bool = False


class Judgement(Struct, frozen=True):
    """What is done, and why."""

    word: str
    fault: Fault | None = None


def judge(
    fields: Mapping[str, str], envelope: Envelope, receiver: Receiver, memory: Memory, now: datetime
) -> Judgement:
    """What is done with a mission."""
    if not envelope.target.means(receiver.name, receiver.labels):
        if envelope.target.host is None:
            return Judgement(PASS_OVER)
        return _refused("not_for_this_host", f"it is for {envelope.target.text}, and this is {receiver.name}")
    if receiver.keys is not None:
        fault = signatures.find_fault(fields, envelope, receiver.prefix, receiver.keys)
        if fault:
            return Judgement(REFUSE, fault)
    if memory.is_known:
        return Judgement(KNOWN)
    if memory.is_paused and envelope.mission_kind not in kinds.HEARD_WHILE_PAUSED:
        return Judgement(LEAVE)
    fault = (
        _time_fault(envelope, now)
        or _sequence_fault(envelope, receiver, memory)
        or _kind_fault(envelope, receiver)
    )
    return Judgement(REFUSE, fault) if fault else Judgement(ACCEPT)


def _time_fault(envelope: Envelope, now: datetime) -> Fault | None:
    if envelope.expires_at <= now:
        return Fault("expired", f"it was to be done before {envelope.expires_at:%Y-%m-%d %H:%M:%S} UTC")
    if envelope.issued_at > now + MAX_SKEW:
        return Fault("from_the_future", "it was issued later than now; are the clocks right?")
    return None


def _sequence_fault(envelope: Envelope, receiver: Receiver, memory: Memory) -> Fault | None:
    said = signatures.sequence_of(envelope) if receiver.keys is not None else None
    if said and said[1] <= memory.sequence:
        return Fault("older_in_sequence", f"the key {said[0]} has ordered something later already")
    return None


def _kind_fault(envelope: Envelope, receiver: Receiver) -> Fault | None:
    kind = envelope.mission_kind
    if kind in kinds.FIELDS:
        return kinds.find_fault(kind, envelope.context, receiver.branch)
    if kind not in receiver.handled:
        return Fault("unknown_kind", f"nobody on this host handles {kind}")
    return None


def _refused(rule: str, reason: str) -> Judgement:
    return Judgement(REFUSE, Fault(rule, reason))
