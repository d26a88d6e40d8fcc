from __future__ import annotations

import pytest
from msgspec.structs import replace

from newleaf.core.adoption.findings import BuildStep, CheckoutFacts, DeployScript, Findings, Project, Start
from newleaf.core.adoption.obstacles import LEVELS, RULES, Situation, choose_remote, find_obstacles
from newleaf.core.adoption.start_choice import StartChoice

URL = "https://example.org/shop.git"
PROJECT = Project(name="shop", manifests=("pyproject.toml",), locks=("uv.lock",))
UNIT = Start("systemd", "ops/shop.service", "shop.service", ("shop",), restart="always")
GOOD = Situation(
    findings=Findings(projects=(PROJECT,), programs=frozenset({"git", "uv"})),
    checkout=CheckoutFacts(top="/srv/shop", head="a" * 40, branch="main", remotes={"origin": URL}),
    project=PROJECT,
    rivals=(),
    start=StartChoice(UNIT, (".venv/bin/shop",)),
    install="auto",
)


def with_findings(**changes: object) -> Situation:
    return replace(GOOD, findings=replace(GOOD.findings, **changes))


def with_checkout(**changes: object) -> Situation:
    return replace(GOOD, checkout=replace(GOOD.checkout, **changes))


def with_project(**changes: object) -> Situation:
    return replace(GOOD, project=replace(PROJECT, **changes))


NODE = BuildStep("node", "package.json", "npm ci && npm run build")
SPAWNED = Start("procfile", "Procfile", "web", "shop")
WORKER = Start("procfile", "Procfile", "worker", "shop")
POETRY = {"locks": ("poetry.lock",)}

