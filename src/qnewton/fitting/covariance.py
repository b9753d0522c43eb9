"""The covariance of parameters at a minimum."""

import torch
from torch import Tensor

from qnewton.fitting.lapack import gesdd
from qnewton.fitting.reduced import Reducer


def inverse_gram(jacobian: Tensor) -> Tensor | None:
    """Return (JᵀJ)⁻¹ of J [M, N] in its dtype; ``None`` where J has no full rank up to rounding."""
    m, n = jacobian.shape
    reduced = Reducer(m, n)(jacobian.T, jacobian.new_zeros(m))
    norms = reduced.column_norms
    if m < n or not (norms > 0).all():
        return None
    # Columns of one length: units must not look like dependence.
    _, values, right, _ = gesdd(reduced.triangle / norms)
    if not values[-1] > n * torch.finfo(jacobian.dtype).eps * values[0]:
        return None
    root = right.T / values / norms[:, None]
    return jacobian.new_tensor(root @ root.T)
