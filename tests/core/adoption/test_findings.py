from __future__ import annotations

import pytest

from newleaf.core.adoption.findings import Project


@pytest.mark.parametrize(
    ("project", "yes"),
    [
        (Project(manifests=("pyproject.toml",)), False),
        (Project(manifests=("pyproject.toml",), build_backend="hatchling.build"), True),
        (Project(manifests=("setup.py",)), True),
        (Project(requirements=("requirements.txt",)), False),
    ],
)
def test_a_project_is_installable_when_it_says_how(project: Project, yes: bool) -> None:
    assert project.is_installable is yes


def test_a_poetry_lock_is_poetrys() -> None:
    assert Project(locks=("poetry.lock",)).uses_poetry
    assert not Project(locks=("uv.lock",)).uses_poetry
