"""What phase estimation's clock shows for an eigenphase, and means over it at any size.

The mean of a function over the clock is a sum of M terms. Blocks of them far from the kernel's peak
and from the function's own kinks are smooth, and a Gauss rule for sums takes each in a few values.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import numpy as np

from qnewton.queries.polynomials import Array

WindowName = Literal["uniform", "sine"]


class Window(ABC):
    """The amplitudes that a clock of M values starts with, and what it then shows."""

    @abstractmethod
    def amplitudes(self, size: int) -> Array:
        """Return a_τ, of unit length, shape [M]."""

    @abstractmethod
    def chances(self, position: Array, k: Array, size: int) -> Array:
        """Return w_k = |M^{-1/2} Σ_τ a_τ e^{2πiτ(φ - k/M)}|² for position = Mφ, in [-M/2, M/2]."""


class UniformWindow(Window):
    """a_τ = 1/√M: w_k = [sin(πMδ)/(M sin πδ)]², δ = φ - k/M."""

    def amplitudes(self, size: int) -> Array:
        """Return a_τ."""
        return np.full(size, 1.0 / math.sqrt(size))

    def chances(self, position: Array, k: Array, size: int) -> Array:
        """Return w_k."""
        # sin²(πMδ) is the same for every k, and exact by the distance to the next integer.
        nearest, off = _split(position)
        away = off - _wrapped(k - nearest, size)
        return (np.sin(np.pi * off) / (size * np.sin(np.pi * away / size))) ** 2


class SineWindow(Window):
    """a_τ = √(2/M) sin(π(τ+½)/M): w_k falls with the fourth power of the distance."""

    def amplitudes(self, size: int) -> Array:
        """Return a_τ."""
        return math.sqrt(2.0 / size) * np.sin(np.pi * (np.arange(size) + 0.5) / size)

    def chances(self, position: Array, k: Array, size: int) -> Array:
        """Return w_k = 2[cos(πMδ) cos(πδ) sin(π/2M)/(M sin(πδ - π/2M) sin(πδ + π/2M))]²."""
        nearest, off = _split(position - 0.5)
        # By the way that ends next to the two peaks, which are at 0 and 1 steps.
        steps = 0.5 + _wrapped(k - nearest - 0.5, size)
        lower, upper = np.pi * (off - steps) / size, np.pi * (off + (1.0 - steps)) / size
        least = math.sin(math.pi / (2.0 * size))
        ratio = np.sin(np.pi * off) * np.cos((lower + upper) / 2.0) * least
        return 2.0 * (ratio / (size * np.sin(lower) * np.sin(upper))) ** 2


WINDOWS: Mapping[WindowName, Window] = MappingProxyType(
    {"uniform": UniformWindow(), "sine": SineWindow()}
)


def _split(position: Array) -> tuple[Array, Array]:
    """Return the nearest integer and the rest, never 0, where the quotients would be 0/0."""
    nearest = np.rint(position)
    off = position - nearest
    return nearest, np.where(off == 0.0, _BARELY, off)


def _wrapped(steps: Array, size: int) -> Array:
    """Return clock steps by the shorter way round."""
    return steps - size * np.rint(steps / size)


def mean_rotation(positions: Array, size: int, reach: float, window: Window) -> Array:
    """Return Σ_k f_k w_k over -M/2 ≤ k < M/2, with f_k = c/k clipped to ±1 and f_0 = 0.

    Args:
        positions: Mφ for each eigenphase φ, shape [V].
        size: M, a power of two.
        reach: c.
        window: What the clock starts with.

    Cost: about 16 values in each of 10·log₂M blocks per eigenphase, whatever M. Error: rounding;
    a rule of 16 nodes leaves 4^-32 of a block as far from any pole as half its own length.

    Example:
        >>> mean_rotation(np.array([3.0, 2.5]), 2**20, 1.5, UniformWindow()).round(4)
        array([0.5   , 0.5622])
    """
    found = np.zeros(len(positions))
    length = size // 2
    owner = np.repeat(np.arange(len(positions)), 2)
    first = np.tile([-float(length), 0.0], len(positions))
    while True:
        smooth = _smooth(positions[owner], first, length, size, reach)
        nodes, weights = _rule(length)
        k = first[smooth, None] + nodes
        # Only k = 0 itself is 0, and a block that is not single values does not hold it.
        f = np.clip(np.divide(reach, k, out=np.zeros_like(k), where=k != 0.0), -1.0, 1.0)
        sums = (f * window.chances(positions[owner[smooth], None], k, size)) @ weights
        found += np.bincount(owner[smooth], weights=sums, minlength=len(positions))
        if smooth.all():
            return found
        length //= 2
        owner = np.repeat(owner[~smooth], 2)
        first = (first[~smooth, None] + np.array([0.0, length])).ravel()


def _smooth(
    position: Array, first: Array, length: int, size: int, reach: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which blocks of clock values a rule sums to rounding."""
    if length <= _NODES:
        return np.ones(len(first), dtype=np.bool_)
    last = first + (length - 1)
    # Half of M is a whole block, so that no block but one that begins at 0 holds it.
    nearest, farthest = np.minimum(abs(first), abs(last)), np.maximum(abs(first), abs(last))
    clipped = (nearest > 0.0) & (farthest <= reach)
    unclipped = (nearest >= reach) & (nearest >= length / 2)
    from_peak = abs(_wrapped((first + last) / 2.0 - position, size)) - 0.5
    return (clipped | unclipped) & (from_peak >= length)


@lru_cache(maxsize=64)
def _rule(length: int) -> tuple[Array, Array]:
    """Return nodes and weights with Σ_i w_i q(x_i) = Σ_{k<L} q(k) for deg q ≤ 31; all k up to 16.

    Reference: Golub and Welsch 1969, for the polynomials that Chebyshev made for sums.
    """
    if length <= _NODES:
        return np.arange(float(length)), np.ones(length)
    j = np.arange(1.0, _NODES)
    beside = np.sqrt(j**2 * (float(length) ** 2 - j**2) / (4.0 * (4.0 * j**2 - 1.0)))
    nodes, vectors = np.linalg.eigh(np.diag(beside, 1) + np.diag(beside, -1))
    return nodes + (length - 1) / 2.0, length * vectors[0] ** 2


_NODES = 16
_BARELY = 1e-100
