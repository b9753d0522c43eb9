from collections.abc import Iterator
from pathlib import Path

import pytest

from qnewton.cost import MACHINES, QUANTUM_PRICES, SOLVERS
from qnewton.records import Registry
from qnewton.scheduler.policy import POLICIES
from qnewton.workloads import WORKLOADS

TABLES: tuple[Registry, ...] = (SOLVERS, POLICIES, QUANTUM_PRICES, MACHINES, WORKLOADS)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, without the data of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QNEWTON_DATA", raising=False)


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    """Leave the tables that a page adds to as they were."""
    before = [table.names for table in TABLES]
    yield
    for table, names in zip(TABLES, before, strict=True):
        for name in set(table.names) - set(names):
            table.unregister(name)
