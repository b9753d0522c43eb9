"""Bitwise symmetry of large matrices without a second matrix."""

from torch import Tensor

_TILE = 128  # two float32 tiles of this size stay in a core's first cache while one is transposed


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
