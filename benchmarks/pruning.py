"""What does symmetry-aware pruning cost beside one sort, and is it the literal procedure?

MNIST's first-layer block at λ = 1, N = 12,544, cut to d = 1,540 entries per row. The literal
procedure visits the 78.7 million entries of the upper triangle one by one, from the largest down;
torch.sort only orders their magnitudes.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.harness import (
    Contender,
    Report,
    Say,
    describe_machine,
    interleave,
    peak_bytes,
    ratio,
    reached,
)
from benchmarks.mnist_block import block_name, damped_block
from qnewton.operators import DenseOperator
from qnewton.treatment import prune
from qnewton.treatment.matching import greedy_mask

MAX_PER_ROW = 1540
MOST_SORTS = 2.0
MOST_MATRICES = 3.0
OURS, SORT = "prune", "torch.sort of the upper triangle"
_SLICE = 2**20


def measure(say: Say) -> Report:
    """Compare with the literal procedure, time and weigh."""
    matrix = damped_block(1.0)
    n = len(matrix)
    say(f"N = {n:,}: the literal procedure takes a minute or two")
    same = bool(np.array_equal(greedy_mask(matrix, MAX_PER_ROW).numpy(), literal_mask(matrix)))
    upper = upper_triangle(matrix)
    operator = DenseOperator(matrix)
    timings = interleave(
        [
            Contender(OURS, lambda: prune(operator, max_per_row=MAX_PER_ROW)),
            Contender(SORT, lambda: torch.sort(upper, descending=True)),
        ],
        say,
    )
    times = ratio(timings[OURS], timings[SORT])
    peak = peak_bytes(pruning_run)
    weight = 1 + peak / matrix.nbytes
    title = f"pruning the {block_name()}, N = {n:,}, d = {MAX_PER_ROW:,}"
    rows = [
        reached(
            f"{title}: beside the literal procedure",
            "identical",
            "identical" if same else "different",
            same,
        ),
        reached(
            f"{title}: time over one {SORT}",
            f"≤ {MOST_SORTS:g}×",
            f"{times:.2f}× ({timings[OURS].median:.3g} s, {timings[SORT].median:.3g} s)",
            times <= MOST_SORTS,
        ),
        reached(
            f"{title}: memory, the matrix given included",
            f"≤ {MOST_MATRICES:g} matrices",
            f"{weight:.2f} matrices",
            weight <= MOST_MATRICES,
        ),
    ]
    return Report("pruning", rows, describe_machine(), timings, {OURS: peak})


def pruning_run() -> Callable[[], object]:
    """Return our run, for a process of its own."""
    operator = DenseOperator(damped_block(1.0))
    return lambda: prune(operator, max_per_row=MAX_PER_ROW)


def upper_triangle(matrix: Tensor) -> Tensor:
    """Return |A_ij| for i ≤ j, row by row."""
    return torch.cat([row[i:] for i, row in enumerate(matrix)]).abs_()


def literal_mask(matrix: Tensor, max_per_row: int = MAX_PER_ROW) -> NDArray[np.bool_]:
    """Return what the procedure keeps, one entry after the other in the order (-|A_ij|, i, j)."""
    n = len(matrix)
    sizes = upper_triangle(matrix).numpy()
    # Stable, and the entries come by (i, j): equal ones stay in that order.
    order = np.argsort(-sizes, kind="stable")
    order = order[: np.count_nonzero(sizes)]
    starts = np.cumsum([0, *range(n, 0, -1)])
    mask = np.zeros((n, n), dtype=np.bool_)
    held = [0] * n
    slices = [*range(0, len(order), _SLICE), len(order)]
    for begin, end in pairwise(slices):
        places = order[begin:end]
        rows = np.searchsorted(starts, places, side="right") - 1
        columns = places - starts[rows] + rows
        kept = np.zeros(len(places), dtype=np.bool_)
        for k, (i, j) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            if held[i] < max_per_row and held[j] < max_per_row:
                kept[k] = True
                held[i] += 1
                if i != j:
                    held[j] += 1
        mask[rows[kept], columns[kept]] = True
    return mask | mask.T
