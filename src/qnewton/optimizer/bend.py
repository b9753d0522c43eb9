"""Geodesic acceleration: a step that bends with the residuals (Transtrum and Sethna 2012).

Where a step v is damped, the path through larger and smaller λ is curved. v + a/2 follows it
further, with the acceleration a = -(JᵀJ + λI)⁻¹Jᵀr_vv. Here r_vv, the second derivative of the
residuals along v, is what the trial of v itself says of them, 2(r(θ + v) - r(θ) - Jv).
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

    def __call__(self, step: Tensor, ratio: float) -> Tensor | None:
        """Return v + a/2 of the step v that was tried last; ``None`` where it stays straight.

        Args:
            step: v, shape [N].
            ratio: ρ that it came to.

        Cost: a solve at the λ that the step was solved at.
        """
        root = self.trial()
        if root is None or abs(ratio - 1.0) < _AS_FORETOLD:
            return None
        second = self.residuals.beyond_linear(root, step)
        half = None if second is None else self.solved(-second)
        if half is None or not 4.0 * safe_norm(half) <= _MOST * safe_norm(step):
            return None
        return step + half
