"""The pre-start check of a real host: which release is counted, and by whose settings."""

from __future__ import annotations

import pytest

from newleaf import compose
from newleaf.compose.guarding import admit
from newleaf.core.job_errors import CrashLoop, ReleaseUnknown
from newleaf.system.place import Unnamed
from tests.support.deployment import Deployment


def test_the_release_that_lies_there_is_counted_up_to_the_setting(deployment: Deployment) -> None:
    deployment.host_settings("[health]\nmax_starts = 1\n")
    warnings: list[str] = []
    for number in range(2):
        admission = admit(compose.host(Unnamed()), warnings.append)
        assert (admission.release.commit, admission.abnormal_ends) == (deployment.head(), number)
    with pytest.raises(CrashLoop):
        admit(compose.host(Unnamed()), warnings.append)
    assert deployment.record("status.json")["status"] == "inconsistent"
    assert warnings == []


def test_a_tree_that_says_nothing_is_an_error(deployment: Deployment) -> None:
    host = compose.host(Unnamed())
    (deployment.checkout.path / ".git/HEAD").write_text("ref: refs/heads/none\n")
    with pytest.raises(ReleaseUnknown):
        admit(host, print)
