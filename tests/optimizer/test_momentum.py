"""Momentum in the least-squares sense: what earlier batches told of a step stays in it."""

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qnewton import Damping, Limits, QNewton, Residuals
from qnewton.operators import LinearSystem

FREE = Limits(budget=math.inf)  # steps on batches are the same as on all data
SPRING = Damping(momentum=0.9)
Batch = tuple[Tensor, Tensor]


def batches(seed: int, steps: int, m: int = 4, n: int = 6) -> list[Batch]:
    """Draw rows of one linear problem that has a solution, anew for each step."""
    drawn = torch.Generator().manual_seed(seed)
    solution = torch.randn(n, 1, generator=drawn, dtype=torch.float64)
    rows = [torch.randn(m, n, generator=drawn, dtype=torch.float64) for _ in range(steps)]
    return [(matrix, matrix @ solution) for matrix in rows]


def stepped(optimizer: QNewton, w: Tensor, of: list[Batch]) -> list[Tensor]:
    """Take a step per batch, and return what each moved."""
    moved = []
    for matrix, b in of:
        before = w.detach().clone()
        optimizer.step(lambda matrix=matrix, b=b: Residuals(matrix @ w.view(-1, 1) - b))
        moved.append(w.detach() - before)
    return moved


def weights(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(*shape, dtype=torch.float64))


def test_without_momentum_and_at_the_first_step_it_is_the_plain_step() -> None:
    of = batches(0, 5)
    found: list[list[Tensor]] = []
    for damping in ("auto", Damping(momentum=0.0), SPRING):
        w = weights(6, 1)
        optimizer = QNewton([w], damping=damping, limits=FREE)
        found.append(stepped(optimizer, w, of))
        kept = [name for name, value in optimizer.state[w].items() if isinstance(value, Tensor)]
        assert kept == (["momentum"] if damping is SPRING else [])
    plain, none, spring = found
    assert all(map(torch.equal, plain, none))
    assert torch.equal(plain[0], spring[0])
    assert not torch.allclose(plain[1], spring[1])


@pytest.mark.parametrize("shape", [(6, 1), (6,)])  # a vector is a fit, with Moré's metric
@given(seed=st.integers(0, 1000), momentum=st.floats(0.1, 0.99))
@settings(deadline=None, max_examples=15)
def test_a_step_is_the_least_squares_solution_of_the_stacked_system(
    shape: tuple[int, ...], seed: int, momentum: float
) -> None:
    *first, (matrix, b) = batches(seed, 3)
    w = weights(*shape)
    optimizer = QNewton([w], damping=Damping(momentum=momentum))
    last = stepped(optimizer, w, first)[-1].flatten()
    r = (matrix @ w.detach().view(-1, 1) - b).flatten()
    [moved] = stepped(optimizer, w, [(matrix, b)])
    judged, state = optimizer.records[-1].damping, optimizer.state[w]
    assert judged is not None
    assert torch.allclose(state["momentum"], moved, rtol=1e-12)
    scale = state.get("largest_columns", torch.ones(6, dtype=torch.float64))
    damper = math.sqrt(judged.strength) * torch.diag(scale.flatten())
    above = torch.cat([matrix, damper])
    right = torch.cat([-r, damper @ (momentum * last)])
    expected = torch.linalg.lstsq(above, right[:, None]).solution.flatten()
    plain = torch.linalg.lstsq(above, torch.cat([-r, 0 * last])[:, None]).solution.flatten()
    if float(expected @ (matrix.T @ r)) > 0.0:
        expected = plain  # with its momentum the step would climb
    assert torch.allclose(moved.flatten(), expected, rtol=1e-4, atol=1e-6 * float(expected.norm()))


def test_on_one_batch_it_ends_at_the_same_solution() -> None:
    [(matrix, b)] = batches(3, 1, m=9)
    noise = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    expected = torch.linalg.lstsq(matrix, b + noise).solution
    w = weights(6, 1)
    stepped(QNewton([w], damping=SPRING), w, [(matrix, b + noise)] * 60)
    assert torch.allclose(w, expected, rtol=1e-7)


def test_what_a_short_step_leaves_of_a_batch_is_not_forgotten_at_the_next() -> None:
    # The rest of a step of length lr is 1 - lr of it: with that momentum nothing is lost.
    of, off = batches(5, 100, m=1), []
    for lr, momentum in ((1.0, 0.0), (0.5, 0.5), (0.5, 0.0)):
        w = weights(6, 1)
        damping = Damping(momentum=momentum)
        stepped(QNewton([w], lr=lr, damping=damping, limits=FREE), w, of)
        apart = [matrix @ w.detach() - b for matrix, b in of[:25]]
        off.append(float(torch.cat(apart).norm()))
    whole, spring, short = off
    assert spring < 2 * whole < short / 2


