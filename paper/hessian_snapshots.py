"""The Hessian of a network's first weight during training: its rows and its condition number."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qnewton.curvature import Curvature, Partition
from qnewton.operators import DenseOperator, LinearSystem, OwnedOperator
from qnewton.optimizer.update import Direction
from qnewton.records import Estimate
from qnewton.solvers import Solution, solve
from qnewton.survey import condition_number
from qnewton.treatment import damp, mass_sparsity, row_blocks
from qnewton.workloads import Workload

MASSES = (0.5, 0.75, 0.9, 0.95)
"""Fig. 6's shares p of a row's absolute sum."""

_TOLERANCE = 1e-6
_SAMPLE_ROWS = 256

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Regime:
    """One way of training.

    Attributes:
        name: Short name.
        label: It in a few words.
        optimizer: Newton or SGD.
        lr: Length of a step.
        blocks: Blocks that are solved; κ is always that of the first weight.
        damping: The λ of H + λI; for SGD the λ that κ is measured at.
        relative: Read damping as a share of max|H|.
        clip: Largest entry of a direction, by absolute value; ``None`` for no limit.
    """

    name: str
    label: str
    optimizer: Literal["newton", "sgd"]
    lr: float
    blocks: Partition = "full"
    damping: float = 1.0
    relative: bool = False
    clip: float | None = None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The first weight's block at one step.

    Attributes:
        regime: How the network was trained.
        step: Steps taken before.
        loss: Loss on the step's batch.
        test_accuracy: On the whole test split.
        active_share: Share of the first layer's outputs that its ReLU lets through, on the batch.
        sparsity: p%-sparsity of every row of H, one line a mass, shape [4, N].
        agrees: Whether it equals the survey's own on a sample of rows.
        zero_rows: Rows of H without an entry.
        damping: λ, absolute.
        condition: κ of H + λI by Lanczos.
        damped_sparsity: Largest 50%-sparsity over the rows of H + λI, the scheduler's d.
    """

    regime: Regime
    step: int
    loss: float
    test_accuracy: float
    active_share: float
    sparsity: Counts
    agrees: bool
    zero_rows: int
    damping: float
    condition: Estimate
    damped_sparsity: int

    @property
    def n(self) -> int:
        """Rows of the block."""
        return self.sparsity.shape[1]

    @property
    def medians(self) -> list[float]:
        """Median p%-sparsity of the rows, by mass."""
        return [float(np.median(counts)) for counts in self.sparsity]


@dataclass(frozen=True)
class Training:
    """What was seen of one training.

    Attributes:
        regime: How the network was trained.
        snapshots: Ascending in steps.
        ended: Why training stopped before its last step; ``None`` if it did not.
    """

    regime: Regime
    snapshots: tuple[Snapshot, ...]
    ended: str | None = None


def observe(
    workload: Workload,
    regime: Regime,
    steps: Sequence[int],
    seed: int,
    progress: Callable[[str], None],
    start: Snapshot | None = None,
) -> Training:
    """Train, and look at the first weight's block at the given steps, step 0 among them.

    Newton systems are solved by conjugate gradients to 1e-6, by LU where A is not positive
    definite. A system that neither solves, or a loss that is not finite, ends the training.

    Args:
        workload: What to train; its model is drawn from the seed.
        regime: How.
        steps: Steps to look at, ascending.
        seed: Draws weights and batches.
        progress: Told of every step.
        start: Step 0 as another regime of the same model and λ has seen it already.

    Cost: at N = 13,002 one dense matrix, about 2 s a Newton step by conjugate gradients and 13 s
    by LU, and 10 s a look on two cores.
    """
    model = workload.build_model(seed)
    curvature = Curvature(model, blocks=regime.blocks)
    first = next(model.parameters())
    batches = workload.batches(seed)
    found: list[Snapshot] = []
    for step in range(steps[-1] + 1):
        progress(f"{regime.label}, step {step} of {steps[-1]}")
        inputs, targets = next(batches)

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            return workload.loss(model(inputs), targets)

        look = step in steps and not (step == 0 and start is not None)
        solving = regime.optimizer == "newton" and step < steps[-1]
        evaluation = curvature.evaluate(closure, curvature=look or solving)
        loss = float(evaluation.loss)
        if not math.isfinite(loss):
            return Training(regime, tuple(found), f"at step {step} the loss is {loss}")
        if step == 0 and start is not None:
            found.append(dataclasses.replace(start, regime=regime))
        directions = []
        systems = curvature.systems(evaluation) if look or solving else []
        while systems:  # One after the other, so that one dense matrix is alive at a time.
            system = systems.pop(0)
            holds_first = any(parameter is first for parameter in system.parameters)
            if not (solving or holds_first):
                continue
            operator = system.operator
            if regime.relative:  # Its entries are needed at every step: they are formed once.
                operator = OwnedOperator(operator.take())
            rows = _rows(operator.dense(), first) if look and holds_first else None
            system = system.with_operator(damp(operator, regime.damping, relative=regime.relative))
            if rows is not None:
                found.append(
                    Snapshot(
                        regime=regime,
                        step=step,
                        loss=loss,
                        test_accuracy=workload.evaluate(model)[1],
                        active_share=_active_share(model, inputs),
                        **rows,
                        damping=system.operator.treatment.damping,
                        **_damped_facts(system.operator.dense(), first, seed),
                    )
                )
            if solving:
                solution = _solve(system)
                if solution.direction is None or not solution.solved:
                    why = f"at step {step} no solver solves the system ({solution.describe()})"
                    return Training(regime, tuple(found), why)
                directions.append((system.parameters, solution.direction))
        evaluation.release()
        if step < steps[-1]:
            _move(model, regime, directions)
    return Training(regime, tuple(found))


