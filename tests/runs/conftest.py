import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qnewton.records import MeasuredSeconds, MetricRecord, StepRecord
from qnewton.runs import RunConfig
from tests import recorded


@pytest.fixture
def config() -> RunConfig:
    return recorded.run_config(
        seed=3,
        options={"damping": 1.0, "blocks": "full", "rates": [0.1, 0.3], "hardware": None},
        versions={"qnewton": "0.1.0"},
    )


@pytest.fixture
def step_record() -> Callable[..., StepRecord]:
    def make(step: int, loss: float = 1.0) -> StepRecord:
        return recorded.step(step, loss=loss, parameters=1482, measured=MeasuredSeconds(solve=0.25))

    return make


@pytest.fixture
def metric_record() -> Callable[..., MetricRecord]:
    return recorded.metric


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every user can reach, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Permissions bind root to nothing, so as root the test goes on as nobody."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions are those of a POSIX system")
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)
