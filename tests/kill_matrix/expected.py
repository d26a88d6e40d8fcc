"""What must follow, by the contract: written down by hand, never computed from newleaf's own tables.

For each layout and release: what the journal says of an attempt that nothing disturbs, and, for each state in
which newleaf can be killed, what it says from then on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """One release on one layout."""

    clean: str
    """The states of an attempt that nothing disturbs."""
    after: dict[str, str]
    """Killed in this state: the states that follow. `*` stands for a whole attempt, begun anew."""
    words: str
    """The status words that updates publish, whatever is killed; the daemon's own `deployed` comes on top."""
    outcome: str
    status: str

    def following(self, state: str, *, migrated: bool = False) -> list[str]:
        """What follows a kill in `state`; `migrated` when the last migration was on record by then."""
        key = f"{state}, migrated" if migrated and f"{state}, migrated" in self.after else state
        return self.after[key].replace("*", self.clean).split()


_BESIDE = {"begin": "*", "fetch": "discarded *", "verify": "discarded *", "stage": "discarded *"}
_ARRIVING = {
    "install": "install migrate activate restart done",
    "migrate": "migrate activate restart done",
    "migrate, migrated": "activate restart done",
    "activate": "activate restart done",
    "restart": "done",
    "done": "",
}

EXPECTED: dict[tuple[str, str], Expected] = {
    ("in_place", "good"): Expected(
        clean="fetch verify stage snapshot install migrate activate restart done",
        after={
            **_BESIDE,
            "snapshot": "snapshot install migrate activate restart done",
            **_ARRIVING,
        },
        words="updating installing migrating restarting",
        outcome="updated",
        status="deployed",
    ),
    ("in_place", "failing migration"): Expected(
        clean="fetch verify stage snapshot install migrate revert rolled_back",
        after={
            **_BESIDE,
            "snapshot": "snapshot install migrate revert rolled_back",
            "install": "install migrate revert rolled_back",
            "migrate": "migrate revert rolled_back",
            "revert": "revert rolled_back",
            "rolled_back": "",
        },
        words="updating installing migrating rolled_back",
        outcome="rolled_back",
        status="rolled_back",
    ),
    ("slots", "good"): Expected(
        clean="fetch verify stage snapshot migrate activate restart done",
        after={
            **_BESIDE,
            "snapshot": "snapshot migrate activate restart done",
            **_ARRIVING,
        },
        words="updating installing migrating restarting",
        outcome="updated",
        status="deployed",
    ),
    ("slots", "failing migration"): Expected(
        clean="fetch verify stage snapshot migrate revert rolled_back",
        after={
            **_BESIDE,
            "snapshot": "snapshot migrate revert rolled_back",
            "migrate": "migrate revert rolled_back",
            "revert": "revert rolled_back",
            "rolled_back": "",
        },
        words="updating installing migrating rolled_back",
        outcome="rolled_back",
        status="rolled_back",
    ),
    ("slots", "code only"): Expected(
        clean="fetch verify stage activate restart done",
        after={**_BESIDE, "activate": "activate restart done", "restart": "done", "done": ""},
        words="updating restarting waiting",
        outcome="updated",
        status="deployed",
    ),
    ("in_place", "code only"): Expected(
        clean="fetch verify stage install activate restart done",
        after={
            **_BESIDE,
            "install": "install activate restart done",
            "activate": "activate restart done",
            "restart": "done",
            "done": "",
        },
        words="updating restarting waiting",
        outcome="updated",
        status="deployed",
    ),
}

UNTOUCHED = ("begin", "fetch", "verify", "stage", "wait", "snapshot")
"""In these states nothing live has been touched."""

MOMENTS: dict[tuple[str, str, str], dict[str, int]] = {
    ("in_place", "good", "rest"): {
        "begin": 1,
        "fetch": 7,
        "verify": 2,
        "stage": 2,
        "snapshot": 6,
        "install": 29,
        "migrate": 9,
        "activate": 2,
        "restart": 7,
        "done": 3,
    },
    ("in_place", "good", "fsyncs"): {"snapshot": 6, "restart": 4},
    ("in_place", "failing migration", "rest"): {"migrate": 7, "revert": 33, "rolled_back": 5},
    ("slots", "good", "rest"): {
        "begin": 1,
        "fetch": 6,
        "verify": 2,
        "stage": 15,
        "snapshot": 6,
        "migrate": 9,
        "activate": 6,
        "restart": 7,
        "done": 3,
    },
    ("slots", "good", "fsyncs"): {"stage": 11, "activate": 2},
    ("slots", "failing migration", "rest"): {"migrate": 7, "revert": 8, "rolled_back": 5},
    ("slots", "code only", "rest"): {"stage": 10, "restart": 9},
    ("in_place", "code only", "rest"): {"activate": 2, "restart": 9, "done": 3},
}
"""How many events there are in each state, by kind (`observed_newleaf.py` tells them apart).

The states that a release has in common with another one are killed in once. An fsync is told apart because a
kill before it leaves what a kill before the next event leaves: a few of them do. That of a journal's line is
none of these.
"""
