"""Numbers or arrays of them, checked alike; and the top of a smooth function of each."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qnewton.records.messages import check

Array = NDArray[np.float64]
Numbers = float | Array
"""A number, or an array of any shape."""


def check_all(name: str, values: Numbers, limits: str, low: float, high: Numbers) -> Array:
    """Return the values as an array, each of which has to lie in [low, high].

    Raises:
        ValueError: One line that names the first value outside.
    """
    found = np.asarray(values, dtype=np.float64)
    wrong = ~((found >= low) & (found <= high))  # NaN is wrong, too
    if wrong.any():
        check(name, float(found[wrong].flat[0] if found.ndim else found), limits, False)
    return found


def highest(
    function: Callable[[Array], Array], at: Array, width: float, rounds: int = 3
) -> tuple[Array, Array]:
    """Return the largest values of a smooth function near ``at``, element by element, and where.

    Args:
        function: Of an array of the shape of ``at``, larger values being better.
        at: Where it is about highest, above 0.
        width: Relative distance of the three points whose parabola is taken first.
        rounds: Parabolas, each on points a thirtieth as far apart.

    Cost: three calls of the function per round, and one.
    """
    best = function(at)
    for _ in range(rounds):
        step = width * at
        left, right = function(at - step), function(at + step)
        bend = left - 2.0 * best + right
        # A bend that is 0 or the wrong way moves nothing; no parabola may leave its own points.
        down = bend < 0.0
        move = np.where(down, (left - right) / np.where(down, 2.0 * bend, 1.0), 0.0)
        there = at + np.clip(move, -1.0, 1.0) * step
        value = function(there)
        better = value > best
        at, best = np.where(better, there, at), np.where(better, value, best)
        width /= 30.0
    return best, at
