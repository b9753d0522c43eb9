"""Peers compute what we compute, so that only time and memory differ."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import contenders
from benchmarks.bare_products import Product, bare_products, products_run
from benchmarks.jax_hessian import as_tensor, jax_hessian
from benchmarks.problems import Problem, conv_net, random_mlp, tanh_mlp
from benchmarks.scaling import power_law
from benchmarks.scaling_picture import Point, scaling_picture

# Float32 sums of a few dozen terms in another order.
ROUNDING = 2e-6


@pytest.fixture
def problem() -> Problem:
    return random_mlp(inputs=6, hidden=4, batch=32)


@pytest.mark.slow
@pytest.mark.parametrize("mode", contenders.MODES)
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr")
def test_torch_func_equals_ours(problem: Problem, mode: contenders.Mode) -> None:
    ours = contenders.qnewton_hessian(problem)()
    columns = contenders.spread_columns(problem.n, 7)
    run = contenders.torch_func_columns(problem, columns, mode, chunk=3)
    assert contenders.difference(run(), ours[columns]) < ROUNDING
    assert contenders.difference(run(), ours[columns]) < ROUNDING  # from what the first one kept


@pytest.mark.slow
def test_torch_func_hessian_equals_ours(problem: Problem) -> None:
    whole = contenders.torch_func_hessian(problem)()
    assert contenders.difference(whole, contenders.qnewton_hessian(problem)()) < ROUNDING


@pytest.mark.slow
def test_curvlinops_equals_ours(problem: Problem) -> None:
    pytest.importorskip("curvlinops", reason="a peer, of the extra bench")
    columns = contenders.spread_columns(problem.n, 7)
    found = contenders.curvlinops_hessian(problem, columns, chunk=3)()
    ours = contenders.qnewton_hessian(problem)()
    assert contenders.difference(found.mT, ours[columns]) < ROUNDING


@pytest.mark.slow
def test_jax_equals_ours(problem: Problem) -> None:
    pytest.importorskip("jax", reason="a peer, of the extra bench")
    found = as_tensor(jax_hessian(problem)())
    assert contenders.difference(found, contenders.qnewton_hessian(problem)()) < ROUNDING


def test_a_difference_is_relative_to_the_largest_entry() -> None:
    expected = torch.tensor([[4.0, 1.0], [1.0, 2.0]])
    assert (
        contenders.difference(expected + torch.tensor([[0.0, 0.0], [0.0, 1.0]]), expected) == 0.25
    )
    with pytest.raises(ValueError, match="not finite"):
        contenders.difference(expected * math.nan, expected)
    with pytest.raises(ValueError, match="differ"):
        contenders.difference(expected[:1], expected)


def test_problems_are_the_same_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QNEWTON_DATA", raising=False)
    for build, n in ((conv_net, 3006), (tanh_mlp, 2950)):
        before = torch.random.get_rng_state()
        first, second = build(), build()
        assert torch.equal(before, torch.random.get_rng_state())
        assert first.n == n
        assert torch.equal(first.closure(), second.closure())


def test_bare_products_of_active_units_count_one_triangle(problem: Problem) -> None:
    with torch.no_grad():
        for name, parameter in problem.model.named_parameters():
            parameter.copy_(parameter.abs() if name.endswith("weight") else parameter * 0 + 50)
    samples = len(problem.inputs)
    shapes = [(6, 4), (4, 4), (4, 10)]  # every unit is active in every sample
    own = sum(i * i * o * (o + 1) // 2 for i, o in shapes)
    cross = sum(math.prod(a) * math.prod(b) for a, b in itertools.combinations(shapes, 2))
    products = bare_products(problem)
    assert sum(p.flops for p in products) == 2 * samples * (own + cross)
    products_run(products)()


def test_bare_products_skip_inactive_samples() -> None:
    problem = random_mlp(inputs=6, hidden=1, batch=32)
    active = problem.model.get_submodule("0")(problem.inputs) > 0
    assert bare_products(problem)[0] == Product(6, int(active.sum()), 6)


@settings(deadline=None, max_examples=50)
@given(
    exponent=st.floats(-3, 3),
    factor=st.floats(1e-6, 1e6),
    x=st.lists(st.integers(1, 10**6).map(float), min_size=2, max_size=8, unique=True),
)
def test_a_power_law_is_found(exponent: float, factor: float, x: list[float]) -> None:
    found = power_law(x, [factor * value**exponent for value in x])
    # Two neighboring integers near 10⁶ leave 1e-6 of a logarithm to fit on.
    assert found.exponent == pytest.approx(exponent, abs=1e-6)


def test_a_power_law_needs_positive_points() -> None:
    with pytest.raises(ValueError, match="two positive points"):
        power_law([1.0], [1.0])
    with pytest.raises(ValueError, match="two positive points"):
        power_law([1.0, 2.0], [1.0, 0.0])


def test_the_picture_shows_every_point() -> None:
    sweeps = ("N, 784 inputs", "N, 64 inputs", "batch, 784-16-16-10")
    points = [Point(sweep, x, 1e-3 * x, 1000 * x) for sweep in sweeps for x in (500, 1000, 2000)]
    fit = power_law([1.0, 2.0], [1.0, 2.0])
    picture = scaling_picture(points, dict.fromkeys(sweeps, (fit, fit)))
    assert len(picture.rows) == 2 * len(points)
    assert "~ N^1.00" in picture.chart.to_json()
