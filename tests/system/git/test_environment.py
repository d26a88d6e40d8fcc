"""What git is given to work with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from newleaf.system.git.environment import ASKPASS, PASSED_ON, Access, build_environment, read_token

URL = "https://example.org:8443/app.git"


def settings_in(variables: dict[str, str]) -> dict[str, str]:
    """The settings as git would read them: the last of a name counts."""
    count = int(variables["GIT_CONFIG_COUNT"])
    return {
        variables[f"GIT_CONFIG_KEY_{n}"].lower(): variables[f"GIT_CONFIG_VALUE_{n}"] for n in range(count)
    }


def test_only_known_variables_of_the_caller_pass() -> None:
    """threats.md T19."""
    outer = {
        name: f"/{name}"
        for name in (*PASSED_ON, "https_proxy", "NO_PROXY", "GIT_DIR", "LD_PRELOAD", "SECRET")
    }

    environment = build_environment(Access(URL), outer)

    assert {name for name in environment.local if not name.startswith(("GIT_", "GCM_"))} == {
        *PASSED_ON,
        "LC_ALL",
    }
    assert environment.remote["https_proxy"] == "/https_proxy"
    assert environment.remote["NO_PROXY"] == "/NO_PROXY"
    for variables in (environment.local, environment.remote):
        assert not {"GIT_DIR", "LD_PRELOAD", "SECRET"} & variables.keys()


def test_what_threats_md_asks_for_is_set_on_every_call() -> None:
    """threats.md § How."""
    environment = build_environment(Access(URL), {"PATH": "/bin"})

    for variables in (dict(environment.local), dict(environment.remote)):
        assert variables["LC_ALL"] == "C"
        assert variables["GIT_CONFIG_NOSYSTEM"] == "1"
        assert variables["GIT_CONFIG_GLOBAL"] == "/dev/null"
        assert variables["GIT_ATTR_NOSYSTEM"] == "1"
        assert variables["GIT_NO_REPLACE_OBJECTS"] == "1"
        assert variables["GIT_TERMINAL_PROMPT"] == "0"
        settings = settings_in(variables)
        assert settings["core.hookspath"] == "/dev/null"
        assert settings["core.fsmonitor"] == "false"
        assert settings["protocol.allow"] == "never"
        assert settings["transfer.fsckobjects"] == "true"
        assert settings["transfer.credentialsinurl"] == "die"
        assert settings["submodule.recurse"] == "false"
        assert settings["gc.auto"] == "0"
        assert settings["http.lowspeedlimit"] == "1000"
        assert settings["http.lowspeedtime"] == "30"


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        (URL, "https"),
        ("git@example.org:app", "ssh"),
        ("/srv/app.git", "file"),
        ("http://127.0.0.1:1/x", "http"),
    ],
)
def test_only_the_configured_transport_is_allowed(url: str, protocol: str) -> None:
    """threats.md T16."""
    environment = build_environment(Access(url), {})

    allowed = {name for name, value in settings_in(dict(environment.remote)).items() if value == "always"}
    assert allowed == {f"protocol.{protocol}.allow"}
    assert "always" not in environment.local.values()


def test_insteadof_allows_where_it_leads() -> None:
    access = Access(URL, git_config={"url.git@example.org:.insteadOf": "https://example.org:8443/"})

    settings = settings_in(dict(build_environment(access, {}).remote))

    assert settings["protocol.ssh.allow"] == "always"
    assert "protocol.https.allow" not in settings


def test_settings_for_the_way_there_do_not_reach_local_work() -> None:
    access = Access(URL, git_config={"http.extraHeader": "Authorization: x", "filter.lfs.required": True})

    environment = build_environment(access, {})

    assert "http.extraheader" not in settings_in(dict(environment.local))
    assert settings_in(dict(environment.local))["filter.lfs.required"] == "true"
    assert settings_in(dict(environment.remote))["http.extraheader"] == "Authorization: x"


def test_ssh_asks_nobody_and_keeps_the_users_options() -> None:
    """lessons.md L10: what comes first counts for ssh."""
    plain = build_environment(Access(URL), {}).remote["GIT_SSH_COMMAND"]
    access = Access(URL, git_config={"core.sshCommand": "ssh -i key -o BatchMode=no"})
    own = build_environment(access, {}).remote["GIT_SSH_COMMAND"]

    assert plain.startswith("ssh -o BatchMode=yes ")
    assert own.startswith("ssh -o BatchMode=yes ")
    assert own.endswith(" -i key -o BatchMode=no")


def ask(question: str, token: Path) -> tuple[int, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "NEWLEAF_TOKEN_FILE": str(token),
        "NEWLEAF_TOKEN_HOST": "https://example.org:8443",
        "NEWLEAF_TOKEN_USER": "x-access-token",
    }
    done = subprocess.run(
        [str(ASKPASS), question], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("ending", ["", "\n", "\nsecond line\n"])
def test_the_askpass_helper_answers_for_its_host(tmp_path: Path, ending: str) -> None:
    token = tmp_path / "token"
    token.write_text(f"to ken\\n{ending}")

    assert ask("Username for 'https://example.org:8443': ", token) == (0, "x-access-token\n")
    assert ask("Password for 'https://x-access-token@example.org:8443': ", token) == (0, "to ken\\n\n")


@pytest.mark.parametrize(
    "question",
    [
        "Username for 'https://example.org': ",
        "Password for 'https://x-access-token@other.example.org:8443': ",
        "Password for 'https://x-access-token@example.org:8443.evil.example': ",
        "Password for 'http://x-access-token@example.org:8443': ",
        "Password for 'http://proxy.example.org:3128': ",
        "Enter passphrase for key '/home/ada/.ssh/id': ",
        "",
    ],
)
def test_the_askpass_helper_answers_nobody_else(tmp_path: Path, question: str) -> None:
    """threats.md T29."""
    token = tmp_path / "token"
    token.write_text("canary\n")

    assert ask(question, token) == (1, "")


def test_a_token_is_the_first_line(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("  canary  \nsecond\n")
    assert read_token(token) == "canary"
    assert "canary" in build_environment(Access(URL, token), {}).secrets
