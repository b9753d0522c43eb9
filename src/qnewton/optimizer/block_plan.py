"""Which blocks are formed as dense matrices, known from shapes before anything is allocated."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from qnewton.curvature import Block
from qnewton.optimizer.options import Quantum
from qnewton.optimizer.settings import GroupSettings
from qnewton.scheduler.policy import POLICIES, Policy

DENSE_LIMIT = 20_000
"""Rows of the largest block that is formed: 1.6 GB in float32, and as much again to factor it."""


@dataclass(frozen=True)
class BlockPlan:
    """How one block is represented.

    Attributes:
        name: The block's name.
        n: Its unknowns N.
        formed: Whether its N² entries are formed; otherwise it is only multiplied with, by double
            backward, and solved by conjugate gradients.
        dense_bytes: What the entries take, or would take.
        newton: Whether it gets a system at all; otherwise it takes first-order steps.
    """

    name: str
    n: int
    formed: bool
    dense_bytes: int
    newton: bool = True


def plan_block(block: Block, max_dense: int | None) -> BlockPlan:
    """Return how a block is represented: dense up to ``max_dense`` rows, by products above.

    ``None`` for a block that is too large for a system of its own.

    Example:
        >>> import torch
        >>> from qnewton.curvature import partition
        >>> blocks = partition(torch.nn.Linear(300, 300), "tensor")
        >>> plans = [plan_block(block, 20_000) for block in blocks]
        >>> [(plan.name, plan.n, plan.formed) for plan in plans]
        [('weight', 90000, False), ('bias', 300, True)]
    """
    return BlockPlan(
        name=block.name,
        n=block.n,
        formed=max_dense is not None and block.n <= max_dense,
        dense_bytes=block.n**2 * block.parameters[0].element_size(),
        newton=max_dense is not None,
    )


def check_plan(plan: BlockPlan, policy: str, settings: GroupSettings) -> None:
    """Refuse what reads the entries of a block too large to be formed.

    Args:
        plan: The block.
        policy: The policy in force.
        settings: The settings in force for the block.

    Raises:
        ValueError: Naming the block, its size, what needs its entries, and the way out.
    """
    if plan.formed:
        return
    if POLICIES.get(policy).needs_entries:
        wanting = f"policy={policy!r}"
    elif settings.prune is not None:
        wanting = f"prune={settings.prune}"
    elif settings.damping_scale == "max-abs":
        wanting = f"damping_scale={settings.damping_scale!r}"
    else:
        return
    raise ValueError(
        f"block {plan.name!r} has N = {plan.n:,} unknowns, above max_dense: a matrix of "
        f"{bytes_text(plan.dense_bytes)}, and {wanting} needs its entries; use smaller blocks, "
        "policy='classical' without it, or a larger max_dense"
    )


def check_executed(plan: Iterable[BlockPlan], policy: Policy, quantum: Quantum) -> None:
    """Refuse a block with a system that is too large for what carries the quantum solver out.

    Raises:
        ValueError: Naming the block, its size, the limit, and the way out; or the read-out.
    """
    if quantum.execution is None or not policy.needs_quantum_machine:
        return
    quantum.execution.check_readout(quantum.readout)
    for block in plan:
        if not block.newton:
            continue
        try:
            quantum.execution.check(block.n)
        except ValueError as error:
            said = f"block {block.name!r}: {error}"
            raise ValueError(f"{said}, by other blocks or max_newton") from None


def bytes_text(count: int) -> str:
    """Return a number of bytes in the unit that keeps it short.

    Example:
        >>> bytes_text(629_407_744), bytes_text(17_592_186_044_416)
        ('629 MB', '17.6 TB')
    """
    power = min(int(math.log10(max(count, 1))) // 3, len(_UNITS) - 1)
    return f"{count / 1000**power:.3g} {_UNITS[power]}"


_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
