from __future__ import annotations

from newleaf.core.adoption.findings import CheckoutFacts
from newleaf.core.doctor.checkup import examine
from newleaf.core.doctor.patient import GitFacts, Patient, RemoteAnswer, RunFacts, StateFacts


def test_the_defaults_are_those_of_a_healthy_host() -> None:
    patient = Patient(
        git=GitFacts((2, 40), (2, 34), CheckoutFacts("/srv/app", head="a" * 40)),
        state=StateFacts("/home/ada/.app"),
        run=RunFacts(reported="pid 1"),
        remote=RemoteAnswer("https://example.org/app", 0.1, has_branch=True, versions=0),
    )
    assert {finding.level for finding in examine(patient)} == {"ok"}
