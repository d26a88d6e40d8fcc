from __future__ import annotations

import pytest

from newleaf.core.adoption.findings import Findings, Project, Start
from newleaf.core.adoption.start_choice import choose_project, choose_start, daemons

SYSTEMD = Start(
    "systemd", "ops/shop.service", "shop.service", ("/opt/shop/.venv/bin/shop",), restart="always"
)
LAUNCHD = Start("launchd", "ops/org.example.shop.plist", "org.example.shop", ("shop", "-l"))
WEB = Start("procfile", "Procfile", "web", "shop --web")
WORKER = Start("procfile", "Procfile", "worker", "shop --worker")
DOCKER = Start("docker", "Dockerfile", "container", ("shop", "-d"))
COMPOSE = Start("compose", "compose.yaml", "shop", ("shop", "-c"))
PROJECT = Project(
    build_backend="b",
    manifests=("pyproject.toml",),
    scripts=("shop",),
    modules=("shop",),
    files=("main.py", "bot.py"),
)


def chosen(*starts: Start, project: Project = PROJECT, name: str = "shop") -> tuple[str, ...]:
    return choose_start(Findings(projects=(project,), starts=starts), project, name).argv


def test_what_hosts_run_today_comes_before_what_could_be_run() -> None:
    everything = [DOCKER, COMPOSE, WEB, LAUNCHD, SYSTEMD]
    order = []
    while everything:
        order.append(chosen(*everything)[1:] or ("systemd",))
        everything.pop()
    assert order == [("systemd",), ("-l",), ("--web",), ("-d",), ("-d",)]
    assert chosen(COMPOSE) == (".venv/bin/shop", "-c")
    assert chosen() == (".venv/bin/shop",)


@pytest.mark.parametrize(
    ("project", "argv"),
    [
        (Project(scripts=("shop",), modules=("shop",)), (".venv/bin/python", "-m", "shop")),
        (Project(build_backend="b", scripts=("a", "shop")), (".venv/bin/shop",)),
        (Project(build_backend="b", scripts=("a", "b")), ()),
        (Project(modules=("a", "shop")), (".venv/bin/python", "-m", "shop")),
        (Project(modules=("a", "b"), files=("main.py", "app.py")), (".venv/bin/python", "main.py")),
        (Project(), ()),
    ],
)
def test_without_a_keeper_the_plain_start_is_taken_and_doubt_is_no_choice(
    project: Project, argv: tuple[str, ...]
) -> None:
    assert chosen(project=project) == argv


def test_of_several_processes_the_apps_own_then_web_is_taken_and_the_others_are_known() -> None:
    findings = Findings(starts=(WORKER, WEB))
    choice = choose_start(findings, PROJECT, "shop")
    assert (choice.start, choice.others) == (WEB, (WORKER,))
    assert choose_start(findings, PROJECT, "worker").start == WORKER
    second = Start("systemd", "ops/aa.service", "aa.service", ("/opt/a/.venv/bin/aa",))
    assert choose_start(Findings(starts=(second, SYSTEMD)), PROJECT, "shop").start == SYSTEMD


def test_what_cannot_be_carried_over_is_passed_over_with_its_reason() -> None:
    gone = Start("systemd", "ops/a.service", "a.service", ("/opt/a/gone.sh",))
    choice = choose_start(Findings(starts=(gone, WEB)), PROJECT, "shop")
    assert choice.start == WEB
    assert choice.others == ()
    assert choice.unusable == ((gone, "runs /opt/a/gone.sh, which is not in the repository"),)


def test_starts_of_another_project_are_no_candidates() -> None:
    api, worker = Project(path="apps/api", modules=("api",)), Project(path="apps/worker")
    theirs = Start("docker", "apps/worker/ops/Dockerfile", "container", ("worker",))
    shared = Start("procfile", "Procfile", "web", "api")
    findings = Findings(projects=(Project(), api, worker), starts=(theirs, shared))
    assert choose_start(findings, api, "api").start == shared
    assert choose_start(findings, worker, "worker").start == shared
    assert daemons(findings, worker, "worker") == (theirs, shared)
    assert daemons(findings, Project(), "all") == (shared,)


API = Project(path="apps/api", modules=("api",))
WORKER_APP = Project(path="apps/worker", modules=("worker",))
LIBRARY = Project(path="libs/shared")
TOP = Project(workspace=True)


@pytest.mark.parametrize(
    ("projects", "place", "meant", "rivals"),
    [
        ((PROJECT,), ".", PROJECT, ()),
        ((PROJECT,), "src/shop", PROJECT, ()),
        ((Project(),), ".", Project(), ()),
        ((TOP, API, WORKER_APP, LIBRARY), "apps/api/src", API, ()),
        ((TOP, API, WORKER_APP, LIBRARY), "libs/shared", LIBRARY, ()),
        ((TOP, API, WORKER_APP, LIBRARY), ".", TOP, (API, WORKER_APP)),
        ((TOP, API, LIBRARY), ".", API, ()),
        ((PROJECT, API), ".", PROJECT, ()),
        ((API, WORKER_APP), ".", Project(), (API, WORKER_APP)),
        ((API,), "docs", API, ()),
        ((), ".", Project(), ()),
    ],
)
def test_the_project_is_the_one_that_one_stands_in_or_the_only_one_that_runs(
    projects: tuple[Project, ...], place: str, meant: Project, rivals: tuple[Project, ...]
) -> None:
    assert choose_project(Findings(projects=projects), place) == (meant, rivals)


def test_a_folder_with_its_own_container_can_run() -> None:
    own = Start("docker", "libs/shared/Dockerfile", "container", ("x",))
    findings = Findings(projects=(TOP, LIBRARY), starts=(own,))
    assert choose_project(findings, ".") == (LIBRARY, ())
