"""What a command starts, command by command."""

from __future__ import annotations

import json
import shlex

import pytest

from newleaf.core.releases.start_point import StartPoint, find_start_point

NOTHING = StartPoint()


@pytest.mark.parametrize(
    ("command", "point"),
    [
        ("python -m x", StartPoint(started="x")),
        ("python3.12 -m x.y serve --port 1", StartPoint(started="x.y")),
        (".venv/bin/python -m x", StartPoint(started="x")),
        ("/usr/bin/python3 -m x", StartPoint(started="x")),
        ("python -u -W a -m x", StartPoint(started="x")),
        ("python -uWa -m x", StartPoint(started="x")),
        ("python -X dev -m x", StartPoint(started="x")),
        ("python --check-hash-based-pycs never -m x", StartPoint(started="x")),
        ("python -mx", StartPoint(started="x")),
        ("python -um x 8000", StartPoint(started="x")),
        ("python -m x-y", NOTHING),
        ("python -m", NOTHING),
        ("python app.py", StartPoint(script="app.py")),
        ("python -u bin/app.py -m x", StartPoint(script="bin/app.py")),
        ("python -c 'import x'", NOTHING),
        ("python -uc 'import x'", NOTHING),
        ("python -", NOTHING),
        ("python", NOTHING),
        (".venv/bin/prog --flag", StartPoint(script=".venv/bin/prog")),
        ("/opt/other/bin/prog", NOTHING),
        ("prog", NOTHING),
        ("sh -c 'python -m x'", NOTHING),
        ("uv run python -m x", NOTHING),
        ("", NOTHING),
        ("env", NOTHING),
    ],
)
def test_words_that_name_python_code_count_and_no_others(command: str, point: StartPoint) -> None:
    assert find_start_point(shlex.split(command), None) == point


@pytest.mark.parametrize(
    ("command", "point"),
    [
        ("uvicorn pkg.mod:app", StartPoint(imported=("pkg.mod",))),
        (
            ".venv/bin/uvicorn pkg.mod:app --port 1",
            StartPoint(script=".venv/bin/uvicorn", imported=("pkg.mod",)),
        ),
        ("uvicorn --factory a:create", StartPoint(imported=("a",))),
        ("gunicorn -w 4 a.b:create()", StartPoint(imported=("a.b",))),
        ("gunicorn 'a.b:create(\"x\")'", NOTHING),
        ("python -m uvicorn a:app", StartPoint(started="uvicorn", imported=("a",))),
        ("python -m hypercorn.run a:app", StartPoint(started="hypercorn.run", imported=("a",))),
        ("python -m x a:app", StartPoint(started="x")),
        ("gunicorn -b unix:app.sock a:app", StartPoint(imported=("a",))),
        ("uvicorn a:app --header Server:mine", StartPoint(imported=("a",))),
        ("uvicorn a:app --host localhost:8000", StartPoint(imported=("a",))),
    ],
)
def test_what_a_web_server_is_told_to_load_is_loaded(command: str, point: StartPoint) -> None:
    assert find_start_point(shlex.split(command), None) == point


@pytest.mark.parametrize(
    "option", ["--app-dir lib", "--chdir=lib", "--pythonpath lib", "--env A=b", "-e A=b", "--env-file .env"]
)
def test_what_a_web_server_loads_in_its_own_way_is_not_guessed_at(option: str) -> None:
    """Else a release that starts well would be denied."""
    assert find_start_point(shlex.split(f"gunicorn {option} a:app"), None) == NOTHING


def test_variables_before_the_command_come_along() -> None:
    """An app may need them when it is imported."""
    variables = (("A", "b=c"), ("D", ""))
    assert find_start_point(shlex.split("/usr/bin/env A=b=c D= python -m x"), None) == StartPoint(
        started="x", variables=variables
    )
    assert find_start_point(["env", "A=b=c", "D=", "sh"], "other").variables == variables
    assert find_start_point(["env", "-i", "python", "-m", "x"], None) == NOTHING


def test_the_setting_names_another_module_or_none() -> None:
    assert find_start_point(["python", "-m", "x"], "y.z") == StartPoint(imported=("y.z",))
    assert find_start_point([], "y") == StartPoint(imported=("y",))
    assert find_start_point(["python", "-m", "x"], module=False) == NOTHING


def test_a_point_is_falsy_when_it_names_nothing_and_is_told_as_json() -> None:
    assert not StartPoint(variables=(("A", "b"),))
    assert StartPoint(imported=("a",))
    assert json.loads(json.dumps(StartPoint("a", None, ("b",)).as_record())) == {
        "started": "a",
        "script": None,
        "imported": ["b"],
    }
