from pathlib import Path

import pytest

from paper.artifact import PaperContext
from qnewton.cost import nominal_calibration


def context_in(folder: Path) -> PaperContext:
    """A quick context that needs no data and no calibration run."""
    return PaperContext(
        folder=folder,
        full=False,
        seed=0,
        data_dir=None,
        calibration=nominal_calibration(),
        progress=lambda _: None,
    )


@pytest.fixture
def paper_context(tmp_path: Path) -> PaperContext:
    """A context of one test's own."""
    return context_in(tmp_path)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> PaperContext:
    """A context whose runs the tests of a module share."""
    return context_in(tmp_path_factory.mktemp("paper"))
