"""Reading a matrix that is too large for a second one beside it: its rows, its sparsity."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from qnewton.operators.scaling import into_range, largest

# A block and its float64 copy stay in a core's cache: a third of the time of 2²² entries.
_BLOCK_ENTRIES = 2**18


def row_blocks(matrix: Tensor) -> Iterator[Tensor]:
    """Yield views of consecutive rows, a quarter of a million entries each."""
    yield from matrix.split(max(1, _BLOCK_ENTRIES // matrix.shape[1]))


def largest_entry(matrix: Tensor) -> float:
    """Return max|A_ij| in one pass and without a copy.

    Raises:
        ValueError: If an entry is not finite.

    Example:
        >>> import torch
        >>> largest_entry(torch.tensor([[1.0, -3.0], [-3.0, 2.0]]))
        3.0
    """
    return finite_largest(largest(matrix))


def finite_largest(size: float) -> float:
    """Return ``size`` = max|A_ij|, which is finite only if every entry is."""
    if not math.isfinite(size):
        raise ValueError("the matrix has entries that are not finite; skip this step or block")
    return size


def mass_sparsity(matrix: Tensor, mass: float) -> Tensor:
    """Return the p%-sparsity of every row.

    s_i is the fewest entries of row i whose absolute values sum to at least p·Σ_j |A_ij|; an
    all-zero row has 0.

    Args:
        matrix: Finite entries, shape [N, N].
        mass: The share p, in (0, 1].

    Returns:
        int64 tensor of shape [N], on the matrix's device.

    Raises:
        ValueError: If ``mass`` is outside (0, 1].

    Cost: one sort of each row and one float64 cumulative sum, a block of rows at a time.

    Reference: Q-Newton (arXiv:2405.00252), section III-C.

    Example:
        >>> mass_sparsity(torch.tensor([[3.0, 1.0], [1.0, 1.0]]), mass=0.5)
        tensor([1, 1])
    """
    if not 0.0 < mass <= 1.0:
        raise ValueError(f"mass {mass!r} is outside (0, 1]; 0.5 is the 50%-sparsity")
    if mass == 1.0:
        # Exact, where a cumulative sum cannot see entries below its rounding.
        return torch.cat([rows.count_nonzero(dim=1) for rows in row_blocks(matrix)])
    return torch.cat([_block_sparsity(rows, mass) for rows in row_blocks(matrix)])


def _block_sparsity(rows: Tensor, mass: float) -> Tensor:
    # In range, since the sum of entries near its end is infinite.
    sums = into_range(_descending(rows.abs()).to(torch.float64))[0].cumsum_(dim=1)
    totals = sums[:, -1:]
    # A set that falls short by the rounding of the sum has reached the share: 0.55·20 is not 11.
    slack = rows.shape[1] * torch.finfo(torch.float64).eps
    short = (sums < totals * (mass - slack)).sum(dim=1)
    return torch.where(totals[:, 0] > 0, short + 1, 0)


def _descending(rows: Tensor) -> Tensor:
    if rows.device.type != "cpu":
        return rows.sort(dim=1, descending=True).values
    # numpy's vectorised sort needs no indices: 40 times faster than torch's on a CPU with AVX-512.
    rows.numpy().sort(axis=1)
    return rows.flip(1)
