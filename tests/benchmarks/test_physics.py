"""The physics problems: their solutions solve them, their closures are seen as squares."""

import functools
import math

import pytest
import torch
from torch import Tensor

from benchmarks.levenberg_marquardt import PoissonByHand
from benchmarks.physics import Tuned, described, error_row, lbfgs_row, median_seconds, time_row
from benchmarks.physics_problems import (
    OTHERS,
    VISCOSITY,
    Build,
    PhysicsProblem,
    burgers,
    burgers_residual,
    burgers_solution,
    heat,
    poisson_2d,
    poisson_2d_points,
)
from benchmarks.physics_runs import Method, Point, Run, adam, by_hand, lbfgs, newton, soap
from qnewton import Limits, QNewton

ALL: tuple[Build, ...] = (poisson_2d, *OTHERS)

# M of the Jacobian: the points inside, and those at which u is known.
SHAPES = {
    "Poisson 2-D": (129, (900, 120)),
    "Burgers, ν learned": (922, (1600, 400)),
    "Helmholtz": (1185, (1600, 160)),
    "heat 1+1-D": (257, (900, 30, 60)),
    "Poisson 5-D": (449, (3000, 500)),
}


@functools.cache
def built(build: Build) -> PhysicsProblem:
    return build()


@pytest.fixture(params=ALL, ids=lambda build: build.__name__)
def problem(request: pytest.FixtureRequest) -> PhysicsProblem:
    return built(request.param)


def test_the_exact_solution_has_no_residual(problem: PhysicsProblem) -> None:
    if problem.name == built(burgers).name:
        # There ν is the model's, and starts where it is wrong.
        problem = burgers()
        with torch.no_grad():
            [viscosity] = [p for p in problem.model.parameters() if p.ndim == 0]
            viscosity.fill_(math.log(VISCOSITY))
    for residual in problem.residuals(problem.solution):
        assert float(residual.detach().abs().max()) <= 1e-8


def test_another_field_has_a_residual(problem: PhysicsProblem) -> None:
    for residual in problem.residuals(lambda x: problem.solution(x) + x.square().sum(-1)):
        assert float(residual.detach().abs().max()) > 0.01


def test_burgers_starts_from_a_sine_and_keeps_its_symmetry() -> None:
    x = torch.linspace(-1, 1, 41, dtype=torch.float64)
    early = burgers_solution(torch.stack([torch.full_like(x, 1e-9), x], -1))
    assert torch.allclose(early, -torch.sin(math.pi * x), atol=1e-7)
    late = burgers_solution(torch.stack([torch.full_like(x, 0.9), x], -1))
    assert torch.allclose(late, -late.flip(0), atol=1e-12)


def test_burgers_has_the_published_slope() -> None:
    """Basdevant et al. (1986), table 2: |u_x| at x = 0 is highest, 152.005, at πt = 1.6037."""
    x = torch.tensor([[1.6037 / math.pi, 0.0]], dtype=torch.float64, requires_grad=True)
    [slope] = torch.autograd.grad(burgers_solution(x).sum(), x)
    assert float(slope[0, 1]) == pytest.approx(-152.005, abs=0.001)


def test_the_viscosity_is_the_factor_of_the_bend() -> None:
    points = torch.tensor([[0.3, 0.2], [0.7, -0.4]], dtype=torch.float64)

    def cubic(x: Tensor) -> Tensor:
        return x[:, 0] + x[:, 1] ** 3

    found = burgers_residual(cubic, points, torch.tensor(0.5, dtype=torch.float64))
    t, x = points.unbind(-1)
    expected = 1 + (t + x**3) * 3 * x**2 - 0.5 * 6 * x
    assert torch.allclose(found, expected)


def test_sizes_are_those_of_the_title(problem: PhysicsProblem) -> None:
    n, counts = SHAPES[problem.name]
    residuals = problem.residuals(lambda x: problem.model(x).squeeze(-1))
    assert problem.n == n
    assert tuple(residual.shape for residual in residuals) == tuple((c,) for c in counts)
    assert problem.loss().dtype == torch.float64
    half = 0.5 * sum(residual.square().mean().item() for residual in residuals)
    assert problem.loss().item() == pytest.approx(half, rel=1e-14)


@pytest.mark.parametrize("build", ALL, ids=lambda build: build.__name__)
def test_a_problem_is_the_same_every_time(build: Build) -> None:
    before = torch.random.get_rng_state()
    one, other = build(), build()
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one.loss(), other.loss())
    assert one.error() == other.error() > 0.1


def test_the_closure_is_seen_as_squares_by_the_uses_of_its_weights(problem: PhysicsProblem) -> None:
    optimizer = QNewton(problem.model, limits=Limits(budget=math.inf))
    before = [p.detach().clone() for p in problem.model.parameters()]
    loss = optimizer.step(problem.loss)
    with torch.no_grad():
        for parameter, old in zip(problem.model.parameters(), before, strict=True):
            parameter.copy_(old)
    assert isinstance(loss, Tensor)
    [block] = optimizer.records[-1].blocks
    rows = sum(SHAPES[problem.name][1])
    assert (block.curvature.kind, block.curvature.route) == ("ggn", "residuals")
    assert block.curvature.batch == rows
    # One pass for each of the conditions, and two more for Burgers' ν, which no layer uses.
    assert block.curvature.preparing_calls <= 4