def row_sparsities(matrix: Tensor, masses: Sequence[float]) -> Counts:
    """Return the p%-sparsity of every row for several p at once, with one sort of each row.

    Args:
        matrix: Finite entries on the CPU, shape [R, N].
        masses: The shares p, in (0, 1).

    Returns:
        Counts of shape [len(masses), R], as :func:`qnewton.survey.row_sparsity` gives them one by
        one.

    Example:
        >>> row_sparsities(torch.tensor([[3.0, 1.0, 1.0], [0.0, 0.0, 0.0]]), (0.5, 0.95)).tolist()
        [[1, 0], [3, 0]]
    """
    shares = torch.tensor(masses, dtype=torch.float64)
    # A set that falls short by the rounding of the sum has reached the share.
    shares -= matrix.shape[1] * torch.finfo(torch.float64).eps
    parts = []
    for rows in row_blocks(matrix):
        entries = rows.abs().numpy()
        entries.sort(axis=1)
        sums = torch.from_numpy(np.cumsum(entries[:, ::-1], axis=1, dtype=np.float64))
        totals = sums[:, -1:]
        counts = torch.searchsorted(sums, totals * shares) + 1
        parts.append(counts.where(totals > 0, 0))
    return torch.cat(parts).T.numpy()


def _rows(hessian: Tensor, first: Tensor) -> dict[str, Any]:
    """Return what a snapshot says of the rows of H."""
    block = hessian[: first.numel(), : first.numel()]
    sparsity = row_sparsities(block, MASSES)
    sample = block[:_SAMPLE_ROWS]
    agrees = all(
        np.array_equal(mass_sparsity(sample, mass).numpy(), counts[: len(sample)])
        for mass, counts in zip(MASSES, sparsity, strict=True)
    )
    return {"sparsity": sparsity, "agrees": agrees, "zero_rows": int((sparsity[0] == 0).sum())}


def _damped_facts(matrix: Tensor, first: Tensor, seed: int) -> dict[str, Any]:
    """Return what a snapshot says of H + λI."""
    n = first.numel()
    block = matrix[:n, :n]
    return {
        "condition": condition_number(DenseOperator(block), "lanczos", seed=seed, max_products=n),
        "damped_sparsity": int(row_sparsities(block, MASSES[:1]).max()),
    }


@torch.no_grad()
def _active_share(model: nn.Module, inputs: Tensor) -> float:
    layer = next(module for module in model.modules() if isinstance(module, nn.Linear))
    return float((layer(inputs) > 0).double().mean())


def _solve(system: LinearSystem) -> Solution:
    solution = solve(system, "cg", tolerance=_TOLERANCE)
    return solution if solution.solved else solve(system, "lu", tolerance=_TOLERANCE)


@torch.no_grad()
def _move(
    model: nn.Module, regime: Regime, directions: list[tuple[tuple[Tensor, ...], Tensor]]
) -> None:
    if regime.optimizer == "newton":
        moves = [m for block, flat in directions for m in Direction(block, flat, "newton").pieces()]
    else:
        moves = [(p, -p.grad) for p in model.parameters() if p.grad is not None]
    for parameter, direction in moves:
        if regime.clip is not None:
            direction = direction.clamp(-regime.clip, regime.clip)
        parameter.add_(direction, alpha=regime.lr)