CASES: dict[str, tuple[Situation, str, str]] = {
    "no_commit": (with_checkout(head=None), "cannot", "no commit yet"),
    "no_remote": (with_checkout(remotes={}), "cannot", "no git remote"),
    "no_remote: none is meant": (
        with_checkout(remotes={"a": URL, "b": URL}),
        "cannot",
        "none of the remotes a, b",
    ),
    "remote_refused": (
        with_checkout(remotes={"origin": "https://me:canary@example.org/shop.git"}),
        "cannot",
        "https://me:****@example.org/shop.git, must not hold credentials",
    ),
    "remote_refused: a program": (
        with_checkout(remotes={"origin": "ext::sh -c x"}),
        "cannot",
        "must be one word",
    ),
    "submodules": (with_findings(submodules=("vendor/lib",)), "cannot", "submodules (vendor/lib)"),
    "submodules: without .gitmodules": (with_checkout(embedded=("x",)), "cannot", "submodules (x)"),
    "large_files": (with_findings(lfs=("*.bin",)), "cannot", "keeps *.bin, and git-lfs is not installed"),
    "no_python": (
        with_findings(projects=(), images=("Dockerfile",)),
        "cannot",
        "no Python project here, only Dockerfile",
    ),
    "no_python: nothing at all": (with_findings(projects=()), "attention", "no Python project"),
    "unreadable": (with_project(problem="not TOML: line 1"), "cannot", "pyproject.toml is not TOML: line 1"),
    "several_projects": (
        replace(GOOD, rivals=(Project(path="a"), Project(path="b"))),
        "cannot",
        "several apps are here (a, b)",
    ),
    "several_daemons": (
        replace(GOOD, start=StartChoice(SPAWNED, ("shop",), (WORKER,))),
        "cannot",
        "Procfile starts 2 processes (web, worker)",
    ),
    "shared_checkout": (replace(GOOD, sharing=("other",)), "cannot", "other lives in this checkout too"),
    "needs_build": (with_findings(builds=(NODE,)), "cannot", "does not run it: npm ci && npm run build"),
    "needs_build: a compiler": (
        with_findings(builds=(BuildStep("extension", "Cargo.toml", "installing the project compiles it"),)),
        "attention",
        "needs its compiler",
    ),
    "interrupted": (with_checkout(operation="rebase"), "attention", "a rebase is under way"),
    "detached": (with_checkout(branch=None), "attention", "HEAD is detached"),
    "another_branch": (
        with_checkout(branch="mine", default_branch="main", remote_branches=frozenset({"origin/main"})),
        "attention",
        "mine is checked out, and main is followed",
    ),
    "unpushed": (with_checkout(unpushed=2), "attention", "2 commit(s) here are on no remote"),
    "local_edits": (
        with_checkout(changed=("a", "b", "c", "d")),
        "attention",
        "local edits in a, b, c and 1 more",
    ),
    "no_start": (
        replace(GOOD, start=StartChoice(unusable=((WORKER, "names no program"),))),
        "attention",
        "no way to start the daemon was found (Procfile names no program)",
    ),
    "unlocked": (with_findings(programs=frozenset({"git"})), "attention", "uv is not installed here"),
    "unlocked: poetry": (
        with_project(**POETRY, build_backend="poetry.core.masonry.api"),
        "attention",
        "poetry.lock is poetry's, which is not installed here: pip installs",
    ),
    "unlocked: pipenv": (
        with_project(locks=("Pipfile.lock",)),
        "cannot",
        "Pipfile.lock is pipenv's, which is not installed here: nothing can install it",
    ),
    "unlocked: nothing": (with_project(locks=(), build_backend="b"), "attention", "no lock file"),
    "foreign_migrations": (
        with_findings(foreign_migrations=("alembic.ini",)),
        "attention",
        "alembic.ini belongs",
    ),
    "untracked": (with_findings(untracked=("uv.lock",)), "attention", "uv.lock is here but not in git"),
    "tracked_secrets": (
        replace(
            with_checkout(tracked=frozenset({".env"})), findings=replace(GOOD.findings, secrets=(".env",))
        ),
        "attention",
        ".env is tracked by git",
    ),
    "other_deployers": (
        with_findings(deploy_scripts=(DeployScript("update.sh", "runs `git pull`"),)),
        "attention",
        "update.sh runs `git pull`: beside newleaf",
    ),
    "stays_down": (
        replace(GOOD, start=StartChoice(replace(UNIT, restart="no", refuses_exit_42=True), ("shop",))),
        "attention",
        "ops/shop.service leaves the daemon down after exit code 42 (restart: no)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_in_the_way_is_said_with_its_way_out(case: str) -> None:
    """lessons.md L8, L28; threats.md T16, T17, T29."""
    situation, level, text = CASES[case]
    notes = find_obstacles(situation)
    assert [note.level for note in notes] == [level]
    assert text in notes[0].text
    assert notes[0].cure
    assert "canary" not in notes[0].text + notes[0].cure


def test_every_rule_has_a_case_that_it_alone_speaks_in() -> None:
    assert [rule.__name__ for rule in RULES] == list(dict.fromkeys(case.partition(":")[0] for case in CASES))
    for case, (situation, _, _) in CASES.items():
        speaking = [rule.__name__ for rule in RULES if list(rule(situation))]
        assert speaking == [case.partition(":")[0]]


def test_a_good_repository_has_nothing_in_the_way() -> None:
    assert find_obstacles(GOOD) == []


@pytest.mark.parametrize(
    "situation",
    [
        with_findings(lfs=("*.bin",), programs=frozenset({"git-lfs", "uv"})),
        replace(with_findings(builds=(NODE,)), install="make install"),
        with_findings(builds=(BuildStep("script", "build.py", "x"),)),
        with_findings(secrets=(".env",)),
        replace(with_project(**POETRY), install="poetry install"),
    ],
)
def test_what_works_is_not_complained_about(situation: Situation) -> None:
    assert find_obstacles(situation) == []


def test_a_command_that_newleaf_toml_names_need_not_be_found() -> None:
    unfound = replace(GOOD, start=StartChoice(None))
    assert [note.level for note in find_obstacles(unfound)] == ["attention"]
    assert find_obstacles(replace(unfound, has_command=True)) == []


def test_the_worst_is_said_first() -> None:
    worst = replace(with_checkout(unpushed=1, remotes={}), sharing=("x",))
    levels = [note.level for note in find_obstacles(worst)]
    assert levels == ["cannot", "cannot", "attention"]
    assert levels == sorted(levels, key=LEVELS.index)


@pytest.mark.parametrize(
    ("remotes", "upstream", "chosen"),
    [
        ({"origin": "o", "fork": "f"}, "fork", ("origin", "o")),
        ({"upstream": "u", "fork": "f"}, "fork", ("fork", "f")),
        ({"only": "x"}, None, ("only", "x")),
        ({"a": "x", "b": "y"}, None, None),
        ({}, None, None),
    ],
)
def test_the_remote_is_origin_else_the_branchs_own_else_the_only_one(
    remotes: dict[str, str], upstream: str | None, chosen: tuple[str, str] | None
) -> None:
    assert choose_remote(CheckoutFacts("/x", remotes=remotes, upstream_remote=upstream)) == chosen
