"""The full-batch problems start where they say, and a run's verdict says who won."""

import pytest
import torch

from benchmarks.full_batch import _row
from benchmarks.full_batch_problems import PROBLEMS, logistic_regression
from benchmarks.full_batch_runs import TOLERANCE, Build, Run, adam, better, lbfgs


@pytest.mark.parametrize("build", PROBLEMS, ids=lambda build: build.__name__)
def test_a_problem_is_the_same_every_time(build: Build) -> None:
    one, other = build(), build()
    assert torch.equal(one.loss(), other.loss())
    assert one.loss().dtype == torch.float64
    assert 0 < one.n <= 500


def test_lbfgs_reaches_the_minimiser_and_is_stopped_there() -> None:
    run = lbfgs(100)(logistic_regression, 20.0)
    assert run.seconds is not None
    assert run.gradient_norm <= TOLERANCE
    gradients = torch.autograd.grad(run.problem.loss(), list(run.problem.model.parameters()))
    assert float(torch.cat([g.flatten() for g in gradients]).norm()) <= TOLERANCE


def test_a_run_out_of_time_says_how_near_it_came() -> None:
    run = adam(1e-3, cosine=False)(logistic_regression, 0.1)
    assert run.seconds is None
    assert TOLERANCE < run.gradient_norm < 1
    assert run.evaluations > 1


def run_of(seconds: float | None, gradient_norm: float) -> Run:
    return Run(seconds, 7, gradient_norm, 0.5, logistic_regression())


def test_sooner_is_better_and_then_nearer() -> None:
    assert better(run_of(1.0, 1e-9), run_of(2.0, 1e-10))
    assert better(run_of(9.0, 1e-8), run_of(None, 1e-7))
    assert better(run_of(None, 1e-7), run_of(None, 1e-6))
    assert not better(run_of(None, 1e-6), run_of(1.0, 1e-9))


@pytest.mark.parametrize(
    ("ours", "peer", "condition", "words", "verdict"),
    [
        (1.0, 20.0, 1e7, "20×, QNewton wins", "met"),
        (1.0, 5.0, 1e7, "5×, QNewton wins", "missed"),
        (1.0, None, 1e7, "≥ 60×, QNewton wins", "met"),
        (2.0, 1.0, 1e3, "0.5×, L-BFGS wins", "met"),
        (4.0, 1.0, 1e3, "0.25×, L-BFGS wins", "missed"),
        (None, 1.0, 1e3, "the peers win", "missed"),
        (None, None, None, "nobody", "missed"),
    ],
)
def test_the_row_says_who_won(
    ours: float | None, peer: float | None, condition: float | None, words: str, verdict: str
) -> None:
    seconds = {"QNewton": ours, "L-BFGS": peer}
    medians = {name: value for name, value in seconds.items() if value is not None}
    runs = {name: run_of(value, 1e-5) for name, value in seconds.items()}
    row = _row("problem", condition, medians, runs)
    assert words in row.measured
    assert row.verdict == verdict
