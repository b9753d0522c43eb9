"""Every curvature of a table of models, entry by entry, against finite differences.

Nothing of this module shares code with the curvature it judges: Hessian entries are finite
differences of gradients, Gauss-Newton entries are made of finite-difference Jacobians and second
differences of the loss in the output, and Fisher entries of one gradient a sample. All in float64.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.untouched_defaults import CASES
from qnewton.curvature import systems
from tests.curvature.model_table import KINDS, TABLE, Losses, Model, build, draw
from tests.oracles import difference_quotient, gradient

# Share of the largest entry that an entry may be off by.
LIMIT = 1e-6
# Steps of the differences; four points leave h⁴ of truncation and 1e-16/h of rounding.
STEP = 2e-3


def quotient(model: Model, what: Callable[[], Tensor]) -> Tensor:
    """Return ∂what/∂θ, [N, *what.shape]; all buffers are put back."""
    buffers = [(b, b.clone()) for b in model.module.buffers()]

    def restore() -> None:
        for buffer, before in buffers:
            buffer.copy_(before)

    return difference_quotient(what, model.parameters, STEP, restore)


def output_hessian(losses: Losses, f: Tensor) -> Tensor:
    """Return ∂²L/∂f² of the mean loss, by four-point differences of ∂L/∂f."""
    rows, flat = [], f.detach().clone().requires_grad_()
    for index in range(flat.numel()):
        unit = torch.zeros_like(flat).view(-1)
        unit[index] = STEP
        total = torch.zeros_like(flat).detach()
        for share, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            moved = (flat + share * unit.view_as(flat)).detach().requires_grad_()
            [slope] = torch.autograd.grad(losses(moved).mean(), moved)
            total = total + weight * slope
        rows.append(total.flatten() / (12 * STEP))
    found = torch.stack(rows)
    return (found + found.mT) / 2


def expected(model: Model, kind: str) -> Tensor:
    """Return the N × N curvature without the library."""
    if kind == "hessian":
        found = quotient(model, lambda: gradient(model.loss(), model.parameters))
        return (found + found.mT) / 2
    assert model.losses is not None
    f = model.module(*model.inputs)
    if kind == "ggn":
        with torch.no_grad():
            jacobian = quotient(model, lambda: model.module(*model.inputs).flatten())
        return jacobian @ output_hessian(model.losses, f) @ jacobian.mT
    columns = torch.stack([gradient(loss, model.parameters) for loss in model.losses(f)], 1)
    return columns @ columns.mT / columns.shape[1]


# What is refused, and what the one line names: two calls of the model leave no output to
# differentiate at; PyTorch's double backward of weight_norm is wrong.
REFUSED = {
    ("pinn", "fisher"): "called the model 2 times",
    ("weight_norm", "hessian"): "second derivatives at layer '2' are wrong",
}


# Its Gauss-Newton matrix is that of its residuals, which tests/optimizer/test_squares.py checks.
OF_RESIDUALS = ("pinn", "ggn")


def cells() -> list[tuple[str, str]]:
    every = [(n, k) for n in TABLE for k in ("hessian", "ggn", "fisher")]
    return [cell for cell in every if cell not in REFUSED and cell != OF_RESIDUALS]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), cells())
def test_entries_equal_finite_differences(name, kind):
    model = build(name)
    buffers = [(b, b.clone()) for b in model.module.buffers()]
    truth = expected(model, kind)
    scale = float(truth.abs().max())
    for blocks in ("full", "layer", "tensor"):
        start = 0
        for buffer, before in buffers:
            buffer.copy_(before)
        for system in systems(model.module, model.loss, kind=kind, blocks=blocks):  # type: ignore[arg-type]
            inside = slice(start, start + system.n)
            dense = system.operator.dense()
            off = float((dense - truth[inside, inside]).abs().max())
            assert off <= LIMIT * scale, (blocks, system.name, system.curvature, off / scale)
            vector = draw(system.n)
            torch.testing.assert_close(system.operator @ vector, dense @ vector)
            start += system.n
        assert start == len(truth)


@pytest.mark.parametrize(("cell", "says"), REFUSED.items())
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_what_cannot_be_right_is_refused(cell, says, blocks):
    model = build(cell[0])
    with pytest.raises(ValueError, match=says):
        systems(model.module, model.loss, kind=cell[1], blocks=blocks)


def test_the_table_has_every_kind_of_the_benchmark_and_twelve_more():
    assert set(KINDS) == set(CASES)
    assert len(TABLE) >= len(CASES) + 12
    assert all(math.prod(p.shape) > 0 for name in TABLE for p in build(name).parameters)
