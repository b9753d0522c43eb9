"""Directions from moving averages of gradients, beside what their formula says."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from qnewton.optimizer.averages import GradientAverages
from qnewton.optimizer.buckets import DAMPING, Bucket, Buckets
from qnewton.optimizer.memory import Memory


@pytest.mark.parametrize("widest", [1, 4, 9])
def test_a_direction_is_what_the_formula_says(widest: int) -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(4, 9, dtype=torch.float64) for _ in range(25)]
    averages = GradientAverages.begin(gradients[0], widest)
    bucket = Bucket([gradients[0]], [averages], [None])
    left, right, mean = torch.zeros(4, 4), torch.zeros(9, 9), torch.zeros(4, 9)
    left, right, mean = left.double(), right.double(), mean.double()
    found = torch.zeros(4, 9)
    for step, g in enumerate(gradients, 1):
        bucket.turn(g.flatten(), 1.0, step)
        found = bucket.moves[0]
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
    like = torch.zeros(6, 3, dtype=torch.float64)
    averages = GradientAverages.begin(like, 6)
    bucket = Bucket([like], [averages], [None])
    for step in range(1, 200):
        bucket.turn((mix @ torch.randn(6, 3, dtype=torch.float64)).flatten(), 1.0, step)
    assert averages.left is not None
    factor, basis = averages.left
    inside = basis.mT @ factor @ basis
    rest = inside - torch.diag(inside.diagonal())
    assert rest.norm() < 0.2 * inside.norm()


def groups(parameters: Sequence[Tensor]) -> list[dict[str, Any]]:
    return [{"params": [*parameters], "lr": 1.0}]


def test_small_parameters_side_by_side_go_where_they_go_alone() -> None:
    torch.manual_seed(2)
    shapes = [(3, 5), (4,), (1, 6), (4, 1), (2, 3, 2)]
    parameters = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    memory, alone = Memory({}), [Memory({}) for _ in shapes]
    together, buckets = Buckets(4), [Buckets(4) for _ in shapes]
    for step in range(1, 12):
        gradients: list[Tensor | None] = [torch.randn_like(p) for p in parameters]
        if step % 4 == 0:
            gradients[2] = None  # it is not always reached
        [place] = together.of(memory, groups(parameters), parameters, gradients)
        reached = [gradient for gradient in gradients if gradient is not None]
        place.bucket.turn(place.bucket.joined(reached, 2.0), 3.0, step)
        for at, found in zip(place.positions, place.bucket.moves, strict=True):
            single = parameters[at : at + 1], gradients[at : at + 1]
            [lone] = buckets[at].of(alone[at], groups(single[0]), *single)
            lone.bucket.turn(
                lone.bucket.joined([reached[place.positions.index(at)]], 2.0), 3.0, step
            )
            assert found.shape == shapes[at]
            assert torch.allclose(found, lone.bucket.moves[0], rtol=1e-12, atol=1e-12)
    for name in ("mean_gradient", "mean_square", "right_factor", "right_basis"):
        for p, own in zip(parameters, alone, strict=True):
            assert (p in memory.own(name)) == (p in own.own(name))
            if p in own.own(name):
                assert torch.allclose(memory.own(name)[p], own.own(name)[p], rtol=1e-12)


def test_large_parameters_and_other_dtypes_have_buckets_of_their_own() -> None:
    small, large = torch.zeros(3, 2), torch.zeros(300, 300)
    wide = torch.zeros(2, dtype=torch.float64)
    first, second = [small, small.clone(), large, small.clone(), wide], [wide.clone()]
    places = Buckets(4).of(
        Memory({}), [*groups(first), *groups(second)], [*first, *second], [*first, *second]
    )
    assert [(place.group, place.positions) for place in places] == [
        (0, [0, 1]),
        (0, [2]),
        (0, [3]),
        (0, [4]),
        (1, [5]),
    ]
