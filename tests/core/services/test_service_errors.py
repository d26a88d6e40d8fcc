"""The failures of services say what happened and what to do."""

from __future__ import annotations

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.services import service_errors

FACTS = {
    "text": "24:00",
    "reason": "it is a symlink",
    "address": "web:80",
    "path": "/etc/systemd/system/newleaf-app.service",
    "app": "app",
    "state": "/state",
    "what": "systemctl daemon-reload",
    "status": 1,
    "look": "systemctl status",
}
KINDS = [
    found
    for found in vars(service_errors).values()
    if isinstance(found, type)
    and issubclass(found, NewleafError)
    and found.__module__ == service_errors.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_error_has_a_code_of_its_own_a_cure_and_leaves_no_fact_open(kind: type[NewleafError]) -> None:
    error = kind(**FACTS)
    assert [other.code for other in KINDS].count(kind.code) == 1
    assert error.advice
    assert "{" not in error.message + error.advice


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_use_is_2_and_a_manager_that_fails_is_1(kind: type[NewleafError]) -> None:
    assert kind.exit_code == (1 if kind is service_errors.ServiceManagerFailed else 2)
