"""Processes that end with the agent."""

from __future__ import annotations

import subprocess
import time

from newleaf.agent.children import Children
from tests.support.children import started

OBEDIENT = "echo ready; exec sleep 60"
STUBBORN = "trap '' TERM; echo ready; while true; do sleep 1; done"


def ended(child: subprocess.Popen[str]) -> int:
    return child.wait(timeout=5)


def test_told_to_end_then_asked_first_and_soon_gone() -> None:
    children = Children()
    with started("sh", "-c", OBEDIENT) as one, started("sh", "-c", OBEDIENT) as two:
        for child in (one, two):
            children.note(child.pid)
        began = time.monotonic()
        children.end(5)
        assert time.monotonic() - began < 4
        assert [ended(one), ended(two)] == [-15, -15]


def test_does_not_end_then_killed_with_all_of_its_group() -> None:
    """lessons.md L22"""
    children = Children()
    with started("sh", "-c", STUBBORN) as child:
        children.note(child.pid)
        began = time.monotonic()
        children.end(0.1)
        assert time.monotonic() - began < 5
        assert ended(child) == -9


def test_another_process_has_the_number_then_it_is_left_alone() -> None:
    """lessons.md L35"""
    children = Children()
    with started("sh", "-c", OBEDIENT) as child:
        children.note(child.pid)
        children._noted = [(group, "long ago") for group, _ in children._noted]
        children.end(0.1)
        assert child.poll() is None


def test_a_long_one_is_still_noted_after_many_short_ones() -> None:
    """An attempt takes minutes, in which many looks are made."""
    children = Children()
    with started("sh", "-c", OBEDIENT) as child:
        children.note(child.pid)
        for _ in range(40):
            with subprocess.Popen(["true"], start_new_session=True) as short:
                children.note(short.pid)
        assert len(children._noted) <= 2
        children.end(5)
        assert ended(child) == -15
