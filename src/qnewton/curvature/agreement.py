"""When two computations of the same derivative agree."""

import math

import torch
from torch import Tensor

from qnewton.operators.scaling import norm_ratio

# Far above the rounding of sums over samples, far below any term that one of the two lacks.
LIMIT = {torch.float32: 1e-4, torch.float64: 1e-9}
# A difference of as many limits is no rounding: the structure is another.
_BEYOND_ROUNDING = 10.0
# The same vectors at every step: a resumed run then takes the same routes as an uninterrupted one.
_SEED = 20240500252


def difference(found: Tensor, expected: Tensor) -> float:
    """Return ‖found - expected‖ / ‖expected‖; 0 if both are zero, infinite if only the latter is.

    Example:
        >>> difference(torch.tensor([3.0, 5.0]), torch.tensor([3.0, 4.0]))
        0.2
    """
    return norm_ratio(found - expected, expected)


def beyond_rounding(off: float, limit: float) -> bool:
    """Return whether a difference tells that the structure is another, at this step and later.

    Example:
        >>> beyond_rounding(0.2, 1e-4), beyond_rounding(2e-4, 1e-4)
        (True, False)
    """
    return _BEYOND_ROUNDING * limit < off < math.inf


def random_like(example: Tensor, size: torch.Size | tuple[int, ...], draw: int = 0) -> Tensor:
    """Return standard normal numbers, the same on every device and at every call.

    Args:
        example: Gives dtype and device.
        size: Shape of the result.
        draw: Which of several results to return.
    """
    generator = torch.Generator().manual_seed(_SEED + draw)
    numbers = torch.randn(size, generator=generator, dtype=torch.float64)
    return numbers.to(device=example.device, dtype=example.dtype)
