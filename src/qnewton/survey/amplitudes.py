"""The shape of a vector, as shots of a read-out depend on it."""

import math

import torch
from torch import Tensor

from qnewton.operators.scaling import into_range
from qnewton.records import Amplitudes

_OCTAVES = 64  # of squares; smaller components are one group, of the zeros


def amplitudes(vector: Tensor) -> Amplitudes | None:
    """Return the squares of v/‖v‖ in groups of a factor 2; ``None`` where v has no direction.

    Args:
        vector: v, shape [N].

    Returns:
        The groups, or ``None`` for a vector that is zero or holds a number that is not finite.

    Cost: some passes over N numbers.

    Example:
        >>> amplitudes(torch.tensor([0.0, 2.0, -1.0, 1.0])).counts
        (1, 2, 1)
    """
    squares = into_range(vector.double())[0].square()
    total = float(squares.sum())
    if not 0.0 < total < math.inf:
        return None
    squares = squares / total
    octaves = (-torch.frexp(squares)[1]).clamp(0, _OCTAVES)
    octaves[squares == 0.0] = _OCTAVES
    counts = torch.bincount(octaves, minlength=_OCTAVES + 1).tolist()
    sums = torch.bincount(octaves, squares, minlength=_OCTAVES + 1).tolist()
    held = [(summed / count, count) for summed, count in zip(sums, counts, strict=True) if count]
    return Amplitudes(squares=tuple(s for s, _ in held), counts=tuple(c for _, c in held))
