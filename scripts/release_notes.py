"""Writes what a version brings, from git alone: `release_notes.py TAG`, as Markdown on stdout.

The commits since the version before it, sorted by what their first word says was done, and the
migrations that hosts will run on the way. A full release is compared with the full release
before it, so that what its candidates brought is told again; a candidate with the tag before it.
Standard library only, so that any Python can run it before anything is installed.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

VERSION_TAG = re.compile(r"v\d+\.\d+\.\d+\S*")
MIGRATION = re.compile(r"migrations/v(\d+)\.(\d+)\.(\d+)/(\d+)_\w+\.py")
BREAKING = re.compile(r"^breaking(?: change)?: *(.+)", re.IGNORECASE | re.MULTILINE)

GROUPS = {
    "Added": {"add", "adds", "allow", "feat", "introduce", "offer", "support"},
    "Fixed": {"correct", "fix", "fixes", "mend", "repair"},
    "Removed": {"delete", "drop", "remove", "removes", "retire"},
}
"""Sections, by the first word of a commit's subject; any other word says that something changed."""


class NotesError(Exception):
    """Says what is wrong and what helps."""


@dataclass(frozen=True)
class Commit:
    """One commit, told in its own words."""

    id: str
    subject: str
    body: str

    @property
    def group(self) -> str:
        """The section that it belongs in."""
        word = re.split(r"\W", self.subject, maxsplit=1)[0].lower()
        return next((group for group, words in GROUPS.items() if word in words), "Changed")


def git(*arguments: str) -> str:
    """What git answers in the current folder."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotesError(done.stderr.strip() or f"git {arguments[0]} failed")
    return done.stdout


def refuse_guessing(tag: str) -> None:
    """Raises NotesError where the history that the notes are made from is not there."""
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        raise NotesError("this clone is shallow, older versions are missing: git fetch --unshallow --tags")
    if not git("tag", "--list", tag).strip():
        raise NotesError("no such tag here: git fetch --tags")


def previous_version(tag: str) -> str | None:
    """The version tag before this one in its own history; None for the first."""
    candidates = ["--exclude=v*[a-z-]*"] if re.fullmatch(r"v[\d.]+", tag) else []
    try:
        return git("describe", "--tags", "--abbrev=0", "--match=v[0-9]*", *candidates, f"{tag}^").strip()
    except NotesError:
        return None


def commits_between(previous: str | None, tag: str) -> list[Commit]:
    """Newest first, without merges: what they brought stands beside them."""
    reach = f"{previous}..{tag}" if previous else tag
    log = git("log", "--no-merges", "-z", "--format=%h%x1f%s%x1f%b", reach, "--")
    return [Commit(*entry.split("\x1f")) for entry in log.split("\0") if entry]


def migrations_between(previous: str | None, tag: str) -> list[tuple[str, str]]:
    """Path and first docstring line of each script that came, in the order in which hosts run them."""
    empty_tree = git("hash-object", "-t", "tree", os.devnull).strip()
    added = git("diff", "--name-only", "--no-renames", "--diff-filter=A", previous or empty_tree, tag, "--")
    found = [
        (tuple(map(int, match.groups())), path)
        for path in added.split("\n")
        if (match := MIGRATION.fullmatch(path))
    ]
    return [(path, first_docstring_line(git("show", f"{tag}:{path}"))) for _, path in sorted(found)]


def first_docstring_line(source: str) -> str:
    """What a script says of itself; nothing when it says nothing."""
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def notes(tag: str) -> Iterator[str]:
    """The lines of the page."""
    previous = previous_version(tag)
    commits = commits_between(previous, tag)
    yield f"Changes since {previous}." if previous else "The first version."
    breaking = [text for commit in commits for text in BREAKING.findall(commit.body)]
    if breaking:
        yield from ("", "## Breaking", "", *(f"- {text}" for text in breaking))
    for group in ("Added", "Changed", "Fixed", "Removed"):
        lines = [f"- {commit.subject} ({commit.id})" for commit in commits if commit.group == group]
        if lines:
            yield from ("", f"## {group}", "", *lines)
    yield from ("", "## Migrations", "")
    lines = [f"- `{path}`{': ' if what else ''}{what}" for path, what in migrations_between(previous, tag)]
    yield from lines or ["None: data and configuration stay as they are."]


def main(arguments: list[str]) -> int:
    """0 with the page on stdout, 1 with the reason on stderr, 2 for wrong use."""
    if len(arguments) != 1 or not VERSION_TAG.fullmatch(arguments[0]):
        print("usage: release_notes.py TAG, where TAG is v1.2.3 or v1.2.3-rc.1", file=sys.stderr)
        return 2
    tag = arguments[0]
    try:
        refuse_guessing(tag)
        print("\n".join(notes(tag)))
    except NotesError as error:
        print(f"no notes for {tag}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
