"""The bench on which hosts are hurt, and the table of what came of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.kill_matrix.story import Bench
from tests.kill_matrix.table import Table


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("kill-matrix")
    yield Bench(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Every worker writes the table from the rows that are there: the last one writes it whole."""
    own = tmp_path_factory.getbasetemp()
    table = Table.of_this_run(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
    yield table
    table.write()
