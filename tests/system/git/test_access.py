"""Private repositories: against local servers that really ask who one is."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec import field

from newleaf.core.errors import NewleafError
from newleaf.core.releases.git_errors import (
    GitSettingRefused,
    RemoteInvalid,
    RemoteUnknownHost,
    RemoteUntrusted,
    RemoteWantsCredentials,
    TokenUnreadable,
)
from newleaf.system.commands import Command, Finished, Runner
from newleaf.system.git.directory import Git, Repository
from newleaf.system.git.environment import ASKPASS, Access
from tests.support.certificates import make_certificate
from tests.support.git_servers import (
    SSHD,
    SshServer,
    basic,
    proxying,
    served,
    ssh_agent,
    sshd,
)
from tests.support.http_server import Answer, LocalServer, Received, serving
from tests.support.repositories import Remote

TOKEN = "canary-t0ken"
MAIN = "refs/heads/main"


class Watching(Runner):
    """Remembers what other users of the machine could see of a command: its arguments."""

    seen: list[str] = field(default_factory=list)

    def run(self, command: Command) -> Finished:
        self.seen += map(str, command.argv)
        return super().run(command)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote.make(tmp_path)
    made.commit({"app.py": "one\n"})
    return made


@pytest.fixture
def private(remote: Remote) -> Iterator[LocalServer]:
    """The remote, over http, for who has the token."""
    with serving(served(remote, basic("x-access-token", TOKEN))) as server:
        yield server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(f"{TOKEN}\n")
    return file


def git_for(
    folder: Path,
    url: str,
    outer: Mapping[str, str] | None = None,
    runner: Runner | None = None,
    **access: object,
) -> Git:
    """The updater's git, in an environment that holds nothing of this machine's."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **(outer or {})}
    way = Access(url, timeout_seconds=20.0, **access)  # type: ignore[arg-type]
    return Git(Repository(folder / "own-git"), way, runner or Runner(), environment)


def brings_everything(git: Git, remote: Remote) -> bool:
    """Whether refs and objects come through."""
    head = remote.id_of(MAIN)
    assert git.ls_remote(MAIN) == {MAIN: head}
    git.fetch({MAIN: head})
    return git.show(head, "app.py") == b"one\n"


# --- http: token, helper, header --------------------------------------------------------


def test_a_token_file_opens_a_private_repository(
    tmp_path: Path, remote: Remote, private: LocalServer, token_file: Path
) -> None:
    """threats.md T29: the token is in no argument."""
    runner = Watching()
    git = git_for(tmp_path, f"{private.url}/remote.git", runner=runner, token_file=token_file)

    assert brings_everything(git, remote)

    assert runner.seen
    assert not any(TOKEN in argument for argument in runner.seen)
    assert any("authorization" in request.headers for request in private.received)


def test_the_askpass_helper_can_be_run() -> None:
    assert os.access(ASKPASS, os.X_OK)


def test_without_credentials_the_failure_says_so_and_nobody_is_asked(
    tmp_path: Path, private: LocalServer
) -> None:
    """lessons.md L10: no prompt is possible."""
    git = git_for(tmp_path, f"{private.url}/remote.git", {"SSH_ASKPASS": "/bin/false", "DISPLAY": ":0"})

    with pytest.raises(RemoteWantsCredentials) as caught:
        git.ls_remote(MAIN)

    assert "terminal prompts disabled" in caught.value.message
    assert "source.token_file" in caught.value.advice


def test_a_wrong_token_is_refused_and_not_repeated(
    tmp_path: Path, private: LocalServer, token_file: Path
) -> None:
    """threats.md T29."""
    token_file.write_text("wrong-canary\n")
    git = git_for(tmp_path, f"{private.url}/remote.git", token_file=token_file)

    with pytest.raises(RemoteWantsCredentials) as caught:
        git.ls_remote(MAIN)

    assert "wrong-canary" not in str(caught.value.as_record())


def test_a_server_that_echoes_the_token_does_not_get_it_into_the_error(
    tmp_path: Path, token_file: Path
) -> None:
    """threats.md T29: git shows what the server says; secrets are masked in it."""

    def echo(request: Received) -> Answer:
        if "authorization" not in request.headers:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="test"'})
        return Answer(403, {"Content-Type": "text/plain"}, f"Permission denied to {TOKEN}".encode())

    with serving(echo) as server, pytest.raises(NewleafError) as caught:
        git_for(tmp_path, f"{server.url}/remote.git", token_file=token_file).ls_remote(MAIN)

    assert "Permission denied to ****" in caught.value.message
    assert TOKEN not in str(caught.value.as_record())


