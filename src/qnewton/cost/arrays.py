"""Gate counts at arrays of integers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from qnewton.queries.arrays import Array


def per_pair(function: Callable[[int, int], tuple[float, ...]], first: Any, second: Any) -> Array:
    """Return a function of two integers at arrays of them, called once per distinct pair.

    Args:
        function: Returns a tuple of numbers.
        first: Integers from 0, few of them distinct or not.
        second: Integers from 0; broadcasts with ``first``; both ranges together below 2^63.

    Returns:
        The numbers, shape [as many as there are, …] with the shape that both broadcast to.

    Example:
        >>> per_pair(lambda a, b: (a + b, a * b), np.array([1, 3, 3]), 2).tolist()
        [[3.0, 5.0, 5.0], [2.0, 6.0, 6.0]]
    """
    a, b = np.broadcast_arrays(np.asarray(first, np.int64), np.asarray(second, np.int64))
    width = int(b.max()) + 1
    codes, where = np.unique((a * width + b).ravel(), return_inverse=True)
    found = [function(*divmod(int(code), width)) for code in codes]
    return np.array(found, dtype=np.float64).T[:, where.reshape(a.shape)]
