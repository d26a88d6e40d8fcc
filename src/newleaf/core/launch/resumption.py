"""A supervision as a record, and back: what a launcher hands to itself when it is loaded anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from newleaf.core.launch import events as e
from newleaf.core.launch.child import Child
from newleaf.core.launch.companion import Companion
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.plan import Plan
from newleaf.core.launch.supervision import Supervision

_ORDERS: Mapping[str, type[e.Handover | e.Reload | e.Hold]] = {
    kind.__name__: kind for kind in (e.Handover, e.Reload, e.Hold)
}
_APART = ("counters", "children", "order", "holder", "next")


def supervision_record(supervision: Supervision) -> dict[str, Any]:
    """All that a supervision knows."""
    plain = {name: value for name, value in vars(supervision).items() if name not in _APART}
    return {
        "plain": plain,
        "counters": supervision.counters.as_record(),
        "children": [child.as_record() for child in supervision.children.all.values()],
        "started": supervision.children.started,
        "order": _order_record(supervision.order),
        "holder": _order_record(supervision.holder),
        "next": supervision.next.as_record() if supervision.next else None,
    }


def read_supervision(record: Mapping[str, Any]) -> Supervision:
    """The same supervision again; what a newer newleaf has come to know begins as with a fresh one."""
    supervision = Supervision(Counters.read(record["counters"]))
    for name, value in record["plain"].items():
        if name in vars(supervision):
            setattr(supervision, name, value)
    children = [Child.read(child) for child in record["children"]]
    supervision.children.all = {child.number: child for child in children}
    supervision.children.started = record["started"]
    order, holder = _read_order(record["order"]), _read_order(record["holder"])
    supervision.order = None if isinstance(order, e.Hold) else order
    supervision.holder = holder if isinstance(holder, e.Hold) else None
    supervision.next = Plan.read(record["next"]) if record["next"] else None
    return supervision


def companion_record(companion: Companion) -> dict[str, Any]:
    """All that is known of the agent."""
    return dict(vars(companion))


def read_companion(record: Mapping[str, Any]) -> Companion:
    """The same again."""
    companion = Companion(wanted=True)
    companion.__dict__.update({name: record[name] for name in vars(companion) if name in record})
    return companion


def _order_record(order: e.Handover | e.Reload | e.Hold | None) -> list[Any] | None:
    return None if order is None else [type(order).__name__, *order]


def _read_order(record: list[Any] | None) -> e.Handover | e.Reload | e.Hold | None:
    return None if record is None else _ORDERS[record[0]](*record[1:])
