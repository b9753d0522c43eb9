"""Geodesic acceleration: a step that bends with the residuals (Transtrum and Sethna 2012).

Where a step v is damped, the path through larger and smaller λ is curved. v + a/2 follows it
further, with the acceleration a = -(JᵀJ + λI)⁻¹Jᵀr_vv. Here r_vv, the second derivative of the
residuals along v, is what the trial of v itself says of them, 2(r(θ + v) - r(θ) - Jv).

A bent step s, tried in its turn, tells r(θ + s) - r(θ) - Js, and v minus the solution for that goes
on towards λs = -Jᵀr(θ + s): a chord iteration, whose turns take a solve with the factorisation at
hand and a trial each, where a step takes a new Jacobian.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from qnewton.curvature import ResidualChange
from qnewton.operators.scaling import safe_norm

_MOST = 0.75
"""A step bends only where 2‖a‖ is at most this share of ‖v‖: beyond, the series does not hold."""

_AS_FORETOLD = 0.3
"""Where ρ is that near to 1 a step has nothing to gain from bending."""


@dataclass(frozen=True, eq=False)
class Bend:
    """What bends the steps of a sum of squares.

    Attributes:
        residuals: Those where the step begins.
        trial: Returns the live loss that was tried last, if it is known.
        solved: Solves (JᵀJ + λI)·x = Jᵀt for the λ of the step; ``None`` if that fails.
    """

    residuals: ResidualChange
    trial: Callable[[], Tensor | None]
    solved: Callable[[Tensor], Tensor | None]

    def __call__(self, step: Tensor, tried: Tensor, ratio: float) -> Tensor | None:
        """Return v bent by what the trial tells; ``None`` where it gains nothing from bending.

        Args:
            step: v, shape [N].
            tried: What was tried last, v itself or what it was bent to.
            ratio: ρ that this came to.

        Cost: a solve at the λ that the step was solved at.
        """
        root = self.trial()
        if root is None or abs(ratio - 1.0) < _AS_FORETOLD:
            return None
        second = self.residuals.beyond_linear(root, tried)
        half = None if second is None else self.solved(-second)
        if half is None or not 4.0 * safe_norm(half) <= _MOST * safe_norm(step):
            return None
        return step + half
