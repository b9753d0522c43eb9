"""The picture of the physics benchmark: all that was measured, or a note that nothing was."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.physics_picture import error_over_time


@pytest.fixture
def results(tmp_path: Path) -> Path:
    curve = {"seconds": [0.0, 0.1, 10.0], "error": [1.0, 0.5, 1e-4], "loss": [1.0, 0.1, 1e-8]}
    broken = {"seconds": [0.0, 0.2, 10.0], "error": [1.0, 0.7, float("nan")], "loss": [1.0] * 3}
    runs = {"QNewton": {"curve": curve}, "SOAP, 0.003": {"curve": broken}}
    path = tmp_path / "physics.json"
    path.write_text(json.dumps({"facts": {"threads": 1, "heat": {"runs": runs}}}))
    return path


def drawn(problem: str, path: Path) -> dict[str, Any]:
    return error_over_time(problem, path).to_dict()


def test_every_run_is_drawn_on_logarithmic_axes(results: Path) -> None:
    chart = drawn("heat", results)
    points = [(row["method"], row["seconds"], row["error"]) for row in chart["data"]["values"]]
    # Neither the start, at 0 s, nor what is no number has a place on such axes.
    assert points == [
        ("QNewton", 0.1, 0.5),
        ("QNewton", 10.0, 1e-4),
        ("SOAP, 0.003", 0.2, 0.7),
    ]
    for axis in ("x", "y"):
        assert chart["encoding"][axis]["scale"]["type"] == "log"
        low, high = chart["encoding"][axis]["scale"]["domain"]
        values = [row[chart["encoding"][axis]["field"]] for row in chart["data"]["values"]]
        assert low < min(values) < max(values) < high
    colors = chart["encoding"]["color"]["scale"]
    assert colors["domain"] == ["QNewton", "SOAP, 0.003"]
    assert len(set(colors["range"])) == 2


def test_a_problem_that_was_not_measured_is_an_error(results: Path) -> None:
    with pytest.raises(KeyError, match="wave"):
        error_over_time("wave", results)


def test_without_results_a_note_says_how_to_get_them(tmp_path: Path) -> None:
    chart = drawn("heat", tmp_path / "physics.json")
    assert chart["mark"]["type"] == "text"
    said = " ".join(row["text"] for row in chart["data"]["values"])
    assert "has not been run" in said
    assert "python -m benchmarks physics" in said
