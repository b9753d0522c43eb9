import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def explorable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page "When would a quantum computer help?", built once, without Sphinx."""
    pytest.importorskip("qiskit", reason="the page takes its phases from the extra quantum")
    from docs.explorable.build import LARGE, write_page

    return write_page(tmp_path_factory.mktemp("explorable"), sizes=(16, LARGE[0]))


@pytest.fixture(scope="session")
def stops(explorable: Path) -> dict[int, Any]:
    """The numbers that the page's script draws, by the number of unknowns."""
    [text] = re.findall(r'id="systems">(.*?)</script>', explorable.read_text(encoding="utf-8"))
    return {int(n): story for n, story in json.loads(text).items()}


@pytest.fixture(scope="session")
def small() -> Any:
    """The systems that the page solves."""
    pytest.importorskip("qiskit", reason="the page takes its phases from the extra quantum")
    from docs.explorable.systems import small_systems

    return small_systems()
