"""The test problems are what was published: each is solved from its usual start."""

import numpy as np
import pytest
import torch

from benchmarks.fit_problems import PROBLEMS, Problem
from benchmarks.fits import our_fit, stepped
from benchmarks.nist_problems import Regression, digits


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_the_published_minimum_is_found(problem: Problem) -> None:
    found = our_fit(problem, problem.starts()[0])
    assert problem.solved(found.squares)
    assert found.evaluations < 500


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_torch_and_numpy_compute_the_same(problem: Problem) -> None:
    start = problem.starts()[0]
    by_torch = problem.residuals(
        torch.from_numpy(start), torch, *(torch.from_numpy(each) for each in problem.data)
    )
    by_numpy = problem.residuals(start, np, *problem.data)
    np.testing.assert_allclose(by_torch.numpy(), by_numpy, rtol=1e-12, atol=1e-12)


def test_starts_and_minima_are_told_apart() -> None:
    problem = Problem("one", lambda x, xp: x, (1.0, 2.0), (0.0, 4.0))
    assert [start.tolist() for start in problem.starts()] == [[1, 2], [10, 20], [100, 200]]
    assert problem.solved(4.00001)
    assert not problem.solved(4.001)
    assert not problem.solved(float("nan"))
    assert len(Problem("zero", lambda x, xp: x, (0.0, 0.0), (0.0,)).starts()) == 1


def test_steps_of_the_optimizer_end_at_the_published_minimum() -> None:
    x = np.linspace(0, 2, 15)
    y = 3 * np.exp(-x) + 0.1 * x
    certified = np.array([3.0, -1.0])
    problem = Regression(
        name="decay",
        model=lambda b, x, xp: b[0] * xp.exp(b[1] * x) + 0.1 * x,
        starts=np.array([[1.0, -0.1], [2.0, -2.0]]),
        certified=certified,
        deviations=certified,
        squares=0.0,
        x=x,
        y=y,
    )
    found = stepped(problem, problem.starts[0], 100)
    assert digits(found.x, certified) > 6
    assert found.evaluations < 40
