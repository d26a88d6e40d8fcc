"""What must be true of a host of the matrix: at the moment of a kill, and in the end."""

from __future__ import annotations

import json

from tests.kill_matrix.expected import EXPECTED, UNTOUCHED
from tests.kill_matrix.story import Bench, Story
from tests.kill_matrix.table import Row

ONCE_MOVED = {"in_place": ("activate", "restart", "done"), "slots": ("restart", "done")}
"""In these states the release is live: in place it is before it is activated, with slots thereafter."""


def check_right_then(story: Story, state: str) -> None:
    """What must hold at the moment of the kill, before anything has mended anything."""
    base, host, here = story.base, story.host, story.look()
    data, keepsakes, leaflet = here
    assert host.live() in {base.first, base.second}
    assert data["notes.txt"] == story.at_first[0]["notes.txt"]
    assert "app.db" in data, "the database can be read at any time"
    if state in UNTOUCHED:
        assert (host.live(), host.halfway(), here) == (base.first, [], story.at_first)
    if state == "activate":
        assert host.halfway() == [], "the link leads to one release or to the other"
    if state in ONCE_MOVED[host.layout]:
        assert (host.live(), host.halfway(), leaflet) == (base.second, [], base.scenario.leaflet)
    if state not in {"install", "revert"}:
        assert keepsakes == story.at_first[1]
    assert keepsakes[".env"] == story.at_first[1][".env"]
    if state not in {"restart", "done"}:
        assert story.service.starts == [story.service.pid], "the daemon is left alone before the restart"
    status = story.deployment.record("status.json")
    daemon = story.deployment.record("daemon.pid")
    claimed = (status["running"] or {}).get("commit")
    assert claimed in {None, base.first, daemon["commit"]}, "no status tells of what no process has reported"


def check_ending(story: Story, bench: Bench, *, arrives: bool = True, attempts_before: bool = False) -> None:
    """Where every host ends, whatever befell it on the way.

    `arrives` is False where a good release was made to fail; `attempts_before` says whether attempts that
    failed have lines of their own in the history, and may have left a snapshot.
    """
    base, ending, clean = story.base, story.ending, bench.clean(story.host.layout, story.base.scenario).ending
    expected = EXPECTED[story.host.layout, base.scenario.name]
    arrives = arrives and base.scenario.arrives
    arrived = base.second if arrives else base.first
    assert (ending.live, ending.running) == (arrived, arrived)
    assert ending.status == (expected.status if arrives else "rolled_back")
    assert ending.leaflet == (base.scenario.leaflet if arrives else "1.0.0")
    assert ending.data == (clean.data if arrives else story.at_first[0])
    assert ending.keepsakes == story.at_first[1]
    assert ending.halfway == []
    assert ending.denied == (set() if arrives else {base.second})
    told = [outcome for outcome in ending.outcomes if not (attempts_before and outcome == ("failed", None))]
    assert told == [(expected.outcome, True) if arrives else ("rolled_back", None)]
    if not attempts_before and arrives == base.scenario.arrives:
        assert ending.leftovers == clean.leftovers
    assert not [path for path in ending.leftovers if is_temporary(path)]


def is_temporary(path: str) -> bool:
    """Whether a path is that of something unfinished."""
    parts = path.split("/")
    return any(
        part.endswith((".tmp", ".lock.tmp", ".newleaf-old", "index.lock", "HEAD.lock"))
        or part.startswith((".new-", ".old-", "tmp_", ".newleaf-restore"))
        for part in parts
    )


def is_migrated(story: Story) -> bool:
    """Whether the release's migration is on record."""
    path = story.deployment.state / "migration_state.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    return bool(record.get("applied"))


def check_words(story: Story, state: str) -> None:
    """What was published, besides that a daemon is waited for, which may have followed before that.

    Killed beside the live release, an attempt is told from its beginning again; what is installed there by
    then is not installed again.
    """
    expected = EXPECTED[story.host.layout, story.base.scenario.name].words.split()
    words = [word for word in story.words if word != "waiting"]
    if state == "stage":
        last = len(words) - 1 - words[::-1].index("updating")
        assert words[:last] in ([], ["updating"], ["updating", "installing"])
        words = words[last:]
        expected = [word for word in expected if word in words or word != "installing"]
    assert words == [word for word in expected if word != "waiting"]


def row(story: Story, struck: str, outcome: str | None = None) -> Row:
    told = outcome or story.answers[-2].outcome
    return Row(story.host.layout, story.base.scenario.name, struck, story.told(), told, story.seconds)
