from __future__ import annotations

import os
import plistlib
from pathlib import Path

import pytest

from newleaf.core.adoption.findings import BuildStep, DeployScript, Findings
from newleaf.system.repository import list_files, look, programs
from tests.support.app_repositories import (
    DOCKER_ONLY,
    MONOREPO,
    POETRY_PROJECT,
    REQUIREMENTS_PROJECT,
    UV_PROJECT,
    lay,
)


def found(top: Path, files: dict[str, str]) -> Findings:
    return look(lay(top, files))


def test_a_uv_project_is_found_with_all_that_surrounds_it(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {".env": "TOKEN=x", "data/a": "", "one.sqlite3": "", ".venv/lib/shop/pyproject.toml": "[project]"},
    )
    findings = look(lay(tmp_path, UV_PROJECT), frozenset(UV_PROJECT))
    assert [project.name for project in findings.projects] == ["Sessions_Daemon"]
    assert [(start.kind, start.name) for start in findings.starts] == [("systemd", "sessions.service")]
    assert findings.make_targets["install"] == "uv sync"
    assert findings.migrations == ("migrations",)
    assert findings.foreign_migrations == ()
    assert findings.secrets == (".env",)
    assert findings.data == ("data", "one.sqlite3")
    assert findings.deploy_scripts == ()
    assert findings.builds == ()
    assert findings.untracked == ()


def test_a_poetry_project_is_found(tmp_path: Path) -> None:
    findings = found(tmp_path, POETRY_PROJECT)
    assert findings.projects[0].uses_poetry
    assert [(start.source, start.command) for start in findings.starts] == [
        ("Procfile", "poetry run mail-sorter --watch")
    ]


def test_requirements_alone_are_a_project_and_its_pull_script_a_deployment(tmp_path: Path) -> None:
    findings = found(tmp_path, REQUIREMENTS_PROJECT)
    assert [project.requirements for project in findings.projects] == [("requirements.txt",)]
    assert findings.deploy_scripts == (DeployScript("update.sh", "runs `git pull`"),)


def test_every_project_of_a_monorepo_is_found(tmp_path: Path) -> None:
    findings = found(tmp_path, MONOREPO | {"tests/fixtures/pyproject.toml": '[project]\nname="no"'})
    assert [project.path for project in findings.projects] == [".", "apps/api", "apps/worker", "libs/shared"]


def test_apps_with_requirements_alone_are_found_in_their_folders(tmp_path: Path) -> None:
    files = {
        "api/requirements.txt": "a",
        "api/main.py": "",
        "docs/requirements.txt": "sphinx",
        "README.md": "",
    }
    assert [project.path for project in found(tmp_path, files).projects] == ["api"]


def test_a_repository_of_images_has_no_project(tmp_path: Path) -> None:
    findings = found(tmp_path, DOCKER_ONLY)
    assert findings.projects == ()
    assert findings.images == ("Dockerfile",)
    assert [start.kind for start in findings.starts] == ["docker", "compose"]


def test_an_empty_repository_has_nothing(tmp_path: Path) -> None:
    assert look(tmp_path) == Findings(programs=programs())


def test_units_and_jobs_are_told_apart(tmp_path: Path) -> None:
    files = {
        "ops/shop.service": "[Service]\nExecStart=/opt/shop/.venv/bin/shop\n",
        "ops/pull.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/git -C /opt/shop pull\n",
    }
    (lay(tmp_path, files) / "org.example.shop.plist").write_bytes(
        plistlib.dumps({"Label": "org.example.shop", "ProgramArguments": ["shop"], "KeepAlive": True})
    )
    findings = look(tmp_path)
    assert [start.name for start in findings.starts] == ["shop.service", "org.example.shop"]
    assert [unit.source for unit in findings.units] == ["ops/pull.service"]
    assert findings.deploy_scripts == (DeployScript("ops/pull.service", "runs `git -C /opt/shop pull`"),)


