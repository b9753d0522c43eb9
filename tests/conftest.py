import dataclasses
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import Reader, running_chromium

# Several test processes on few cores: OpenMP threads that wait for each other spin, and a suite
# of seconds takes minutes. Torch is not imported for that: the process that only hands tests out
# does without it, and the commands that tests start inherit the variable.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave out of all later garbage collections the modules and tests that live to the end."""
    gc.enable()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def calibrated_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep nominal rates as this machine's in a cache of the tests' own.

    No test waits for a calibration, chooses by one that the user made, or leaves one behind.
    """
    from qnewton.cost import nominal_calibration, save_calibration
    from qnewton.optimizer import describe_machine

    folder = tmp_path_factory.mktemp("cache")
    save_calibration(dataclasses.replace(nominal_calibration(), machine=describe_machine()), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QNEWTON_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One browser for all tests of a process that open pages."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def reader(chromium: Any) -> Iterator[Reader]:
    """Somebody who opens pages; at the end of the test nothing may have gone wrong in them."""
    somebody = Reader(chromium)
    yield somebody
    for context in chromium.contexts:
        context.close()
    assert somebody.faults == []