def test_a_token_is_not_sent_to_another_host(tmp_path: Path, remote: Remote, token_file: Path) -> None:
    """threats.md T29: not even when the right host sends git there."""
    with serving(served(remote, basic("x-access-token", TOKEN))) as thief:

        def redirect(request: Received) -> Answer:
            return Answer(302, {"Location": f"{thief.url}{request.target}"})

        with serving(redirect) as server, pytest.raises(RemoteWantsCredentials):
            git_for(tmp_path, f"{server.url}/remote.git", token_file=token_file).ls_remote(MAIN)

    assert thief.received
    assert not any("authorization" in request.headers for request in thief.received)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path, token_file: Path, mode: int) -> None:
    """threats.md T29."""
    token_file.chmod(mode)

    with pytest.raises(TokenUnreadable) as caught:
        git_for(tmp_path, "https://example.org/app.git", token_file=token_file)

    assert "chmod 600" in caught.value.advice


def test_a_token_file_that_is_missing_or_empty_is_refused(tmp_path: Path, token_file: Path) -> None:
    with pytest.raises(TokenUnreadable):
        git_for(tmp_path, "https://example.org/app.git", token_file=tmp_path / "none")
    token_file.write_text("\n")
    with pytest.raises(TokenUnreadable):
        git_for(tmp_path, "https://example.org/app.git", token_file=token_file)


def test_a_credential_helper_of_the_allow_list_opens_it(tmp_path: Path, remote: Remote) -> None:
    helper = f"!f() {{ echo username=ada; echo password={TOKEN}; }}; f"
    with serving(served(remote, basic("ada", TOKEN))) as server:
        git = git_for(tmp_path, f"{server.url}/remote.git", git_config={"credential.helper": helper})

        assert brings_everything(git, remote)


def test_a_credential_helper_for_one_address_is_asked_for_it_alone(tmp_path: Path, remote: Remote) -> None:
    helper = f"!f() {{ echo username=ada; echo password={TOKEN}; }}; f"
    with serving(served(remote, basic("ada", TOKEN))) as server:
        url = f"{server.url}/remote.git"
        other = {"credential.https://example.org.helper": helper}
        own = {"credential": {server.url: {"helper": helper}}}

        with pytest.raises(RemoteWantsCredentials):
            git_for(tmp_path, url, git_config=other).ls_remote(MAIN)
        assert git_for(tmp_path, url, git_config=own).ls_remote(MAIN)


def test_an_extra_header_opens_it_and_is_in_no_argument(tmp_path: Path, remote: Remote) -> None:
    """threats.md T29."""
    runner = Watching()
    with serving(served(remote, f"Bearer {TOKEN}")) as server:
        settings = {f"http.{server.url}/.extraHeader": f"Authorization: Bearer {TOKEN}"}
        git = git_for(tmp_path, f"{server.url}/remote.git", runner=runner, git_config=settings)

        assert brings_everything(git, remote)

    assert not any(TOKEN in argument for argument in runner.seen)


def test_insteadof_leads_elsewhere_and_the_token_goes_there(
    tmp_path: Path, remote: Remote, private: LocalServer, token_file: Path
) -> None:
    settings = {f"url.{private.url}/.insteadOf": "https://example.org/"}
    git = git_for(tmp_path, "https://example.org/remote.git", git_config=settings, token_file=token_file)

    assert brings_everything(git, remote)


