"""`mission serve`: the operator's endpoint on an address of its own, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.core.secrets import mask_text

if TYPE_CHECKING:
    import uvicorn

ADDRESS = "127.0.0.1:8470"
BACKLOG = 2048
STOP_SECONDS = 1
"""For what is being answered; connections that are only kept open are closed at once."""
MAX_HEADERS_BYTES = 4 * 1024 * 1024
"""Read, so that a token as long as a book is refused as one (threats.md T23)."""
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Address(click.types.StringParamType):
    """Where to listen, as `app.listen` has it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from newleaf.core.settings.addresses import read_listen

        try:
            return read_listen(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(short_help="The operator's endpoint.")
@click.option("--listen", type=Address(), default=ADDRESS, show_default=True, help="HOST:PORT, or unix:PATH.")
@click.option("--behind-proxy", is_flag=True, help="Believe a proxy on this machine who its callers are.")
@pass_invocation
def serve(invocation: Invocation, listen: str, behind_proxy: bool) -> None:
    """Serves the operator's endpoint until SIGTERM: orders of updates, registrations, health, version.

    Under a launcher or systemd that passes sockets it serves those.
    """
    from newleaf.compose.headquarters import operations_of
    from newleaf.compose.missions import bus_url
    from newleaf.core.missions.ops_errors import ServerMissing
    from newleaf.integrations.ops import OpsApi

    host = invocation.host()
    bus_url(host)
    operations = operations_of(host)
    try:
        import uvicorn
    except ImportError as error:
        raise ServerMissing from error
    config = uvicorn.Config(
        OpsApi(operations),
        # Of the two parsers the one that can be told how long a header may be.
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADERS_BYTES,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who may say who calls may also say it is somebody else, failure after failure.
        proxy_headers=behind_proxy,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    with _listening(listen) as (sockets, shown):
        for problem in _shut(operations):
            invocation.say(f"newleaf mission serve: {mask_text(problem)}")
        invocation.say(f"newleaf mission serve: listens on {shown}")
        _tell_orders()
        asyncio.run(_serve(config, sockets))
    if invocation.json:
        invocation.answer({"outcome": "ok"})


def _shut(operations: Any) -> Iterator[str]:
    """What will be refused, said before somebody wonders."""
    if not operations.tokens():
        yield "the ops API is disabled: there is no token; `newleaf mission token create` makes one"
    if not operations.headquarters.office.publishes:
        yield "orders are refused: fleet.headquarters is not set"


def _tell_orders() -> None:
    """Who orders what is told, beside what goes wrong; uvicorn's own chatter is not."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("newleaf mission serve: %(message)s"))
    log = logging.getLogger("newleaf")
    log.addHandler(handler)
    log.setLevel(logging.INFO)


async def _serve(config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    import uvicorn

    from newleaf.system.notify_socket import notify

    class Server(uvicorn.Server):
        """Leaves the signals alone: uvicorn raises them again at its end, which would not be an exit of 0."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            notify({"READY": "1"})

    server = Server(config)

    def stop() -> None:
        server.should_exit = True

    for number in STOPPING:
        # Ignored signals stay ignored: that is how `nohup` works.
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop)
    await server.serve(sockets)


@contextlib.contextmanager
def _listening(address: str) -> Iterator[tuple[list[socket.socket], str]]:
    """The sockets that this process was given, or one of its own. Raises: CannotListen."""
    from newleaf.core.missions.ops_errors import CannotListen
    from newleaf.system.inherited_sockets import listen_fds

    given = listen_fds()
    if given:
        yield given, "the sockets that it was given"
        return
    path = Path(address.removeprefix("unix:")) if address.startswith("unix:") else None
    try:
        made = _bind_path(path) if path else _bind(address)
    except OSError as error:
        raise CannotListen(address=address, reason=error.strerror or error) from error
    try:
        yield [made], address if path else "http://{}:{}".format(*_shown(made))
    finally:
        made.close()
        if path:
            path.unlink(missing_ok=True)


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=BACKLOG)


def _bind_path(path: Path) -> socket.socket:
    """A unix socket of this user's alone, in place of one that nobody listens on any more."""
    made = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        if path.is_socket() and not _is_served(path):
            path.unlink()
        made.bind(str(path))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    finally:
        os.umask(before)
    return made


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _shown(made: socket.socket) -> tuple[str, int]:
    host, port, *_ = made.getsockname()
    return (f"[{host}]" if re.search(":", host) else host), port
