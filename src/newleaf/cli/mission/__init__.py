"""`mission`: orders over Redis Streams, given and taken by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from newleaf.cli.invocation import Invocation, pass_invocation, table
from newleaf.cli.mission.serving import serve
from newleaf.cli.mission.tokens import token
from newleaf.core.durations import parse_duration
from newleaf.core.missions.kinds import UPDATE

if TYPE_CHECKING:
    from newleaf.core.missions.publishing import Wish


class Context(click.types.StringParamType):
    """A JSON object."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, dict):
            return value
        try:
            found = json.loads(value)
        except (ValueError, RecursionError) as error:
            self.fail(f"it is no JSON: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail('it must be an object, like {"version": "1.3.0"}', param, ctx)
        return found


class Duration(click.types.StringParamType):
    """Seconds, or a text like 10m."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return parse_duration(float(value) if str(value).replace(".", "", 1).isdigit() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(short_help="Orders over Redis Streams.", no_args_is_help=False)
def mission() -> None:
    """Orders over Redis Streams: published from headquarters, taken by hosts, each done once."""


@mission.command(short_help="Give an order.")
@click.option("--target", required=True, metavar="NAME|LABELS|*", help="A host, role=worker,zone!=eu, or *.")
@click.option("--kind", default=UPDATE, show_default=True, help="What is to be done.")
@click.option("--task", help="What the payload says beside its context.")
@click.option("--context", type=Context(), default="{}", metavar="JSON", help="What the kind needs to know.")
@click.option("--priority", type=click.IntRange(-999_999, 999_999), default=0, help="Higher ones go first.")
@click.option("--timeout", type=Duration(), default="0", help="How long it may take; 0: the host's own.")
@click.option("--max-retries", type=click.IntRange(0, 100), default=3, help="Tries after the first.")
@click.option("--expires", type=Duration(), default="1 day", show_default=True, help="For how long it holds.")
@click.option("--idempotency-key", metavar="KEY", help="What is done once, however often it is ordered.")
@click.option("--key", metavar="ID", help="The mission key that signs; the first one of the file.")
@click.option("--wait", type=Duration(), default="0", help="For the results, 10m say; exits by them.")
@pass_invocation
def publish(invocation: Invocation, /, wait: float, key: str | None, **said: Any) -> int:
    """Publishes a mission: by default, that its target updates itself.

    Exits 0 when it is published, with --wait when every host that is meant has succeeded; 1 when one has
    failed, 4 when one has not answered in time.
    """
    from newleaf.cli.mission.results import publish_and_wait
    from newleaf.compose.missions import order, require_headquarters, room

    host = invocation.host()
    require_headquarters(host)
    return publish_and_wait(invocation, room(host), order(host, _wish(said), key), wait)


def _wish(said: dict[str, Any]) -> Wish:
    from newleaf.core.missions.publishing import Wish

    return Wish(
        kind=said["kind"],
        target=said["target"],
        task=said["task"],
        context=said["context"],
        priority=said["priority"],
        timeout_seconds=said["timeout"],
        max_retries=said["max_retries"],
        life=timedelta(seconds=said["expires"]),
        idempotency_key=said["idempotency_key"],
    )


@mission.command(short_help="Take orders, in the foreground.")
@pass_invocation
def listen(invocation: Invocation) -> int:
    """Takes the missions of this host until SIGTERM: newleaf's own kinds, updates above all.

    For hosts whose daemon does not take missions itself; one process of a host does.
    """
    from newleaf.cli.mission.listening import listen_until_told

    listen_until_told(invocation)
    if invocation.json:
        invocation.answer({"outcome": "ok"})
    return 0


@mission.command(short_help="What was given up.")
@click.option("--requeue", metavar="ID", help="Order it once more, under a job id of its own.")
@click.option("--drop", metavar="ID", help="Forget it.")
@click.option("--key", metavar="ID", help="The mission key that signs what is ordered once more.")
@pass_invocation
def dead(invocation: Invocation, requeue: str | None, drop: str | None, key: str | None) -> None:
    """Lists the missions that were given up, and why; orders one once more, or forgets it."""
    from newleaf.cli.mission.letters import drop_letter, list_letters, requeue_letter
    from newleaf.compose.missions import order, require_headquarters, room

    if requeue and drop:
        raise click.UsageError("--requeue and --drop exclude each other")
    host = invocation.host()
    if requeue:
        require_headquarters(host)
        made = requeue_letter(room(host), requeue, lambda wish: order(host, wish, key))
        answer = {"outcome": "ok", "requeued": requeue, "job_id": made.envelope.job_id}
        invocation.answer(answer, [f"ordered once more as {made.envelope.job_id}"])
    elif drop:
        require_headquarters(host)
        drop_letter(room(host), drop)
        invocation.answer({"outcome": "ok", "dropped": drop}, [f"{drop} is forgotten"])
    else:
        letters = list_letters(room(host))
        head = ("id", "at", "host", "kind", "reason")
        rows = [[str(each[name] or "?") for name in head] for each in letters]
        lines = table(rows, head) if rows else ["there is no dead letter"]
        invocation.answer({"outcome": "ok", "dead": letters}, lines)


mission.add_command(serve)
mission.add_command(token)
