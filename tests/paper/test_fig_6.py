"""Fig. 6: snapshots of a small network's Hessian against slow, certain ways."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch

from paper import fig_6
from paper.fig_6 import histogram_rows, sparsity_picture
from paper.hessian_snapshots import (
    MASSES,
    Regime,
    Snapshot,
    Training,
    observe,
    row_sparsities,
)
from qnewton import QNewton
from qnewton.curvature import systems
from qnewton.survey import condition_number
from qnewton.workloads import Workload, load_workload
from qnewton.workloads.mlp import build_mlp

STEPS = (0, 2)


@pytest.fixture(scope="module")
def digits() -> Workload:
    return load_workload("digits", 0)


@pytest.fixture(scope="module")
def trainings(digits: Workload) -> list[Training]:
    """Newton, SGD and the published settings on digits."""
    published = dataclasses.replace(
        digits, build_model=partial(build_mlp, (64, 16, 10), initialisation="lecun"), batch_size=500
    )
    newton = observe(digits, fig_6.NEWTON, STEPS, 0, lambda _: None)
    start = newton.snapshots[0]
    sgd = observe(digits, fig_6.SGD, STEPS, 0, lambda _: None, start=start)
    return [newton, sgd, observe(published, fig_6.SCRIPT, STEPS, 0, lambda _: None)]


@pytest.fixture(scope="module")
def snapshots(trainings: list[Training]) -> list[Snapshot]:
    return [snapshot for training in trainings for snapshot in training.snapshots]


def slow_sparsity(row: list[float], mass: float) -> int:
    """The p%-sparsity of the paper's III-C, entry by entry."""
    sizes = sorted((abs(value) for value in row), reverse=True)
    total, held = sum(sizes), 0.0
    for number, size in enumerate(sizes, start=1):
        held += size
        if total > 0 and held >= mass * total * (1 - 1e-12):
            return number
    return 0


def test_row_sparsities_entry_by_entry() -> None:
    matrix = torch.randn(23, 40, generator=torch.Generator().manual_seed(0)) ** 3
    matrix[3], matrix[4, 1:] = 0.0, 0.0
    expected = [[slow_sparsity(row, mass) for row in matrix.tolist()] for mass in MASSES]
    assert row_sparsities(matrix, MASSES).tolist() == expected


def test_step_0_is_the_first_weights_hessian(digits: Workload, snapshots: list[Snapshot]) -> None:
    model = digits.build_model(0)
    inputs, targets = next(digits.batches(0))
    first = systems(model, lambda: digits.loss(model(inputs), targets), blocks="tensor")[0]
    hessian = first.operator.dense().double()
    found = snapshots[0]
    assert found.n == 64 * 16
    for row in (0, 500, 1023):
        expected = [slow_sparsity(hessian[row].tolist(), mass) for mass in MASSES]
        # Blocks of another partition differ by rounding, which may move a count by one.
        assert np.abs(found.sparsity[:, row] - expected).max() <= 1
    exact = condition_number(hessian + torch.eye(1024, dtype=torch.float64), "exact")
    assert found.condition.value == pytest.approx(exact.value, rel=0.01)
    assert found.zero_rows == int((hessian.abs().sum(dim=1) == 0).sum())


def test_steps_are_those_of_qnewton_and_sgd(digits: Workload, snapshots: list[Snapshot]) -> None:
    inputs, targets = next(digits.batches(0))

    def final_loss(make_optimizer) -> float:
        model = digits.build_model(0)
        optimizer = make_optimizer(model)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = digits.loss(model(inputs), targets)
            loss.backward()
            return loss

        for _ in range(STEPS[-1]):
            optimizer.step(closure)
        return digits.loss(model(inputs), targets).item()

    by_regime = {(s.regime.name, s.step): s for s in snapshots}
    newton = final_loss(lambda model: QNewton(model, blocks="full", lr=1.0, damping=1.0))
    # Systems are solved to a residual of 1e-6 by different solvers.
    assert by_regime["newton", 2].loss == pytest.approx(newton, rel=1e-4)
    sgd = final_loss(lambda model: torch.optim.SGD(model.parameters(), lr=0.1))
    assert by_regime["sgd", 2].loss == pytest.approx(sgd, rel=1e-5)


def test_a_start_that_is_handed_over_is_used(snapshots: list[Snapshot]) -> None:
    newton, sgd = snapshots[0], snapshots[2]
    assert sgd.regime.name == "sgd"
    assert sgd == dataclasses.replace(newton, regime=sgd.regime)


def test_relative_damping_and_clipping(digits: Workload) -> None:
    regime = Regime(
        name="r", label="r", optimizer="newton", lr=1.0, damping=0.5, relative=True, clip=1e-3
    )
    first, second = observe(digits, regime, (0, 1), 0, lambda _: None).snapshots
    assert first.damping != second.damping
    assert first.damping > 0
    # One step of entries up to 1e-3 changes the loss a little.
    assert 0 < abs(second.loss - first.loss) < 0.2 * first.loss


