"""`orders.sqlite`: kept once, for whoever takes them on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.core.errors import CorruptFile, NewerSchema, StateDirectoryUnsafe
from newleaf.core.orders import OVER, TELLING, Order
from newleaf.system.orders import _TABLE, FILE, KEPT, Orders

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def order(key: str = "telegram:1/7", **fields: Any) -> Order:
    return Order(key, f"id of {key}", "telegram", "chat", NOON, "1", **fields)


def left_by_a_dead_process(state: Path, *keys: str) -> None:
    """Orders that were accepted by a process that was killed."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom datetime import datetime\n"
        "from newleaf.core.orders import Order\nfrom newleaf.system.orders import Orders\n"
        "orders = Orders(Path(sys.argv[1]))\n"
        "for key in sys.argv[2:]:\n"
        f"    at = datetime.fromisoformat({NOON.isoformat()!r})\n"
        "    orders.accept(Order(key, f'id of {key}', 'telegram', 'chat', at, '1'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(state), *keys], check=False, timeout=20)
    assert done.returncode == -9


def test_accepted_then_it_is_kept_whole_and_read_by_the_next_process(tmp_path: Path) -> None:
    left_by_a_dead_process(tmp_path, "telegram:1/7")
    assert Orders(tmp_path).find("id of telegram:1/7") == order()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_l29_read_again_then_it_is_no_new_order(tmp_path: Path) -> None:
    """After a restart too: lessons.md L29."""
    left_by_a_dead_process(tmp_path, "telegram:1/7")
    orders = Orders(tmp_path)
    assert not orders.accept(replace(order(), id="another", origin="http"))
    assert orders.find("another") is None
    assert orders.accept(order("telegram:1/8"))


def test_noted_then_its_stage_record_and_receipt_are_kept(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.accept(order())
    orders.note_receipt("telegram:1/7", "55")
    orders.note(order(stage=TELLING, interim=True, record={"outcome": "updated"}))
    kept = Orders(tmp_path).find(order().id)
    assert kept == order(stage=TELLING, receipt="55", interim=True, record={"outcome": "updated"})


def test_left_by_a_dead_process_then_claimed_once_by_the_door_it_came_by(tmp_path: Path) -> None:
    left_by_a_dead_process(tmp_path, "telegram:1/7", "telegram:1/8")
    orders, others = Orders(tmp_path), Orders(tmp_path)
    orders.note(order("telegram:1/8", stage=OVER))
    assert orders.claim("http", NOON) == []
    assert [found.key for found in orders.claim("telegram", NOON)] == ["telegram:1/7"]
    assert others.claim("telegram", NOON) == []


def test_no_state_directory_then_claiming_makes_none_and_an_order_makes_a_private_one(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    orders = Orders(state)
    assert orders.claim("telegram", NOON) == []
    assert not state.exists()
    assert orders.accept(order())
    assert state.stat().st_mode & 0o777 == 0o700


def test_its_process_lives_then_nobody_claims_it(tmp_path: Path) -> None:
    Orders(tmp_path).accept(order())
    assert Orders(tmp_path).claim("telegram", NOON) == []


def test_over_for_long_then_forgotten_and_what_is_open_is_not(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.accept(order("telegram:1/7"))
    orders.accept(order("telegram:1/8"))
    orders.note(order("telegram:1/8", stage=OVER))
    orders.claim("telegram", NOON + KEPT)
    assert orders.find("id of telegram:1/8")
    orders.claim("telegram", NOON + KEPT + timedelta(seconds=1))
    assert orders.find("id of telegram:1/8") is None
    assert orders.find("id of telegram:1/7")


def test_many_threads_accept_the_same_then_one_order(tmp_path: Path) -> None:
    several = [Orders(tmp_path) for _ in range(4)]
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda one=one: answers.append(one.accept(order()))) for one in several
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == [False, False, False, True]


def test_another_holds_the_new_file_then_opening_waits_for_it(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.1, other.rollback).start()
        assert Orders(tmp_path).accept(order())


@pytest.mark.parametrize("name", [FILE, f"{FILE}-wal", f"{FILE}-journal"])
def test_t20_a_symlink_in_its_place_then_the_other_file_is_untouched(tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"")
    state = tmp_path / "state"
    state.mkdir()
    (state / name).symlink_to(other)
    with pytest.raises(StateDirectoryUnsafe, match="is a symlink"):
        Orders(state).accept(order())
    assert other.read_bytes() == b""


def test_of_a_newer_newleaf_then_it_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(NewerSchema):
        Orders(tmp_path).accept(order())


@pytest.mark.parametrize(
    "content", [b"no database at all, whatever it may be" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_broken_then_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(CorruptFile, match=FILE):
        Orders(tmp_path).accept(order())


def test_an_order_is_not_newleafs_then_an_error(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.accept(order())
    orders.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("UPDATE orders SET record = '{'")
    connection.close()
    with pytest.raises(CorruptFile):
        orders.find(order().id)


def test_closed_then_opened_again_when_needed(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.accept(order())
    orders.close()
    assert orders.find(order().id) == order()
    assert os.path.exists(tmp_path / FILE)


def test_a_mission_then_it_is_kept_with_its_facts_and_facts_of_a_known_one_are_not(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    mission = {"fields": {"job_id": "1"}, "tries": 0}
    assert orders.accept(order(mission=mission), {"number": "7"})
    assert not orders.accept(order(mission=mission), {"number": "8"})
    orders.note(order(mission={**mission, "tries": 1}))
    kept = Orders(tmp_path).find("another id", order().key)
    assert kept is not None
    assert kept.mission == {**mission, "tries": 1}
    assert Orders(tmp_path).fact("number") == "7"


def test_a_fact_is_kept_then_it_is_there_until_it_is_empty(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.keep({"paused": "now", "other": "x"})
    assert (Orders(tmp_path).fact("paused"), orders.fact("unknown")) == ("now", None)
    orders.keep({"paused": ""})
    assert (orders.fact("paused"), orders.fact("other")) == (None, "x")


def test_of_an_older_newleaf_then_it_is_read_and_gets_what_it_lacks(tmp_path: Path) -> None:
    before = _TABLE.replace(", mission TEXT", "")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute(before)
        connection.execute(
            "INSERT INTO orders VALUES ('k', 'id', 'chat', 'chat', '2026-11-20T12:00:00Z', '1', 'accepted',"
            " NULL, 0, NULL, 1, '')"
        )
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    orders = Orders(tmp_path)
    kept = orders.find("id")
    assert kept is not None
    assert (kept.key, kept.mission) == ("k", None)
    assert orders.accept(order(mission={"fields": {}}))
