"""The notebooks run from their first cell to their last, and install nothing that is there."""

import importlib.util
import json
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import qnewton

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "notebooks" / "qnewton_in_ten_minutes.ipynb"
GALLERY = ("quantum/plot_1_break_even", "quantum/plot_4_swap_test")


def code_cells(notebook: dict[str, Any]) -> list[str]:
    """Return the sources of a notebook's code cells."""
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(cells: list[str]) -> dict[str, Any]:
    """Run cells one after the other, as a notebook does, and return their names."""
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)
    return names


@pytest.fixture
def notebook() -> dict[str, Any]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def test_it_is_a_notebook_without_outputs(notebook: dict[str, Any]) -> None:
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in code)


@pytest.mark.slow
def test_ten_minutes_train_price_and_solve(
    notebook: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(subprocess, "run", None)  # qnewton is there: pip is not asked
    names = run(code_cells(notebook))
    said = capsys.readouterr().out
    assert f"qnewton {qnewton.__version__}" in said
    assert names["accuracy"] > 0.94
    assert names["quantum"].seconds > 1e6 * names["rival"].seconds
    angles = [row["degrees"] for row in names["rows"]]
    assert angles == sorted(angles, reverse=True)
    assert angles[-1] < 0.01


def test_without_an_address_the_first_cell_says_what_to_do(
    notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="git address"):
        run(code_cells(notebook)[:1])


def test_with_an_address_the_first_cell_installs_from_it(
    notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(subprocess, "run", lambda words, check: asked.append(words))
    address = "https://example.org/qnewton.git"
    run([code_cells(notebook)[0].replace('REPOSITORY = ""', f'REPOSITORY = "{address}"')])
    assert asked[0][-1] == f"qnewton[report] @ git+{address}"


@pytest.mark.slow
@pytest.mark.parametrize("example", GALLERY)
def test_a_notebook_of_the_gallery_runs(
    example: str, notebook: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sphinx_gallery", reason="the extra docs makes these notebooks")
    blocks = import_module("sphinx_gallery.py_source_parser").split_code_and_text_blocks
    made = import_module("sphinx_gallery.notebook").jupyter_notebook
    _, cells = blocks(str(DOCS / "gallery" / f"{example}.py"))
    first = code_cells(notebook)[0]
    usual = import_module("sphinx_gallery.gen_gallery").DEFAULT_GALLERY_CONF
    settings = {**usual, "first_notebook_cell": first}
    shown = code_cells(made(cells, settings, str(DOCS)))
    assert shown[0] == first
    run(shown)
    assert capsys.readouterr().out
