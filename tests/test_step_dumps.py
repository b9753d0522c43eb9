"""Steps decide and do what they did when ``tests/golden/steps`` was written."""

from pathlib import Path

import pytest

from tests.step_dumps import Case, differences, subset

GOLDEN = Path(__file__).parent / "golden" / "steps"


@pytest.mark.slow
@pytest.mark.parametrize("case", subset(), ids=lambda case: case.name)
def test_steps_are_what_was_written(case: Case) -> None:
    assert list(differences(GOLDEN, [case])) == []
