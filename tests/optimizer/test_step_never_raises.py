"""Whatever numbers come up, a step that sets its damping has something to judge and records it."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from qnewton import Limits, QNewton, Quantum
from qnewton.cost import Market, Solver
from qnewton.curvature import Kind, Partition
from qnewton.experiments.replay import replay
from qnewton.operators import LinearSystem
from qnewton.optimizer import attempts
from qnewton.records import Facts, Outcome
from qnewton.scheduler.pricing import ReplaySettings
from qnewton.scheduler.running import run_solver
from qnewton.solvers import Solution, SolveStats


def network(seed: int, dtype: torch.dtype) -> tuple[nn.Module, Callable[[], Tensor]]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).to(dtype)
    inputs, targets = torch.randn(16, 4, dtype=dtype), torch.randn(16, 2, dtype=dtype)
    return net, lambda: mse_loss(net(inputs), targets)


class _InfiniteSecond(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _Gradient.apply(grads[0])  # pyright: ignore[reportReturnType]


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * math.inf


@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
@pytest.mark.parametrize("where", ["inputs", "graph"])
def test_an_infinite_curvature_leaves_a_damped_gradient_step(
    kind: Kind, blocks: Partition, where: str
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    # Squares of the inputs overflow; or a gradient whose own derivative is infinite.
    inputs = torch.randn(8, 3) * (1e25 if where == "inputs" else 1.0)
    targets = torch.randn(8, 2)

    def closure() -> Tensor:
        output = net(inputs)
        return mse_loss(_InfiniteSecond.apply(output) if where == "graph" else output, targets)

    optimizer = QNewton(net, curvature=kind, blocks=blocks)
    before = float(closure().detach())
    for _ in range(4):
        optimizer.step(closure)
    assert float(closure().detach()) <= before
    for record in optimizer.records:
        assert record.damping is not None
        assert record.damping.origin == "gradient"
        assert record.damping.failure is not None
        assert record.modelled is None
        assert record.step_norm <= record.damping.radius * (1 + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_plain_training_never_raises_whatever_the_unit_of_the_loss(
    dtype: torch.dtype, scale: float
) -> None:
    net, loss = network(3, dtype)
    optimizer = QNewton(net)
    before = float(loss().detach())
    for _ in range(60):
        optimizer.step(lambda: scale * loss())
    assert float(loss().detach()) < before / 2
    assert all(record.damping is not None for record in optimizer.records)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_logistic_regression_on_unscaled_features_in_float32(seed: int) -> None:
    torch.manual_seed(seed)
    net = nn.Linear(5, 2)
    inputs = torch.randn(40, 5) * torch.tensor([1.0, 1e2, 1e4, 1e-2, 1e6])
    targets = torch.randint(0, 2, (40,))
    optimizer = QNewton(net)
    before = float(cross_entropy(net(inputs), targets).detach())
    for _ in range(60):
        optimizer.step(lambda: cross_entropy(net(inputs), targets))
    assert float(cross_entropy(net(inputs), targets).detach()) < before / 100


@pytest.mark.parametrize("at", [0, 3])
def test_a_batch_that_is_not_finite_is_skipped_and_the_next_one_is_not(at: int) -> None:
    net, loss = network(0, torch.float64)
    optimizer = QNewton(net)
    for step in range(6):
        optimizer.step(lambda step=step: loss() * (math.nan if step == at else 1.0))
    skipped = [record.skipped for record in optimizer.records]
    assert skipped[at] == "the loss is nan"
    assert skipped.count(None) == 5


def test_a_gradient_of_zero_moves_nothing() -> None:
    w = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = QNewton([w])
    for _ in range(3):
        optimizer.step(lambda: 0.0 * w.sum() + 5.0)
    assert w.tolist() == [1.0, -2.0]


CHEAPEST = ("cholesky", "lu_inverse")
"""Of a network this small, the solvers that are asked first."""


def _with_the_cheapest(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[LinearSystem, Facts, Market], Solution]
) -> None:
    """Let the solvers that are asked first do something else."""

    def replaced(
        solver: Solver, system: LinearSystem, facts: Facts, market: Market, **options: Any
    ) -> Solution:
        if solver.name in CHEAPEST:
            return run(system, facts, market)
        return run_solver(solver, system, facts, market, **options)

    monkeypatch.setattr(attempts, "run_solver", replaced)


def _raises(system: LinearSystem, facts: Facts, market: Market) -> Solution:
    raise RuntimeError("the algorithm failed to converge")


def _lies(system: LinearSystem, facts: Facts, market: Market) -> Solution:
    stats = SolveStats(solver="cholesky", residual=0.0)
    return Solution(torch.full_like(system.rhs, 7.0), Outcome.SOLVED, stats)


def _overflows(system: LinearSystem, facts: Facts, market: Market) -> Solution:
    return Solution(
        torch.full_like(system.rhs, math.inf), Outcome.SOLVED, SolveStats(solver="cholesky")
    )


def _misses(system: LinearSystem, facts: Facts, market: Market) -> Solution:
    stats = SolveStats(solver="cholesky", residual=0.9)
    return Solution(torch.ones_like(system.rhs), Outcome.RESIDUAL, stats, "9e-01 above 1e-01")


@pytest.mark.parametrize("damping", ["auto", 0.5])
@pytest.mark.parametrize("run", [_raises, _lies, _overflows, _misses])
def test_a_solver_that_fails_or_lies_is_answered_by_the_next_and_named(
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[LinearSystem, Facts, Market], Solution],
    damping: Any,
) -> None:
    _with_the_cheapest(monkeypatch, run)
    net, loss = network(0, torch.float64)
    optimizer = QNewton(net, damping=damping)
    for _ in range(3):
        optimizer.step(loss)
    attempts = [a for r in optimizer.records for b in r.blocks for a in b.attempts]
    failed = [attempt for attempt in attempts if attempt.solver in CHEAPEST]
    assert failed
    assert all(attempt.outcome is not Outcome.SOLVED for attempt in failed)
    assert {attempt.raised for attempt in failed} == {"RuntimeError" if run is _raises else None}
    for record in optimizer.records:
        assert record.skipped is None
        if record.damping is None:
            assert all(block.solver is not None for block in record.blocks)
    assert optimizer.records[-1].loss < optimizer.records[0].loss


def test_the_one_solver_that_sees_signs_is_asked_again_after_a_miss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _with_the_cheapest(monkeypatch, _misses)
    torch.manual_seed(0)
    net = nn.Linear(4, 2).double()
    inputs, targets = torch.randn(16, 4).double(), torch.randn(16, 2).double()
    optimizer = QNewton(net)
    optimizer.step(lambda: mse_loss(net(inputs), targets))
    assert optimizer.records[-1].blocks[0].solver != "cholesky"
    monkeypatch.undo()
    optimizer.step(lambda: mse_loss(net(inputs), targets))
    assert optimizer.records[-1].blocks[0].solver == "cholesky"


def test_a_step_by_the_sizes_of_eigenvalues_is_priced_by_them() -> None:
    w = nn.Parameter(torch.tensor([0.5, 0.1], dtype=torch.float64))
    optimizer = QNewton([w])
    optimizer.step(lambda: w[0] ** 2 - w[1] ** 2 + w[1] ** 4)
    [record] = optimizer.records
    assert {"absolute"} <= {a.solver for a in record.blocks[0].attempts}
    assert not record.has_unpriced_work
    offer = record.blocks[0].decision.quote("absolute")
    assert offer is not None
    assert [term.name for term in offer.terms][-1] == "eigenvalues"
    assert record.modelled is not None
    assert offer.seconds is not None
    # What was tried first, and met the negative curvature, is charged beside it.
    assert record.modelled.solve >= offer.terms[-1].seconds


@pytest.mark.parametrize("policy", ["hybrid", "paper", "quantum-only"])
@pytest.mark.parametrize("damping", ["auto", 0.0])
def test_a_curvature_of_zeros_has_no_quantum_price(policy: str, damping: Any) -> None:
    w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    optimizer = QNewton([w], policy=policy, quantum="attosecond", damping=damping)
    for _ in range(2):
        optimizer.step(lambda: 0.0 * w.square().sum() + 1.0)
    assert w.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("blocks", ["layer", "tensor", "full"])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e18])
def test_a_fisher_that_is_only_multiplied_with(blocks: Partition, scale: float) -> None:
    # Its factor is made once: a second λ has to be tried with the same.
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    inputs, targets = torch.randn(8, 3) * scale, torch.randn(8, 2)
    optimizer = QNewton(net, curvature="fisher", blocks=blocks, limits=Limits(max_dense=0))
    before = float(mse_loss(net(inputs), targets).detach())
    for _ in range(5):
        optimizer.step(lambda: mse_loss(net(inputs), targets))
    assert float(mse_loss(net(inputs), targets).detach()) <= before


@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
def test_a_damping_never_leaves_the_range_of_the_dtype(kind: Kind) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    inputs, targets = torch.randn(8, 3) * 1e19, torch.randn(8, 2)
    optimizer = QNewton(
        net, curvature=kind, blocks="layer", limits=Limits(max_dense=0), maximize=True
    )
    for _ in range(8):
        optimizer.step(lambda: mse_loss(net(inputs), targets))
    for record in optimizer.records:
        if record.damping is not None:
            assert record.damping.next_strength <= torch.finfo(torch.float32).max


@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
@pytest.mark.parametrize("survey_every", [1, 3])
def test_a_survey_that_finds_a_saddle_leaves_a_solver_that_finds_it_again(
    blocks: Partition, survey_every: int
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    inputs, targets = torch.randn(40, 4), torch.randint(0, 3, (40,))
    quantum = Quantum("attosecond", survey_every=survey_every)
    optimizer = QNewton(net, blocks=blocks, quantum=quantum)
    losses = [float(optimizer.step(lambda: cross_entropy(net(inputs), targets))) for _ in range(6)]
    assert losses[-1] < losses[0]
    records, market = tuple(optimizer.records), optimizer.market
    settings = ReplaySettings(calibration=market.calibration, hardware=market.hardware)
    assert any("indefinite" in note for r in records for b in r.blocks for note in b.facts.notes)
    assert replay(records, "classical", settings).changed == 0


@pytest.mark.parametrize("damping", ["auto", 1e-3])
def test_a_saturated_softmax_in_float32(damping: Any) -> None:
    # Its second derivatives have entries near float32's least, on which eigenvalues fail.
    torch.manual_seed(0)
    net, x = nn.Linear(5, 10), 200 * torch.randn(512, 5)
    labels = torch.randint(0, 10, (512,))
    optimizer = QNewton(net, curvature="ggn", damping=damping)
    for _ in range(3):
        optimizer.step(lambda: cross_entropy(net(x), labels))
    losses = [record.loss for record in optimizer.records]
    assert all(map(math.isfinite, losses))
    # A fixed λ judges no step.
    assert damping != "auto" or losses[-1] < losses[0]


@pytest.mark.parametrize("kind", ["auto", "hessian", "ggn", "fisher"])
@pytest.mark.parametrize("policy", ["classical", "hybrid", "paper"])
@pytest.mark.parametrize("damping", ["auto", 1e-2])
def test_eigenvalues_that_never_converge(
    kind: Kind, policy: str, damping: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **kwargs: Any) -> Tensor:
        raise torch.linalg.LinAlgError("the algorithm failed to converge")  # pyright: ignore

    net, loss = network(0, torch.float64)
    for name in ("eigh", "eigvalsh", "svd", "svdvals"):
        monkeypatch.setattr(torch.linalg, name, fails)
    machine = None if policy == "classical" else "attosecond"
    optimizer = QNewton(net, curvature=kind, policy=policy, damping=damping, quantum=machine)
    for _ in range(4):
        optimizer.step(loss)
    losses = [record.loss for record in optimizer.records]
    assert all(map(math.isfinite, losses))
    assert damping != "auto" or losses[-1] < losses[0]
