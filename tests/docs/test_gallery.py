"""Every example of the gallery runs to its end and prints."""

import runpy
from pathlib import Path

import pytest

# Of the extra ``integrations``: an example may need one that is not installed.
FRAMEWORKS = {
    "plot_6_lightning": ("lightning",),
    "plot_7_transformers_trainer": ("transformers", "accelerate"),
    "plot_8_accelerate": ("accelerate",),
}

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "gallery").glob("plot_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in FRAMEWORKS.get(path.stem, ()):
        pytest.importorskip(package)
    # In this process: a new one would load torch again, which takes longer than most examples.
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4
