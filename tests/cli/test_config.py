"""`newleaf config`, as a person types it: in a checkout, with a host's file, with the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from newleaf.cli.config import masked, show
from newleaf.core.settings.fragments import Sources, load, read_environment, read_toml
from newleaf.core.settings.model import KEYS

CANARY = "hunter2canary"
APP = '[app]\nname = "sessions"\n'
PROGRAM = "import sys; from newleaf.cli.main import run; sys.exit(run(sys.argv[1:]))"


@dataclass
class Host:
    """A checkout and a state directory, and a shell that stands in the checkout."""

    checkout: Path
    state: Path

    def config(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NEWLEAF_")}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, "config", *arguments],
            cwd=self.checkout,
            env={**kept, "HOME": str(self.state.parent), "NEWLEAF_STATE_DIR": str(self.state), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def record(self, *arguments: str, **variables: str) -> dict[str, Any]:
        found = json.loads(self.config("--json", *arguments, **variables).stdout)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path / "app", tmp_path / ".sessions")
    made.checkout.mkdir()
    made.state.mkdir(mode=0o700)
    git = ["git", "-C", str(made.checkout)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "https://git.example.org/app.git"], check=True)
    (made.checkout / "newleaf.toml").write_text(APP)
    return made


def row(text: str, key: str) -> list[str]:
    (found,) = [line for line in text.splitlines() if line.startswith(f"{key} ")]
    return [cell.strip() for cell in found.split("  ") if cell.strip()]


def test_each_key_is_shown_with_value_and_origin(host: Host) -> None:
    (host.state / "host.toml").write_text('[deployment]\nchannel = "beta"\n')
    said = host.config(NEWLEAF_WATCH__POLL_SECONDS="1m")
    assert said.returncode == 0, said.stderr
    assert [line.split()[0] for line in said.stdout.splitlines()] == ["key", *KEYS]
    assert row(said.stdout, "app.name") == ["app.name", '"sessions"', str(host.checkout / "newleaf.toml")]
    assert row(said.stdout, "deployment.channel")[1:] == ['"beta"', str(host.state / "host.toml")]
    assert row(said.stdout, "watch.poll_seconds")[1:] == ['"1m"', "NEWLEAF_WATCH__POLL_SECONDS"]
    assert row(said.stdout, "health.ready")[1:] == ['"30s"', "default"]
    assert row(said.stdout, "app.layout")[1:] == ['"in_place"', "default"]
    assert row(said.stdout, "source.url")[1:] == ['"https://git.example.org/app.git"', "default"]


def test_json_is_one_object_with_value_and_origin_of_each_key(host: Host) -> None:
    record = host.record(NEWLEAF_UPDATE__KEEP_RELEASES="5")
    assert record["outcome"] == "ok"
    assert list(record["settings"]) == list(KEYS)
    assert record["settings"]["update.keep_releases"] == {
        "value": 5,
        "origin": "NEWLEAF_UPDATE__KEEP_RELEASES",
    }
    assert record["settings"]["watch.poll_seconds"] == {"value": 300.0, "origin": "default"}


def test_check_says_ok(host: Host) -> None:
    said = host.config("--check")
    assert (said.returncode, said.stdout, said.stderr) == (0, "ok\n", "")
    assert host.record("--check")["outcome"] == "ok"


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_every_problem_is_said_on_standard_error_and_exits_2(host: Host, arguments: tuple[str, ...]) -> None:
    (host.checkout / "newleaf.toml").write_text(APP + '[source]\nurl = "x"\n[watch]\npol_seconds = 1\n')
    (host.state / "host.toml").write_text("[deployment]\npinned_minor = 1.10\n")
    said = host.config(*arguments)
    assert (said.returncode, said.stdout) == (2, "")
    for part in (
        f"{host.checkout / 'newleaf.toml'}: source.url is for the host alone",
        "did you mean watch.poll_seconds?",
        f"{host.state / 'host.toml'}: deployment.pinned_minor must be a text in quotes",
    ):
        assert part in said.stderr
    assert "Traceback" not in said.stderr


def test_every_problem_is_in_the_json(host: Host) -> None:
    (host.checkout / "newleaf.toml").write_text(APP + "[watch]\njitter = 2\npol_seconds = 1\n")
    said = host.config("--check", "--json")
    record = json.loads(said.stdout)
    assert said.returncode == 2
    assert (record["schema"], record["outcome"]) == (1, "usage")
    assert record["errors"][0]["code"] == "settings_invalid"
    assert len(record["errors"][0]["problems"]) == 2


def test_what_only_a_part_can_judge_is_judged(host: Host) -> None:
    said = host.config("--check", NEWLEAF_GATES__WINDOW="at night", NEWLEAF_SOURCE__BRANCH="--upload-pack=x")
    assert said.returncode == 2
    assert "NEWLEAF_GATES__WINDOW: gates.window must be days" in said.stderr
    assert "source.branch begins with -" in said.stderr


def test_file_that_is_no_toml_is_said_with_its_line(host: Host) -> None:
    (host.state / "host.toml").write_text("[deployment\n")
    said = host.config("--check")
    assert said.returncode == 2
    assert f"{host.state / 'host.toml'}, line 1: " in said.stderr


def test_app_file_that_is_no_toml_is_said_even_when_it_should_name_the_app(host: Host) -> None:
    (host.checkout / "newleaf.toml").write_text('[app]\nname = "sessions\n')
    said = host.config("--check", NEWLEAF_STATE_DIR="")
    assert said.returncode == 2
    assert f"{host.checkout / 'newleaf.toml'}, line 2: " in said.stderr


def test_schema_is_printed_wherever_one_stands(tmp_path: Path) -> None:
    said = Host(tmp_path, tmp_path / "none").config("--schema")
    assert said.returncode == 0
    assert json.loads(said.stdout)["additionalProperties"] is False
    assert not (tmp_path / "none").exists()


def test_secrets_are_masked_in_text_and_json(host: Host) -> None:
    """threats.md T29."""
    (host.state / "host.toml").write_text(
        f"""
        [notify]
        urls = ["https://hooks.example.org/services/{CANARY}"]
        [status]
        redis_url = "redis://user:{CANARY}@localhost:6379/0"
        [fleet]
        redis_url = "rediss://:{CANARY}@bus.example.org"
        [source.git_config]
        "http.extraHeader" = "X-Strange: {CANARY}"
        "http.https://git.example.org/.extraHeader" = ["", "{CANARY}"]
        "http.proxy" = "http://me:{CANARY}@proxy.example.org:3128"
        [http]
        token_file = "/run/secrets/token"
        [health]
        url = "http://127.0.0.1/health?token={CANARY}"
        command = "check --password {CANARY} --api-key={CANARY}"
        [gates]
        lease_url = "https://{CANARY}@lease.example.org"
        """
    )
    for arguments in ((), ("--json",)):
        said = host.config(*arguments)
        assert said.returncode == 0, said.stderr
        assert CANARY not in said.stdout + said.stderr
        for part in ("hooks.example.org", "/run/secrets/token", "localhost:6379", "proxy.example.org"):
            assert part in said.stdout


def test_password_given_as_an_own_argument_is_masked() -> None:
    assert masked("health.command", ("check", "--password", CANARY, "-v")) == [
        "check",
        "--password",
        "****",
        "-v",
    ]


def test_show_is_pure_and_covers_every_key() -> None:
    loaded = load(Sources(app=read_toml(APP.encode(), "newleaf.toml"), environment=read_environment({})))
    record, lines = show(loaded)
    assert len(lines) == len(KEYS) + 1
    assert json.loads(json.dumps(record)) == record
