"""Bounds on parameters: where they are, how far, and what they do to a gradient."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# How far from a bound a start is at least, relative to it.
_MARGIN = 1e-10


@dataclass(frozen=True, eq=False)
class Bounds:
    """Lower and upper bounds, float64 numbers that the dtype of the parameters holds, shape [N]."""

    lower: np.ndarray
    upper: np.ndarray
    dtype: torch.dtype

    @property
    def absent(self) -> bool:
        """Whether nothing is bounded."""
        return bool(np.isneginf(self.lower).all() and np.isposinf(self.upper).all())

    def inside(self, x: np.ndarray) -> np.ndarray:
        """Return ``x`` rounded to the dtype and, by one rounding, strictly within the bounds."""
        low, high = self._next(self.lower, self.upper), self._next(self.upper, self.lower)
        rounded = torch.from_numpy(np.ascontiguousarray(x)).to(self.dtype).double().numpy()
        return np.clip(rounded, np.minimum(low, high), np.maximum(low, high))

    def distances(self, x: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return Coleman and Li's v and dv/dx, shape [N] each.

        v is the distance to the bound that -gradient points to, and 1 where there is none.
        """
        v, slope = np.ones_like(x), np.zeros_like(x)
        up = (gradient < 0) & np.isfinite(self.upper)
        down = (gradient > 0) & np.isfinite(self.lower)
        v[up], slope[up] = self.upper[up] - x[up], -1.0
        v[down], slope[down] = x[down] - self.lower[down], 1.0
        return v, slope

    def reach(self, x: np.ndarray, step: np.ndarray) -> tuple[float, np.ndarray]:
        """Return how much of a step leads to the first bound, and which bounds that meets."""
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.maximum((self.lower - x) / step, (self.upper - x) / step)
        shares = np.where(step != 0, shares, np.inf)
        least = float(shares.min())
        return least, shares == least

    def active(self, x: np.ndarray, tolerance: float) -> np.ndarray:
        """Return -1 at a lower bound, 1 at an upper one, else 0, as SciPy does; shape [N]."""
        near_low = tolerance * np.maximum(1, np.abs(np.nan_to_num(self.lower, neginf=0)))
        near_high = tolerance * np.maximum(1, np.abs(np.nan_to_num(self.upper, posinf=0)))
        below, above = x - self.lower, self.upper - x
        low = below <= np.minimum(above, near_low)
        high = above <= np.minimum(below, near_high)
        return np.where(low, -1, np.where(high, 1, 0))

    def _next(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        return _tensor(start, self.dtype).nextafter(_tensor(end, self.dtype)).double().numpy()


def bounds_of(bounds: object, like: Tensor) -> Bounds:
    """Return bounds from two numbers or vectors, or from SciPy's ``Bounds``.

    Raises:
        ValueError: If they are no two vectors, or no lower one is below its upper one.
    """
    pair = (getattr(bounds, "lb", None), getattr(bounds, "ub", None))
    if pair[0] is None:
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise ValueError(f"bounds is {bounds!r}, and a pair (lower, upper) is needed")
        pair = (bounds[0], bounds[1])
    n = len(like)
    lower, upper = (_vector(each, n) for each in pair)
    for i in np.flatnonzero(~(lower < upper)):
        raise ValueError(
            f"bounds of parameter {i} are {lower[i]:g} and {upper[i]:g}, and the lower must be "
            "below the upper; make a fixed parameter an argument"
        )
    return Bounds(
        _inward(lower, np.inf, like.dtype), _inward(upper, -np.inf, like.dtype), like.dtype
    )


def start_within(bounds: Bounds, x: np.ndarray) -> np.ndarray:
    """Return a start strictly within the bounds, which may lie on one.

    Raises:
        ValueError: If it lies outside.
    """
    for i in np.flatnonzero(~((x >= bounds.lower) & (x <= bounds.upper))):
        raise ValueError(
            f"x0[{i}] = {x[i]:g} is outside its bounds {bounds.lower[i]:g} and "
            f"{bounds.upper[i]:g}; start within them"
        )
    # A little way off, as SciPy does: what is nearly on a bound moves slowly.
    margin = np.minimum(_MARGIN * np.maximum(1, np.abs(x)), (bounds.upper - bounds.lower) / 4)
    low, high = bounds.lower + margin, bounds.upper - margin
    return bounds.inside(np.clip(x, low, high))


def _vector(bound: object, n: int) -> np.ndarray:
    given = bound.detach().cpu() if isinstance(bound, Tensor) else bound
    values = np.asarray(given, dtype=np.float64)
    if values.ndim > 1 or values.size not in (1, n):
        raise ValueError(
            f"a bound has shape {list(values.shape)}, and a number or {n} of them are needed"
        )
    return np.broadcast_to(values.reshape(-1), (n,)).copy()


def _inward(bound: np.ndarray, towards: float, dtype: torch.dtype) -> np.ndarray:
    """Return the nearest number of the dtype that keeps to the bound."""
    found = _tensor(bound, dtype)
    wrong = found.double().numpy() < bound if towards > 0 else found.double().numpy() > bound
    moved = found.nextafter(torch.full_like(found, towards))
    return torch.where(torch.from_numpy(wrong), moved, found).double().numpy()


def _tensor(values: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(values).to(dtype)