def test_submodules_and_large_files_are_found(tmp_path: Path) -> None:
    files = {
        ".gitmodules": '[submodule "lib"]\n\tpath = vendor/lib\n\turl = https://example.org/lib\n',
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n*.txt text\n",
        "models/.gitattributes": "# *.no filter=lfs\nbig/** filter=lfs\n",
    }
    findings = found(tmp_path, files)
    assert findings.submodules == ("vendor/lib",)
    assert findings.lfs == ("*.bin", "models/big/**")


BUILDS: dict[str, tuple[dict[str, str], list[BuildStep]]] = {
    "npm": (
        {"package.json": '{"scripts": {"build": "vite build"}}', "package-lock.json": "{}"},
        [BuildStep("node", "package.json", "npm ci && npm run build")],
    ),
    "pnpm in a folder": (
        {"web/package.json": '{"scripts": {"build": "x"}}', "web/pnpm-lock.yaml": ""},
        [BuildStep("node", "web/package.json", "cd web && pnpm install --frozen-lockfile && pnpm run build")],
    ),
    "yarn": (
        {"package.json": '{"scripts": {"build": "x"}}', "yarn.lock": ""},
        [BuildStep("node", "package.json", "yarn install --frozen-lockfile && yarn build")],
    ),
    "no lock file": (
        {"package.json": '{"scripts": {"build": "x"}}'},
        [BuildStep("node", "package.json", "npm install && npm run build")],
    ),
    "a package that builds nothing": ({"package.json": '{"scripts": {"lint": "x"}}'}, []),
    "no package at all": ({"package.json": "[["}, []),
    "a compiled extension": (
        {"pyproject.toml": '[project]\nname="a"\n[build-system]\nbuild-backend="maturin"'},
        [BuildStep("extension", "pyproject.toml", "installing the project compiles it")],
    ),
    "Rust beside it": (
        {"pyproject.toml": '[project]\nname="a"', "Cargo.toml": ""},
        [BuildStep("extension", "Cargo.toml", "installing the project compiles it")],
    ),
    "a build script": (
        {"pyproject.toml": '[tool.poetry]\nname="a"\nbuild="build.py"'},
        [BuildStep("script", "build.py", "the project's own build runs it")],
    ),
}


@pytest.mark.parametrize("situation", BUILDS)
def test_build_steps_are_found(situation: str, tmp_path: Path) -> None:
    files, steps = BUILDS[situation]
    assert list(found(tmp_path, files).builds) == steps


DEPLOYERS: dict[str, tuple[str, str, str | None]] = {
    "a pull script of any name": (
        "ops/refresh.sh",
        "cd /opt/x; git fetch && git reset --hard origin/main",
        "runs `git reset --hard`",
    ),
    "a push script": (
        "deploy.sh",
        "rsync -a . host:/opt/x\nssh host systemctl restart x",
        "reaches hosts with `rsync`",
    ),
    "a script that talks of git": ("build.sh", "# git pull first\necho done", None),
    "a checkout in CI": (".github/workflows/test.yml", "- run: git pull\n- run: pytest", None),
    "a CI job over ssh": (
        ".github/workflows/deploy.yml",
        "- uses: someone/ssh-action@v1",
        "a CI job reaches hosts over ssh",
    ),
    "another CI": (".gitlab-ci.yml", "deploy:\n  script: ssh host update", "a CI job reaches hosts over ssh"),
    "Fabric": ("fabfile.py", "", "Fabric deploys over ssh"),
    "Ansible": ("ops/playbook.yml", "- hosts: all", "Ansible deploys over ssh"),
    "pm2": ("ecosystem.config.js", "", "pm2 keeps and deploys processes"),
    "Kamal": ("config/deploy.yml", "", "Kamal deploys containers"),
    "a library of ssh": ("src/tunnel.py", "ssh = connect()", None),
}


@pytest.mark.parametrize("situation", DEPLOYERS)
def test_what_deploys_today_is_found(situation: str, tmp_path: Path) -> None:
    path, text, why = DEPLOYERS[situation]
    scripts = found(tmp_path, {path: text}).deploy_scripts
    assert [(script.source, script.why) for script in scripts] == ([(path, why)] if why else [])


