"""Claims stand on what was seen, and on nothing else."""

from __future__ import annotations

import json

import pytest

from newleaf.cli.demo.proofs import CLAIMS, Check, Proof, exit_code, judge


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (Check("exit", 4, 4), "exit 4"),
        (Check("exit", 4, 0), "exit 0, expected 4"),
        (Check("it waits for", ["idle"], []), "it waits for none, expected idle"),
        (Check("tags", [["a"], []], [["a"], []]), "tags a, none"),
        (Check("version", "1.1.0", None), "version nothing, expected 1.1.0"),
        (Check("the folder is gone", True, True), "the folder is gone"),
        (Check("the folder is gone", True, False), "not so: the folder is gone"),
    ],
)
def test_check_says_what_was_seen_and_what_was_expected_instead(check: Check, said: str) -> None:
    assert str(check) == said
    assert check.holds is ("expected" not in said and "not so" not in said)


def test_claim_without_a_check_is_not_proved() -> None:
    proof = Proof("held")
    assert not proof.holds
    assert proof.evidence == "not seen: the demo did not come that far"


def test_evidence_against_a_claim_is_not_buried_under_what_speaks_for_it() -> None:
    proof = Proof("held", (Check("exit", 0, 0), Check("outcome", "held", "updated")))
    assert not proof.holds
    assert proof.evidence == "outcome updated, expected held"


def test_every_claim_is_judged_and_only_all_together_are_a_success() -> None:
    seen = {key: [Check("exit", 0, 0)] for key in CLAIMS}
    assert [proof.key for proof in judge(seen)] == list(CLAIMS)
    assert exit_code(judge(seen)) == 0
    for missing in CLAIMS:
        assert exit_code(judge({**seen, missing: []})) == 1
        assert exit_code(judge({**seen, missing: [Check("exit", 0, 1)]})) == 1


def test_record_holds_the_raw_values_for_programs() -> None:
    record = Proof("truth", (Check("ahead", 0, 3),)).as_record()
    assert json.loads(json.dumps(record)) == {
        "key": "truth",
        "claim": CLAIMS["truth"],
        "holds": False,
        "evidence": "ahead 3, expected 0",
        "checks": [{"what": "ahead", "expected": 0, "seen": 3}],
    }
