"""`doctor`: what an update needs, checked one by one, each finding with its cure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from newleaf.cli.doctor.facts import Subject, ask
from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.core.doctor.checkup import examine, judge_git
from newleaf.core.doctor.patient import Finding
from newleaf.core.errors import NewleafError
from newleaf.system.commands import Runner
from newleaf.system.git.checkout import git_version
from newleaf.system.git.directory import OLDEST_GIT
from newleaf.system.known_apps import notes_folder

SIGNS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "red")}


@click.command(short_help="Check this host, with a cure for each finding.")
@pass_invocation
def doctor(invocation: Invocation) -> int:
    """Check git, installer, state directory, disk, clock, remote, checkout, environment and restart.

    Changes nothing. Exits with 1 when there is a problem.
    """
    app, findings = check_up(invocation)
    is_well = not any(finding.level == "problem" for finding in findings)
    record = {
        "outcome": "ok" if is_well else "failed",
        "app": app,
        "findings": [
            {"check": each.check, "level": each.level, "text": each.text, "cure": each.cure}
            for each in findings
        ],
    }
    invocation.answer(record, describe(findings))
    return 0 if is_well else 1


def check_up(invocation: Invocation) -> tuple[str | None, list[Finding]]:
    """The app's name, where there is one, and everything found."""
    try:
        host = invocation.host()
        return host.name, examine(Subject(host, notes_folder()).patient())
    except NewleafError as error:
        # Without an app, or without settings, what can be said is said.
        return None, [
            Finding("app", "problem", error.message, error.advice),
            judge_git(ask(lambda: git_version(Runner())), OLDEST_GIT),
        ]


def describe(findings: Iterable[Finding]) -> Iterator[str]:
    """The findings for people: the worst last, where the eye is when the list has gone by."""
    listed = sorted(findings, key=lambda finding: list(SIGNS).index(finding.level))
    width = max((len(finding.check) for finding in listed), default=0)
    for finding in listed:
        word, colour = SIGNS[finding.level]
        yield f"{click.style(word.ljust(7), fg=colour)}  {finding.check.ljust(width)}  {finding.text}"
        if finding.cure:
            yield f"{' ' * (11 + width)}→ {finding.cure}"
    problems = sum(finding.level == "problem" for finding in listed)
    warnings = sum(finding.level == "warning" for finding in listed)
    yield f"{problems} problem(s), {warnings} warning(s)"
