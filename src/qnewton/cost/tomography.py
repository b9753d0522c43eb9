"""Shots that two-stage tomography takes of a vector whose amplitudes are known."""

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnewton.records import Amplitudes
from qnewton.records.messages import check

Array = NDArray[np.float64]

_NINETEEN_OF_20 = 1.6449  # the normal quantile at 0.95
_HEADROOM = 1.01
"""What scaling to unit length, of second order in ε, and the groups of amplitudes add at most."""

_MEANS = np.geomspace(1e-3, 64.0, 192)
_LARGEST_MEAN = float(_MEANS[-1])
_OCTAVES = np.linspace(0.0, 64.0, 513)


def tomography_shots(amplitudes: Amplitudes, tolerance: Any) -> Any:
    """Return the shots from which on 19 of 20 read-outs of such a vector are within the ℓ2 error ε.

    Two-stage tomography of m shots a stage sees c_j ~ Poisson(μ_j) counts of component j,
    μ_j = m·x_j², and its sign by d_j, the difference of Poisson counts of means
    (√μ_j ± √c_j)²/4. Its squared error has mean and variance

        Σ_j (1 - x_j²)·e(μ_j)/m    and    Σ_j (1 - x_j²)·v(μ_j)/m²,

    e and v the mean and variance of (√μ - sign(d)·√c)². The factor 1 - x_j² stands for the unit
    length, which the counts keep. The sum is close to a gamma variable, whose quantile follows from
    both (Wilson and Hilferty 1931); where a few dozen shots are enough, errors come in steps, and
    9 of 10 read-outs keep to ε. A flat vector takes N/(2ε²), a spike over a flat floor of
    μ = 1.5 takes 2.8 times as many, and one of few large components far less.

    Args:
        amplitudes: The squares of the vector's components.
        tolerance: ε, in (0, 1); a number, or an array of any shape.

    Returns:
        Shots of both stages together, 2 or more: a number, or an array of ε's shape.

    Raises:
        ValueError: If ε is out of range.

    Cost: a millisecond for a shape, kept for the next ε.

    Reference: Kerenidis and Prakash, arXiv:1812.00054 (two-stage tomography);
    :func:`qnewton.solvers.quantum.measure` draws what is counted here.

    Example:
        >>> flat = Amplitudes(squares=(1e-4,), counts=(10_000,))
        >>> round(tomography_shots(flat, 0.01) / (10_000 / (2 * 0.01**2)), 2)
        1.04
    """
    errors = np.asarray(tolerance, dtype=float)
    holds = bool(((errors > 0.0) & (errors < 1.0)).all())
    check("tolerance", tolerance, "must lie between 0 and 1", holds)
    reached, wanted = _reached(amplitudes), 2.0 * np.log2(errors / _HEADROOM)
    # The squared error falls with m: numpy's interpolation takes it in ascending order.
    octaves = np.interp(wanted, reached[::-1], _OCTAVES[::-1])
    beyond = reached[-1] - wanted
    octaves = np.where(beyond > 0.0, _OCTAVES[-1] + beyond, octaves)
    shots = np.maximum(2.0, 2.0 * np.exp2(octaves))
    return float(shots) if shots.ndim == 0 else shots


def mean_squared_error(amplitudes: Amplitudes, shots: float) -> float:
    """Return the mean of ‖read - x‖² after so many shots, half of them a stage.

    Args:
        amplitudes: The squares of the components of x.
        shots: Shots of both stages, 2 or more.

    Example:
        >>> flat = Amplitudes(squares=(1e-4,), counts=(10_000,))
        >>> round(mean_squared_error(flat, 1e6), 5)
        0.00505
    """
    m = np.array([shots / 2.0])
    return float(_sums(amplitudes, m)[0][0] / m[0])


@lru_cache(maxsize=256)
def _reached(amplitudes: Amplitudes) -> Array:
    """Return log2 of the squared error that 19 of 20 read-outs keep to, at 2^octaves a stage."""
    m = np.exp2(_OCTAVES)
    mean, variance = _sums(amplitudes, m)
    # A gamma variable of this mean and variance, by the cube root that is nearly normal.
    spread = variance / np.maximum(mean, 1e-150) ** 2 / 9.0
    factor = 1.0 - spread + _NINETEEN_OF_20 * np.sqrt(spread)
    return np.minimum.accumulate(np.log2(np.maximum(mean * factor**3, 1e-300) / m))


def _sums(amplitudes: Amplitudes, m: Array) -> tuple[Array, Array]:
    """Return Σ (1 - x_j²)·e(m·x_j²) and Σ (1 - x_j²)·v(m·x_j²) for every m."""
    squares, counts = np.array(amplitudes.squares), np.array(amplitudes.counts, dtype=float)
    mean, variance = _component(m[:, None] * squares)
    free = counts * np.maximum(1.0 - squares, 0.0)
    return mean @ free, variance @ free


def _component(means: Array) -> tuple[Array, Array]:
    """Return e(μ) and v(μ): by the table in between, by their limits outside of it."""
    logs, per_mean = _table()
    at = np.log(np.clip(means, _MEANS[0], _LARGEST_MEAN))
    few = tuple(np.interp(at, logs, column) * means for column in per_mean)
    # Many counts: √c is nearly normal, of variance 1/4 and a little more.
    large = means > _LARGEST_MEAN
    many = 0.25 + 3.0 / 32.0 / np.where(large, means, 1.0)
    return np.where(large, many, few[0]), np.where(large, 2.0 * many**2, few[1])


@cache
def _table() -> tuple[Array, tuple[Array, Array]]:
    """Return log μ, and e(μ)/μ and v(μ)/μ there: both are smooth, and constant at small μ."""
    found = np.array([_moments(float(mean)) for mean in _MEANS])
    return np.log(_MEANS), (found[:, 0] / _MEANS, found[:, 1] / _MEANS)


def _moments(mean: float) -> tuple[float, float]:
    most = int(mean + 10.0 * math.sqrt(mean) + 12.0)
    seen = np.arange(most, dtype=float)
    root, read = math.sqrt(mean), np.sqrt(seen)
    counts = np.arange(2 * most, dtype=float)[:, None]
    plus, minus = (_poisson(counts, (root + side * read) ** 2 / 4.0) for side in (1.0, -1.0))
    right = (plus * (np.cumsum(minus, axis=0) - minus)).sum(axis=0)
    tie = (plus * minus).sum(axis=0)
    wrong = np.maximum(0.0, 1.0 - right - tie)
    squares = np.stack([(root - read) ** 2, (root + read) ** 2, np.full(most, mean)])
    chances = np.stack([right, wrong, tie]) * _poisson(seen, np.array([mean]))
    first, second = float((chances * squares).sum()), float((chances * squares**2).sum())
    return first, second - first**2


def _poisson(counts: Array, mean: Array) -> Array:
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, counts.max() + 1.0)))])
    logs = np.where(counts == 0.0, 0.0, counts * np.log(np.maximum(mean, 1e-300)))
    return np.exp(logs - mean - factorials[counts.astype(int)])
