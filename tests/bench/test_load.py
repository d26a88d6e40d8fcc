from __future__ import annotations

from bench.load import sum_up
from newleaf.cli.demo.load import Answer, Load


def test_a_load_is_summed_up_in_waits_failures_and_the_longest_silence() -> None:
    load = Load(1, 1)
    load.answers += [
        Answer(b"", wait, at) for wait, at in ((0.001, 5.0), (0.002, 5.5), (0.4, 7.0), (0.003, 7.1))
    ]
    load.failures.update({"ConnectionRefusedError": 3})
    assert sum_up(load) == {
        "served": 4,
        "failed": 3,
        "failures": {"ConnectionRefusedError": 3},
        "p50_ms": 2.0,
        "p99_ms": 400.0,
        "max_ms": 400.0,
        "silence_ms": 1500.0,
    }


def test_a_load_that_was_never_answered_has_no_waits() -> None:
    assert sum_up(Load(1, 1))["max_ms"] == 0.0
