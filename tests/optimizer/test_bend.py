"""Steps on sums of squares: bent, and solved again at a larger λ where the loss refuses them."""

import time
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qnewton import Classical, QNewton, Residuals
from qnewton.cost import nominal_calibration
from qnewton.curvature import ResidualChange
from qnewton.curvature.residuals import SumOfSquares, sum_of_squares
from qnewton.operators import DenseFactor, LinearSystem, LowRankOperator
from qnewton.optimizer.bend import Bend
from qnewton.optimizer.clock import StageClock
from qnewton.records.steps import StepRecord
from qnewton.solvers import solve


def rosenbrock(w: Tensor) -> Residuals:
    return Residuals(torch.stack([10 * (w[1] - w[0] ** 2), 1 - w[0]]))


def trained(closure: Callable[[Tensor], object], steps: int) -> tuple[Tensor, list[StepRecord]]:
    w = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimizer = QNewton([w])
    for _ in range(steps):
        optimizer.step(lambda: closure(w))
    return w.detach(), list(optimizer.records)


def change_of(matrix: Tensor, weight: float) -> tuple[ResidualChange, Callable[[Tensor], Tensor]]:
    """Return the residuals r_i = (x² A)_i + x_i of ½·weight·Σr² at x = 1, and the live loss."""
    x = torch.ones(len(matrix), dtype=torch.float64)

    def loss(at: Tensor) -> Tensor:
        return 0.5 * weight * (at.square() @ matrix + at).square().sum()

    rows = weight**0.5 * (2 * matrix.T * x + torch.eye(len(x), dtype=torch.float64))
    sums = sum_of_squares(loss(x.clone().requires_grad_()))
    assert isinstance(sums, SumOfSquares)
    return ResidualChange.of(sums, rows), loss


@given(seed=st.integers(0, 1000), weight=st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=25)
def test_what_is_beyond_linear_is_half_the_second_derivative(seed: int, weight: float) -> None:
    drawn = torch.Generator().manual_seed(seed)
    matrix = torch.randn(4, 4, generator=drawn, dtype=torch.float64)
    step = torch.randn(4, generator=drawn, dtype=torch.float64)
    change, loss = change_of(matrix, weight)
    found = change.beyond_linear(loss((1 + step).requires_grad_()), step)
    assert found is not None
    expected = weight**0.5 * (step.square() @ matrix)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-9 * float(expected.norm()))


def test_nothing_is_known_of_a_loss_that_is_no_sum_of_squares() -> None:
    change, _ = change_of(torch.eye(2, dtype=torch.float64), 1.0)
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    assert change.beyond_linear(x.exp().sum(), x.detach()) is None
    assert change.beyond_linear(x[:1].square().sum(), x.detach()) is None


def test_a_bend_too_sharp_and_a_step_as_foretold_stay_straight() -> None:
    change, loss = change_of(torch.eye(2, dtype=torch.float64), 1.0)
    step = torch.full((2,), 0.5, dtype=torch.float64)
    live = loss((1 + step).requires_grad_())

    def bent(size: float, ratio: float) -> Tensor | None:
        return Bend(change, lambda: live, lambda t: size * t / t.norm())(step, step, ratio)

    assert bent(0.1, 1.2) is None
    assert bent(0.2, 0.5) is None  # 2‖a‖ = 0.8 is above ¾·‖v‖ = 0.53
    found = bent(0.1, 0.5)
    assert found is not None
    assert float((found - step).norm()) == pytest.approx(0.1)


def test_bends_of_bends_end_where_the_residuals_themselves_are_damped() -> None:
    change, loss = change_of(torch.eye(2, dtype=torch.float64), 1.0)  # r = x², at x = 1
    damping = 4.0
    step = tried = torch.full((2,), -2 / (4 + damping), dtype=torch.float64)
    for _ in range(20):
        live = loss((1 + tried).requires_grad_())
        bend = Bend(change, lambda live=live: live, lambda t: 2 * t / (4 + damping))
        found = bend(step, tried, 0.0)
        assert found is not None
        tried = found
    assert torch.allclose(damping * tried, -2 * (1 + tried).square(), rtol=1e-9)


def test_bent_steps_follow_a_curved_valley() -> None:
    w, records = trained(rosenbrock, 15)
    assert w.tolist() == pytest.approx([1.0, 1.0], abs=1e-6)
    judged = [record.damping for record in records]
    bent = [damping for damping in judged if damping is not None and damping.tries == 2]
    assert len(bent) >= 3


@pytest.mark.parametrize("backward", [False, True])
def test_a_closure_that_calls_backward_takes_the_same_steps(backward: bool) -> None:
    def closure(w: Tensor) -> Tensor:
        loss = rosenbrock(w).loss
        if backward:
            w.grad = None
            loss.backward()
        return loss

    found, _ = trained(closure, 6)
    expected, _ = trained(rosenbrock, 6)
    assert torch.equal(found, expected)


