"""A deployment with a bus: real git, a real server, and headquarters that order and wait."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis import Redis

from newleaf.core.missions.publishing import Wish, make_order
from newleaf.core.missions.results import Report
from newleaf.core.missions.streams import Streams
from tests.support.deployment import Deployment, wait_until
from tests.support.redis_server import serve_redis

SECRET = "s" * 40
STREAMS = Streams("newleaf:sessions:missions")


def on_bus(deployment: Deployment, url: str, more: str = "", *, name: str = "mini-1") -> None:
    """The host's settings: a name, a bus, and that it may publish."""
    app = f'[app]\ncomputer_name = "{name}"\n'
    fleet = f"[fleet]\nredis_url = {json.dumps(url)}\nheadquarters = true\n"
    deployment.host_settings(app + fleet + more)


def write_keys(folder: Path, text: str = '[hq]\nsecret_file = "hq.secret"\nbroadcast = true\n') -> Path:
    """A file of mission keys with its secret."""
    secret = folder / "hq.secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    file = folder / "keys.toml"
    file.write_text(text)
    return file


class Headquarters:
    """Orders, and waits for what comes of it; `url` is the bus."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = Redis.from_url(url, protocol=2)
        self._jobs = itertools.count(1)

    def order(self, **wish: Any) -> str:
        """Publishes an order; its job id."""
        made = make_order(Wish(**wish), f"job-{next(self._jobs)}", datetime.now(UTC), STREAMS.prefix, None)
        fields: Any = dict(made.fields)
        self.client.xadd(STREAMS.towards(made.envelope.target), fields)
        return made.envelope.job_id

    def reports(self, job: str) -> list[Report]:
        """The results of an order, as they came."""
        entries: Any = self.client.xrange(STREAMS.results)
        found = [Report.read(fields) for _, fields in entries]
        return [each for each in found if each and each.job_id == job]

    def report(self, job: str, seconds: float = 40.0) -> Report:
        """The last result of an order, waited for."""
        wait_until(lambda: self.reports(job), seconds)
        return self.reports(job)[-1]


@contextmanager
def headquarters(engine: str = "valkey") -> Iterator[Headquarters]:
    """Headquarters with a server of their own."""
    with serve_redis(engine) as server:
        made = Headquarters(server.url)
        try:
            yield made
        finally:
            made.client.close()