def test_the_users_own_git_settings_do_not_count(tmp_path: Path, private: LocalServer) -> None:
    """threats.md T19: a helper in ~/.gitconfig is not asked; the allow-list is the only way."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[credential]\n\thelper = "!touch {tmp_path}/ran; echo password={TOKEN}"\n'
    )
    (home / ".netrc").write_text("")
    git = git_for(tmp_path, f"{private.url}/remote.git", {"HOME": str(home)})

    with pytest.raises(RemoteWantsCredentials):
        git.ls_remote(MAIN)

    assert not (tmp_path / "ran").exists()


def test_a_setting_that_is_not_let_through_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(GitSettingRefused):
        git_for(tmp_path, "https://example.org/app.git", git_config={"core.hooksPath": "/tmp"})


def test_credentials_in_the_address_are_a_settings_error(tmp_path: Path) -> None:
    """threats.md T29."""
    with pytest.raises(RemoteInvalid) as caught:
        git_for(tmp_path, f"https://x:{TOKEN}@example.org/app.git")
    assert TOKEN not in str(caught.value.as_record())


# --- TLS --------------------------------------------------------------------------------


@pytest.fixture
def secured(tmp_path: Path, remote: Remote) -> Iterator[LocalServer]:
    """The remote over https, with a certificate of its own."""
    with serving(served(remote), certificate=make_certificate(tmp_path)) as server:
        yield server


def test_an_unknown_certificate_is_refused(tmp_path: Path, secured: LocalServer) -> None:
    outer = {"GIT_SSL_NO_VERIFY": "1"}

    with pytest.raises(RemoteUntrusted) as caught:
        git_for(tmp_path, f"{secured.url}/remote.git", outer).ls_remote(MAIN)

    assert "http.sslCAInfo" in caught.value.advice


@pytest.mark.parametrize("variable", ["GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_ca_file_of_the_environment_is_trusted(
    tmp_path: Path, remote: Remote, secured: LocalServer, variable: str
) -> None:
    git = git_for(tmp_path, f"{secured.url}/remote.git", {variable: str(tmp_path / "certificate.pem")})

    assert brings_everything(git, remote)


def test_a_ca_file_of_the_settings_outranks_the_environments(
    tmp_path: Path, remote: Remote, secured: LocalServer
) -> None:
    (tmp_path / "other.pem").write_text("")
    settings = {"http.sslCAInfo": str(tmp_path / "certificate.pem")}
    outer = {"GIT_SSL_CAINFO": str(tmp_path / "other.pem")}
    git = git_for(tmp_path, f"{secured.url}/remote.git", outer, git_config=settings)

    assert brings_everything(git, remote)


# --- proxies ----------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(tmp_path: Path, remote: Remote, variable: str) -> None:
    with serving(served(remote)) as server, proxying() as proxy:
        git = git_for(tmp_path, f"{server.url}/remote.git", {variable: proxy.url})

        assert brings_everything(git, remote)

        assert any(f"{server.port}/remote.git" in line for line in proxy.requests)


def test_no_proxy_goes_straight(tmp_path: Path, remote: Remote) -> None:
    with serving(served(remote)) as server, proxying() as proxy:
        outer = {"http_proxy": proxy.url, "no_proxy": "127.0.0.1"}

        assert brings_everything(git_for(tmp_path, f"{server.url}/remote.git", outer), remote)

        assert proxy.requests == []


def test_a_proxy_of_the_settings_tunnels_https(tmp_path: Path, remote: Remote, secured: LocalServer) -> None:
    with proxying() as proxy:
        settings = {"http": {"proxy": proxy.url, "sslCAInfo": str(tmp_path / "certificate.pem")}}
        git = git_for(tmp_path, f"{secured.url}/remote.git", git_config=settings)

        assert brings_everything(git, remote)

        assert proxy.requests[0].startswith(f"CONNECT 127.0.0.1:{secured.port} ")


def test_a_proxys_password_is_masked(tmp_path: Path) -> None:
    """threats.md T29."""
    outer = {"http_proxy": "http://user:pr0xy-canary@127.0.0.1:1"}

    with pytest.raises(NewleafError) as caught:
        git_for(tmp_path, "http://127.0.0.1:2/remote.git", outer).ls_remote(MAIN)

    assert "pr0xy-canary" not in str(caught.value.as_record())


# --- ssh --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    if not SSHD:
        pytest.skip("there is no sshd on this machine")
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def test_an_ssh_key_opens_it(tmp_path: Path, remote: Remote, ssh_server: SshServer) -> None:
    command = f"ssh {ssh_server.options} -i {ssh_server.key}"
    git = git_for(tmp_path, ssh_server.url(remote), git_config={"core.sshCommand": command})

    assert brings_everything(git, remote)


def test_the_ssh_agent_opens_it(tmp_path: Path, remote: Remote, ssh_server: SshServer) -> None:
    with ssh_agent(tmp_path, ssh_server.key) as place:
        settings = {"core.sshCommand": f"ssh {ssh_server.options}"}
        git = git_for(tmp_path, ssh_server.url(remote), {"SSH_AUTH_SOCK": str(place)}, git_config=settings)

        assert brings_everything(git, remote)


def test_the_short_form_of_an_ssh_address_works(
    tmp_path: Path, remote: Remote, ssh_server: SshServer
) -> None:
    command = f"ssh {ssh_server.options} -i {ssh_server.key} -p {ssh_server.port}"
    url = f"{getpass.getuser()}@127.0.0.1:{remote.path}"
    git = git_for(tmp_path, url, git_config={"core.sshCommand": command})

    assert brings_everything(git, remote)


def test_without_a_key_the_failure_says_so(tmp_path: Path, remote: Remote, ssh_server: SshServer) -> None:
    git = git_for(
        tmp_path, ssh_server.url(remote), git_config={"core.sshCommand": f"ssh {ssh_server.options}"}
    )

    with pytest.raises(RemoteWantsCredentials) as caught:
        git.ls_remote(MAIN)

    assert "Permission denied" in caught.value.message


def test_an_unknown_host_key_is_refused_without_a_question(
    tmp_path: Path, remote: Remote, ssh_server: SshServer
) -> None:
    """lessons.md L10: batch mode, no prompt; and no blind trust."""
    command = f"ssh -F /dev/null -o UserKnownHostsFile={tmp_path}/none -i {ssh_server.key}"
    git = git_for(tmp_path, ssh_server.url(remote), git_config={"core.sshCommand": command})

    with pytest.raises(RemoteUnknownHost) as caught:
        git.ls_remote(MAIN)

    assert "127.0.0.1" in caught.value.advice


def test_the_callers_own_ssh_command_does_not_count(
    tmp_path: Path, remote: Remote, ssh_server: SshServer
) -> None:
    """threats.md T19."""
    settings = {"core.sshCommand": f"ssh {ssh_server.options} -i {ssh_server.key}"}
    outer = {"GIT_SSH_COMMAND": f"touch {tmp_path}/ran", "GIT_SSH": "/bin/false"}
    git = git_for(tmp_path, ssh_server.url(remote), outer, git_config=settings)

    assert brings_everything(git, remote)
    assert not (tmp_path / "ran").exists()
