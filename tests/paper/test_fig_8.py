"""Fig. 8 on the digits, at three values of λ and for a few steps."""

from pathlib import Path

import pytest
import torch

from paper.artifact import Artifact, PaperContext
from paper.damping_sweep import Setup, measure_point, undamped_condition
from paper.fig_8 import EXPERIMENT
from qnewton.curvature import systems
from qnewton.report import save_chart
from qnewton.workloads import load_workload

# The trainings that the module's tests read take seconds.
pytestmark = pytest.mark.slow

TINY = Setup(
    name="tiny",
    workload="digits",
    dampings=(1e-3, 1.0, 3.0),
    seeds=(0,),
    newton_steps=4,
    warmups=(0, 2),
    survey_every=3,
)


@pytest.fixture(scope="module")
def artifact(context: PaperContext) -> Artifact:
    return EXPERIMENT.make(context, TINY)


@pytest.fixture(scope="module")
def first_eigenvalues() -> torch.Tensor:
    workload = load_workload("digits", seed=0)
    model = workload.build_model(0)
    inputs, targets = next(workload.batches(0))
    (system,) = systems(model, lambda: workload.loss(model(inputs), targets), blocks="full")
    return torch.linalg.eigvalsh(system.operator.dense().double())


def test_its_checks_pass_and_each_run_has_a_row(artifact: Artifact) -> None:
    assert [check.name for check in artifact.checks if not check.passed] == []
    (table,) = artifact.tables
    assert len(table.rows) == 6
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert len(artifact.findings) == 2


def test_kappa_at_the_first_step_is_that_of_the_first_hessian(
    artifact: Artifact, first_eigenvalues: torch.Tensor
) -> None:
    (table,) = artifact.tables
    kappa = table.columns.index("κ at the first Newton step")
    for row in table.rows:
        damping, warmup = row[0], row[1]
        if warmup:
            continue
        sizes = (first_eigenvalues + damping).abs()
        # float32 rounds H + λI; at λ = 0.001 an eigenvalue of 5e-5 is known to 1e-3.
        assert row[kappa] == pytest.approx(float(sizes.max() / sizes.min()), rel=1e-2)


def test_a_run_that_diverges_is_given_up_and_says_so(context: PaperContext) -> None:
    point = measure_point(context, TINY, 1e-3, 0, 0)
    assert point.trial.diverged
    assert len(point.trial.records) < TINY.newton_steps
    assert point.trial.indefinite_steps > 0
    assert point.later_condition is None
    steady = measure_point(context, TINY, 1.0, 0, 0)
    assert not steady.trial.diverged
    assert len(steady.trial.records) == TINY.newton_steps
    assert steady.trial.indefinite_steps == 0
    assert set(steady.facts) == {0, 3}


def test_the_undamped_hessian_is_singular(
    context: PaperContext, first_eigenvalues: torch.Tensor
) -> None:
    facts = undamped_condition(context, TINY)
    assert facts is not None
    assert facts.spectrum.condition is not None
    # Pixels that are the same in all images leave rows of zeros.
    assert facts.spectrum.condition.value is None
    assert float(first_eigenvalues.abs().min()) < 1e-12


def test_its_picture_can_be_drawn(artifact: Artifact, tmp_path: Path) -> None:
    paths = save_chart(artifact.pictures["fig-8"], tmp_path, "fig-8")
    assert all(path.stat().st_size > 0 for path in paths)
