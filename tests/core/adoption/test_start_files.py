from __future__ import annotations

import plistlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.adoption.findings import Start, Unit
from newleaf.core.adoption.start_files import (
    read_compose,
    read_dockerfile,
    read_makefile,
    read_plist,
    read_procfile,
    read_unit,
)


def test_process_lines_are_starts_and_the_release_line_is_none() -> None:
    text = (
        "# how it runs\nweb: gunicorn --bind :$PORT shop:app\n\n"
        "worker:  python -m shop.worker \nrelease: ./migrate.sh\n"
    )
    assert read_procfile("Procfile", text) == (
        Start("procfile", "Procfile", "web", "gunicorn --bind :$PORT shop:app"),
        Start("procfile", "Procfile", "worker", "python -m shop.worker"),
    )


DOCKERFILES = {
    "exec form": ('CMD ["python", "-m", "shop"]', ("python", "-m", "shop")),
    "shell form": ("CMD python -m shop", "python -m shop"),
    "lower case": ('cmd ["shop"]', ("shop",)),
    "entry point with arguments": ('ENTRYPOINT ["shop"]\nCMD ["--port", "80"]', ("shop", "--port", "80")),
    "a later entry point forgets the command": ('CMD ["old"]\nENTRYPOINT ["shop"]', ("shop",)),
    "shell entry point takes no arguments": ('ENTRYPOINT shop serve\nCMD ["x"]', "shop serve"),
    "the last of two counts": ('CMD ["a"]\nCMD ["b"]', ("b",)),
    "the last stage counts": ('FROM a\nCMD ["a"]\nFROM b\nCMD ["b"]', ("b",)),
    "continued lines, with a comment between": (
        'CMD ["python", \\\n# why\n  "-m", "shop"]',
        ("python", "-m", "shop"),
    ),
    "a health check is no command": ('CMD ["shop"]\nHEALTHCHECK CMD curl localhost', ("shop",)),
    "a heredoc is no command": ('CMD ["shop"]\nRUN <<EOF\nCMD ["no"]\nEOF', ("shop",)),
    "not JSON after all": ("CMD [ -f x ] && shop", "[ -f x ] && shop"),
}


@pytest.mark.parametrize("situation", DOCKERFILES)
def test_a_dockerfile_says_what_its_container_runs(situation: str) -> None:
    text, command = DOCKERFILES[situation]
    (start,) = read_dockerfile("Dockerfile", text)
    assert start.command == command


def test_a_dockerfile_without_command_starts_nothing() -> None:
    assert read_dockerfile("Dockerfile", "FROM python:3.12\nRUN pip install shop\n") == ()


def test_the_work_folder_of_the_last_stage_is_known() -> None:
    text = 'FROM a\nWORKDIR /build\nFROM b\nWORKDIR /srv\nWORKDIR app\nCMD ["python", "/srv/app/main.py"]'
    (start,) = read_dockerfile("Dockerfile", text)
    assert start.working_directory == "/srv/app"


def test_services_built_here_are_starts_and_foreign_images_are_not() -> None:
    text = """
services:
  # the app
  web:
    build: .
    command: gunicorn shop:app   # in front
    restart: "always"
    environment:
      command: not-this
  worker:
    build:
      context: .
    command: ["python", "-m", "shop.worker"]
  beat:
    build: .
    command:
      - python
      - -m
      - "shop.beat"
  plain:
    build: .
  db:
    image: postgres:16
    command: postgres -c fsync=off
volumes:
  data:
"""
    starts = {start.name: start for start in read_compose("compose.yaml", text)}
    assert {name: start.command for name, start in starts.items()} == {
        "web": "gunicorn shop:app",
        "worker": ("python", "-m", "shop.worker"),
        "beat": ("python", "-m", "shop.beat"),
        "plain": "",
    }
    assert starts["web"].restart == "always"
    assert starts["worker"].restart is None


UNIT = """
[Unit]
Description=Sessions
[Service]
ExecStart=/opt/old
ExecStart=
; a remark
ExecStart=-/opt/sessions/.venv/bin/python -m sessions \\
    --port 8080
WorkingDirectory=/opt/sessions
Restart={restart}
{more}
[Install]
WantedBy={wanted}
"""


def unit(restart: str = "always", more: str = "", wanted: str = "multi-user.target") -> Start:
    found = read_unit("deploy/sessions.service", UNIT.format(restart=restart, more=more, wanted=wanted))
    assert isinstance(found, Start)
    return found


