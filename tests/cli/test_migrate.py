"""`newleaf migrate` as people and programs see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.repositories import Content

MARKING = """\
from pathlib import Path
mark = Path("{name}.mark")
def check(): return mark.exists()
def migrate(): mark.touch(); return True
def revert(): mark.unlink(); return True
"""


@pytest.fixture
def host(tmp_path: Path) -> Deployment:
    files: dict[str, Content] = {
        "migrations/v1.0.0/001_a.py": MARKING.format(name="a"),
        "migrations/v1.0.0/002_b.py": "OFFLINE = True\n" + MARKING.format(name="b"),
        "migrations/v1.1.0/001_c.py": MARKING.format(name="c"),
    }
    return Deployment.make(tmp_path, files)


def test_a_dry_run_lists_what_would_run(host: Deployment) -> None:
    code, output, errors = host.text("migrate", "--dry-run")
    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "would run, after what is recorded up to 1.0.0:",
        "  1.0.0/001_a.py",
        "  1.0.0/002_b.py  (needs the daemon stopped)",
        "  not recorded, and outside the range: 1.1.0/001_c.py",
    ]
    assert not (host.state / "migration_state.json").exists()


def test_a_run_says_what_was_done_and_a_second_one_that_nothing_is_left(host: Deployment) -> None:
    (host.checkout.path / "a.mark").touch()
    code, output, _ = host.text("migrate", "--to", "1.1.0")
    assert code == 0
    assert output.splitlines() == [
        "  1.0.0/001_a.py  nothing left to do",
        "  1.0.0/002_b.py  done",
        "  1.1.0/001_c.py  done",
    ]
    assert host.text("migrate", "--from", "1.0.0", "--to", "1.1.0")[1] == (
        "nothing to run after 1.0.0 up to 1.1.0\n"
    )


def test_json_lists_the_names_in_a_dry_run_too(host: Deployment) -> None:
    dry, real = host.run("migrate", "--dry-run"), host.run("migrate")
    for answer in (dry, real):
        assert (answer.code, answer.record["schema"], answer.outcome) == (0, 1, "ok")
        assert answer.record["scripts"] == ["1.0.0/001_a.py", "1.0.0/002_b.py"]
    assert real.record["done"] == [
        {"name": "1.0.0/001_a.py", "ran": True},
        {"name": "1.0.0/002_b.py", "ran": True},
    ]


def test_back_and_forth(host: Deployment) -> None:
    host.run("migrate", "--to", "1.1.0")
    code, output, _ = host.text("migrate", "--from", "1.1.0", "--to", "0.9.0", "--dry-run")
    assert (code, output.splitlines()[0]) == (0, "would revert, from 1.1.0 back to 0.9.0:")
    assert host.run("migrate", "--from", "1.1.0", "--to", "0.9.0").outcome == "ok"
    assert not list(host.checkout.path.glob("*.mark"))
    assert host.record("migration_state.json") == {"schema": 1, "applied": []}


def test_a_failure_names_the_script_and_shows_the_end_of_what_it_said(host: Deployment) -> None:
    script = host.checkout.path / "migrations/v1.0.0/002_b.py"
    script.write_text("def check():\n    print('looking')\n    return 1\ndef migrate(): ...\n")
    code, output, errors = host.text("migrate")
    assert (code, output) == (1, "")
    assert errors.splitlines()[:2] == [
        "newleaf: migration v1.0.0/002_b.py failed: check() returned 1, neither True nor False",
        "  | looking",
    ]
    answer = host.run("migrate")
    assert (answer.code, answer.outcome) == (1, "failed")
    assert answer.record["errors"][0]["code"] == "migration_failed"
    assert answer.record["errors"][0]["lines"] == ["looking"]
    assert host.record("migration_state.json")["applied"] == ["1.0.0/001_a.py"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--from", "soon"], "'soon' is no version"), (["--too", "1"], "No such option"), (["x"], "unexpected")],
)
def test_wrong_use_exits_2(host: Deployment, arguments: list[str], said: str) -> None:
    answer = host.run("migrate", *arguments)
    assert (answer.code, answer.outcome) == (2, "usage")
    assert said in answer.record["errors"][0]["message"]


def test_two_scripts_with_one_number_exit_1_before_anything_runs(host: Deployment) -> None:
    (host.checkout.path / "migrations/v1.0.0/001_z.py").write_text(MARKING.format(name="z"))
    answer = host.run("migrate")
    assert (answer.code, answer.record["errors"][0]["code"]) == (1, "migration_number_twice")
    assert not list(host.checkout.path.glob("*.mark"))


def test_a_corrupt_state_exits_7_with_the_way_out(host: Deployment) -> None:
    """lessons.md L20."""
    host.run("migrate", "--dry-run")
    (host.state / "migration_state.json").write_text("{")
    code, _, errors = host.text("migrate")
    assert code == 7
    assert f"{host.state}/migration_state.json cannot be read: not JSON" in errors
    assert "mv " in errors
