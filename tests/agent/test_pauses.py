"""How long to wait before the next try."""

from __future__ import annotations

from newleaf.agent.pauses import Pauses


def test_tried_in_vain_then_each_pause_is_twice_as_long_up_to_the_longest_until_it_comes_off() -> None:
    pauses = Pauses(0.5, 3.0)
    assert [pauses.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    pauses.end()
    assert pauses.next() == 0.5