def test_a_refused_step_is_solved_again_on_the_same_jacobian() -> None:
    w = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    t = torch.linspace(0, 30, 20, dtype=torch.float64)
    y = torch.exp(-0.1 * t)
    losses = []

    def closure() -> Tensor:
        loss = (w[0] * torch.exp(-w[1] * t) - y).square().sum()
        losses.append(float(loss.detach()))
        return loss

    optimizer = QNewton([w])
    refused = []
    for _ in range(20):
        losses.clear()
        optimizer.step(closure)
        record = optimizer.records[-1]
        assert record.damping is not None
        if record.abandoned and record.damping.length == 1.0 and losses[1] > losses[0]:
            refused.append(record)
    assert refused
    for record in refused:
        [block] = record.blocks
        strengths = [other.treatment.damping for other in record.abandoned]
        assert strengths == sorted(strengths)
        assert strengths[0] <= block.treatment.damping
        made = [other.curvature.preparing_calls > 0 for other in (*record.abandoned, block)]
        assert made.count(True) == 1
        # Who reads entries forms them for all that follow.
        formed = "cholesky" in {other.solver for other in record.abandoned}
        assert (block.curvature.forming_flops == 0.0) == formed
        assert record.damping is not None
        assert record.damping.strength == pytest.approx(block.treatment.damping)


def test_every_system_of_a_step_is_solved_for_the_right_side_it_has() -> None:
    w = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimizer = QNewton([w], classical=Classical(tolerance=1e-8))
    told: list[tuple[int, LinearSystem, Tensor]] = []
    optimizer.register_solution_hook(lambda step, system, _, x: told.append((step, system, x)))
    for _ in range(8):
        optimizer.step(lambda: rosenbrock(w))
    assert len(told) > 12  # some of a step's are those of its bend
    for _, system, x in told:
        off = float((system.operator @ x - system.rhs).norm())
        assert off <= 1e-8 * float(system.rhs.norm())
        assert isinstance(system.operator, LowRankOperator)
        if system.target is not None:  # which some solvers begin from
            given = system.operator.factor @ system.target
            assert torch.allclose(given, system.rhs, rtol=1e-9)


def test_a_stage_inside_another_one_pauses_it() -> None:
    clock = StageClock(torch.device("cpu"))
    begun = time.perf_counter()
    with clock.stage("update"):
        time.sleep(0.01)
        with clock.stage("solve"):
            time.sleep(0.03)
        time.sleep(0.01)
    whole = time.perf_counter() - begun
    seconds = clock.seconds()
    assert seconds.update + seconds.solve <= whole
    assert seconds.solve >= 0.03
    assert 0.02 <= seconds.update < whole - 0.03 + 1e-6


def test_a_bend_is_one_more_solve_with_the_factorisation_of_its_step() -> None:
    t = torch.linspace(0, 30, 20, dtype=torch.float64)
    y = torch.exp(-0.1 * t)
    w = nn.Parameter(torch.tensor([1.0, 0.5], dtype=torch.float64))
    optimizer = QNewton([w], classical=Classical(calibration=nominal_calibration()))
    bends = []
    for _ in range(15):
        optimizer.step(lambda: (w[0] * torch.exp(-w[1] * t) - y).square().sum())
        record = optimizer.records[-1]
        assert record.modelled is not None
        systems = {b.treatment.damping: b for b in record.abandoned if not b.facts.factored_by}
        systems |= {b.treatment.damping: b for b in record.blocks}
        bends += [
            (b, systems[b.treatment.damping]) for b in record.abandoned if b.facts.factored_by
        ]
    assert bends
    for bend, system in bends:
        assert [a.solver for a in bend.attempts] == [bend.facts.factored_by] == [system.solver]
        [quote], known = bend.decision.quotes, system.decision.quote(bend.decision.chosen)
        assert known is not None
        solve = [term for term in known.terms if term.name not in ("forming", "factor")]
        assert list(quote.terms) == solve
        assert bend.curvature.preparing_calls == 0


@pytest.mark.parametrize(
    "name", ["lu_inverse", "lu", "ldl", "cholesky", "woodbury", "augmented_qr"]
)
def test_kept_factors_solve_for_another_target(name: str) -> None:
    drawn = torch.Generator().manual_seed(0)
    factor = torch.randn(5, 7, generator=drawn, dtype=torch.float64)
    targets = torch.randn(2, 7, generator=drawn, dtype=torch.float64)
    system = LinearSystem(LowRankOperator(DenseFactor(factor), 0.1), factor @ targets[0])
    assert solve(system, name).factors is None
    factors = solve(system, name, keep_factors=True).factors
    assert factors is not None
    other = system.with_target(targets[1])
    found = factors.solve(other.rhs, 1e-10, other.target).direction
    assert found is not None
    expected = torch.linalg.solve(factor @ factor.mT + 0.1 * torch.eye(5), factor @ targets[1])
    assert torch.allclose(found, expected, rtol=1e-9)


def test_every_block_keeps_its_own_factorisation() -> None:
    drawn = torch.Generator().manual_seed(0)
    x = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None]
    net = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, generator=drawn)

    def slope() -> Tensor:
        inside = x.clone().requires_grad_()
        (found,) = torch.autograd.grad(net(inside).sum(), inside, create_graph=True)
        return (found - torch.sin(3 * x)).square().mean()

    optimizer = QNewton(net, blocks="layer")
    bends = []
    for _ in range(20):
        optimizer.step(slope)
        record = optimizer.records[-1]
        bends.append([b.name for b in record.abandoned if b.facts.factored_by])
        assert record.damping is not None
        assert record.damping.curvature == "ggn"
    found = [names for names in bends if names]
    assert found
    for names in found:
        assert len(set(names)) == 2
        assert len(names) % 2 == 0
