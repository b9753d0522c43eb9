"""How often a solution state has to be made to know its N real amplitudes."""

import math
from dataclasses import dataclass
from typing import Literal

from qnewton.records.messages import check

ReadoutModel = Literal["simulated", "provable", "coherent", "none"]

READOUTS: dict[str, str] = {
    "simulated": "(3 + 8/√N)·N/(2ε²) shots of two-stage tomography: 19 of 20 read-outs of the "
    "worst vector found keep to ε; simulated, not proven",
    "provable": "252·N·ln N/ε² shots of two-stage tomography",
    "coherent": "N/ε uses of the solver and its inverse; constant and logarithms left out",
    "none": "one state and nothing read: no Newton step comes of it",
}
"""Every read-out with a line for people."""

TWO_STAGE = (3.0, 8.0)
"""a and b of the a + b/√N that shots over N/(2ε²) are.

2.79 bounds the mean squared error of any vector for Poisson counts; the rest covers multinomial
ones, scaling to unit length, and 19 of 20 read-outs, as simulated
(:func:`qnewton.solvers.quantum.measure`).
"""


@dataclass(frozen=True)
class Shots:
    """How often the state is made, and what was assumed.

    Attributes:
        states: Solution states made, at least 1.
        assumption: One sentence.
    """

    states: float
    assumption: str


def shots(n: int, tolerance: float, readout: ReadoutModel = "simulated") -> Shots:
    """Count the solution states to read a real unit vector to ℓ2 error ε, signs included.

    Args:
        n: Amplitudes N, at least 1.
        tolerance: ε, in (0, 1).
        readout: A key of :data:`READOUTS`.

    Raises:
        ValueError: If an argument is out of range.

    Cost:
        A few scalar operations.

    Reference:
        Two-stage tomography (magnitudes, then signs by interference): 36·N·ln N/δ² shots twice
        guarantee √7·δ, FORMULAS 21; coherent: van Apeldoorn et al., arXiv:2207.08800.

    Example:
        >>> f"{shots(12_544, 0.1).states:.3g} {shots(12_544, 0.1, 'provable').states:.3g}"
        '1.93e+06 2.98e+09'
    """
    check("n", n, "must be at least 1", n >= 1)
    check("readout_tolerance", tolerance, "must lie between 0 and 1", 0 < tolerance < 1)
    if readout not in READOUTS:
        raise ValueError(f"readout is {readout!r}; choose {', '.join(READOUTS)}")
    if readout == "none":
        return Shots(1.0, f"read-out: {READOUTS[readout]}")
    if readout == "coherent":
        states = n / tolerance
    elif readout == "provable":
        states = 252 * n * max(math.log(n), 1.0) / tolerance / tolerance
    else:
        factor = TWO_STAGE[0] + TWO_STAGE[1] / math.sqrt(n)
        states = factor * n / 2 / tolerance / tolerance
    return Shots(max(1.0, states), f"read-out to {tolerance:g}: {READOUTS[readout]}")