def test_the_jacobian_by_hand_is_that_of_the_closure() -> None:
    problem = poisson_2d()
    fit = PoissonByHand(problem.model, *poisson_2d_points())
    assert fit.loss == pytest.approx(problem.loss().item(), rel=1e-12)
    vector = torch.nn.utils.parameters_to_vector(problem.model.parameters()).detach()
    slope = fit.jacobian(vector).mT @ fit.residual(vector)
    gradient = torch.autograd.grad(problem.loss(), list(problem.model.parameters()))
    assert torch.allclose(slope, torch.cat([g.flatten() for g in gradient]), rtol=1e-10)


def test_a_step_by_hand_lowers_the_loss_of_the_model() -> None:
    problem = poisson_2d()
    fit = PoissonByHand(problem.model, *poisson_2d_points())
    before = problem.loss().item()
    assert fit.step()
    assert problem.loss().item() == pytest.approx(fit.loss, rel=1e-12)
    assert fit.loss < before


METHODS: dict[str, Method] = {
    "newton": newton,
    "lbfgs": lbfgs,
    "adam": adam(1e-2),
    "soap": soap(1e-2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_run_records_its_curve(name: str) -> None:
    if name == "soap":
        pytest.importorskip("pytorch_optimizer", reason="a peer, of the extra bench")
    run = METHODS[name](heat, 0.5)
    seconds = [point.seconds for point in run.curve]
    assert seconds == sorted(seconds)
    assert seconds[0] == 0.0
    assert seconds[-1] >= 0.5
    assert run.curve[-1].loss < run.curve[0].loss
    assert run.error == run.problem.error()
    assert run.curve[-1].loss == run.problem.loss().item()
    assert run.steps > 0


@pytest.mark.slow
def test_a_run_by_hand_records_its_curve() -> None:
    run = by_hand(poisson_2d, 0.5)
    assert run.curve[-1].loss < run.curve[0].loss
    assert run.error == run.problem.error()


def run_of(*points: tuple[float, float]) -> Run:
    curve = tuple(Point(seconds, error, error**2) for seconds, error in points)
    return Run(curve, 7, built(heat))


def test_a_run_knows_when_it_reached_an_error() -> None:
    run = run_of((0.0, 1.0), (1.0, 0.1), (2.0, 0.01), (3.0, 0.02))
    assert run.seconds_to(0.1) == 1.0
    assert run.seconds_to(0.015) == 2.0
    assert run.seconds_to(0.001) is None
    assert run.error == 0.02
    assert run_of((0.0, 1.0), (1.0, math.nan)).error == math.inf


def test_the_median_needs_every_run_there() -> None:
    runs = [run_of((0.0, 1.0), (seconds, 0.01)) for seconds in (3.0, 1.0, 2.0)]
    assert median_seconds(runs, 0.01) == 2.0
    assert median_seconds([*runs, run_of((0.0, 1.0))], 0.01) is None


@pytest.mark.parametrize(
    ("ours", "hand", "verdict"),
    [(1.0, 2.0, "met"), (2.0, 1.0, "missed"), (1.0, None, "met"), (None, 1.0, "missed")],
)
def test_the_row_of_times_is_judged_by_the_run_by_hand(
    ours: float | None, hand: float | None, verdict: str
) -> None:
    runs = {name: run_of((0.0, 1.0)) for name in ("QNewton", "by hand", "L-BFGS")}
    row = time_row(1e-4, {"QNewton": ours, "by hand": hand}, runs)
    assert row.verdict == verdict
    assert "L-BFGS not in 40 s (1.0e+00)" in row.measured


def test_the_row_beside_lbfgs_takes_its_least_error() -> None:
    peer = run_of((0.0, 1.0), (20.0, 0.01), (40.0, 0.02))
    quick = lbfgs_row([run_of((0.0, 1.0), (1.0, 0.01))], peer)
    slow = lbfgs_row([run_of((0.0, 1.0), (4.0, 0.01))], peer)
    never = lbfgs_row([run_of((0.0, 1.0))], peer)
    assert (quick.verdict, slow.verdict, never.verdict) == ("met", "missed", "missed")
    assert "20× (1 s, 20 s)" in quick.measured


@pytest.mark.parametrize(("ours", "verdict"), [(1e-4, "met"), (5e-3, "missed"), (1.0, "missed")])
def test_the_row_of_errors_is_judged_by_the_best_peer(ours: float, verdict: str) -> None:
    errors = {"QNewton": ours, "L-BFGS": 0.2, "Adam, 0.01": 0.01}
    row = error_row("heat", {name: run_of((60.0, error)) for name, error in errors.items()})
    assert row.verdict == verdict
    assert ("QNewton wins" in row.measured) == (ours < 0.01)


def test_the_json_has_every_curve() -> None:
    run = run_of((0.0, 1.0), (1.23456, 0.1))
    facts = described(heat, Tuned({"QNewton": run}, {"QNewton": 0.1}))
    assert facts["n"] == 257
    assert facts["runs"]["QNewton"]["curve"] == {
        "seconds": [0.0, 1.235],
        "error": [1.0, 0.1],
        "loss": [1.0, 0.01],
    }


def test_a_long_curve_is_thinned_between_its_ends() -> None:
    run = run_of(*((float(second), 0.5) for second in range(182)))
    facts = described(heat, Tuned({"QNewton": run}, {"QNewton": 0.5}))
    seconds = facts["runs"]["QNewton"]["curve"]["seconds"]
    assert seconds == [*range(0, 181, 2), 181]