def test_a_service_is_a_start_with_its_restart_policy() -> None:
    assert unit() == Start(
        kind="systemd",
        source="deploy/sessions.service",
        name="sessions.service",
        command=("/opt/sessions/.venv/bin/python", "-m", "sessions", "--port", "8080"),
        restart="always",
        working_directory="/opt/sessions",
    )


def test_a_service_of_a_user_is_known_as_such() -> None:
    assert unit(wanted="default.target").user_level
    assert not unit().user_level


@pytest.mark.parametrize(
    ("restart", "more", "stays_down"),
    [
        ("always", "", False),
        ("on-failure", "", False),
        ("on-failure", "SuccessExitStatus=42", True),
        ("on-success", "SuccessExitStatus=42 SIGKILL", False),
        ("on-success", "", True),
        ("on-abnormal", "", True),
        ("no", "", True),
        ("", "", True),
        ("no", "RestartForceExitStatus=42", False),
        ("always", "RestartPreventExitStatus=1 42", True),
        ("always", "RestartForceExitStatus=42\nRestartPreventExitStatus=42", True),
    ],
)
def test_whether_exit_42_restarts_the_service_is_read_from_all_its_lines(
    restart: str, more: str, stays_down: bool
) -> None:
    """lessons.md L28."""
    assert unit(restart, more).refuses_exit_42 is stays_down


def test_a_service_that_runs_once_is_no_daemon() -> None:
    text = "[Service]\nType=oneshot\nExecStartPre=/usr/bin/git pull\nExecStart=/opt/update.sh\n"
    assert read_unit("update.service", text) == Unit(
        "update.service", "update.service", ("/usr/bin/git pull", "/opt/update.sh")
    )


def test_a_file_without_a_command_is_no_service() -> None:
    assert read_unit("notes.service", "the service we give to our customers\n") is None


def plist(**job: object) -> Start | Unit | None:
    return read_plist(
        "ops/org.example.sessions.plist", plistlib.dumps({"Label": "org.example.sessions", **job})
    )


@pytest.mark.parametrize(
    ("keep_alive", "restart", "stays_down"),
    [
        (True, "always", False),
        (False, "no", True),
        ({"SuccessfulExit": False}, "on-failure", False),
        ({"SuccessfulExit": True}, "on-success", True),
        ({"Crashed": True}, "on-abnormal", True),
        ({"NetworkState": True}, "always", False),
        ({}, "no", True),
    ],
)
def test_a_launchd_job_says_whether_exit_42_restarts_it(
    keep_alive: object, restart: str, stays_down: bool
) -> None:
    """lessons.md L28."""
    found = plist(ProgramArguments=["/opt/s/.venv/bin/python", "-m", "sessions"], KeepAlive=keep_alive)
    assert isinstance(found, Start)
    assert (found.restart, found.refuses_exit_42) == (restart, stays_down)
    assert found.command == ("/opt/s/.venv/bin/python", "-m", "sessions")


def test_a_launchd_job_at_times_is_no_daemon() -> None:
    found = plist(ProgramArguments=["/opt/update.sh", "--all hosts"], StartInterval=3600)
    assert found == Unit(
        "ops/org.example.sessions.plist", "org.example.sessions", ("/opt/update.sh '--all hosts'",)
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"<plist>", b"bplist00\xff\xff", plistlib.dumps({"CFBundleName": "Shop"}), plistlib.dumps(["a"])],
)
def test_a_plist_of_another_kind_is_left_out(content: bytes) -> None:
    assert read_plist("Info.plist", content) is None


def test_make_targets_carry_their_recipes() -> None:
    text = (
        ".PHONY: install\nVENV := .venv\ninstall setup: deps ## all\n"
        "\t@uv sync\n\n\tnpm ci && \\\n\t  npm run build\nrun:\n\t.venv/bin/shop\n"
    )
    assert read_makefile(text) == {
        "install": "uv sync\nnpm ci && npm run build",
        "setup": "uv sync\nnpm ci && npm run build",
        "run": ".venv/bin/shop",
    }


@given(
    st.text() | st.from_regex(r"(\w+: ?\w*\n|  +- x\n|\[Service\]\n|ExecStart=.*\n|CMD .*\n|\\\n|\t.*\n)+")
)
def test_no_text_is_too_strange(text: str) -> None:
    read_procfile("Procfile", text)
    read_dockerfile("Dockerfile", text)
    read_compose("compose.yaml", text)
    read_unit("a.service", text)
    read_makefile(text)
    read_plist("a.plist", text.encode(errors="replace"))
