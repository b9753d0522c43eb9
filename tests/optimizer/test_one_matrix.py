"""A step holds the matrix of one block at a time, unless blocks share machines."""

import gc
import weakref

import pytest
import torch
from torch import nn

from qnewton import QNewton


@pytest.mark.parametrize(
    ("policy", "alive"), [("classical-only", [1, 1, 1]), ("hybrid", [1, 2, 3])]
)
def test_a_matrix_is_freed_before_the_next_is_formed(policy: str, alive: list[int]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 2))
    net.double()
    x, y = torch.randn(20, 4).double(), torch.randint(0, 2, (20,))
    optimizer = QNewton(net, damping=1.0, blocks="layer", policy=policy, quantum="attosecond")
    matrices: list[weakref.ref[torch.Tensor]] = []
    seen: list[int] = []

    def told(step, system, record, direction) -> None:
        matrices.append(weakref.ref(system.operator.dense()))
        seen.append(sum(matrix() is not None for matrix in matrices))

    optimizer.register_solution_hook(told)
    gc.disable()
    try:
        optimizer.step(lambda: nn.functional.cross_entropy(net(x), y))
    finally:
        gc.enable()
    assert seen == alive
