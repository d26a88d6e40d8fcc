"""Every failure is data: what happened, what to do, and how a program tells it from the others."""

from __future__ import annotations

import importlib
import pkgutil
import string
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import newleaf.core
from newleaf.core import errors
from newleaf.core.errors import (
    CommandFailed,
    CommandTimedOut,
    CorruptFile,
    DiskFull,
    FailedError,
    InconsistentError,
    LockedError,
    NewleafError,
    RefusedError,
    RolledBackError,
    SettingsInvalid,
    StateDirectoryUnsafe,
    UsageError,
)
from newleaf.core.output_errors import OutputError
from newleaf.core.records import EXIT_CODES

for module in pkgutil.walk_packages(newleaf.core.__path__, "newleaf.core."):
    importlib.import_module(module.name)

FAMILIES: dict[type[NewleafError], tuple[str, int]] = {
    UsageError: ("usage", 2),
    FailedError: ("failed", 1),
    LockedError: ("locked", 3),
    RefusedError: ("refused", 5),
    RolledBackError: ("rolled_back", 6),
    InconsistentError: ("inconsistent", 7),
}


def below(kind: type[NewleafError]) -> Iterator[type[NewleafError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def names_in(template: str | None) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template or "") if name}


CONCRETE = sorted(
    {kind for kind in below(NewleafError) if kind.__module__.startswith("newleaf.core.")}
    - FAMILIES.keys()
    - {OutputError},
    key=lambda kind: kind.__qualname__,
)
HERE = [kind for kind in CONCRETE if kind.__module__ == errors.__name__]
"""The others are filled by the tests of their own modules."""


# --- the message and the cure ------------------------------------------------------------


def test_the_message_is_the_docstring_filled_from_the_facts() -> None:
    """lessons.md L2"""
    error = CommandFailed(what="git fetch", status=128, output="no such host")
    assert error.message == str(error) == "git fetch failed (exit 128): no such host"
    assert error.facts == {"what": "git fetch", "status": 128, "output": "no such host"}


def test_the_cure_is_filled_from_the_same_facts() -> None:
    assert CorruptFile(path="/s/journal.jsonl", reason="line 2").advice == (
        "look at the file; move it away to start it anew: mv /s/journal.jsonl /s/journal.jsonl.broken"
    )
    assert (
        StateDirectoryUnsafe(path="/s", reason="is open to all", mend="chmod 700 /s").advice == "chmod 700 /s"
    )


def test_a_docstring_over_several_lines_is_one_line() -> None:
    class Long(FailedError):
        """the first half
        and {what}
        """

        code = "long"

    assert Long(what="the second").message == "the first half and the second"


def test_braces_in_a_fact_are_text() -> None:
    error = CommandFailed(what="{status}", status=1, output="{'a': {}} {0} {output.__class__}")
    assert error.message == "{status} failed (exit 1): {'a': {}} {0} {output.__class__}"


@pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.__name__)
def test_a_fact_that_is_not_given_stays_visible_and_hides_no_failure(kind: type[NewleafError]) -> None:
    error = kind()
    for name in names_in(kind.__doc__):
        assert "{" + name + "}" in error.message
    for name in names_in(kind.cure):
        assert "{" + name + "}" in error.advice
    assert error.as_record()["code"] == kind.code


def test_where_python_leaves_docstrings_out_the_failure_is_still_said() -> None:
    program = """if True:
        from newleaf.core.errors import CommandFailed
        from newleaf.core.place_errors import FolderGone
        print(CommandFailed(what="git fetch", status=128, output="no such host").message)
        print(FolderGone().message)
    """
    said = subprocess.run([sys.executable, "-OO", "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["command failed: git fetch: 128: no such host", "folder gone"]


def test_a_number_is_told_without_needless_digits() -> None:
    assert (
        CommandTimedOut(what="make", seconds=120.0).message == "make took longer than 120 s and was stopped"
    )


# --- the record ---------------------------------------------------------------------------


def test_the_record_holds_code_message_and_cure() -> None:
    assert DiskFull(path="/s", free="1 MiB", needed="2 MiB").as_record() == {
        "code": "disk_full",
        "message": "not enough room on the disk of /s: 1 MiB free, 2 MiB needed",
        "cure": "free some space there and run newleaf update again",
    }


def test_where_there_is_nothing_to_advise_the_record_has_no_cure() -> None:
    assert CommandFailed(what="make", status=2, output="").as_record().keys() == {"code", "message"}


def test_invalid_settings_carry_every_problem_for_programs() -> None:
    problems = [{"key": "watch.poll_seconds", "reason": "is no number"}]
    record = SettingsInvalid(listed="watch.poll_seconds is no number", problems=problems).as_record()
    assert record["problems"] == problems
    assert record["message"] == "watch.poll_seconds is no number"
    assert SettingsInvalid(listed="").as_record()["problems"] == []


# --- the families -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: kind.__name__)
def test_a_family_has_the_contract_s_outcome_and_exit_code(kind: type[NewleafError]) -> None:
    outcome, exit_code = FAMILIES[kind]
    assert (kind.outcome, kind.exit_code) == (outcome, exit_code)
    assert EXIT_CODES[outcome] == exit_code


def test_an_error_of_no_family_is_a_failure() -> None:
    error = NewleafError(reason="for a reason")
    assert (error.outcome, error.exit_code, error.message) == ("failed", 1, "newleaf failed: for a reason")


@pytest.mark.parametrize("kind", HERE, ids=lambda kind: kind.__name__)
def test_an_error_keeps_the_outcome_and_exit_code_of_its_one_family(kind: type[NewleafError]) -> None:
    families = [family for family in FAMILIES if issubclass(kind, family)]
    assert len(families) == 1
    assert (kind.outcome, kind.exit_code) == FAMILIES[families[0]]


@pytest.mark.parametrize("kind", CONCRETE, ids=lambda kind: kind.__name__)
def test_an_error_has_a_message_and_a_code_that_no_other_has(kind: type[NewleafError]) -> None:
    assert "code" in vars(kind)
    assert [other for other in [*CONCRETE, *FAMILIES] if other.code == kind.code] == [kind]
    assert kind.code.isidentifier()
    assert kind.code.islower()
    assert vars(kind).get("__doc__"), "the docstring is the message"


@pytest.mark.parametrize("kind", HERE, ids=lambda kind: kind.__name__)
def test_message_and_cure_are_whole_when_all_facts_are_given(kind: type[NewleafError]) -> None:
    facts: dict[str, Any] = dict.fromkeys(names_in(kind.__doc__) | names_in(kind.cure), 1.0)
    error = kind(**facts)
    assert "{" not in error.message + error.advice
    assert error.message == error.message.strip()
    assert error.message
