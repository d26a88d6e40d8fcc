"""`/update` in a chat: which lines are meant for newleaf, and what is answered.

Rules: a command is alone on its line, in any case, for any bot or for this one by name; nothing else of a
chat is newleaf's. What is answered holds at most 4,000 characters, the middle cut, and nothing that looks
like a secret or would command a terminal (threats.md T29).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from newleaf.core.release import Release
from newleaf.core.secrets import mask_text
from newleaf.core.texts import cut_middle, defused

MAX_CHARACTERS = 4000
SHORT_CHARACTERS = 400
"""For a chat that refuses the long form: each counts in its own way."""
SHOWN_COMMITS = 20

UPDATE, STATUS, WHY = "update", "status", "why"
RECEIPT = "Received. What comes of it follows."

_COMMAND = re.compile(
    r"[ \t]*/update(?:@(?P<bot>[a-z0-9_]{1,64}))?(?:[ \t]+(?P<word>status|why))?[ \t]*\Z",
    re.IGNORECASE | re.ASCII,
)
_SENTENCES = {
    "up_to_date": "Already up to date at {to}.",
    "updated": "Updated to {to}.",
    "held": "Held at {from}.",
    "ok": "Back at {to}.",
    "failed": "The update to {to} failed; {from} stays.",
    "waiting": "{to} is owed; it waits.",
    "refused": "{to} was refused; {from} stays.",
    "rolled_back": "{to} failed; back at {from}.",
    "inconsistent": "This host needs a person.",
    "usage": "The update could not begin.",
}


def read_command(text: str, bot: str | None = None) -> str | None:
    """`update`, `status` or `why`; None for what is not newleaf's. `bot` is this bot's name."""
    for line in text.splitlines():
        found = _COMMAND.match(line)
        if found and (bot is None or found["bot"] is None or found["bot"].lower() == bot.lower()):
            return (found["word"] or UPDATE).lower()
    return None


def outcome_text(record: Mapping[str, Any], characters: int = MAX_CHARACTERS) -> str:
    """What came of an update, from the record of `newleaf update --json`."""
    return _shown(_outcome(record), characters)


def status_text(record: Mapping[str, Any]) -> str:
    """How the host stands, from the record of `newleaf status --json`."""
    return _shown(_status(record) if "status" in record else _errors(record))


def why_text(record: Mapping[str, Any]) -> str:
    """What holds an update back, from the record of `newleaf why --json`."""
    return _shown(_why(record) if "summary" in record else _errors(record))


def _shown(lines: Iterator[str], characters: int = MAX_CHARACTERS) -> str:
    return cut_middle(defused(mask_text("\n".join(lines))), characters)


def _outcome(record: Mapping[str, Any]) -> Iterator[str]:
    outcome, target = str(record["outcome"]), _name(record.get("to"))
    sentence = _SENTENCES.get(outcome, outcome)
    yield sentence.format_map(
        {"from": _name(record.get("from")) or "what is here", "to": target or "the target"}
    )
    if outcome in ("updated", "ok"):
        confirmed = "The new process has reported it." if record.get("confirmed") else _UNCONFIRMED
        yield confirmed
    commits = record.get("commits") or {}
    if commits.get("count"):
        yield f"{commits['count']} commit{'s' if commits['count'] != 1 else ''}:"
        yield from (f"  {commit['id'][:9]} {commit['subject']}" for commit in commits["list"][:SHOWN_COMMITS])
        if commits["count"] > SHOWN_COMMITS:
            yield f"  … and {commits['count'] - SHOWN_COMMITS} more"
    yield from _waiting(record)
    yield from _errors(record)
    yield from (str(note) for note in record.get("notes") or ())


_UNCONFIRMED = "Installed, not yet confirmed: no process has reported it."


def _status(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"{record['app']} on {record['computer']}: {record['status']}"
    yield f"running: {_name(record.get('running')) or 'unknown, no live process has reported'}"
    if record.get("target"):
        yield f"target: {_name(record['target'])}"
    yield f"channel: {record['channel']}, since {record['timestamp']}"
    yield from _waiting(record)
    if record.get("error"):
        yield f"error: {record['error']}"


def _why(record: Mapping[str, Any]) -> Iterator[str]:
    yield str(record["summary"])
    if record.get("pin"):
        yield f"pinned: {record['pin']}"
    for gate in record.get("gates") or ():
        since = f" since {gate['since']}" if gate.get("since") else ""
        yield f"{gate['gate']} {'holds' if gate['holds'] else 'waits'}{since}: {gate['reason']}"
    for commit, entry in (record.get("denied") or {}).items():
        yield f"denied: {commit[:9]} since {entry.get('when')}: {entry.get('why')}"
    failure = record.get("last_failure")
    if failure:
        to = f", to {_name(failure['to'])}" if failure.get("to") else ""
        yield f"last failure: {failure['outcome']} at {failure['at']}{to}"
        yield from _errors(failure)


def _waiting(record: Mapping[str, Any]) -> Iterator[str]:
    for waiting in record.get("waiting_for") or ():
        yield f"waits for {waiting['gate']}: {waiting['reason']}"


def _errors(record: Mapping[str, Any]) -> Iterator[str]:
    """All of them, with what the programs behind them said (lessons.md L5)."""
    for error in record.get("errors") or ():
        yield f"{error.get('code')}: {error.get('message')}"
        yield from (f"  | {line}" for line in error.get("lines") or ())
        if error.get("cure"):
            yield f"  {error['cure']}"


def _name(record: object) -> str:
    release = Release.read(record)
    return release.name if release else ""
