"""Both layouts answer everything that a host asks of one."""

from __future__ import annotations

import inspect

import pytest

from newleaf import compose
from newleaf.compose.in_place import InPlaceLaid
from newleaf.compose.laid import Laid
from newleaf.compose.slots import SlotsLaid
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment
from tests.support.slot_hosts import begin_slots, fresh

ASKED = sorted(name for name in vars(Laid) if not name.startswith("_"))


@pytest.mark.parametrize("laid", [InPlaceLaid, SlotsLaid])
@pytest.mark.parametrize("name", ASKED)
def test_every_question_is_answered_in_the_same_form(name: str, laid: type) -> None:
    asked, answered = getattr(Laid, name), getattr(laid, name)
    if inspect.isfunction(asked):
        assert list(inspect.signature(answered).parameters) == list(inspect.signature(asked).parameters)
    else:
        assert not inspect.isfunction(answered)


def test_a_host_is_laid_as_its_state_directory_says(deployment: Deployment) -> None:
    assert isinstance(compose.host(Unnamed()).laid, InPlaceLaid)
    begin_slots(deployment)
    found = fresh(deployment)
    assert isinstance(found.laid, SlotsLaid)
    assert found.laid is found.laid
    assert found.settings.app.layout == "slots"
