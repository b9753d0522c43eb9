"""QNewton trains with every kind of curvature, and its step is that of the dense oracle."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton import Classical, Damping, QNewton
from qnewton.cost import nominal_calibration
from qnewton.curvature import Kind
from tests.cases import flat

CLASSICAL = Classical(calibration=nominal_calibration())


def make_problem(samples: int = 20):
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x = torch.randn(samples, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (samples,), generator=generator)
    return model, x, y


def jacobian(model: nn.Module, x: Tensor) -> Tensor:
    """Return ∂f/∂θ, shape [n, C, N]."""
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))])
        for i in range(len(x))
        for value in [model(x)[i, c] for c in range(3)]
    ]
    return torch.stack(rows).view(len(x), 3, -1)


def oracle(kind: Kind, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    slopes, p = jacobian(model, x), model(x).detach().softmax(1)
    if kind == "fisher":
        residual = p - nn.functional.one_hot(y, 3)
        gradients = torch.einsum("nc,ncp->np", residual, slopes)
        return gradients.mT @ gradients / len(x)
    outer = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return torch.einsum("nap,nab,nbq->pq", slopes, outer, slopes) / len(x)


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
@pytest.mark.parametrize("samples", [3, 30])
def test_a_step_solves_the_damped_system(kind, samples) -> None:
    model, x, y = make_problem(samples)
    loss = cross_entropy(model(x), y)
    g = torch.cat([d.flatten() for d in torch.autograd.grad(loss, list(model.parameters()))])
    matrix = oracle(kind, model, x, y) + 0.1 * torch.eye(len(g), dtype=torch.float64)
    expected = flat(model) - torch.linalg.solve(matrix, g)
    optimizer = QNewton(model, curvature=kind, damping=0.1, blocks="full", classical=CLASSICAL)
    optimizer.step(lambda: cross_entropy(model(x), y))
    # Both solve the same float64 system of condition below 1,000.
    assert torch.allclose(flat(model), expected, rtol=0, atol=1e-9)
    [block] = optimizer.records[-1].blocks
    assert (block.curvature.kind, block.outcome) == (kind, "solved")
    low_rank = kind == "fisher" or samples == 3
    rank = min(len(g), samples if kind == "fisher" else samples * 2)
    assert block.facts.rank == (rank if low_rank else None)
    assert block.facts.batch == samples


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ggn", "fisher"])
@pytest.mark.parametrize(
    "settings",
    [
        {"blocks": "layer"},
        {"damping": 1.0, "blocks": "tensor", "prune": 3},
        {"blocks": "full", "damping": Damping(0.5, scale="max-abs"), "prune": 0.9},
        {"damping": 1.0, "policy": "paper", "quantum": "attosecond"},
        {"warmup": 2},
    ],
)
def test_training_lowers_the_loss_whatever_the_settings(kind, settings) -> None:
    model, x, y = make_problem()
    chosen: dict[str, Any] = {"classical": CLASSICAL, **settings}
    optimizer = QNewton(model, curvature=kind, **chosen)
    losses = [float(optimizer.step(lambda: cross_entropy(model(x), y))) for _ in range(12)]
    assert losses[-1] < losses[0]
    assert all(record.skipped is None for record in optimizer.records)
    assert optimizer.records[-1].modelled is not None


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_a_curvature_that_is_not_finite_skips_the_step(kind) -> None:
    model, x, y = make_problem()
    optimizer = QNewton(model, curvature=kind, classical=CLASSICAL)
    before = flat(model)
    x[0] = float("inf")
    optimizer.step(lambda: cross_entropy(model(x).nan_to_num(), y))
    assert optimizer.records[-1].skipped is not None
    assert torch.equal(flat(model), before)


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_parameters_alone_are_refused_when_the_optimizer_is_made(kind) -> None:
    model, _, _ = make_problem()
    with pytest.raises(ValueError, match="needs the module"):
        QNewton(model.parameters(), curvature=kind)
