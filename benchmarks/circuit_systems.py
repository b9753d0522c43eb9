"""The Newton systems that circuits solve: one step of a small network on two of the digits."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qnewton import QNewton
from qnewton.operators import LinearSystem
from qnewton.records import BlockRecord
from qnewton.workloads import load_workload

DAMPING = 0.1
"""λ of both steps."""

STEPS = 2
"""Newton steps that are taken; the systems are those of the last one."""


@dataclass(frozen=True)
class NewtonSystem:
    """One block's system A·x = -g of a real step, with A damped as the optimizer solved it.

    Attributes:
        matrix: A, float64, shape [N, N].
        rhs: -g, float64, shape [N].
        exact: x/‖x‖, what a quantum solver's state should be.
    """

    matrix: Tensor
    rhs: Tensor
    exact: Tensor

    @property
    def kappa(self) -> float:
        """The condition number of A."""
        return float(torch.linalg.cond(self.matrix))

    @property
    def gradient_fidelity(self) -> float:
        """⟨x|-g⟩² of unit vectors: what is reached by solving nothing."""
        return float(self.exact @ self.rhs / self.rhs.norm()) ** 2


def newton_systems() -> Mapping[int, NewtonSystem]:
    """Return the systems of 4 and of 16 unknowns, by their size.

    Digits 3 and 8, behind a random projection to four numbers, are told apart by a network of four
    tanh units without biases. Its output layer has 4 unknowns, its first layer 16.
    """
    workload = load_workload("digits", seed=0)
    kept = (workload.train_targets == 3) | (workload.train_targets == 8)
    with torch.random.fork_rng():
        torch.manual_seed(23)
        inputs = workload.train_inputs[kept] @ torch.randn(64, 4)
        model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 1, bias=False))
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    targets = (workload.train_targets[kept] == 8).float().unsqueeze(1)
    optimizer = QNewton(model, damping=DAMPING, blocks="tensor")
    found: dict[int, NewtonSystem] = {}

    def keep(step: int, system: LinearSystem, record: BlockRecord, direction: Tensor) -> None:
        matrix, rhs = system.operator.dense().double(), system.rhs.double()
        exact = torch.linalg.solve(matrix, rhs)
        found[system.n] = NewtonSystem(matrix, rhs, exact / exact.norm())

    optimizer.register_solution_hook(keep)
    loss = nn.BCEWithLogitsLoss()
    for _ in range(STEPS):
        optimizer.step(lambda: loss(model(inputs), targets))
    return found
