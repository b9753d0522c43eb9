"""Directions from moving averages of gradients, beside what their formula says."""

import pytest
import torch

from qnewton.optimizer.averages import DAMPING, GradientAverages


@pytest.mark.parametrize("widest", [1, 4, 9])
def test_a_direction_is_what_the_formula_says(widest: int) -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(4, 9, dtype=torch.float64) for _ in range(25)]
    averages = GradientAverages.begin(gradients[0], widest)
    left, right, mean = torch.zeros(4, 4), torch.zeros(9, 9), torch.zeros(4, 9)
    left, right, mean = left.double(), right.double(), mean.double()
    found = torch.zeros(4, 9)
    for step, g in enumerate(gradients, 1):
        found = averages.direction(g, step)
        newest = max(0.01, 1 / step)
        left = (1 - newest) * left + newest * g @ g.mT
        right = (1 - newest) * right + newest * g.mT @ g
        mean += max(0.1, 1 / step) * (g - mean)
    bases = []
    for factor, held in ((left, averages.left), (right, averages.right)):
        n = len(factor)
        if n > widest:
            assert held is None
            bases.append(torch.eye(n).double())
            continue
        assert held is not None
        assert torch.allclose(held[0], factor)
        assert torch.allclose(held[1].mT @ held[1], torch.eye(n).double(), atol=1e-12)
        bases.append(held[1])
    turned = bases[0].mT @ mean @ bases[1]
    assert torch.allclose(averages.mean, turned)
    root = averages.square.sqrt()
    inside = turned / (root + DAMPING * root.mean())
    assert torch.allclose(found, -bases[0] @ inside @ bases[1].mT)


def test_the_eigenvectors_are_found_where_the_gradients_come_from_one_distribution() -> None:
    torch.manual_seed(1)
    mix = torch.randn(6, 6, dtype=torch.float64)
    averages = GradientAverages.begin(torch.zeros(6, 3, dtype=torch.float64), 6)
    for step in range(1, 200):
        averages.direction(mix @ torch.randn(6, 3, dtype=torch.float64), step)
    assert averages.left is not None
    factor, basis = averages.left
    inside = basis.mT @ factor @ basis
    rest = inside - torch.diag(inside.diagonal())
    assert rest.norm() < 0.2 * inside.norm()