@pytest.mark.parametrize("shape", [(6, 1), (6,)])
@pytest.mark.parametrize("by", ["state_dict", "pickle", "deepcopy"])
def test_a_resumed_run_is_the_same_to_the_bit(shape: tuple[int, ...], by: str) -> None:
    of = batches(7, 9)
    whole, w = weights(*shape), weights(*shape)
    stepped(QNewton([whole], damping=SPRING), whole, of)
    optimizer = QNewton([w], damping=SPRING)
    stepped(optimizer, w, of[:4])
    if by == "state_dict":
        again = QNewton([w], damping=SPRING)
        again.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    else:
        pair: Callable[[Any], Any] = copy.deepcopy
        if by == "pickle":
            pair = lambda value: pickle.loads(pickle.dumps(value))  # noqa: E731
        w, again = pair((w, optimizer))
    stepped(again, w, of[4:])
    assert torch.equal(w, whole)


def test_a_distributed_checkpoint_holds_each_parameters_own() -> None:
    from torch.distributed.checkpoint import state_dict as checkpoint

    def problem() -> tuple[nn.Module, QNewton, Callable[[], Tensor]]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        x = torch.rand(7, 2, dtype=torch.float64)
        damping = Damping(momentum=0.8, scale="columns")
        optimizer = QNewton(net, curvature="ggn", damping=damping)
        return net, optimizer, lambda: (net(x) - x.sum(1, keepdim=True)).square().mean()

    net, optimizer, loss = problem()
    for _ in range(3):
        optimizer.step(loss)
    saved = checkpoint.get_optimizer_state_dict(net, optimizer)
    twin, again, _ = problem()
    twin.load_state_dict(net.state_dict())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*without a closure")  # it steps bare, at lr 0
        checkpoint.set_optimizer_state_dict(twin, again, saved)
    assert again.counters == optimizer.counters
    for mine, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        for name in ("momentum", "largest_columns"):
            assert torch.equal(optimizer.state[mine][name], again.state[theirs][name])
            assert optimizer.state[mine][name].shape == mine.shape


def test_a_step_that_raises_leaves_the_momentum_as_it_was() -> None:
    of, w = batches(9, 4), weights(6)
    optimizer = QNewton([w], damping=SPRING)
    stepped(optimizer, w, of[:3])
    before = copy.deepcopy(optimizer.state_dict()["state"])
    calls = []

    def closure() -> Residuals:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return Residuals(of[3][0] @ w[:, None] - of[3][1])

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    after = optimizer.state_dict()["state"]
    again = QNewton([w], damping=SPRING)
    again.load_state_dict({**again.state_dict(), "state": before})
    assert after[0].keys() == before[0].keys()
    assert all(
        torch.equal(torch.as_tensor(after[0][k]), torch.as_tensor(before[0][k])) for k in after[0]
    )
    other = nn.Parameter(w.detach().clone())
    twin = QNewton([other], damping=SPRING)
    twin.load_state_dict(again.state_dict())
    assert torch.equal(stepped(optimizer, w, of[3:])[0], stepped(twin, other, of[3:])[0])


def test_a_step_whose_momentum_climbs_is_taken_without() -> None:
    (matrix, b), w = batches(11, 1, m=9)[0], weights(6, 1)
    optimizer = QNewton([w], damping=SPRING)
    stepped(optimizer, w, [(matrix, b)])
    uphill = 1e3 * matrix.T @ (matrix @ w.detach() - b)
    other = nn.Parameter(w.detach().clone())
    plain, state = QNewton([other]), optimizer.state_dict()
    state["state"][0] = {**state["state"][0], "momentum": uphill}
    optimizer.load_state_dict(state)
    plain.load_state_dict(
        {
            **plain.state_dict(),
            "state": {0: {k: v for k, v in state["state"][0].items() if k != "momentum"}},
        }
    )
    [moved], [expected] = stepped(optimizer, w, [(matrix, b)]), stepped(plain, other, [(matrix, b)])
    assert torch.equal(moved, expected)
    last, [given_up] = optimizer.records[-1], optimizer.records[-1].abandoned
    assert "around the last step" in given_up.curvature.reason
    assert "around the last step" not in last.blocks[0].curvature.reason
    assert torch.allclose(optimizer.state[w]["momentum"], moved, rtol=1e-12)


def test_what_is_kept_is_the_step_at_lr_one_and_nothing_of_what_is_held() -> None:
    of = batches(13, 3)
    w, held = weights(6, 1), weights(6, 1)
    optimizer = QNewton([{"params": [w], "lr": 0.5}, {"params": [held], "lr": 0.0}], damping=SPRING)
    for matrix, b in of:
        before = w.detach().clone()
        optimizer.step(lambda matrix=matrix, b=b: Residuals(matrix @ (w + held) - b))
        assert torch.allclose(optimizer.state[w]["momentum"], 2 * (w.detach() - before))
    assert torch.equal(held, weights(6, 1))
    assert not optimizer.state[held]["momentum"].any()
    assert optimizer.state[held]["step"] == optimizer.state[w]["step"] == 3


