"""Dead letters by hand: all of them, one once more, one forgotten."""

from __future__ import annotations

import pytest

from newleaf.cli.mission.letters import drop_letter, list_letters, requeue_letter
from newleaf.core.missions.dead_letters import DeadLetter
from newleaf.core.missions.mission_errors import MalformedMission, NoDeadLetter
from newleaf.core.missions.publishing import Order, Wish, make_order
from newleaf.system.redis.bus import RedisRoom
from tests.support.buses import STREAMS, Headquarters, headquarters
from tests.support.missions import ago, fields_of


def bury(hq: Headquarters, fields: dict[bytes, bytes]) -> str:
    letter = DeadLetter(STREAMS.all, "1-0", "mini-1", "t", "gave_up", "why", fields)
    said: dict = dict(letter.as_fields())
    return str(hq.client.xadd(STREAMS.dead, said).decode())  # type: ignore[union-attr]


def room(hq: Headquarters) -> RedisRoom:
    return RedisRoom(hq.url, STREAMS)


def again(wish: Wish) -> Order:
    return make_order(wish, "job-again", ago(), STREAMS.prefix, None)


def test_one_was_given_up_then_it_is_ordered_once_more_where_it_belongs_or_forgotten() -> None:
    mission = {name.encode(): value.encode() for name, value in fields_of("app:x", "*", job="job-1").items()}
    with headquarters() as hq:
        first, nonsense = bury(hq, mission), bury(hq, {b"hello": b"world"})
        for _ in range(150):
            bury(hq, mission)
        hq.client.xadd(STREAMS.dead, {"hello": "somebody else's"})
        assert len(list_letters(room(hq))) == 152
        assert [each["job_id"] for each in list_letters(room(hq))[:2]] == ["job-1", None]
        made = requeue_letter(room(hq), first, again)
        assert (made.envelope.job_id, made.envelope.mission_kind) == ("job-again", "app:x")
        assert hq.client.xlen(STREAMS.all) == 1
        with pytest.raises(NoDeadLetter):
            requeue_letter(room(hq), first, again)
        with pytest.raises(MalformedMission):
            requeue_letter(room(hq), nonsense, again)
        drop_letter(room(hq), nonsense)
        with pytest.raises(NoDeadLetter):
            drop_letter(room(hq), nonsense)
        assert len(list_letters(room(hq))) == 150
