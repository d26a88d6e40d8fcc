"""The examples' stage: an app published, deployed and kept on it, and what it says when a check fails."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from examples.stage.redis_server import redis_of
from examples.stage.stage import Stage, play, set_stage
from newleaf.cli.demo.sandbox import wait_until
from newleaf.core.errors import DemoStuck

PROJECT = """\
[project]
name = "tiny"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = ["redis"]
"""
DAEMON = """\
import os, sys, time
with open(os.path.expanduser("~/told"), "w") as told:
    told.write(" ".join(os.environ[name] for name in ("NEWLEAF_KEEPER", "NEWLEAF_APP__COMPUTER_NAME")))
while True:
    time.sleep(0.02)
    if os.path.exists(os.path.expanduser("~/leave")):
        os.unlink(os.path.expanduser("~/leave"))
        sys.exit(42)
"""


pytestmark = pytest.mark.usefixtures("own_temporary_folder")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    example = tmp_path / "example"
    (example / "app/__pycache__").mkdir(parents=True)
    (example / "v1.1.0").mkdir()
    (example / "app/pyproject.toml").write_text(PROJECT)
    (example / "app/newleaf.toml").write_text('[app]\nname = "tiny"\n')
    (example / "app/.gitignore").write_text(".venv/\n")
    (example / "app/daemon.py").write_text(DAEMON)
    (example / "v1.1.0/more.py").write_text("MORE = True\n")
    return example


def test_app_is_published_deployed_and_kept_without_a_registry(example: Path) -> None:
    lines: list[str] = []
    with set_stage("tiny", "redis[hiredis]", write=lines.append) as stage:
        maintainer = stage.maintainer("tiny", example)
        maintainer.publish_first()
        one, two = (stage.host(name, "tiny") for name in ("one", "two"))
        for host in (one, two):
            host.clone(maintainer.remote)
            assert host.newleaf("init", "--channel", "beta", "--yes").status == 0
        commit = maintainer.publish_next("1.1.0", "More")
        assert one.newleaf("update").status == 0
        assert (one.commit(), one.ask("version")["app"]["version"]) == (commit, "1.1.0")
        assert two.commit() != commit
        assert not list(maintainer.clone.rglob("__pycache__"))
        python = one.checkout / ".venv/bin/python"
        one.sandbox.run(python, "-c", "import redis", cwd=one.checkout)
        with stage.keeping(one, [python, "daemon.py"]) as service:
            home = one.sandbox.folder
            wait_until((home / "told").exists, "the daemon")
            assert (home / "told").read_text() == "1 one"
            (home / "leave").touch()
            wait_until(lambda: len(service.events("started")) == 2, "its return")
    assert [check.holds for check in stage.checks] == [True]
    assert not stage.folder.exists()
    assert any("$ newleaf update" in line for line in lines)


def test_process_that_is_left_is_ended_and_told() -> None:
    with (
        subprocess.Popen(["sleep", "60"], start_new_session=True) as child,
        set_stage("tiny", write=lambda _: None) as stage,
    ):
        stage.sandbox.note_group(child.pid)
    assert child.wait() == -signal.SIGKILL
    assert [check.holds for check in stage.checks] == [False]


@pytest.mark.parametrize(
    ("trouble", "code"), [(None, 0), (False, 1), (DemoStuck(reason="it rains"), 1), (OSError("gone"), 1)]
)
def test_example_succeeds_when_all_holds_and_it_came_to_its_end(
    trouble: Exception | bool | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def story(stage: Stage) -> None:
        if isinstance(trouble, Exception):
            raise trouble
        stage.check("it is dry", expected=True, seen=trouble is None)

    assert play("tiny", story) == code
    assert ("✗" in capsys.readouterr().out) is bool(code)


def test_users_own_redis_is_taken_where_it_is_named() -> None:
    with redis_of({"REDIS_URL": "redis://example.org"}) as url:
        assert url == "redis://example.org"
    with redis_of({}) as url:
        assert url.startswith("unix://")