def test_a_make_target_that_deploys_is_found(tmp_path: Path) -> None:
    makefile = "deploy:\n\tssh host 'cd /opt/x && git pull'\npull:\n\tgit pull\ntest:\n\tpytest\n"
    scripts = found(tmp_path, {"Makefile": makefile}).deploy_scripts
    assert [script.source for script in scripts] == ["make deploy", "make pull"]


@pytest.mark.parametrize(
    ("path", "own", "foreign"),
    [
        ("migrations/v1.2.0/001_a.py", ("migrations",), ()),
        ("db/migrations/v1.2.0/010_b.py", ("db/migrations",), ()),
        ("migrations/env.py", (), ("migrations",)),
        ("shop/migrations/0001_initial.py", (), ("shop/migrations",)),
        ("migrations/versions/abc_add.py", (), ("migrations",)),
        ("alembic.ini", (), ("alembic.ini",)),
        ("migrations/README.md", (), ()),
    ],
)
def test_migrations_are_told_from_those_of_other_tools(
    path: str, own: tuple[str, ...], foreign: tuple[str, ...], tmp_path: Path
) -> None:
    findings = found(tmp_path, {path: ""})
    assert (findings.migrations, findings.foreign_migrations) == (own, foreign)


def test_a_lock_file_outside_git_is_noticed(tmp_path: Path) -> None:
    lay(tmp_path, {"pyproject.toml": '[project]\nname="a"', "uv.lock": ""})
    findings = look(tmp_path, frozenset({"pyproject.toml"}))
    assert findings.untracked == ("uv.lock",)
    assert findings.projects[0].locks == ()


def test_environments_caches_and_packages_of_others_are_not_looked_into(tmp_path: Path) -> None:
    files = {
        "a.py": "",
        "node_modules/x/package.json": "",
        ".git/config": "",
        "own-env/pyvenv.cfg": "",
        "own-env/b.py": "",
    }
    assert list(list_files(lay(tmp_path, files))) == ["a.py"]


def test_nothing_outside_the_repository_is_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("web: stolen\n")
    top = lay(tmp_path / "repository", {"ok/Procfile": "web: shop\n"})
    (top / "Procfile").symlink_to(outside)
    (top / "ops").mkdir()
    (top / "ops" / "Procfile").symlink_to(top / "ok" / "Procfile")
    assert [(start.source, start.command) for start in look(top).starts] == [
        ("ok/Procfile", "shop"),
        ("ops/Procfile", "shop"),
    ]


def test_pipes_huge_and_broken_files_do_not_stop_the_look(tmp_path: Path) -> None:
    top = lay(tmp_path, {"Dockerfile": "#" * 1_100_000, "setup.py": "setup(name='a')"})
    os.mkfifo(top / "Makefile")
    (top / "Procfile").symlink_to("Procfile")
    (top / "a.service").write_bytes(b"\xff\xfe[Service]\nExecStart=x\n")
    findings = look(top)
    assert [project.name for project in findings.projects] == ["a"]
    assert findings.unread == ("Dockerfile", "Procfile")


def test_nothing_of_the_repository_is_run_or_changed(tmp_path: Path) -> None:
    trap = "import pathlib\npathlib.Path('touched').touch()\n"
    files = {
        "setup.py": trap,
        "main.py": trap,
        "build.py": trap,
        "fabfile.py": trap,
        "Makefile": "install:\n\ttouch touched\n",
    }
    top = lay(tmp_path, files)
    before = sorted(path.name for path in top.iterdir())
    look(top)
    assert sorted(path.name for path in top.iterdir()) == before


def test_names_that_are_no_text_can_be_shown(tmp_path: Path) -> None:
    os.makedirs(os.fsencode(tmp_path) + b"/\xff")
    for name in (b"/\xff/Procfile", b"/\xff.service"):
        Path(os.fsdecode(os.fsencode(tmp_path) + name)).write_text("[Service]\nExecStart=x\n")
    assert {path.encode() for path in look(tmp_path).paths} == {b"?/Procfile", b"?.service"}


def test_programs_are_looked_for_on_the_given_path(tmp_path: Path) -> None:
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    (tmp_path / "make").write_text("not executable")
    assert programs(str(tmp_path)) == {"uv"}