@pytest.mark.parametrize(
    ("curvature", "blocks", "policy"),
    [
        ("ggn", "full", "classical"),
        ("fisher", "layer", "classical"),
        ("ggn", "layer", "hybrid"),
        ("ggn", "full", "quantum-only"),
    ],
)
def test_its_systems_are_priced_and_solved_like_any_other(
    curvature: Any, blocks: Any, policy: str
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    optimizer = QNewton(
        net,
        curvature=curvature,
        blocks=blocks,
        damping=SPRING,
        policy=policy,
        quantum=None if policy == "classical" else "attosecond",
    )
    told: list[tuple[LinearSystem, Tensor]] = []
    optimizer.register_solution_hook(lambda step, system, _, x: told.append((system, x)))
    for _ in range(6):
        x = torch.rand(8, 2, dtype=torch.float64)
        optimizer.step(lambda x=x: (net(x) - x.prod(1, keepdim=True)).square().mean())
    assert all(record.damping is not None for record in optimizer.records)
    assert optimizer.records[-1].loss < optimizer.records[0].loss
    for system, solution in told:
        off = float((system.operator @ solution - system.rhs).norm())
        assert off <= 0.2 * float(system.rhs.norm())


@pytest.mark.parametrize(
    ("settings_of", "says"),
    [
        (
            {"damping": SPRING, "curvature": "hessian"},
            "damping_momentum=0.9 needs a sum of squares",
        ),
        (
            {"damping": SPRING, "policy": "hybrid", "quantum": "attosecond"},
            "damping_momentum=0.9 needs a sum of squares",
        ),
        ({"damping": SPRING, "maximize": True}, "for squares that are minimised, and maximize"),
        ({"damping": SPRING, "prune": 2}, "for squares that are minimised, and prune is 2"),
    ],
    ids=str,
)
def test_momentum_without_squares_is_refused_when_built(
    settings_of: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        QNewton([weights(3)], **settings_of)
    assert "\n" not in str(caught.value)


def test_momentum_on_another_loss_is_refused_with_the_reason() -> None:
    w = weights(3)
    optimizer = QNewton([w], damping=SPRING)
    with pytest.raises(ValueError, match=r"needs a sum of squares.*the loss is no sum of squares"):
        optimizer.step(lambda: w.exp().sum())
    assert torch.equal(w, weights(3))


def test_numbers_that_are_not_finite_do_not_raise_and_leave_the_momentum() -> None:
    of, w = batches(15, 3), weights(6, 1)
    optimizer = QNewton([w], damping=SPRING)
    stepped(optimizer, w, of[:2])
    kept = optimizer.state[w]["momentum"]
    stepped(optimizer, w, [(of[2][0] * math.inf, of[2][1])])
    assert optimizer.records[-1].skipped is not None
    assert torch.equal(optimizer.state[w]["momentum"], kept)


def poisson_error(momentum: float, seed: int) -> float:
    """Return the mean error of Poisson's equation on points drawn anew, over the last steps."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    drawn = torch.Generator().manual_seed(100 + seed)
    probes = torch.rand(500, 2, dtype=torch.float64)

    def solution(x: Tensor) -> Tensor:
        return torch.sin(math.pi * x).prod(-1)

    optimizer, errors = QNewton(net, damping=Damping(momentum=momentum)), []
    for _ in range(60):
        points = torch.rand(20, 2, generator=drawn, dtype=torch.float64)
        t, zeros = torch.rand(2, generator=drawn, dtype=torch.float64), torch.zeros(2).double()
        sides = ((t, zeros), (t, zeros + 1), (zeros, t), (zeros + 1, t))
        edge = torch.cat([torch.stack(pair, -1) for pair in sides])

        def closure(points: Tensor = points, edge: Tensor = edge) -> Tensor:
            x = points.clone().requires_grad_()
            [slope] = torch.autograd.grad(net(x).sum(), x, create_graph=True)
            bends = [
                torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)[0][:, i]
                for i in range(2)
            ]
            inside = bends[0] + bends[1] + 2 * math.pi**2 * solution(points)
            return 0.5 * inside.square().mean() + 0.5 * net(edge).square().mean()

        optimizer.step(closure)
        with torch.no_grad():
            off = net(probes).squeeze(-1) - solution(probes)
        errors.append(float(off.norm() / solution(probes).norm()))
    return math.exp(sum(map(math.log, errors[-20:])) / 20)


@pytest.mark.parametrize("seeds", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_points_drawn_anew_leave_a_smaller_error(seeds: int) -> None:
    plain, spring = (
        math.prod(poisson_error(momentum, seed) for seed in range(seeds)) ** (1 / seeds)
        for momentum in (0.0, 0.9)
    )
    assert spring < plain / 2
