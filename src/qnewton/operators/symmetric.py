"""Bitwise symmetry of large matrices without a second matrix."""

from torch import Tensor

# Panels of a matrix that a product is added to, and the fewest and most rows of one: half of a
# panel's corner is thrown away, and a product with few rows is slow.
_PANELS, _FEWEST_ROWS, _MOST_ROWS = 8, 64, 512
_TILE = 128  # two float32 tiles of this size stay in a core's first cache while one is transposed


def add_outer_(matrix: Tensor, columns: Tensor) -> None:
    """Add U Uᵀ to the upper triangle of a matrix in place, a panel of rows at a time.

    Args:
        matrix: Shape [N, N]; what stands below its diagonal panels stays as it is.
        columns: U, shape [N, k].

    Cost: N²k operations.
    """
    panel = min(max(len(matrix) // _PANELS, _FEWEST_ROWS), _MOST_ROWS)
    for top in range(0, len(matrix), panel):
        bottom = top + panel
        rows = columns[top:bottom]
        corner = rows @ rows.mT
        # Averaging with the mirror makes every sum of these corners symmetric to the bit.
        matrix[top:bottom, top:bottom] += (corner + corner.mT) / 2
        matrix[top:bottom, bottom:].addmm_(rows, columns[bottom:].mT)


def mirror_upper_(matrix: Tensor) -> Tensor:
    """Overwrite the strict lower triangle by the mirror of the upper one, in place.

    Example:
        >>> import torch
        >>> mirror_upper_(torch.tensor([[1.0, 2.0], [9.0, 3.0]]))
        tensor([[1., 2.],
                [2., 3.]])
    """
    n = matrix.shape[0]
    for start in range(0, n, _TILE):
        stop = min(start + _TILE, n)
        corner = matrix[start:stop, start:stop]
        corner.copy_(corner.triu() + corner.triu(1).mT)
        for left in range(stop, n, _TILE):
            right = min(left + _TILE, n)
            matrix[left:right, start:stop] = matrix[start:stop, left:right].mT
    return matrix
