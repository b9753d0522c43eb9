"""Reading a matrix that is too large for a second one beside it."""

import math
from collections.abc import Iterator

from torch import Tensor

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
    # Extremes, and not abs(), which would take a second matrix; a NaN shows in both.
    lowest, highest = matrix.aminmax()
    return finite_largest(max(-float(lowest), float(highest)))


def finite_largest(largest: float) -> float:
    """Return ``largest`` = max|A_ij|, which is finite only if every entry is.

    Raises:
        ValueError: If it is not finite.
    """
    if not math.isfinite(largest):
        raise ValueError("the matrix has entries that are not finite; skip this step or block")
    return largest