def test_a_system_that_cannot_be_solved_ends_the_training(digits: Workload, paper_context) -> None:
    regime = dataclasses.replace(fig_6.NEWTON, damping=0.0)
    training = observe(digits, regime, (0, 1), 0, lambda _: None)
    assert [snapshot.step for snapshot in training.snapshots] == [0]
    assert training.ended is not None
    assert training.ended.startswith("at step 0 no solver")
    caption = fig_6._pictures(fig_6.Seen(paper_context, digits, (0, 1), [training]))[
        "fig-6"
    ].caption
    assert "Training ended early: at step 0" in caption
    # One look says nothing about a trend.
    assert next(iter(fig_6._findings([training]))).verdict == "does not hold"


def test_a_loss_that_is_not_finite_ends_the_training(digits: Workload) -> None:
    regime = dataclasses.replace(fig_6.SGD, lr=1e30)
    training = observe(digits, regime, (0, 9), 0, lambda _: None)
    assert training.ended is not None
    assert "the loss is" in training.ended


def test_histograms_add_up(snapshots: list[Snapshot]) -> None:
    rows = histogram_rows(snapshots)
    for snapshot in snapshots[:2]:
        for mass, counts in zip(("50%", "75%", "90%", "95%"), snapshot.sparsity, strict=True):
            bins = [
                r
                for r in histogram_rows([snapshot])
                if r["step"] == snapshot.step and r["p"] == mass
            ]
            assert sum(r["rows"] for r in bins) == snapshot.n
            for r in bins:
                inside = ((counts >= r["from"]) & (counts < r["to"])).sum()
                assert r["rows"] == inside
    assert len({r["to"] - r["from"] for r in rows}) == 1


def test_tables_checks_and_pictures(
    digits: Workload,
    trainings: list[Training],
    snapshots: list[Snapshot],
    paper_context,
    tmp_path,
) -> None:
    table, conditions = fig_6._sparsity_table(snapshots), fig_6._condition_table(snapshots)
    assert len(table.rows) == len(snapshots) * len(MASSES)
    assert len(conditions.rows) == len(snapshots)
    assert table.rows[3][6] == float(np.median(snapshots[0].sparsity[3]))
    for described in (table, conditions):
        assert all(len(row) == len(described.columns) for row in described.rows)
    assert all(check.passed for check in fig_6._checks(snapshots))
    pictures = fig_6._pictures(fig_6.Seen(paper_context, digits, STEPS, trainings))
    assert list(pictures) == ["fig-6", "fig-6-sgd", "fig-6-published-script"]
    assert "κ of H + λI" in pictures["fig-6"].caption
    pictures["fig-6"].chart.save(tmp_path / "fig-6.png", format="png")


def test_a_lost_row_fails_its_check(snapshots: list[Snapshot]) -> None:
    wrong = dataclasses.replace(snapshots[0], agrees=False)
    checks = fig_6._checks([wrong])
    assert [check.passed for check in checks].count(False) == 1


def constant(regime: Regime, step: int, level: int, condition: float) -> Snapshot:
    return Snapshot(
        regime=regime,
        step=step,
        loss=1.0,
        test_accuracy=0.5,
        active_share=0.5,
        sparsity=np.full((4, 10), level),
        agrees=True,
        zero_rows=0,
        damping=1.0,
        condition=dataclasses.replace(
            condition_number(torch.eye(2), "exact"), value=condition, low=1.0, high=None
        ),
        damped_sparsity=level,
    )


@pytest.mark.parametrize(
    ("newton", "sgd", "verdict"),
    [
        ((9, 5), (9, 5), "holds"),
        ((5, 9), (9, 5), "holds under a named assumption"),
        ((5, 9), (5, 5), "does not hold"),
    ],
)
def test_verdicts_follow_the_trends(newton, sgd, verdict: str) -> None:
    found = [
        Training(
            regime=regime,
            snapshots=tuple(
                constant(regime, step, level, 10.0 * level)
                for step, level in zip((0, 10), levels, strict=True)
            ),
        )
        for regime, levels in ((fig_6.NEWTON, newton), (fig_6.SGD, sgd))
    ]
    for finding in fig_6._findings(found):
        assert finding.verdict == verdict
        assert (finding.assumption is not None) == (verdict == "holds under a named assumption")


def test_one_value_in_every_row_can_be_drawn(tmp_path) -> None:
    picture = sparsity_picture([constant(fig_6.SGD, 0, 1, 2.0)], "one")
    picture.chart.save(tmp_path / "one.png", format="png")
    assert picture.caption == "one"
