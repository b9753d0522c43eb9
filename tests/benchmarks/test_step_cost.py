"""What a step costs: the verdicts, a small model measured, and one whose steps are refused."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks import step_cost
from benchmarks.harness.results import Verdict
from benchmarks.step_cost import Cost, cost_of, names, rows_of, training_of


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """Leave the number of threads as it was: a benchmark sets it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("step_seconds", "step_bytes", "verdicts"),
    [
        (1.2, 300, ["met", "met"]),
        (1.3, 300, ["missed", "met"]),
        (1.2, 301, ["met", "missed"]),
    ],
)
def test_the_rows_are_judged_by_passes_and_by_adam(
    step_seconds: float, step_bytes: int, verdicts: list[Verdict]
) -> None:
    rows = rows_of("some", Cost(10, 0.1, step_seconds, 100, step_bytes))
    assert [row.verdict for row in rows] == verdicts
    assert rows[0].question.startswith("some, N = 10: ")


def test_sizes_go_from_ten_thousand_to_ten_millions() -> None:
    sizes = [
        sum(p.numel() for p in training_of(name).model.parameters())
        for name in names()
        if name.startswith("64-")
    ]
    decades = [10**4, 10**5, 10**6, 10**7]
    assert sizes == [pytest.approx(size, rel=0.03) for size in decades]


@pytest.mark.slow
def test_a_small_model_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_cost, "_STEPS", 1)
    cost = cost_of(names()[0])
    assert cost.n == 10_230
    assert 0 < cost.pass_seconds < cost.step_seconds
    assert cost.pass_bytes > 0
    assert cost.step_bytes > 0


def test_a_model_whose_steps_are_refused_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str) -> Cost:
        raise ValueError("the loss cannot be\ndifferentiated twice")

    monkeypatch.setattr(step_cost, "cost_of", refused)
    monkeypatch.setattr(step_cost, "describe_machine", dict)
    report = step_cost.measure(lambda line: None)
    assert [row.verdict for row in report.rows] == ["missed"] * len(names())
    assert report.rows[0].measured == "the loss cannot be differentiated twice"
