"""The data of a curve fit: checked, freed of what is missing, and with their deviations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qnewton.fitting.residuals import as_tensor


@dataclass(frozen=True, eq=False)
class CurveData:
    """Data to be fitted.

    Attributes:
        x: What the model gets: a tensor, or what the user's model takes.
        y: The data, shape [M].
        whiten: Brings deviations, [M] or [..., M], to unit variance.
    """

    x: Any
    y: Tensor
    whiten: Callable[[Tensor], Tensor]


def curve_data(x: Any, y: Any, sigma: Any, policy: str | None, like: Tensor) -> CurveData:
    """Return data in the dtype and on the device of the fit.

    Raises:
        ValueError: If they are not finite, missing where none may be missing, or of another number
            than their deviations.
    """
    if isinstance(x, (list, tuple, np.ndarray)):
        x = as_tensor(x, like)
    data = as_tensor(y, like).detach().flatten()
    spread = None if sigma is None else as_tensor(sigma, data).detach()
    missing = None if policy is None else _missing(x, data)
    if missing is not None and bool(missing.any()):
        if policy == "raise":
            raise ValueError(
                f"{int(missing.sum())} of {len(data)} points have NaN in xdata or ydata; pass "
                "nan_policy='omit' to leave them out"
            )
        x, spread = _kept(x, ~missing), _kept_spread(spread, ~missing)
        data = data[~missing]
    _check_finite(x, data)
    return CurveData(x, data, _whitener(spread, data))


def _missing(x: Any, data: Tensor) -> Tensor:
    """Return which points have NaN, shape [M]; in ydata alone where xdata are no such points."""
    missing = data.isnan()
    if not isinstance(x, Tensor) or not x.dim() or x.shape[-1] != len(data):
        return missing
    return missing | x.detach().isnan().reshape(-1, len(data)).any(dim=0).to(data.device)


def _kept(x: Any, keep: Tensor) -> Tensor:
    if not isinstance(x, Tensor) or not x.dim() or x.shape[-1] != len(keep):
        raise ValueError(
            "nan_policy='omit' needs xdata as a list, an array or a tensor whose last dimension is "
            f"the {len(keep)} of ydata; leave out what is missing before the call"
        )
    return x[..., keep.to(x.device)]


def _kept_spread(spread: Tensor | None, keep: Tensor) -> Tensor | None:
    if spread is None or spread.numel() == 1 or spread.shape[-1] != len(keep):
        return spread
    return spread[keep] if spread.dim() == 1 else spread[keep][:, keep]


def _check_finite(x: Any, data: Tensor) -> None:
    if not len(data) or not bool(data.isfinite().all()):
        raise ValueError(
            f"ydata has {len(data)} entries, {int((~data.isfinite()).sum())} of them not finite; "
            "pass at least one, and leave out what is missing, as nan_policy='omit' does for NaN"
        )
    if isinstance(x, Tensor) and not bool(x.detach().isfinite().all()):
        raise ValueError(
            f"xdata has {x.numel()} entries, {int((~x.isfinite()).sum())} of them not finite; "
            "leave out what is missing, as nan_policy='omit' does for NaN"
        )


def _whitener(spread: Tensor | None, data: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what brings residuals to unit variance."""
    if spread is None:
        return lambda difference: difference
    m = len(data)
    if spread.dim() < 2 and spread.numel() in (1, m):
        if not bool((spread > 0).all()):
            raise ValueError(f"sigma is as small as {float(spread.min()):g}, and must be positive")
        return lambda difference: difference / spread
    if list(spread.shape) != [m, m]:
        raise ValueError(
            f"sigma has shape {list(spread.shape)}; pass {m} standard deviations, or their "
            f"covariance of shape {[m, m]}"
        )
    factor, failed = torch.linalg.cholesky_ex(spread)
    if int(failed):
        raise ValueError("sigma is no covariance: it is not positive definite; check its entries")
    inverse = torch.linalg.solve_triangular(factor, torch.eye(m).to(factor), upper=False)
    return lambda difference: difference @ inverse.T
