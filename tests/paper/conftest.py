from pathlib import Path

import pytest

from paper.artifact import PaperContext
from qnewton.cost import nominal_calibration


@pytest.fixture
def paper_context(tmp_path: Path) -> PaperContext:
    """A quick context that needs no data and no calibration run."""
    return PaperContext(
        folder=tmp_path,
        full=False,
        seed=0,
        data_dir=None,
        calibration=nominal_calibration(),
        progress=lambda _: None,
    )
