"""Which releases a host trusts."""

from __future__ import annotations

import pytest

from newleaf.core.errors import BelowFloor, SignaturesUnverified
from newleaf.core.releases.trust import require_trusted
from newleaf.core.settings.sections import Security
from tests.support.simulated_host import release_of


def test_without_demands_everything_is_taken() -> None:
    require_trusted(Security(), release_of("a"))


@pytest.mark.parametrize("require", ["tags", "commits"])
def test_where_signatures_are_required_nothing_is_taken_unverified(require: str) -> None:
    with pytest.raises(SignaturesUnverified):
        require_trusted(Security(require=require, signers="/signers"), release_of("a", "1.0.0"))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["1.9.9", "1.10.0rc1", None, "no version"])
def test_below_the_floor_is_refused(version: str | None) -> None:
    """threats.md T1"""
    with pytest.raises(BelowFloor):
        require_trusted(Security(floor="1.10.0"), release_of("a", version))


@pytest.mark.parametrize("version", ["1.10.0", "1.11.0", "2.0.0"])
def test_at_the_floor_and_above_is_taken(version: str) -> None:
    """threats.md T1, lessons.md L15"""
    require_trusted(Security(floor="1.10.0"), release_of("a", version))
