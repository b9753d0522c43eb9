"""Compares every block of a Gauss-Newton matrix with the oracle."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import systems
from tests.oracles import gauss_newton

Loss = Callable[[Tensor], Tensor]


def check(
    model: nn.Module,
    loss: Loss,
    *inputs: Tensor,
    routes: set[str],
    blocks: str = "full",
    reason: str = "",
) -> None:
    """Compare every block, its entries and its products, with the oracle."""
    expected, start, found_routes = gauss_newton(model, loss, *inputs), 0, set()
    scale = float(expected.abs().max())
    for system in systems(model, lambda: loss(model(*inputs)), kind="ggn", blocks=blocks):  # type: ignore[arg-type]
        inside = slice(start, start + system.n)
        matrix = system.operator.dense()
        assert float((matrix - expected[inside, inside]).abs().max()) <= 1e-10 * scale
        assert torch.equal(matrix, matrix.mT)
        vectors = torch.linspace(-1, 1, 2 * system.n, dtype=matrix.dtype).view(-1, 2)
        assert_close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10 * scale)
        assert_close(system.operator @ vectors, matrix @ vectors)
        assert_close(system.operator @ vectors[:, 0], matrix @ vectors[:, 0])
        record = system.curvature
        assert record is not None
        assert record.kind == "ggn"
        assert reason in record.reason
        found_routes.add(record.route)
        start += system.n
    assert start == expected.shape[0]
    assert found_routes == routes


def softmax(targets: Tensor, reduction: str = "mean") -> Loss:
    return lambda f: cross_entropy(f, targets, reduction=reduction)


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.head = nn.Linear(4, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.token(x)).mean(1))
